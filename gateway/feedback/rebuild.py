"""Makes the tables again from the topics, as if feedback had read them all from the beginning."""

from collections.abc import Mapping
from typing import NamedTuple

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from gateway.adapters import kafka
from gateway.adapters.settings import Settings
from gateway.adapters.topic_reader import Span, find_spans, read_spans
from gateway.contract.topics import Topics
from gateway.core.dead_letter_codes import DeadLetterCode
from gateway.core.province import Province
from gateway.errors import GatewayError
from gateway.feedback.cases import CaseCounter, Share
from gateway.feedback.days import DayShare, count_ledger
from gateway.feedback.problems import observe
from gateway.feedback.state import FeedbackTopics, encode, read_state

log = structlog.get_logger("gateway.feedback")


class Rebuilt(NamedTuple):
    """What a rebuild came to: shares in all, how many differ from what the tables held, and how many were kept.

    Kept are those that count records which the topics no longer hold: nothing could count those again.
    """

    shares: int
    days: int
    changed: int
    kept: int
    records: int


class _Tables:
    """Both tables as they come to be."""

    def __init__(self) -> None:
        self.shares: dict[str, Share] = {}
        self.days: dict[str, DayShare] = {}

    def count(self, topics: Topics, records: list[ConsumerRecord]) -> None:
        partition, topic = records[0].partition, records[0].topic
        if topic == topics.ledger:
            count_ledger(self.days, partition, records)
            return
        province: Province | None = topics.rejections.get(topic)
        seen = ((record.offset, observe(record.value, record.headers, province)) for record in records)
        found = [(offset, observation) for offset, observation in seen if observation is not None]
        CaseCounter(self.shares, partition).count(found)


async def rebuild(settings: Settings, *, dry_run: bool) -> Rebuilt:
    """Read every rejection, dead letter and ledger entry again and write the tables' changelogs; ``dry_run`` only compares.

    Raises GatewayError while feedback workers run, ConfigurationError, BrokerUnreachableError.
    """
    topics, names = settings.topic_names, FeedbackTopics(settings)
    sources = [*topics.rejections, topics.deadletter, topics.ledger]
    if not dry_run:
        await _refuse_beside_workers(settings, names.app_id)
    held = await read_state(settings)
    partitions = await kafka.partitions_of(settings, sources)
    tables, records = _Tables(), 0
    try:
        async with kafka.consumer(settings) as consumer:
            consumer.assign(partitions)
            spans = await find_spans(consumer, partitions)
            kept = _keep_what_expired(tables, held.shares, held.day_shares, spans, topics)
            async for _, batch in read_spans(consumer, spans):
                tables.count(topics, batch)
                records += len(batch)
        changed = _differences(held.shares, tables.shares) | _differences(held.day_shares, tables.days)
        if not dry_run:
            await _write(settings, names, tables, held.shares, held.day_shares)
            await _commit(settings, names.app_id, spans)
    except (KafkaError, OSError) as error:
        raise kafka.unreachable(settings, error) from None
    return Rebuilt(len(tables.shares), len(tables.days), len(changed), kept, records)


async def _refuse_beside_workers(settings: Settings, group: str) -> None:
    timeout_s = settings.feedback.session_timeout_ms / 1000
    async with kafka.admin(settings) as admin:
        for response in await admin.describe_consumer_groups([group]):
            for described in response.groups:
                if described[5]:
                    raise GatewayError(
                        f"{len(described[5])} feedback workers are running; stop them first: they would write over it "
                        f"(one that was killed counts for {timeout_s:.0f} s more)"
                    )


def _keep_what_expired(
    tables: _Tables, shares: Mapping[str, Share], days: Mapping[str, DayShare],
    spans: Mapping[TopicPartition, Span], topics: Topics,
) -> int:  # fmt: skip
    """Start from those shares that count records from before the log's beginning; later records are added to them."""
    starts = {(each.topic, each.partition): span.log_start for each, span in spans.items()}
    for key, share in shares.items():
        topic = _source_of(share, topics)
        if share.since < starts[topic, int(key.partition("/")[0])]:
            tables.shares[key] = share
    for key, day in days.items():
        if day.since < starts[topics.ledger, int(key.partition("/")[0])]:
            tables.days[key] = day
    return len(tables.shares) + len(tables.days)


def _source_of(share: Share, topics: Topics) -> str:
    is_dead_letter = share.problem.code in set(DeadLetterCode)
    return topics.deadletter if is_dead_letter else topics.rejection(Province(share.problem.province or ""))


def _differences(held: Mapping[str, object], made: Mapping[str, object]) -> set[str]:
    return {key for key in held.keys() | made.keys() if held.get(key) != made.get(key)}


async def _write(
    settings: Settings,
    names: FeedbackTopics,
    tables: _Tables,
    shares: Mapping[str, Share],
    days: Mapping[str, DayShare],
) -> None:
    async with kafka.producer(settings, enable_idempotence=True, linger_ms=20) as producer:
        for topic, held, made in ((names.shares, shares, tables.shares), (names.days, days, tables.days)):
            for key in sorted(_differences(held, made)):
                partition = int(key.partition("/")[0])
                # First delete what is there: a share that counts less than the one before would not replace it.
                await producer.send(topic, key=key.encode(), value=None, partition=partition)
                if key in made:
                    await producer.send(topic, key=key.encode(), value=encode(made[key]), partition=partition)
        await producer.flush()


async def _commit(settings: Settings, group: str, spans: Mapping[TopicPartition, Span]) -> None:
    """Commit the offsets at which the rebuild ended, for the workers to go on there."""
    async with kafka.consumer(settings, group_id=group) as consumer:
        consumer.assign(list(spans))
        await consumer.commit({partition: span.end for partition, span in spans.items()})
