"""What a lane recovers from Kafka when it opens: where it stands, and what was forwarded. There is no other state."""

from dataclasses import dataclass
from typing import NamedTuple

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from gateway.adapters import kafka
from gateway.adapters.logs import OFFSET, PARTITION, TOPIC
from gateway.adapters.settings import Settings
from gateway.adapters.topic_reader import Span, find_last, find_newest_time, find_spans, read_spans
from gateway.contract.headers import REDRIVE_HEADER, REMEMBERED_HEADER, origin_of
from gateway.contract.ledger_entry import Entry, read_entry
from gateway.contract.outputs import digest
from gateway.contract.topics import LaneId, Topics
from gateway.contract.verification import SentVerification, read_verification
from gateway.core.decision import Outcome
from gateway.core.event import Identity
from gateway.core.times import parse_instant
from gateway.relay.horizon import OCCURRENCE_BYTES, Horizon

log = structlog.get_logger("gateway.relay")


@dataclass(frozen=True, slots=True)
class Position:
    """Where a lane stands: the next input offset, and the digest of its last ledger entry (None before its first)."""

    next_offset: int
    previous: str | None


async def committed_position(settings: Settings, group_id: str, lane: LaneId) -> Position | None:
    """Read the position that the lane's last transaction committed: its offset, with the entry's digest as metadata.

    Ask only after the lane's producer has started: InitProducerId ends a transaction that was still pending.
    """
    partition = TopicPartition(lane.topic, lane.partition)
    async with kafka.admin(settings) as admin:
        offsets = await admin.list_consumer_group_offsets(group_id, partitions=[partition])
    committed = offsets.get(partition)
    if committed is None or committed.offset < 0:
        return None
    return Position(committed.offset, committed.metadata or None)


async def position_from_ledger(settings: Settings, topics: Topics, lane: LaneId) -> Position | None:
    """Read the position off the lane's last ledger entries; None where it has none.

    For a group whose committed offsets are gone (Kafka drops those of a group that was empty for a week): without
    this the lane would start over and send everything again.
    """
    partition = TopicPartition(topics.ledger, lane.partition)
    async with kafka.consumer(settings) as consumer:
        consumer.assign([partition])
        (span,) = (await find_spans(consumer, [partition])).values()
        last = await _find_last_entry(consumer, lane, partition, span)
        if last is None:
            return None
        # A redrive's entry is the chain's last link, but moves the lane nowhere. (Where all turns' entries have expired, what
        # it put through again was decided at any rate.)
        turn = await _find_last_entry(consumer, lane, partition, span, of_a_turn=True) or last
    return Position(turn.entry.last_offset + 1, digest(settings.ledger.digest, [last.value]))


class _WrittenEntry(NamedTuple):
    value: bytes
    entry: Entry


async def _find_last_entry(
    consumer: AIOKafkaConsumer, lane: LaneId, partition: TopicPartition, span: Span, *, of_a_turn: bool = False
) -> _WrittenEntry | None:
    """Find the lane's last entry in ``span`` of its ledger ``partition``; ``of_a_turn`` passes over those of redrives."""
    key = str(lane).encode()

    def is_wanted(record: ConsumerRecord) -> bool:
        entry = read_entry(record.value) if record.key == key else None
        return entry is not None and not (of_a_turn and entry.redriven is not None)

    last = await find_last(consumer, partition, span, is_wanted)
    entry = None if last is None else read_entry(last.value)
    return None if last is None or entry is None else _WrittenEntry(last.value, entry)


async def relearn_horizon(settings: Settings, topics: Topics, lane: LaneId) -> Horizon:
    """Learn what the lane remembers: as its ledger entries say, and where one of them does not, from its outputs."""
    horizon = await horizon_from_ledger(settings, topics, lane)
    return horizon if horizon is not None else await horizon_from_outputs(settings, topics, lane)


