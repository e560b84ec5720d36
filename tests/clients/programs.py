"""The client programs: how each is run. ``make clients`` builds them; see README.md."""

import json
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.patience import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]
HERE = ROOT / "tests" / "clients"
_PYTHON = (str(ROOT / ".venv-clients" / "bin" / "python"), str(HERE / "python" / "client.py"))
_JAVA = HERE / "java" / "target"
NODE = HERE / "node"
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
"""In the order of Kafka's numbers for them."""


@dataclass(frozen=True)
class Program:
    """A CloudEvents SDK with a Kafka client: its command, and the files that its build leaves."""

    name: str
    command: tuple[str, ...]
    built: tuple[Path, ...]

    def publish(self, bootstrap: str, orders: Iterable[dict[str, Any]]) -> None:
        """Publish each order (topic, key, mode, data, codec, event) in turn, all acknowledged at the end."""
        with tempfile.NamedTemporaryFile("w", suffix=".ndjson", encoding="utf-8") as file:
            file.writelines(json.dumps(order, ensure_ascii=False) + "\n" for order in orders)
            file.flush()
            self._run("publish", bootstrap, file.name)

    def read(self, bootstrap: str, ends: dict[str, dict[int, int]]) -> list[dict[str, Any]]:
        """Return what the SDK made of each record up to these offsets: its attributes and data, or its
        error."""
        lines = self._run("read", bootstrap, json.dumps(ends)).split("\n")
        return [json.loads(line) for line in lines if line]

    def _run(self, *arguments: str) -> str:
        missing = [str(path.relative_to(ROOT)) for path in self.built if not path.exists()]
        if missing:
            pytest.fail(f"{self.name}: {', '.join(missing)} is missing: make clients builds it", pytrace=False)
        done = subprocess.run(
            [*self.command, *arguments],
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, f"{self.name} {arguments[0]} ended with {done.returncode}:\n{done.stderr[-3000:]}"
        return done.stdout


PROGRAMS = {
    program.name: program
    for program in (
        *(Program(f"python-{client}", (*_PYTHON, client), (Path(_PYTHON[0]),)) for client in ("confluent-kafka", "kafka-python")),
        Program(
            "java",
            (
                "java", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
                "-cp", f"{_JAVA}/classes:{_JAVA}/dependency/*", "cn.chuanyu.clients.Client",
            ),
            (_JAVA / "classes", _JAVA / "dependency"),
        ),
        Program("node", ("node", str(NODE / "client.mjs")), (NODE / "node_modules",)),
        Program("go", (str(HERE / "go" / "build" / "client"),), (HERE / "go" / "build" / "client",)),
    )
}  # fmt: skip
