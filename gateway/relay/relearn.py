"""What a lane learns again from Kafka when it opens: where it stands, and which ids it has seen. There is no other state."""

from dataclasses import dataclass
from typing import NamedTuple

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from gateway.adapters import kafka
from gateway.adapters.logs import OFFSET, PARTITION, TOPIC
from gateway.adapters.settings import Settings
from gateway.adapters.topic_reader import Span, find_last, find_newest_time, find_spans, read_spans
from gateway.adapters.topics import Topics
from gateway.core.reading import Identity
from gateway.core.times import parse_instant
from gateway.relay.horizon import COMING_BYTES, Horizon
from gateway.relay.ledger import Entry, digest, read_entry
from gateway.relay.turn import REMEMBERED_HEADER, LaneId, origin_of

log = structlog.get_logger("gateway.relay")


@dataclass(frozen=True, slots=True)
class Position:
    """Where a lane stands: the next input offset, and the digest of its last ledger entry (None before its first)."""

    next_offset: int
    previous: str | None


class _Event(msgspec.Struct):
    id: str
    source: str


class _Decision(msgspec.Struct):
    received: str
    content_digest: str


class _Data(msgspec.Struct):
    event: _Event
    decision: _Decision


class _Sent(msgspec.Struct):
    """Of a verification record or a rejection, what the horizon needs."""

    data: _Data


_decode_sent = msgspec.json.Decoder(_Sent).decode


async def committed_position(settings: Settings, group_id: str, lane: LaneId) -> Position | None:
    """The position that the lane's last transaction committed: its offset, with the entry's digest as metadata.

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
    """The position by the lane's last ledger entry; None where it has none.

    For a group whose committed offsets are gone (Kafka drops those of a group that was empty for a week): without
    this the lane would start over and send everything again.
    """
    partition = TopicPartition(topics.ledger, lane.partition)
    async with kafka.consumer(settings) as consumer:
        consumer.assign([partition])
        (span,) = (await find_spans(consumer, [partition])).values()
        last = await _find_last_entry(consumer, lane, partition, span)
    return None if last is None else Position(last.entry.last_offset + 1, digest(settings.ledger.digest, [last.value]))


class _Written(NamedTuple):
    value: bytes
    entry: Entry


async def _find_last_entry(
    consumer: AIOKafkaConsumer, lane: LaneId, partition: TopicPartition, span: Span
) -> _Written | None:
    """The lane's last entry in ``span`` of its ledger ``partition``, and as it was written."""
    key = str(lane).encode()
    last = await find_last(
        consumer, partition, span, lambda each: each.key == key and read_entry(each.value) is not None
    )
    entry = None if last is None else read_entry(last.value)
    return None if last is None or entry is None else _Written(last.value, entry)


async def relearn_horizon(settings: Settings, topics: Topics, lane: LaneId) -> Horizon:
    """What the lane remembers: as its ledger entries say, and where one of them does not, from its outputs."""
    horizon = await horizon_from_ledger(settings, topics, lane)
    return horizon if horizon is not None else await horizon_from_outputs(settings, topics, lane)


async def horizon_from_ledger(settings: Settings, topics: Topics, lane: LaneId) -> Horizon | None:
    """Thirty bytes an id are read and not a record; None where an entry of the horizon does not say what it remembered."""
    horizon = Horizon(settings.duplicates.horizon_ms, settings.duplicates.max_ids)
    partition, key = TopicPartition(topics.ledger, lane.partition), str(lane).encode()
    async with kafka.consumer(settings) as consumer:
        consumer.assign([partition])
        newest = await find_newest_time(consumer, [partition])
        within = None if newest is None else newest - settings.duplicates.horizon_ms
        (span,) = (await find_spans(consumer, [partition], since=within)).values()
        # Both provinces' lanes of this number write there; ours may be hours behind, and then its horizon begins earlier.
        last = await _find_last_entry(consumer, lane, partition, span)
        if last is None:
            return None
        spans = await find_spans(consumer, [partition], since=last.entry.received - settings.duplicates.horizon_ms)
        async for _, records in read_spans(consumer, spans):
            for record in records:
                if record.key != key:
                    continue
                remembered = dict(record.headers).get(REMEMBERED_HEADER)
                if remembered is None or len(remembered) % COMING_BYTES:
                    return None
                horizon.learn(remembered)
            horizon.keep()
    return horizon


async def horizon_from_outputs(
    settings: Settings, topics: Topics, lane: LaneId, *, at: int | None = None, before: int | None = None
) -> Horizon:
    """The ids of the lane's outputs within the horizon, read from both of its output partitions.

    As it is after the newest of them; or as it was at ``at`` (milliseconds since the epoch), of inputs ``before`` that offset.
    """
    horizon = Horizon(settings.duplicates.horizon_ms, settings.duplicates.max_ids)
    partitions = [
        TopicPartition(topics.verification(lane.province.other), lane.partition),
        TopicPartition(topics.rejection(lane.province), lane.partition),
    ]
    async with kafka.consumer(settings) as consumer:
        consumer.assign(partitions)
        # By the broker's clock: one of ours that is wrong would forget ids, and forward their repetitions.
        now = at if at is not None else await find_newest_time(consumer, partitions)
        since = None if now is None else now - settings.duplicates.horizon_ms
        spans = await find_spans(consumer, partitions, since=since, until=at)
        async for _, records in read_spans(consumer, spans):
            for record in records:
                if before is None or ((origin := origin_of(record.headers)) and origin[2] < before):
                    remember_output(horizon, record)
            horizon.keep()
    return horizon


def remember_output(horizon: Horizon, record: ConsumerRecord) -> None:
    """Let ``horizon`` remember, pending, the event that an output record is about."""
    try:
        data = _decode_sent(record.value or b"").data
    except msgspec.MsgspecError:
        # Somebody else wrote it: it must not keep the lane shut.
        log.warning(
            "output.foreign_record", **{TOPIC: record.topic, PARTITION: record.partition, OFFSET: record.offset}
        )
        return
    received = parse_instant(data.decision.received) or 0
    horizon.remember(Identity(data.event.source, data.event.id), data.decision.content_digest, received // 1000)
