"""Apache Kafka as a process of its own on this machine's Java; it ends with the process that started it."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from gateway.errors import LocalKafkaError
from gateway.operate.local_kafka import guard
from gateway.operate.local_kafka.broker import (
    KAFKA_VERSION,
    LocalKafka,
    free_ports,
    heap_options,
    last_lines,
    performance_options,
    wait_until_ready,
)
from gateway.operate.local_kafka.jars import java_version, kafka_jars
from gateway.operate.local_kafka.users import admin_options, broker_properties, has_tls, tls_properties

_STOP_TIMEOUT_S = 30
# Any 16 bytes in base64; a cluster of one is known by its data folder.
_CLUSTER_ID = "Y2h1YW55dS1nYXRld2F5MQ"
# Warnings only, and into the broker's own log file: standard error belongs to the gateway.
_LOGGING = [
    f"-Dorg.slf4j.simpleLogger.{option}"
    for option in ("defaultLogLevel=warn", "showDateTime=true", "dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX")
]

# For a JVM that ends at once.
_BRIEF = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")


class JavaKafka(LocalKafka):
    """The broker under a guard process (``guard.py``), with a data folder of its own. ``ports``: its own,
    its controller's."""

    def __init__(
        self, properties: Mapping[str, str], announce: Callable[[str], None], data_dir: Path | None,
        passwords_dir: Path | None, *, ports: tuple[int, int] | None = None,
    ) -> None:  # fmt: skip
        self._overrides, self._announce, self._given_dir = dict(properties), announce, data_dir
        self._passwords_dir = passwords_dir
        self._port, self._controller_port = ports or free_ports(2)
        self.bootstrap_servers = f"127.0.0.1:{self._port}"
        self.description = f"Apache Kafka {KAFKA_VERSION} on Java {java_version() or '?'}"
        self._dir: Path | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._pid = 0

    def start(self) -> None:
        """See LocalKafka."""
        java = ["java", "-cp", f"{kafka_jars(self._announce)}/*", *performance_options().split(), *_LOGGING]
        folder = self._dir or self._prepare(java)
        self._announce(f"starting {self.description} at {self.bootstrap_servers}")
        command = [*java, *heap_options().split(), "kafka.Kafka", str(folder / "server.properties")]
        remove_when_orphaned = "" if self._given_dir else str(folder)
        with (folder / "kafka.log").open("ab") as log:
            self._guard = subprocess.Popen(
                [sys.executable, "-P", guard.__file__, remove_when_orphaned, *command],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                start_new_session=True,  # a Ctrl-C at the terminal is the gateway's, which drains first
            )  # fmt: skip
        assert self._guard.stdout is not None  # noqa: S101 — asked for above
        self._pid = int(self._guard.stdout.readline() or 0)
        options = admin_options(self.bootstrap_servers, self._passwords_dir)
        wait_until_ready(self._is_alive, self._last_words, options)

    def stop(self) -> None:
        """See LocalKafka."""
        self._signal(signal.SIGCONT)
        self._signal(signal.SIGTERM)
        self._wait()

    def kill(self) -> None:
        """See LocalKafka."""
        self._signal(signal.SIGKILL)
        self._wait()

    def freeze(self) -> None:
        """See LocalKafka."""
        self._signal(signal.SIGSTOP)
        # Threads that wait for a processor go on until they have had one, so that it might still answer.
        deadline = time.monotonic() + _STOP_TIMEOUT_S
        while self._is_alive() and self._pid and _has_running_threads(self._pid) and time.monotonic() < deadline:
            time.sleep(0.01)

    def thaw(self) -> None:
        """See LocalKafka."""
        self._signal(signal.SIGCONT)

    def close(self) -> None:
        """See LocalKafka."""
        if self._given_dir:
            self.stop()
            return
        self.kill()  # the data goes too: there is nothing to flush
        if self._dir:
            shutil.rmtree(self._dir, ignore_errors=True)
            self._dir = None

    def _prepare(self, java: list[str]) -> Path:
        """Make and format the data folder; nothing is formatted twice."""
        folder = self._dir = self._given_dir or Path(tempfile.mkdtemp(prefix="chuanyu-kafka-"))
        folder.mkdir(parents=True, exist_ok=True)
        listener, controller = f"127.0.0.1:{self._port}", f"127.0.0.1:{self._controller_port}"
        own = {
            "listeners": f"INTERNAL://{listener},CONTROLLER://{controller}",
            "advertised.listeners": f"INTERNAL://{listener}",
            "controller.quorum.voters": f"1@{controller}",
            "log.dirs": str(folder / "data"),
        }
        passwords = self._passwords_dir
        content = broker_properties(f"dir:{passwords}:" if passwords else None) | own
        if passwords is not None and has_tls(passwords):
            content |= tls_properties(passwords)
        content |= self._overrides
        properties = folder / "server.properties"
        properties.write_text("".join(f"{key}={value}\n" for key, value in content.items()), encoding="utf-8")
        storage_tool = [*java, *_BRIEF, "kafka.tools.StorageTool", "format", "--ignore-formatted", "-t", _CLUSTER_ID]
        formatted = subprocess.run(
            [*storage_tool, "-c", str(properties)],
            capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        if formatted.returncode != 0:
            words = last_lines(formatted.stdout + formatted.stderr)
            raise LocalKafkaError(f"Kafka's data folder could not be formatted; its last words:\n{words}")
        return folder

    def _is_alive(self) -> bool:
        return self._guard is not None and self._guard.poll() is None

    def _signal(self, number: signal.Signals) -> None:
        if self._is_alive() and self._pid:
            with contextlib.suppress(ProcessLookupError):  # the guard outlives it by a moment
                os.kill(self._pid, number)

    def _wait(self) -> None:
        if self._guard is None:
            return
        try:
            self._guard.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            self._guard.wait(_STOP_TIMEOUT_S)
        for pipe in (self._guard.stdin, self._guard.stdout):
            if pipe is not None:
                pipe.close()
        self._guard = None

    def _last_words(self) -> str:
        log = (self._dir or Path()) / "kafka.log"
        return last_lines(log.read_text(encoding="utf-8", errors="replace"))


def _has_running_threads(pid: int) -> bool:
    """Tell whether a thread of the process is not stopped; where there is no /proc, nothing is known."""
    states = set[str]()
    for stat in Path(f"/proc/{pid}/task").glob("*/stat"):
        with contextlib.suppress(OSError):  # it has ended
            states.add(stat.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[0])
    return not states <= {"T", "t", "Z", "X"}
