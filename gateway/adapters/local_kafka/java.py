"""Apache Kafka as a process of its own on this machine's Java; it ends with the process that started it."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from gateway.adapters.local_kafka import guard
from gateway.adapters.local_kafka.broker import (
    CLUSTER_ID,
    KAFKA_VERSION,
    LocalKafka,
    broker_properties,
    free_port,
    wait_until_ready,
)
from gateway.adapters.local_kafka.jars import kafka_jars
from gateway.errors import LocalKafkaError

_STOP_TIMEOUT_S = 30


class JavaKafka(LocalKafka):
    """The broker under a guard process (``guard.py``), with a data folder of its own."""

    def __init__(self, properties: Mapping[str, str], announce: Callable[[str], None], data_dir: Path | None) -> None:
        self._announce = announce
        self._owns_dir = data_dir is None
        self._dir = data_dir or Path(tempfile.mkdtemp(prefix="chuanyu-kafka-"))
        self._dir.mkdir(parents=True, exist_ok=True)
        port, controller = free_port(), free_port()
        self.bootstrap_servers = f"127.0.0.1:{port}"
        self.description = f"Apache Kafka {KAFKA_VERSION} on this machine's Java"
        own = {
            "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "log.dirs": str(self._dir / "data"),
        }
        content = broker_properties() | own | dict(properties)
        self._properties = self._dir / "server.properties"
        self._properties.write_text("".join(f"{key}={value}\n" for key, value in content.items()), encoding="utf-8")
        self._log = self._dir / "kafka.log"
        self._guard: subprocess.Popen[bytes] | None = None
        self._pid = 0

    def start(self) -> None:
        """See LocalKafka."""
        jars = kafka_jars(self._announce)
        java = ["java", "-cp", f"{jars}/*", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
        if not (self._dir / "data").exists():
            self._format([*java, "kafka.tools.StorageTool"])
        command = [*java, "-Xms256m", "-Xmx1g", "kafka.Kafka", str(self._properties)]
        with self._log.open("ab") as log:
            self._guard = subprocess.Popen(
                [sys.executable, guard.__file__, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                start_new_session=True,  # a Ctrl-C at the terminal is the gateway's, which drains first
            )  # fmt: skip
        assert self._guard.stdout is not None  # noqa: S101 — asked for above
        self._pid = int(self._guard.stdout.readline() or 0)
        wait_until_ready(self.bootstrap_servers, self._is_alive, self._last_words)

    def stop(self) -> None:
        """See LocalKafka."""
        self._signal(signal.SIGCONT)
        self._signal(signal.SIGTERM)
        self._wait(_STOP_TIMEOUT_S)

    def kill(self) -> None:
        """See LocalKafka."""
        self._signal(signal.SIGKILL)
        self._wait(_STOP_TIMEOUT_S)

    def freeze(self) -> None:
        """See LocalKafka."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """See LocalKafka."""
        self._signal(signal.SIGCONT)

    def close(self) -> None:
        """See LocalKafka."""
        self.kill()  # the data goes too: there is nothing to flush
        if self._owns_dir:
            shutil.rmtree(self._dir, ignore_errors=True)

    def _format(self, storage_tool: list[str]) -> None:
        formatted = subprocess.run(
            [*storage_tool, "format", "-t", CLUSTER_ID, "-c", str(self._properties)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if formatted.returncode != 0:
            raise LocalKafkaError(f"Kafka's data folder could not be formatted:\n{formatted.stdout}{formatted.stderr}")

    def _is_alive(self) -> bool:
        return self._guard is not None and self._guard.poll() is None

    def _signal(self, number: signal.Signals) -> None:
        if self._is_alive() and self._pid:
            os.kill(self._pid, number)

    def _wait(self, timeout_s: float) -> None:
        if self._guard is None:
            return
        try:
            self._guard.wait(timeout_s)
        except subprocess.TimeoutExpired:
            os.kill(self._pid, signal.SIGKILL)
            self._guard.wait(timeout_s)
        for pipe in (self._guard.stdin, self._guard.stdout):
            if pipe is not None:
                pipe.close()
        self._guard = None

    def _last_words(self) -> str:
        return "\n".join(self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:])
