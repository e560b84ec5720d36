"""``gateway check``: events a second of a file, on one core and on all; no broker."""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from benchmarks.machine import describe_moment
from benchmarks.results import Results
from benchmarks.tables import table
from benchmarks.traffic import ORDINARY, make_events
from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import Settings

_EVENTS, _QUICK_EVENTS = 500_000, 50_000
_ROUNDS, _QUICK_ROUNDS = 3, 1


def run(settings: Settings, results: Results, console: Console, *, quick: bool, events: int | None = None) -> None:
    """The same file on one core and on all, in turn; the best of the rounds, less what starting takes."""
    count = events or (_QUICK_EVENTS if quick else _EVENTS)
    rounds = range(_QUICK_ROUNDS if quick else _ROUNDS)
    console.print(f"gateway check of {count:,} events")
    with tempfile.TemporaryDirectory(prefix="chuanyu-check-") as folder:
        many, one = Path(folder) / "many.ndjson", Path(folder) / "one.ndjson"
        made = make_events(load_recognition(settings.recognition_dir), count, ORDINARY)
        with many.open("wb") as file:
            file.writelines(event.value + b"\n" for event in made)
        with many.open("rb") as file:
            one.write_bytes(file.readline())
        for cores in sorted({1, os.cpu_count() or 1}):
            # The least of a few rounds: what else the machine does only ever adds to it.
            start_s, start_cpu_s = (min(values) for values in zip(*(_check(one, cores) for _ in rounds), strict=True))
            all_s, all_cpu_s = (min(values) for values in zip(*(_check(many, cores) for _ in rounds), strict=True))
            entry = {
                "cores": cores, "events": count, "seconds": all_s, "rate": count / (all_s - start_s),
                "cpu_us": (all_cpu_s - start_cpu_s) / count * 1e6,
            }  # fmt: skip
            results.put("check", {**entry, **describe_moment()}, "cores")
            results.save()


def _check(file: Path, cores: int) -> tuple[float, float]:
    """Seconds and CPU seconds of one ``gateway check`` that is kept to ``cores``."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "gateway", "check", str(file), "--format", "json"], check=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=_kept_to(cores),
    )  # fmt: skip
    seconds, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def _kept_to(cores: int) -> Callable[[], None]:
    allowed = sorted(os.sched_getaffinity(0))[:cores]
    return lambda: os.sched_setaffinity(0, allowed)


def describe(results: Results) -> list[str]:
    """Markdown of what was measured."""
    entries = sorted(results.of("check"), key=lambda entry: entry["cores"])
    if not entries:
        return []
    rows = [
        (str(e["cores"]), f"{e['rate']:,.0f}", f"{e['cpu_us']:.1f}", f"{1e6 / e['cpu_us']:,.0f}", f"{e['seconds']:.1f}")
        for e in entries
    ]
    columns = ("cores", "events/s", "CPU µs/event", "events a CPU second", "seconds in all, with the start")
    first = entries[0]
    return [
        f"`gateway check` of a file of {first['events']:,} events ({first['measured']}, load average {first['load']}).",
        table(columns, rows, 0),
    ]
