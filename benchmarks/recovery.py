"""What a worker holds in memory, how soon one that starts again goes on, and how long lanes wait when a
worker is killed."""

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice, pairwise
from pathlib import Path
from statistics import median

from rich.console import Console

from benchmarks.engines import ENGINES
from benchmarks.ground import Progress, apart, display_topics, new_log, output_topics, read_times, renewed
from benchmarks.machine import describe_moment
from benchmarks.processes import running
from benchmarks.results import Entry, Results
from benchmarks.tables import table
from benchmarks.throughput import follow
from benchmarks.traffic import SMALL, Published, make_events, publish
from gateway.adapters import kafka
from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import Settings
from gateway.operate.topics import apply_topics, delete_topics

EVENTS = (10_000, 1_000_000)
"""Nine in ten of them are forwarded, and so remembered."""
_QUICK_EVENTS = (10_000,)
_RESTARTS, _FRESH = 5, 2000
_LONGEST_S = 3600.0
_KILLS, _QUICK_KILLS = 3, 1
_PER_SECOND = 1000
_GATEWAY = ENGINES["gateway"]


def run(settings: Settings, results: Results, console: Console, *, quick: bool) -> None:
    """Memory and restarts with few and with many remembered ids; then kills."""
    for events in _QUICK_EVENTS if quick else EVENTS:
        console.print(f"memory and {_RESTARTS} restarts after {events:,} events")
        entry = asyncio.run(measure_restarts(settings, events, new_log()))
        results.put("restart", {"events": events, **entry, **describe_moment()}, "events")
        results.save()
    pauses = []
    for number in range(1, (_QUICK_KILLS if quick else _KILLS) + 1):
        console.print(f"two workers at {_PER_SECOND:,}/s, one of them killed ({number})")
        pauses.append(asyncio.run(measure_kill(settings, new_log())))
    timeout_s = settings.relay.session_timeout_ms / 1000
    results.put(
        "kill", {"kind": "kill", "session_timeout_s": timeout_s, "pauses_s": pauses, **describe_moment()}, "kind"
    )
    results.save()


async def measure_restarts(settings: Settings, events: int, log: Path, *, restarts: int = _RESTARTS) -> Entry:
    """Memory of a worker after ``events`` different ids, and of one that learned them from the topics;
    seconds from a process's start to its first commit."""
    own = apart(settings, 4)
    await apply_topics(own)
    recognition = load_recognition(own.recognition_dir)
    made = make_events(recognition, events + restarts * _FRESH, SMALL)
    _publish_next(own, made, events)
    own = await renewed(own)
    with running(_GATEWAY, own, log) as workers:
        await follow(_GATEWAY, own, workers, events, seconds=_LONGEST_S)
        worked = workers.usage()
    times, relearned, remembered = [], [], 0
    async with kafka.admin(own) as admin, kafka.consumer(own) as consumer:
        progress = Progress(_GATEWAY, own, admin, consumer)
        for number in range(restarts):
            _publish_next(own, made, _FRESH)
            before, began = await progress.count(), time.monotonic()
            with running(_GATEWAY, own, log) as workers:
                while await progress.count() == before:
                    if not workers.all_run:
                        raise RuntimeError(f"the worker ended:\n{workers.last_words()}")
                    await asyncio.sleep(0.02)
                times.append(time.monotonic() - began)
                await follow(_GATEWAY, own, workers, events + (number + 1) * _FRESH, seconds=_LONGEST_S)
                relearned.append(workers.usage().rss_mb)
            remembered = _remembered(log)
    await delete_topics(own)
    return {
        "remembered": remembered, "rss_mb": worked.rss_mb, "peak_mb": worked.peak_mb,
        "relearned_mb": median(relearned), "restarts_s": times,
    }  # fmt: skip


def _publish_next(settings: Settings, events: Iterator[Published], count: int) -> None:
    publish(settings, islice(events, count))


