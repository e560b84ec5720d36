"""One lane at work in this process, on topics of one partition, and what can be done to them."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import NewTopic, RecordsToDelete
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata

from gateway.adapters import kafka
from gateway.adapters.aiokafka_patches import report_missing, stop
from gateway.adapters.hidden_ends import HiddenEnds
from gateway.adapters.list_files import load_recognition
from gateway.adapters.log_facts import wait_until_known
from gateway.adapters.settings import Settings
from gateway.adapters.signatures import NO_SIGNATURES
from gateway.contract.ledger_entry import Entry, read_entry
from gateway.contract.topics import LaneId
from gateway.contract.verification import read_verification
from gateway.core.province import Province
from gateway.core.times import format_instant
from gateway.errors import GatewayError
from gateway.operate.examples import display_event
from gateway.relay.lane import Lane
from gateway.relay.observer import Times
from gateway.relay.turn import Turn
from tests.kafka.harness import OPEN_S, read_topics
from tests.patience import PATIENCE_S

_NOW = format_instant(time.time_ns() // 1000)


@dataclass
class Notes:
    """An observer, and what the lanes said at error and warning level."""

    turns: list[Turn] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    fences: int = 0

    def committed(self, lane: LaneId, turn: Turn, times: Times) -> None:
        self.turns.append(turn)

    def aborted(self, lane: LaneId) -> None: ...

    def fenced(self, lane: LaneId) -> None:
        self.fences += 1

    def ended(self, lane: LaneId) -> None: ...


@contextlib.asynccontextmanager
async def working(settings: Settings, notes: Notes, group_id: str | None = None) -> AsyncIterator[Lane]:
    """Sichuan's lane at work; stopped at the end, and what it wrote can be read then."""
    topics, recognition = settings.topic_names, load_recognition(settings.recognition_dir)
    consumer = kafka.make_client(
        AIOKafkaConsumer, settings, auto_offset_reset="none", isolation_level="read_committed", enable_auto_commit=False
    )
    report_missing(consumer)
    await consumer.start()
    try:
        lane = Lane(
            LaneId(Province.SICHUAN, topics.display(Province.SICHUAN), 0), consumer, settings, topics,
            group_id or settings.groups[0], lambda: recognition, NO_SIGNATURES, notes,
        )  # fmt: skip
        consumer.assign([lane.partition])
        lane.start()
        try:
            yield lane
        finally:
            await lane.stop(10)
            await wait_for_markers(settings)
    finally:
        await stop(consumer)


async def wait_for_markers(settings: Settings) -> None:
    """Wait until each partition has the marker of what was committed: a broker answers before that.

    Not for a transaction that somebody leaves open, and not for a broker that is down.
    """
    topics = settings.topic_names
    written = [TopicPartition(topic, 0) for topic in topics.all if topic not in topics.displays]
    with contextlib.suppress(TimeoutError, KafkaError, GatewayError):
        async with asyncio.timeout(OPEN_S):
            await HiddenEnds(settings, written).settle(OPEN_S)


def lane_id(settings: Settings) -> LaneId:
    return LaneId(Province.SICHUAN, settings.topic_names.display(Province.SICHUAN), 0)


def events(first: int, count: int) -> list[dict[str, Any]]:
    """Return ``count`` recognised events, with ids by number."""
    return [display_event(Province.SICHUAN) | {"id": f"id-{first + number}", "time": _NOW} for number in range(count)]


async def publish(settings: Settings, sent: Sequence[dict[str, Any]]) -> None:
    topic = settings.topic_names.display(Province.SICHUAN)
    async with kafka.producer(settings) as producer:
        for event in sent:
            await producer.send(topic, json.dumps(event).encode(), event["data"]["holder"]["ref"].encode(), partition=0)
        await producer.flush()


async def read(settings: Settings, topic: str) -> list[Any]:
    """All committed records of the topic."""
    return [record async for record in read_topics(settings, [topic])]


async def verified(settings: Settings) -> list[str]:
    """The ids of the events that were forwarded, in order."""
    records = await read(settings, settings.topic_names.verification(Province.CHONGQING))
    sent = [read_verification(record.value) for record in records]
    return [each.data.event.id for each in sent if each is not None]


async def entries(settings: Settings) -> list[Entry]:
    found = [read_entry(record.value) for record in await read(settings, settings.topic_names.ledger)]
    return [each for each in found if each is not None]


async def until(lane: Lane, next_offset: int, timeout_s: float = PATIENCE_S) -> None:
    """Wait until the lane stands there."""
    async with asyncio.timeout(timeout_s):
        while lane._known is None or lane._known.standing.next_offset != next_offset or not lane.is_open:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def delete_before(settings: Settings, topic: str, offset: int) -> None:
    async with kafka.admin(settings) as admin:
        await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(before_offset=offset)})


async def recreate_topic(settings: Settings, topic: str, configs: Mapping[str, str] = MappingProxyType({})) -> None:
    async with kafka.admin(settings) as admin:
        await admin.delete_topics([topic])
        async with asyncio.timeout(30):
            while topic in await admin.list_topics():  # noqa: ASYNC110
                await asyncio.sleep(0.2)
        configs = {"message.timestamp.type": "LogAppendTime", **configs}
        await admin.create_topics([NewTopic(topic, 1, 1, topic_configs=configs)])
        await wait_until_known(settings, [topic])


async def commit_by_hand(settings: Settings, offset: int | None) -> None:
    """Set the group's offset as `kafka-consumer-groups --reset-offsets` does."""
    topic = settings.topic_names.display(Province.SICHUAN)
    partition = TopicPartition(topic, 0)
    consumer: AIOKafkaConsumer
    async with kafka.consumer(settings, group_id=settings.groups[0]) as consumer:
        consumer.assign([partition])
        await consumer.commit({partition: OffsetAndMetadata(offset or 0, "")})


def outcomes(found: Sequence[Entry]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for entry in found:
        for count in entry.counts:
            counts[count.outcome] = counts.get(count.outcome, 0) + count.count
    return counts
