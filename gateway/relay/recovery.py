"""What a lane has forwarded, read off its verification records, where the ledger does not say all of it."""

import time
from collections.abc import Sequence
from typing import NamedTuple

import structlog
from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from gateway.adapters import kafka
from gateway.adapters.logs import OFFSET, PARTITION, TOPIC
from gateway.adapters.settings import Settings
from gateway.adapters.topic_reader import find_last, find_spans, read_spans
from gateway.contract.headers import REDRIVE_HEADER, origin_of
from gateway.contract.ledger_entry import Entry
from gateway.contract.topics import LaneId, Topics
from gateway.contract.verification import SentVerification, read_verification
from gateway.core.event import Identity
from gateway.core.times import parse_instant
from gateway.relay.horizon import Horizon
from gateway.relay.horizons import make_horizon

log = structlog.get_logger("gateway.relay")


class FoundHorizon(NamedTuple):
    """A horizon as records say it; ``reaches_back`` tells whether those records go back to its beginning.

    ``is_without_records``: the lane has none at all.
    """

    horizon: Horizon
    reaches_back: bool
    is_without_records: bool = False


async def horizon_from_outputs(
    settings: Settings, topics: Topics, lane: LaneId,
    *, at: int | None = None, before: tuple[int, int] | None = None, back_to: int | None = None,
    forwarding: Sequence[Entry] = (),
) -> FoundHorizon:  # fmt: skip
    """Learn the horizon from the lane's verification records, those of redrives too.

    As it is after the newest of them; or as it was at ``at`` (milliseconds since the epoch), of inputs
    ``before`` that epoch and offset; ``back_to`` as in ``read_chain``. Where records are missing of what the
    entries ``forwarding`` sent within the horizon, the topic is another one now, or has lost them, and does
    not reach back.
    """
    horizon_ms = settings.duplicates.horizon_ms
    horizon = make_horizon(settings)
    partition = TopicPartition(topics.verification(lane.province.other), lane.partition)

    def is_of_a_turn(record: ConsumerRecord) -> bool:
        return (
            is_before(record)
            and REDRIVE_HEADER not in dict(record.headers)
            and read_verification(record.value) is not None
        )

    def is_before(record: ConsumerRecord) -> bool:
        return before is None or (
            (origin := origin_of(record.headers)) is not None and (origin.epoch, origin.offset) < before
        )

    async with kafka.consumer(settings) as consumer:
        consumer.assign([partition])
        spans = await find_spans(consumer, [partition], until=at)
        # By when its input was received: the lane may be hours behind, and its horizon then begins earlier
        # than by the clock.
        last = await find_last(consumer, partition, spans[partition], is_of_a_turn)
        reaches_back, begin = spans[partition].log_start == 0, 0
        if last is not None and (sent := read_verification(last.value)):
            begin = min(_received(sent), int(time.time() * 1000))
            if back_to is not None and back_to < begin:
                horizon, begin = make_horizon(settings, rewound_ms=begin - back_to), back_to
            spans = await find_spans(consumer, [partition], since=begin - horizon_ms, until=at)
            reaches_back = reaches_back or spans[partition].start > spans[partition].log_start
        missing = {
            (each.epoch, each.first_offset, each.last_offset)
            for each in forwarding
            if each.received >= begin - horizon_ms
        }
        async for _, records in read_spans(consumer, spans):
            for record in records:
                if is_before(record):
                    remember_output(horizon, record)
                if missing and (origin := origin_of(record.headers)) is not None:
                    missing = {
                        each
                        for each in missing
                        if not (each[0] == origin.epoch and each[1] <= origin.offset <= each[2])
                    }
            horizon.keep()
    return FoundHorizon(horizon, reaches_back and not missing, last is None)


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
