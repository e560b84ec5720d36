"""Events per second and CPU time per event: engines in interleaved rounds on the same inputs."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.engines import Engine
from benchmarks.ground import Progress, apart, output_topics, read_times, renewed
from benchmarks.processes import Workers, busy_seconds, own_seconds, running
from benchmarks.traffic import LARGE, MIDDLE, ORDINARY, make_events, publish
from gateway.adapters import kafka
from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import Settings
from gateway.operate.topics import apply_topics, delete_topics

_SAMPLE_S = 0.1
_START_TIMEOUT_S = 120
_MOST_RATIO = 5
"""How many times as long as its CPU time a round may take: others may use the machine too."""
_WARM_UP = 0.2
"""Of the events: imports, a JVM's compiler and the first fetches are not what is measured."""
SHARES = {MIDDLE: 0.5, LARGE: 0.2}
"""Of the events where they are large, so that the disk is not what is measured."""


@dataclass(frozen=True, order=True)
class Point:
    """What is varied: size of an event, partitions of a topic, workers."""

    size: str = ORDINARY
    partitions: int = 4
    workers: int = 1

    def __str__(self) -> str:
        return f"{self.size}, {self.partitions} partitions, {self.workers} worker{'s' if self.workers > 1 else ''}"


@dataclass(frozen=True)
class Round:
    """One round: events worked after the warm-up, how fast, at what cost, amid how much else.

    ``cpu_us`` is the workers' CPU time an event, ``others`` the share of the machine's CPU time that went to
    what this run did not start; ``sent`` how many records were read back, None where the engine sends none.
    """

    events: int
    rate: float
    cpu_us: float
    peak_mb: float
    others: float
    sent: int | None
    is_whole: bool


@dataclass(frozen=True)
class Sample:
    """At ``at`` (seconds), ``count`` events were worked and ``cpu_s`` used up."""

    at: float
    count: int
    cpu_s: float


def publish_for(point: Point, settings: Settings, events: int) -> tuple[Settings, int]:
    """Inputs for ``point``, published once for all engines and rounds; returns their settings and bytes an
    event."""
    own = apart(settings, point.partitions)
    asyncio.run(apply_topics(own))
    recognition = load_recognition(own.recognition_dir)
    count, size = publish(own, make_events(recognition, events, point.size))
    return own, size // count


def remove(settings: Settings) -> None:
    asyncio.run(delete_topics(settings))


async def measure(
    engine: Engine, settings: Settings, events: int, workers: int, *, seconds: float, log: Path,
    tell: Callable[[int], None] = lambda _: None,
) -> Round:  # fmt: skip
    """One round: all ``events`` that stand in the inputs, or as many as ``engine`` works in ``seconds`` of
    CPU time a worker."""
    own = await renewed(settings)
    busy, ours, began = busy_seconds(), own_seconds(), time.monotonic()
    with running(engine, own, log, workers) as started:
        samples = await follow(engine, own, started, events, seconds=seconds, tell=tell)
        peak = started.usage().peak_mb
        foreign = max(0.0, (busy_seconds() - busy) - (own_seconds() - ours))
    others = foreign / (time.monotonic() - began)
    first, last = window(samples)
    rate, sent = (last.count - first.count) / (last.at - first.at), None
    if engine.sends:
        times = sorted(stamp for stamps in read_times(own, output_topics(own)).values() for stamp in stamps)
        sent, whole = len(times), last.count >= events
        if whole and (sent < events or (sent > events and engine.counted_by == "commits")):
            raise RuntimeError(f"{engine.name} made {sent} records of {events} events; its log is {log}")
        counted = times[: last.count]
        warm = int(len(counted) * _WARM_UP)
        rate = (len(counted) - warm) / (max(1, counted[-1] - counted[warm]) / 1000)
    cpu_us = (last.cpu_s - first.cpu_s) / (last.count - first.count) * 1e6
    return Round(last.count - first.count, rate, cpu_us, peak, others, sent, last.count >= events)


async def follow(
    engine: Engine, settings: Settings, started: Workers, events: int, *, seconds: float,
    tell: Callable[[int], None] = lambda _: None,
) -> list[Sample]:  # fmt: skip
    """Samples of a running engine until it has worked ``events``, or each worker has used ``seconds`` of CPU
    time from the first event on (by which an engine gets its due on a busy machine too)."""
    samples = [Sample(time.monotonic(), 0, 0.0)]
    async with kafka.admin(settings) as admin, kafka.consumer(settings) as consumer:
        progress, deadline = Progress(engine, settings, admin, consumer), time.monotonic() + _START_TIMEOUT_S
        most_cpu_s = float("inf")
        while True:
            count = await progress.count()
            now, used = time.monotonic(), started.usage().cpu_s
            if count and not samples[-1].count:
                deadline, most_cpu_s = now + seconds * _MOST_RATIO, used + seconds * len(started.processes)
            add_sample(samples, Sample(now, count, used))
            tell(count)
            if count >= events or (count and (used > most_cpu_s or now > deadline)):
                return samples
            if not started.all_run or now > deadline + _START_TIMEOUT_S:
                raise RuntimeError(f"{engine.name} came to {count} of {events} events:\n{started.last_words()}")
            await asyncio.sleep(_SAMPLE_S)


def add_sample(samples: list[Sample], new: Sample) -> None:
    """Add ``new`` to ``samples``: while nothing is worked the newest look counts, for until then the engine
    starts; afterwards the first at each count, or the CPU time that an engine has used for what it commits
    next would be nobody's."""
    if new.count == samples[-1].count:
        if new.count:
            return
        samples.pop()
    samples.append(new)


def window(samples: list[Sample]) -> tuple[Sample, Sample]:
    """The first sample after the warm-up, and the last."""
    last, before = samples[-1], samples[:-1]
    # Few events may be worked between two looks: then from the look before, which was at their beginning.
    return next((sample for sample in before if sample.count >= last.count * _WARM_UP), before[-1]), last
