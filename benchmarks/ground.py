"""What a measurement stands on: the broker, topics of its own, and how far an engine has come."""

import asyncio
import logging
import secrets
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from confluent_kafka import Consumer, Message
from confluent_kafka import TopicPartition as Assigned
from rich.console import Console

from benchmarks.engines import Engine
from gateway.adapters import kafka
from gateway.adapters.settings import Settings, load_settings, packaged_config
from gateway.core.province import Province
from gateway.operate.local_kafka import local_kafka
from gateway.operate.topics import apply_topics

_SILENCE_S = 60
_BROKER = {"log.segment.delete.delay.ms": "1000", "log.retention.check.interval.ms": "600000"}


@contextmanager
def ground(console: Console, bootstrap_servers: str | None) -> Iterator[tuple[Settings, str]]:
    """Settings for the broker at ``bootstrap_servers``, else for a new one on this machine; and what broker
    that is."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it reports what it retries
    shipped = load_settings(packaged_config() / "gateway.yaml")
    if bootstrap_servers is not None:
        yield shipped.model_copy(update={"bootstrap_servers": bootstrap_servers}), f"Kafka at {bootstrap_servers}"
        return
    with local_kafka(prefer="java", properties=_BROKER, announce=console.print) as broker:
        yield shipped.model_copy(update={"bootstrap_servers": broker.bootstrap_servers}), broker.description


def new_log() -> Path:
    """A file for what the engines say."""
    return Path(tempfile.mkdtemp(prefix="chuanyu-bench-")) / "engines.log"


def apart(settings: Settings, partitions: int) -> Settings:
    """The settings for topics of their own, with ``partitions`` partitions."""
    return settings.model_copy(
        update={
            "topic_prefix": f"bench-{secrets.token_hex(4)}.",
            "topics": settings.topics.model_copy(update={"partitions": partitions}),
        }
    )


def display_topics(settings: Settings) -> dict[Province, str]:
    """Where each province publishes."""
    topics = settings.topic_names
    return {province: topics.display(province) for province in Province}


def output_topics(settings: Settings) -> list[str]:
    """The topics that events' outputs go to."""
    topics = settings.topic_names
    return [*(topics.verification(p) for p in Province), *(topics.rejection(p) for p in Province), topics.deadletter]


async def renewed(settings: Settings) -> Settings:
    """Empty outputs and a consumer group that nobody has used, on inputs that stay as they are."""
    topics = settings.topic_names
    async with kafka.admin(settings) as admin:
        written = sorted(set(await admin.list_topics()) & (set(topics.all) - set(topics.displays)))
        if written:
            await admin.delete_topics(written)
            while set(written) & set(await admin.list_topics()):  # noqa: ASYNC110 — Kafka has no event for it
                await asyncio.sleep(0.1)
    await apply_topics(settings)
    fresh = {"group_id": f"round-{secrets.token_hex(4)}"}
    return settings.model_copy(update={"relay": settings.relay.model_copy(update=fresh)})


class Progress:
    """How many events an engine has worked, asked of the broker: nothing is read, so that the measuring
    costs next to nothing."""

    def __init__(
        self, engine: Engine, settings: Settings, admin: AIOKafkaAdminClient, consumer: AIOKafkaConsumer
    ) -> None:
        self._engine, self._settings, self._admin, self._consumer = engine, settings, admin, consumer
        self._outputs = [
            TopicPartition(topic, partition)
            for topic in output_topics(settings)
            for partition in range(settings.topics.partitions)
        ]  # fmt: skip

    async def count(self) -> int:
        """Events up to now."""
        if self._engine.counted_by == "outputs":
            return sum((await self._consumer.end_offsets(self._outputs)).values())
        committed = await self._admin.list_consumer_group_offsets(self._settings.groups[0])
        displays = self._settings.topic_names.displays
        return sum(max(0, each.offset) for partition, each in committed.items() if partition.topic in displays)


def read_times(settings: Settings, topics: list[str]) -> dict[tuple[str, int], list[int]]:
    """The broker's times (ms) of all committed records of ``topics``, by topic and partition, in their
    order."""
    times: dict[tuple[str, int], list[int]] = {}
    for message in _read(settings, topics):
        times.setdefault((str(message.topic()), int(message.partition() or 0)), []).append(message.timestamp()[1])
    return times


def read_values(settings: Settings, topics: list[str]) -> Iterator[bytes]:
    """The committed values of ``topics``."""
    for message in _read(settings, topics):
        yield bytes(message.value() or b"")


def _read(settings: Settings, topics: list[str]) -> Iterator[Message]:
    """All committed records of ``topics`` as they stand; with librdkafka, which costs the least."""
    consumer = Consumer({
        "bootstrap.servers": settings.bootstrap_servers, "group.id": "benchmarks", "enable.auto.commit": False,
        "isolation.level": "read_committed", "enable.partition.eof": True, "fetch.message.max.bytes": 4_194_304,
        "queued.max.messages.kbytes": 65_536,
    })  # fmt: skip
    wanted = [(topic, partition) for topic in topics for partition in range(settings.topics.partitions)]
    ended: set[tuple[str, int]] = set()
    silent_since = time.monotonic()
    try:
        consumer.assign([Assigned(*each, 0) for each in wanted])
        while len(ended) < len(wanted):
            for message in consumer.consume(10_000, 0.2):
                error, silent_since = message.error(), time.monotonic()
                if error is None:
                    yield message
                elif error.name() == "_PARTITION_EOF":
                    ended.add((str(message.topic()), int(message.partition() or 0)))
                else:
                    raise RuntimeError(f"{message.topic()} cannot be read: {error.str()}")
            if time.monotonic() - silent_since > _SILENCE_S:
                raise RuntimeError(f"{', '.join(topics)}: the broker gives nothing more, and not all was read")
    finally:
        consumer.close()
