"""The engines that are compared, each a process of its own that works off the same input topics."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.adapters.settings import Settings


@dataclass(frozen=True)
class Engine:
    """An engine: what it is called, what it guarantees, and how it is started."""

    name: str
    job: str
    guarantee: str
    command: tuple[str, ...]
    slow: bool = False
    """Gets fewer events, so that the run ends the same day."""


ENGINES = (
    Engine("gateway, one worker", "whole job", "exactly once", ("-m", "gateway", "run")),
    Engine("bare aiokafka lanes", "copy the bytes", "exactly once", ("-m", "benchmarks.bare_copy")),
    Engine("Faust agent", "same decision", "at least once", ("-m", "benchmarks.faust_agent"), slow=True),
)


@dataclass
class Usage:
    """What a process has used up: CPU seconds, and peak resident memory in MB."""

    cpu_s: float = 0.0
    peak_mb: float = 0.0


class Process:
    """A running engine."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def usage(self) -> Usage:
        """Used up to now, by /proc."""
        proc = Path(f"/proc/{self._process.pid}")
        fields = (proc / "stat").read_text().rsplit(")", 1)[1].split()
        ticks = int(fields[11]) + int(fields[12])
        peak = next(line for line in (proc / "status").read_text().splitlines() if line.startswith("VmHWM"))
        return Usage(ticks / os.sysconf("SC_CLK_TCK"), int(peak.split()[1]) / 1024)

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None


@contextmanager
def running(engine: Engine, settings: Settings, log: Path) -> Iterator[Process]:
    """``engine`` on the broker and topics of ``settings``; its log goes to ``log``."""
    environment = os.environ | settings.as_environment() | {"GATEWAY_LOG__FORMAT": "json"}
    with log.open("ab") as stream:
        process = subprocess.Popen(
            [sys.executable, *engine.command], env=environment, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream
        )
    try:
        yield Process(process)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
