"""Reading topics as they stand: committed records only, from a time on, up to the end, with bounded memory."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from gateway.errors import BrokerUnreachableError

_POLL_MS = 500
_TAIL = 64  # offsets
_SILENCE_S = 60
"""What is to be read is there already: a broker that does not give it within this time is gone."""


@dataclass(frozen=True, slots=True)
class Span:
    """Offsets of one partition: ``log_start`` is the oldest one kept; ``start`` up to, not with, ``end`` are to be read."""

    log_start: int
    start: int
    end: int


async def find_spans(
    consumer: AIOKafkaConsumer,
    partitions: Iterable[TopicPartition],
    *,
    since: int | None = None,
    until: int | None = None,
) -> dict[TopicPartition, Span]:
    """Find the offsets whose broker time lies in [since, until) (milliseconds since the epoch; None is open)."""
    wanted = list(partitions)
    if not wanted:
        return {}
    log_starts = await consumer.beginning_offsets(wanted)
    ends = await consumer.end_offsets(wanted)
    starts, stops = dict(log_starts), dict(ends)
    if since is not None:
        starts = await _offsets_at(consumer, wanted, since, ends)
    if until is not None:
        stops = await _offsets_at(consumer, wanted, until, ends)
    return {each: Span(log_starts[each], starts[each], max(starts[each], stops[each])) for each in wanted}


async def find_newest_time(consumer: AIOKafkaConsumer, partitions: Iterable[TopicPartition]) -> int | None:
    """Find the broker time of the newest committed record; None if there is none. ``consumer`` must be assigned."""
    last = [
        await find_last(consumer, partition, span)
        for partition, span in (await find_spans(consumer, partitions)).items()
    ]
    return max((record.timestamp for record in last if record is not None), default=None)


async def find_last(
    consumer: AIOKafkaConsumer, partition: TopicPartition, span: Span,
    wanted: Callable[[ConsumerRecord], bool] = lambda _: True,
) -> ConsumerRecord | None:  # fmt: skip
    """Find the last committed record of ``span`` that is ``wanted``, or None. ``consumer`` must be assigned."""
    start, reach, found = span.end, _TAIL, None
    # The last offsets may be markers and aborted records, which are not given out.
    while found is None and start > span.start:
        start, reach = max(span.start, span.end - reach), reach * 8
        async for _, records in read_spans(consumer, {partition: Span(span.log_start, start, span.end)}):
            found = next(filter(wanted, reversed(records)), found)
    return found


async def _offsets_at(
    consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition], time_ms: int, ends: Mapping[TopicPartition, int]
) -> dict[TopicPartition, int]:
    found = await consumer.offsets_for_times(dict.fromkeys(partitions, max(time_ms, 0)))
    return {each: found[each].offset if found.get(each) is not None else ends[each] for each in partitions}


async def read_spans(
    consumer: AIOKafkaConsumer, spans: Mapping[TopicPartition, Span]
) -> AsyncIterator[tuple[TopicPartition, list[ConsumerRecord]]]:
    """Yield every committed record of ``spans``, a batch of one partition at a time, in offset order within it.

    ``consumer`` must be assigned to the partitions; others that it has are paused. Raises BrokerUnreachableError where the
    broker says nothing for a minute.
    """
    for partition in consumer.assignment() - spans.keys():
        consumer.pause(partition)
    unread = {partition for partition, span in spans.items() if span.start < span.end}
    for partition in unread:
        consumer.resume(partition)
        consumer.seek(partition, spans[partition].start)
    for partition in spans.keys() - unread:
        consumer.pause(partition)
    while unread:
        try:
            batches = await asyncio.wait_for(_next_batches(consumer, unread), _SILENCE_S)
        except TimeoutError:
            message = f"the broker has said nothing for {_SILENCE_S} s; see that it runs, then run this again"
            raise BrokerUnreachableError(message) from None
        for partition, records in batches.items():
            end = spans[partition].end
            within = records if records[-1].offset < end else [record for record in records if record.offset < end]
            if within:
                yield partition, within
        # The position moves past the markers of transactions too, which are not records.
        done = {partition for partition in unread if await consumer.position(partition) >= spans[partition].end}
        for partition in done:
            consumer.pause(partition)
        unread -= done


async def _next_batches(
    consumer: AIOKafkaConsumer, partitions: Iterable[TopicPartition]
) -> Mapping[TopicPartition, list[ConsumerRecord]]:
    """Return the next batches, or none if the position only moved past a transaction's marker."""
    before = {partition: await consumer.position(partition) for partition in partitions}
    while True:
        batches: Mapping[TopicPartition, list[ConsumerRecord]] = await consumer.getmany(*before, timeout_ms=_POLL_MS)
        if batches or await _has_moved(consumer, before):
            return batches


async def _has_moved(consumer: AIOKafkaConsumer, before: Mapping[TopicPartition, int]) -> bool:
    return before != {partition: await consumer.position(partition) for partition in before}
