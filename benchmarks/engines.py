"""The engines that are compared, and how each is started."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gateway.adapters.settings import Settings
from gateway.errors import ConfigurationError

ROOT = Path(__file__).resolve().parents[1]
PEERS_PYTHON = ROOT / ".venv-peers" / "bin" / "python"
_STREAMS = ROOT / "benchmarks" / "kafka-streams"
_STREAMS_HEAP = "-Xmx1g"

EXACTLY_ONCE, AT_LEAST_ONCE = "exactly once", "at least once"


@dataclass(frozen=True)
class Engine:
    """An engine: ``key`` for the command line, what it is called, what it does and guarantees.

    ``runtime``: the gateway's own Python, the peers', or Java. ``counted_by``: how far it is can be seen
    from its committed offsets (which are exact where they stand in its transactions), or from the records
    that it has sent.
    """

    key: str
    name: str
    job: str
    guarantee: str
    runtime: Literal["own", "peers", "java"]
    module: str
    counted_by: Literal["commits", "outputs"]
    task: Literal["reduced", "decision", ""] = ""

    @property
    def sends(self) -> bool:
        """Whether it writes anything."""
        return self.guarantee != ""


_REDUCED, _DECISION = "parse, serialise, forward", "same decision and record"

ENGINES = {
    engine.key: engine
    for engine in (
        Engine("gateway", "gateway", "whole job", EXACTLY_ONCE, "own", "gateway run", "commits"),
        Engine("gateway-python", "gateway without kernel", "whole job", EXACTLY_ONCE, "own", "gateway run", "commits"),
        Engine("gateway-sha256", "gateway with SHA-256", "whole job", EXACTLY_ONCE, "own", "gateway run", "commits"),
        Engine("kafka-streams", "Kafka Streams (Java)", _REDUCED, EXACTLY_ONCE, "java", "", "commits", "reduced"),
        Engine("quix", "Quix Streams", _REDUCED, EXACTLY_ONCE, "peers", "quix", "commits", "reduced"),
        Engine("quix-decision", "Quix Streams", _DECISION, EXACTLY_ONCE, "peers", "quix", "commits", "decision"),
        Engine("faststream", "FastStream", _REDUCED, AT_LEAST_ONCE, "peers", "faststream_app", "outputs", "reduced"),
        Engine(
            "faststream-decision", "FastStream", _DECISION, AT_LEAST_ONCE, "peers", "faststream_app", "outputs", "decision"
        ),
        Engine("faust", "Faust agent", _REDUCED, AT_LEAST_ONCE, "own", "faust_agent", "outputs", "reduced"),
        Engine("faust-decision", "Faust agent", _DECISION, AT_LEAST_ONCE, "own", "faust_agent", "outputs", "decision"),
        Engine("bare", "bare aiokafka lanes", "copy the bytes", EXACTLY_ONCE, "own", "bare_copy", "commits"),
        Engine("floor", "bare aiokafka lanes", "decode, encode, digest, forward", EXACTLY_ONCE, "own", "bare_floor", "commits"),
        Engine("reading", "aiokafka, reading alone", "read", "", "own", "reading", "commits"),
    )
}  # fmt: skip


def prepare(engines: list[Engine]) -> None:
    """Build what has to be built; raises ConfigurationError, in a sentence, where a peer is not there."""
    if any(engine.runtime == "peers" for engine in engines) and not PEERS_PYTHON.is_file():
        raise ConfigurationError(
            "Quix Streams and FastStream have an environment of their own: run `make peers` first."
        )
    if any(engine.runtime == "java" for engine in engines):
        _build_streams()


def _build_streams() -> None:
    made = _STREAMS / "target" / "made"
    sources = [_STREAMS / "pom.xml", *_STREAMS.rglob("*.java")]
    if made.is_file() and made.stat().st_mtime > max(each.stat().st_mtime for each in sources):
        return
    if shutil.which("mvn") is None:
        raise ConfigurationError("Kafka Streams is built by Maven: install it, or leave it out with --engines.")
    done = subprocess.run(
        ["mvn", "-q", "-B", "-f", str(_STREAMS / "pom.xml"), "package"],
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    if done.returncode:
        words = "\n".join((done.stdout + done.stderr).splitlines()[:20])
        raise ConfigurationError(f"Maven could not build benchmarks/kafka-streams; its words:\n{words}")
    made.touch()


def command_of(engine: Engine) -> list[str]:
    """What is executed for one worker of ``engine``."""
    if engine.runtime == "java":
        jars = f"{_STREAMS}/target/classes:{_STREAMS}/target/dependency/*"
        quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"
        return ["java", _STREAMS_HEAP, quiet, "-cp", jars, "cn.chuanyu.benchmarks.Copy"]
    if engine.module == "gateway run":
        return [sys.executable, "-m", "gateway", "run"]
    return [
        str(PEERS_PYTHON) if engine.runtime == "peers" else sys.executable,
        "-m",
        f"benchmarks.peers.{engine.module}",
    ]


def environment_of(engine: Engine, settings: Settings, worker: int, workers: int, folder: str) -> dict[str, str]:
    """The environment of worker number ``worker`` (from 0) of ``workers``, which may keep files in
    ``folder``."""
    task = {
        "BENCH_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
        "BENCH_PREFIX": settings.topic_prefix,
        "BENCH_GROUP": settings.groups[0],
        "BENCH_JOB": engine.task,
        "BENCH_LIST": str(settings.recognition_dir),
        "BENCH_WORKER": str(worker),
        "BENCH_WORKERS": str(workers),
        "BENCH_STATE_DIR": f"{folder}/{worker}",
    }
    own = settings.as_environment() | {
        "GATEWAY_RELAY__GROUP_ID": settings.relay.group_id,
        "GATEWAY_RELAY__SESSION_TIMEOUT_MS": str(settings.relay.session_timeout_ms),
        "GATEWAY_RECOGNITION": str(settings.recognition_dir),
        "GATEWAY_LOG__FORMAT": "json",
        "GATEWAY_RELAY__KERNEL": "off" if engine.key == "gateway-python" else "auto",
        "GATEWAY_LEDGER__DIGEST": "sha256" if engine.key == "gateway-sha256" else settings.ledger.digest,
    }
    return os.environ | task | own | {"PYTHONPATH": str(ROOT)}