async def horizon_from_ledger(settings: Settings, topics: Topics, lane: LaneId) -> Horizon | None:
    """Learn the horizon from the lane's entries, those of redrives too: it reads thirty bytes per event, and no record.

    None where an entry of the horizon does not say what it forwarded, or no turn of late is there.
    """
    horizon = Horizon(settings.duplicates.horizon_ms, settings.duplicates.max_ids)
    partition, key = TopicPartition(topics.ledger, lane.partition), str(lane).encode()
    async with kafka.consumer(settings) as consumer:
        consumer.assign([partition])
        newest = await find_newest_time(consumer, [partition])
        within = None if newest is None else newest - settings.duplicates.horizon_ms
        (span,) = (await find_spans(consumer, [partition], since=within)).values()
        # Both provinces' lanes of this number write there; ours may be hours behind, and then its horizon begins earlier.
        last = await _find_last_entry(consumer, lane, partition, span, of_a_turn=True)
        if last is None:
            return None
        spans = await find_spans(consumer, [partition], since=last.entry.received - settings.duplicates.horizon_ms)
        async for _, records in read_spans(consumer, spans):
            for record in records:
                if record.key != key:
                    continue
                remembered = dict(record.headers).get(REMEMBERED_HEADER) or b""
                if len(remembered) % OCCURRENCE_BYTES or (not remembered and _may_have_forwarded(record)):
                    return None
                horizon.learn(remembered)
            horizon.keep()
    return horizon


def _may_have_forwarded(record: ConsumerRecord) -> bool:
    """Tell whether a record of the lane's key in the ledger counts forwarded events, or cannot be read."""
    entry = read_entry(record.value)
    return entry is None or any(count.outcome == Outcome.FORWARD for count in entry.counts)


async def horizon_from_outputs(
    settings: Settings, topics: Topics, lane: LaneId, *, at: int | None = None, before: int | None = None
) -> Horizon:
    """Learn the horizon from the lane's verification records, those of redrives too.

    As it is after the newest of them; or as it was at ``at`` (milliseconds since the epoch), of inputs ``before`` that offset.
    """
    horizon = Horizon(settings.duplicates.horizon_ms, settings.duplicates.max_ids)
    partition = TopicPartition(topics.verification(lane.province.other), lane.partition)

    def is_of_a_turn(record: ConsumerRecord) -> bool:
        return (
            is_before(record)
            and REDRIVE_HEADER not in dict(record.headers)
            and read_verification(record.value) is not None
        )

    def is_before(record: ConsumerRecord) -> bool:
        return before is None or ((origin := origin_of(record.headers)) is not None and origin.offset < before)

    async with kafka.consumer(settings) as consumer:
        consumer.assign([partition])
        spans = await find_spans(consumer, [partition], until=at)
        # By when its input was received: the lane may be hours behind, and its horizon then begins earlier than by the clock.
        last = await find_last(consumer, partition, spans[partition], is_of_a_turn)
        if last is not None and (sent := read_verification(last.value)):
            since = _received(sent) - settings.duplicates.horizon_ms
            spans = await find_spans(consumer, [partition], since=since, until=at)
        async for _, records in read_spans(consumer, spans):
            for record in records:
                if is_before(record):
                    remember_output(horizon, record)
            horizon.keep()
    return horizon


def remember_output(horizon: Horizon, record: ConsumerRecord) -> None:
    """Let ``horizon`` remember, pending, the event that a verification record is about."""
    sent = read_verification(record.value)
    if sent is None:
        # Somebody else wrote it: it must not keep the lane shut.
        log.warning(
            "output.foreign_record", **{TOPIC: record.topic, PARTITION: record.partition, OFFSET: record.offset}
        )
        return
    event, decision = sent.data.event, sent.data.decision
    horizon.remember(Identity(event.source, event.id, sent.data.holder.ref), decision.content_digest, _received(sent))


def _received(sent: SentVerification) -> int:
    """Return when the event's record was received, in milliseconds since the epoch."""
    return (parse_instant(sent.data.decision.received) or 0) // 1000
