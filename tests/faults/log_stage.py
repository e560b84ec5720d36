"""Where the logs themselves suffer: one lane, a real worker, rounds of events before and after; and what
became of each event."""

import asyncio
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aiokafka import TopicPartition

from gateway.adapters import kafka
from gateway.adapters.settings import Settings
from gateway.contract.ledger_entry import Entry
from gateway.core.province import Province
from gateway.operate.local_kafka import LocalKafka, local_kafka
from gateway.operate.topics import apply_topics
from tests.faults.stage import small_settings
from tests.kafka import one_lane
from tests.kafka.harness import Worker, audit, with_short_sessions

_TIMEOUT_S = 90
_BEFORE = 40
"""Events that are decided before each fault, to be known when they come again."""


@dataclass
class LogStage:
    """What a fault of the log may lay its hands on. ``data`` is the broker's folder."""

    settings: Settings
    broker: LocalKafka
    data: Path
    worker: Worker
    turn: int = 0
    incarnation: int = 0
    """Which log this is under the topic's name: a cut and a recreated topic count up, as the chain's epochs
    must."""
    places: list[list[tuple[int, int]]] = field(default_factory=list)
    """By event, where it was published: incarnation and offset."""
    reported_s: list[float] = field(default_factory=list)
    """Seconds from the end of each fault until its worker had reported what happened."""

    @property
    def topic(self) -> str:
        return self.settings.topic_names.display(Province.SICHUAN)

    async def publish(self, count: int) -> list[int]:
        """Publish ``count`` new events; return their numbers once they are acknowledged."""
        first = len(self.places)
        self.places += [[] for _ in range(count)]
        await self.publish_again(range(first, first + count))
        return list(range(first, first + count))

    async def publish_again(self, numbers: Sequence[int]) -> None:
        """Publish events that were published before, as another copy."""
        base = await self.end()
        await one_lane.publish(self.settings, [one_lane.events(number, 1)[0] for number in numbers])
        for offset, number in enumerate(numbers, start=base):
            self.places[number].append((self.incarnation, offset))

    async def end(self) -> int:
        partition = TopicPartition(self.topic, 0)
        async with kafka.consumer(self.settings) as consumer:
            return int((await consumer.end_offsets([partition]))[partition])

    async def wait_until_decided(self) -> None:
        """Wait until the lane has decided all that stands in its log."""
        partition, end = TopicPartition(self.topic, 0), await self.end()
        deadline = time.monotonic() + _TIMEOUT_S
        async with kafka.admin(self.settings) as admin:
            while True:
                offsets = await admin.list_consumer_group_offsets(self.settings.groups[0], partitions=[partition])
                if partition in offsets and offsets[partition].offset == end:
                    return
                self.assert_alive(deadline, f"the lane does not come to offset {end}: {offsets}")
                await asyncio.sleep(0.1)

    def times_reported(self, event: str) -> int:
        """Return how often the worker has reported it."""
        return len(self.worker.events(event))

    async def wait_until_reported(self, event: str, before: int) -> None:
        """Wait until the worker has reported it once more than ``before``; how long that takes is part of
        the result."""
        began = time.monotonic()
        while self.times_reported(event) <= before:
            self.assert_alive(began + _TIMEOUT_S, f"nothing was reported: no {event}")
            await asyncio.sleep(0.05)
        self.reported_s.append(time.monotonic() - began)

    def assert_alive(self, deadline: float, problem: str) -> None:
        assert self.worker.process is not None
        assert self.worker.process.poll() is None, f"the worker ended:\n{self.worker.log.read_text()[-3000:]}"
        assert time.monotonic() < deadline, f"{problem}\n{self.worker.log.read_text()[-3000:]}"

    async def stop(self) -> None:
        assert await asyncio.to_thread(self.worker.terminate, 30) == 0, self.worker.log.read_text()[-3000:]


LogFault = Callable[[LogStage], Awaitable[None]]
"""One round: events, the fault amid them, and until it is reported and all that is there is decided."""


@dataclass(frozen=True)
class LogScenario:
    """A fault by name. ``findings``: whether the audit must find it afterwards, or find nothing; None: its
    business."""

    name: str
    fault: LogFault
    findings: bool | None
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LogRow:
    """What came of a scenario. ``named``: events lost of which the ledger says so by offset; ``with_log``:
    those of a log that is gone, whose end the chain's new epoch says; ``silent``: the others."""

    fault: str
    times: int
    events: int
    named: int
    with_log: int
    silent: int
    doubled: int
    median_s: float
    worst_s: float

    def assert_nothing_silent(self) -> None:
        """Assert that every loss was reported, and nothing went out twice."""
        assert (self.silent, self.doubled) == (0, 0), self


async def play(scenarios: Sequence[LogScenario], times: int) -> list[LogRow]:
    """Play each scenario ``times`` times, on a broker of its own with topics of its own."""
    rows = []
    for scenario in scenarios:
        with (
            tempfile.TemporaryDirectory(prefix="chuanyu-logs-") as folder,
            local_kafka(prefer="java", properties={"log.dirs": f"{folder}/data"}) as broker,
        ):
            rows.append(await _play(scenario, broker, Path(folder, "data"), times))
    return rows


async def _play(scenario: LogScenario, broker: LocalKafka, data: Path, times: int) -> LogRow:
    shipped = with_short_sessions(small_settings())
    topics = shipped.topics.model_copy(update={"partitions": 1})
    settings = shipped.model_copy(update={"bootstrap_servers": broker.bootstrap_servers, "topics": topics})
    await apply_topics(settings)
    worker = Worker(settings, **scenario.environment)
    try:
        stage = LogStage(settings, broker, data, worker.start())
        await asyncio.to_thread(worker.wait_for, "lane.opened", 2)
        for turn in range(times):
            stage.turn = turn
            await stage.publish(_BEFORE)
            await stage.wait_until_decided()
            await scenario.fault(stage)
            await stage.wait_until_decided()
        await stage.stop()
    finally:
        worker.discard()
    if scenario.findings is not None:
        found = await asyncio.to_thread(audit, settings, "--prove", expect=1 if scenario.findings else 0)
        assert bool(found["findings"]) == scenario.findings, found["findings"]
    return await judge(scenario.name, stage, times)


async def judge(name: str, stage: LogStage, times: int) -> LogRow:
    """Count what became of each event: forwarded once, or lost; and whether that was reported."""
    forwarded = Counter(await one_lane.verified(stage.settings))
    lost = {place for entry in await one_lane.entries(stage.settings) for place in places_lost(entry)}
    fates = Counter[str]()
    for number, places in enumerate(stage.places):
        if forwarded[f"id-{number}"]:
            continue
        is_gone = all(incarnation < stage.incarnation for incarnation, _ in places)
        fates["named" if lost & set(places) else "with_log" if is_gone else "silent"] += 1
    doubled = sum(count - 1 for count in forwarded.values())
    seconds = stage.reported_s
    return LogRow(
        name, times, len(stage.places), fates["named"], fates["with_log"], fates["silent"], doubled,
        statistics.median(seconds), max(seconds),
    )  # fmt: skip


def places_lost(entry: Entry) -> set[tuple[int, int]]:
    """The epoch and offset of each record that the entry says is lost."""
    if not any(count.outcome == "lost" for count in entry.counts):
        return set()
    return {(entry.epoch, offset) for offset in range(entry.first_offset, entry.last_offset + 1)}
