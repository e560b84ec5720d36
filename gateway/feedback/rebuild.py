"""Makes the tables again from the topics, as if feedback had read them all from the beginning."""

from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple, TypeVar

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from gateway.adapters import kafka
from gateway.adapters.settings import Settings
from gateway.adapters.topic_reader import find_spans, read_spans
from gateway.errors import GatewayError
from gateway.feedback.cases import Share
from gateway.feedback.changelog import Position, count_keys, encode, position_key
from gateway.feedback.counting import Counting, case_sources, source_of
from gateway.feedback.days import DayShare
from gateway.feedback.prepare import prepare_topics
from gateway.feedback.state import FeedbackTopics, read_state

log = structlog.get_logger("gateway.feedback")

_T = TypeVar("_T", Share, DayShare)


class Rebuilt(NamedTuple):
    """What a rebuild came to: shares in all, how many differ from what the tables held, and how many were
    kept.

    Kept are those that count records which the topics no longer hold: nothing could count those again.
    """

    shares: int
    days: int
    changed: int
    kept: int
    records: int


async def rebuild(settings: Settings, *, dry_run: bool) -> Rebuilt:
    """Read every rejection, dead letter and ledger entry again and write the tables' changelogs; ``dry_run``
    only compares.

    Raises GatewayError while feedback workers run, ConfigurationError, BrokerUnreachableError.
    """
    topics, names = settings.topic_names, FeedbackTopics(settings)
    sources = [*topics.rejections, topics.deadletter, topics.ledger]
    if not dry_run:
        await _refuse_beside_workers(settings, names.app_id)
        await prepare_topics(settings)
    held = await read_state(settings)
    partitions = await kafka.partitions_of(settings, sources)
    shares: dict[str, Share] = {}
    days: dict[str, DayShare] = {}
    counting, records = Counting(topics, shares, days), 0
    try:
        async with kafka.consumer(settings) as consumer:
            consumer.assign(partitions)
            spans = await find_spans(consumer, partitions)
            starts = {(each.topic, each.partition): span.log_start for each, span in spans.items()}
            shares |= _expired(held.shares, starts, lambda share: source_of(share, topics))
            days |= _expired(held.day_shares, starts, lambda _: topics.ledger)
            kept = len(shares) + len(days)
            times: dict[TopicPartition, int] = {}
            async for partition, batch in read_spans(consumer, spans):
                times[partition] = max(times.get(partition, 0), *(record.timestamp for record in batch))
                counting.count(partition.topic, partition.partition, batch)
                records += len(batch)
        changed = _differences(held.shares, shares) | _differences(held.day_shares, days)
        if not dry_run:
            ends = {each: span.end for each, span in spans.items()}
            positions = _positions(shares, ends, times, case_sources(topics))
            await _write(settings, names.shares, _changes(held.shares, shares), positions)
            positions = _positions(days, ends, times, (topics.ledger,))
            await _write(settings, names.days, _changes(held.day_shares, days), positions)
            await _commit(settings, names.app_id, ends)
    except (KafkaError, OSError) as error:
        raise kafka.unreachable(settings, error) from None
    return Rebuilt(len(shares), len(days), len(changed), kept, records)


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


def _expired(
    held: Mapping[str, _T], starts: Mapping[tuple[str, int], int], topic_of: Callable[[_T], str]
) -> dict[str, _T]:
    """Return those shares that count records from before the log's beginning; later records are added to
    them."""
    return {
        key: share
        for key, share in held.items()
        if share.since < starts.get((topic_of(share), int(key.partition("/")[0])), 0)
    }


def _differences(held: Mapping[str, object], made: Mapping[str, object]) -> set[str]:
    return {key for key in held.keys() | made.keys() if held.get(key) != made.get(key)}


def _positions(
    made: Mapping[str, object], ends: Mapping[TopicPartition, int], times: Mapping[TopicPartition, int],
    sources: Collection[str],
) -> dict[int, Position]:  # fmt: skip
    """Return by partition that all of ``sources`` is counted, up to ``ends``."""
    positions = {}
    for partition in sorted({each.partition for each in ends}):
        of_it = [TopicPartition(topic, partition) for topic in sources]
        positions[partition] = Position(
            {each.topic: ends[each] for each in of_it},
            count_keys(made, partition),
            {each.topic: times[each] for each in of_it if each in times},
        )
    return positions


def _changes(held: Mapping[str, _T], made: Mapping[str, _T]) -> dict[str, _T | None]:
    """Return by key what ``made`` has otherwise than ``held``; None where it has nothing."""
    return {key: made.get(key) for key in sorted(_differences(held, made))}


async def _write(
    settings: Settings, topic: str, changes: Mapping[str, _T | None], positions: Mapping[int, Position]
) -> None:
    async with kafka.producer(settings, enable_idempotence=True, linger_ms=20) as producer:
        sent = []

        async def send(partition: int, key: str, value: bytes | None) -> None:
            sent.append(await producer.send(topic, key=key.encode(), value=value, partition=partition))

        for key, share in changes.items():
            partition = int(key.partition("/")[0])
            # First delete what is there: a share that counts less than the one before would not replace it.
            await send(partition, key, None)
            if share is not None:
                await send(partition, key, encode(share))
        for partition, position in positions.items():
            await send(partition, position_key(partition), encode(position))
        for future in sent:
            await future


async def _commit(settings: Settings, group: str, ends: Mapping[TopicPartition, int]) -> None:
    """Commit the offsets at which the rebuild ended, for the workers to go on there."""
    async with kafka.consumer(settings, group_id=group) as consumer:
        consumer.assign(list(ends))
        await consumer.commit(dict(ends))
