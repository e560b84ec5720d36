"""Engines as processes: started, ended, and what they use up, by /proc."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.engines import Engine, command_of, environment_of
from gateway.adapters.settings import Settings

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_END_TIMEOUT_S = 20


@dataclass(frozen=True)
class Usage:
    """What processes have used up: CPU seconds (user and system), resident memory in MB, now and at its
    peak."""

    cpu_s: float
    rss_mb: float
    peak_mb: float


class Workers:
    """The running workers of an engine, each a process (with its children, where it has any)."""

    def __init__(self, processes: "list[subprocess.Popen[bytes]]", log: Path) -> None:
        self.processes = processes
        self.log = log

    def usage(self) -> Usage:
        """Of all workers together."""
        family = [pid for process in self.processes for pid in (process.pid, *descendants(process.pid))]
        memory = [_memory_mb(pid) for pid in family]
        return Usage(sum(map(cpu_seconds, family)), sum(now for now, _ in memory), sum(peak for _, peak in memory))

    @property
    def all_run(self) -> bool:
        return all(process.poll() is None for process in self.processes)

    def last_words(self) -> str:
        """The end of their log."""
        return "\n".join(self.log.read_text("utf-8", "replace").splitlines()[-8:])

    def end(self) -> None:
        """SIGTERM to all; SIGKILL to those that do not end in time."""
        for process in self.processes:
            process.terminate()
        deadline = time.monotonic() + _END_TIMEOUT_S
        for process in self.processes:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                for pid in (*descendants(process.pid), process.pid):
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                process.wait()


@contextmanager
def running(engine: Engine, settings: Settings, log: Path, workers: int = 1) -> Iterator[Workers]:
    """``workers`` of ``engine`` on the broker and topics of ``settings``; their log goes to ``log``."""
    folder = tempfile.mkdtemp(prefix="chuanyu-bench-state-")
    with log.open("ab") as stream:
        started = Workers(
            [
                subprocess.Popen(
                    command_of(engine), env=environment_of(engine, settings, number, workers, folder),
                    stdin=subprocess.DEVNULL, stdout=stream, stderr=stream,
                )
                for number in range(workers)
            ],
            log,
        )  # fmt: skip
    try:
        yield started
    finally:
        started.end()
        shutil.rmtree(folder, ignore_errors=True)


def descendants(pid: int) -> list[int]:
    """The children of ``pid``, theirs, and so on."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in map(int, task.read_text().split()):
                found += [child, *descendants(child)]
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of ``pid`` and of its children that have ended; 0 where it has ended itself."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) * _TICK_S


def busy_seconds() -> float:
    """CPU time that the machine has spent on anything since it started, all cores together."""
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(
        int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    )
    return (user + nice + system + irq + softirq + steal) * _TICK_S


def own_seconds() -> float:
    """CPU time of this process and of all that it has started, the broker among them."""
    return sum(map(cpu_seconds, [os.getpid(), *descendants(os.getpid())]))


def _memory_mb(pid: int) -> tuple[float, float]:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0, 0.0
    fields = dict(line.split(":", 1) for line in lines if line.startswith(("VmRSS", "VmHWM")))
    now, peak = (int(fields.get(name, "0 kB").split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))
    return now, peak