def _remembered(log: Path) -> int:
    """The ids that the worker started last has relearned, by its own log."""
    lanes: dict[tuple[str, int], int] = {}
    for line in log.read_text("utf-8").splitlines():
        with suppress(ValueError):
            entry = json.loads(line)
            if entry.get("event") == "lane.opened":
                place = (entry["messaging.destination.name"], entry["messaging.destination.partition.id"])
                lanes[place] = entry["remembered_ids"]
    return sum(lanes.values())


async def measure_kill(settings: Settings, log: Path) -> float:
    """Two workers share steady traffic, one gets SIGKILL: the longest time in seconds that any lane then
    wrote nothing."""
    own = apart(settings, 4)
    await apply_topics(own)
    own = await renewed(own)
    timeout_s = own.relay.session_timeout_ms / 1000
    events = list(make_events(load_recognition(own.recognition_dir), int(_PER_SECOND * (timeout_s + 25))))
    with running(_GATEWAY, own, log, 2) as workers:
        publishing = asyncio.create_task(_publish_evenly(own, events))
        await asyncio.sleep(10)
        workers.processes[0].kill()
        killed_ms = time.time() * 1000
        await publishing
        survivor = workers.processes[1]
        await _until_worked(own, len(events), lambda: survivor.poll() is None)
    lanes: dict[tuple[str, int], list[int]] = defaultdict(list)
    for (topic, partition), times in read_times(own, output_topics(own)).items():
        lanes[_lane(topic), partition] += times
    await delete_topics(own)
    gaps = [
        after - before
        for times in lanes.values()
        for before, after in pairwise(sorted(times))
        if after > killed_ms
    ]  # fmt: skip
    return max(gaps) / 1000


def _lane(topic: str) -> str:
    """Whose events the records of an output topic are: one side's verifications are the other side's
    displays."""
    *_, province, kind = topic.split(".")
    return {"sichuan": "chongqing", "chongqing": "sichuan"}[province] if kind == "verification" else province


async def _publish_evenly(settings: Settings, events: list[Published]) -> None:
    display = display_topics(settings)
    async with kafka.producer(settings, linger_ms=5) as producer:
        began = time.monotonic()
        for number, event in enumerate(events):
            await asyncio.sleep(max(0.0, began + number / _PER_SECOND - time.monotonic()))
            await producer.send(display[event.province], value=event.value, key=event.key)
        await producer.flush()


async def _until_worked(settings: Settings, count: int, runs: Callable[[], bool]) -> None:
    async with kafka.admin(settings) as admin, kafka.consumer(settings) as consumer:
        progress, deadline = Progress(_GATEWAY, settings, admin, consumer), time.monotonic() + 120
        while await progress.count() < count:
            if time.monotonic() > deadline or not runs():
                raise RuntimeError(f"the worker that was left did not work all {count} events")
            await asyncio.sleep(0.2)


def describe(results: Results) -> list[str]:
    """Markdown: memory, restarts, kills."""
    paragraphs = []
    if entries := sorted(results.of("restart"), key=lambda entry: entry["events"]):
        rows = [
            (
                f"{e['remembered']:,}", f"{e['rss_mb']:.0f}", f"{e['peak_mb']:.0f}", f"{e['relearned_mb']:.0f}",
                f"{median(e['restarts_s']):.1f}", f"{max(e['restarts_s']):.1f}",
            )
            for e in entries
        ]  # fmt: skip
        columns = (
            "remembered ids",
            "RSS MB",
            "peak MB",
            "RSS MB after a restart",
            "start to first commit, s",
            "worst, s",
        )
        paragraphs += [
            f"One worker's memory and restarts ({entries[0]['measured']}, load average {entries[0]['load']}).",
            table(columns, rows, 0),
        ]
    for entry in results.of("kill"):
        pauses = ", ".join(f"{pause:.1f}" for pause in entry["pauses_s"])
        paragraphs.append(
            f"One of two workers killed at {_PER_SECOND:,} events/s: no lane was without output for longer than {pauses} s "
            f"(session timeout {entry['session_timeout_s']:.0f} s; load average {entry['load']})."
        )
    return paragraphs
