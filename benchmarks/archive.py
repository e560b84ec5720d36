"""``make archive-bench``: events a second that are archived, alone and beside a relay at full load; what an
event takes in the archive; and how long one event of a year is looked for.

The year is simulated from what was archived before (``benchmarks.archive_year``).
"""

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from benchmarks.archive_year import write_year
from benchmarks.engines import ENGINES
from benchmarks.ground import apart, ground, new_log
from benchmarks.processes import running
from benchmarks.traffic import make_events, publish
from gateway.adapters import kafka
from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import Settings
from gateway.operate.topics import apply_topics

_PARTITIONS = 2
_WARM_UP = 0.2
_TIMEOUT_S = 600


class Run(NamedTuple):
    """A command that has ended: how long it took, its CPU seconds, and what it printed."""

    seconds: float
    cpu_s: float
    answer: Any


def gateway(settings: Settings, *arguments: str) -> subprocess.Popen[bytes]:
    """Start a command of the gateway on the broker and topics of ``settings``."""
    command = [sys.executable, "-m", "gateway", *arguments, "--format", "json"]
    environment = os.environ | settings.as_environment()
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def finish(process: subprocess.Popen[bytes], began: float) -> Run:
    """Wait for a command. Raises RuntimeError where it fails."""
    assert process.stdout is not None
    answer = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{process.args!r} ended with {process.returncode}: {answer.decode()[:500]}")
    return Run(time.monotonic() - began, usage.ru_utime + usage.ru_stime, json.loads(answer))


def archive(settings: Settings, folder: Path) -> Run:
    """Archive all that is there into ``folder``, in a process of its own."""
    began = time.monotonic()
    return finish(gateway(settings, "archive", "run", "--once", "--to", str(folder)), began)


async def work_off(
    settings: Settings, events: int, beside: tuple[Settings, Path] | None = None
) -> tuple[float, Run | None]:
    """Let one worker decide ``events`` of a backlog, after a warm-up ``beside`` an archiver of other topics;
    returns its events a second, and the archiver's run."""
    log, group = new_log(), settings.groups[0]
    archiving: asyncio.Task[Run] | None = None
    async with kafka.admin(settings) as admin:
        with running(ENGINES["gateway"], settings, log) as workers:
            deadline, began, before = time.monotonic() + _TIMEOUT_S, 0.0, 0
            while True:
                committed = await admin.list_consumer_group_offsets(group)
                done = sum(max(0, each.offset) for each in committed.values())
                if not began and done >= events * _WARM_UP:
                    began, before = time.monotonic(), done
                    if beside is not None:
                        archiving = asyncio.create_task(asyncio.to_thread(archive, *beside))
                if done >= events:
                    break
                if not workers.all_run or time.monotonic() > deadline:
                    raise RuntimeError(
                        f"the gateway did not come to its end; its log is {log}:\n{workers.last_words()}"
                    )
                await asyncio.sleep(0.05)
            rate = (done - before) / (time.monotonic() - began)
    return rate, None if archiving is None else await archiving


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.archive", description=__doc__)
    parser.add_argument("--events", type=int, default=200_000, help="archived, and decided meanwhile")
    parser.add_argument("--year", type=int, default=10_000_000, help="events of the simulated year")
    options, console = parser.parse_args(), Console(stderr=True, highlight=False)
    folder = Path(tempfile.mkdtemp(prefix="chuanyu-bench-archive-"))
    try:
        with ground(console, None) as (settings, broker):
            first, second = (apart(settings, _PARTITIONS) for _ in range(2))
            for each in (first, second):
                asyncio.run(apply_topics(each))
                publish(each, make_events(load_recognition(each.recognition_dir), options.events))
            relay, _ = asyncio.run(work_off(first, options.events))
            console.print(f"the relay alone: {relay:,.0f} events/s")
            alone = archive(first, folder / "alone")
            console.print(f"the archive alone: {alone.answer['records'] / alone.seconds:,.0f} events/s")
            slower, beside = asyncio.run(work_off(second, options.events, (first, folder / "beside")))
            assert beside is not None
        _tell(options.events, broker, relay, slower, alone, beside)
        size = sum(path.stat().st_size for path in (folder / "alone").rglob("*") if path.is_file())
        print(f"an event takes {size / options.events:,.0f} bytes of the archive")
        _tell_of_year(folder, options.year, first, console)
        return 0
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _tell(events: int, broker: str, relay: float, slower: float, alone: Run, beside: Run) -> None:
    rates = [run.answer["records"] / run.seconds for run in (alone, beside)]
    print(f"{broker}, {events:,} events, {_PARTITIONS} partitions, one worker, load average {os.getloadavg()[0]:.1f}")
    print(f"archived: {rates[0]:,.0f} events/s alone, {rates[1]:,.0f} beside a relay at full load")
    print(f"CPU: {alone.cpu_s / events * 1e6:,.0f} µs an event, with the start of the process")
    print(f"the relay: {relay:,.0f} events/s alone, {slower:,.0f} with an archiver beside it")


def _tell_of_year(folder: Path, events: int, settings: Settings, console: Console) -> None:
    began = time.monotonic()
    year = write_year(folder / "alone", folder / "year", events)
    count, size = year.events, sum(path.stat().st_size for path in (folder / "year").rglob("*") if path.is_file())
    console.print(f"a year of {count:,} events was written in {time.monotonic() - began:,.0f} s")
    if count < events:
        print(f"the year has {count:,} events, not {events:,}: archive more of them (--events) for more a day")
    for title, more in (("in the year", ()), ("in its day", ("--since", year.day, "--until", year.day))):
        began = time.monotonic()
        found = finish(gateway(settings, "trace", year.wanted, "--archive", str(folder / "year"), *more), began)
        if len(found.answer["occurrences"]) != 1:
            raise RuntimeError(f"{year.wanted} was found {len(found.answer['occurrences'])} times")
        print(
            f"one event of {count:,} ({size / 1e9:.2f} GB, {found.answer['searched']['segments']:,} segments read) found "
            f"{title} in {found.seconds:.1f} s, {found.cpu_s:.1f} s of CPU"
        )


if __name__ == "__main__":
    sys.exit(main())
