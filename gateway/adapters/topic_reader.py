"""Reading topics as they stand: committed records only, from a time on, up to the end, with bounded
memory."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from gateway.adapters.kafka import REFUSALS
from gateway.errors import BrokerUnreachableError, GatewayError

_POLL_MS = 500
_TAIL = 64  # offsets
_MOST_SINGLY = 10_000
_ANSWER_S = 10
"""A broker answers within milliseconds where a partition's log begins and ends, unless it does not lead
it."""
_SILENCE_S = 60
"""What is to be read is there already: a broker that does not give it within this time is gone."""


class UnreadablePartitionError(GatewayError):
    """A partition that cannot be read from an offset on: what stands there is damaged, or the broker does
    not give it out.

    ``why`` is an error's type or fixed words, and never what stands in a record.
    """

    def __init__(self, topic: str, partition: int, offset: int, why: str) -> None:
        super().__init__(topic, partition, offset, why)  # an exception is made again of these in another process
        self.topic, self.partition, self.offset, self.why = topic, partition, offset, why

    def __str__(self) -> str:
        """Say what could not be read, and why."""
        return f"{self.topic}/{self.partition} cannot be read from offset {self.offset} on ({self.why})"

    def as_dict(self) -> dict[str, str | int]:
        """Return the place and the reason, for JSON."""
        return {"topic": self.topic, "partition": self.partition, "offset": self.offset, "why": self.why}


@dataclass(frozen=True, slots=True)
class Span:
    """Offsets of one partition: ``log_start`` is the oldest one kept; ``start`` up to, not with, ``end`` are
    to be read."""

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
    """Find the offsets whose broker time lies in [since, until) (milliseconds since the epoch; None is
    open)."""
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


async def find_readable_spans(
    consumer: AIOKafkaConsumer,
    partitions: Iterable[TopicPartition],
    *,
    since: int | None = None,
    until: int | None = None,
) -> dict[TopicPartition, Span]:
    """Find the spans as ``find_spans`` does, without the partitions that give no answer, such as those
    without a leader."""
    wanted = list(partitions)
    try:
        async with asyncio.timeout(_ANSWER_S):
            return await find_spans(consumer, wanted, since=since, until=until)
    except (TimeoutError, KafkaError):
        pass

    async def find_one(partition: TopicPartition) -> dict[TopicPartition, Span]:
        try:
            async with asyncio.timeout(_ANSWER_S):
                return await find_spans(consumer, [partition], since=since, until=until)
        except (TimeoutError, KafkaError):
            return {}

    found = await asyncio.gather(*map(find_one, wanted))
    return {partition: span for spans in found for partition, span in spans.items()}


async def find_newest_time(consumer: AIOKafkaConsumer, partitions: Iterable[TopicPartition]) -> int | None:
    """Find the broker time of the newest committed record; None if there is none. ``consumer`` must be
    assigned."""
    last = [
        await find_last(consumer, partition, span)
        for partition, span in (await find_spans(consumer, partitions)).items()
    ]
    return max((record.timestamp for record in last if record is not None), default=None)


async def find_last(
    consumer: AIOKafkaConsumer, partition: TopicPartition, span: Span,
    wanted: Callable[[ConsumerRecord], bool] = lambda _: True,
) -> ConsumerRecord | None:  # fmt: skip
    """Find the last committed record of ``span`` that is ``wanted``, or None. ``consumer`` must be
    assigned."""
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
    """Yield every committed record of ``spans``, a batch of one partition at a time, in offset order within
    it.

    ``consumer`` must be assigned to the partitions; others that it has are paused. Raises
    UnreadablePartitionError where one cannot be read to its end: after all that can be read, its own records
    before that place and the other partitions. Raises BrokerUnreachableError where the broker says nothing
    for a minute.
    """
    unreadable: UnreadablePartitionError | None = None
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
            raise await _silence(consumer, unread) from None
        except UnreadablePartitionError as error:
            unreadable = unreadable or error
            partition = TopicPartition(error.topic, error.partition)
            consumer.pause(partition)
            unread.discard(partition)
            continue
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
    if unreadable is not None:
        raise unreadable


async def _silence(consumer: AIOKafkaConsumer, unread: Iterable[TopicPartition]) -> GatewayError:
    """Return the error for partitions of which nothing has come: the broker's, or where the others have been
    read, theirs."""
    first = min(unread)
    return BrokerUnreachableError(
        f"the broker has given nothing of {first.topic}/{first.partition}/{await consumer.position(first)} for {_SILENCE_S} s; "
        "see that it runs, and that the partition has a leader, then run this again"
    )


async def poll(
    consumer: AIOKafkaConsumer, *partitions: TopicPartition, timeout_ms: int, max_records: int | None = None
) -> Mapping[TopicPartition, list[ConsumerRecord]]:
    """Poll ``consumer`` for ``partitions``. Raises UnreadablePartitionError where one of them cannot be read
    at its position.

    The records before that place come first. aiokafka raises out of the middle of a fetch, and goes on
    behind what it had of it, of other partitions too: that would be passed over. So the partitions are set
    back, and read one record at a time up to the damage.
    """
    before = {partition: await consumer.position(partition) for partition in partitions}
    try:
        polled: Mapping[TopicPartition, list[ConsumerRecord]] = await consumer.getmany(
            *partitions, timeout_ms=timeout_ms, max_records=max_records
        )
    except REFUSALS:
        raise
    except Exception:  # noqa: BLE001 — of an unknown codec, a damaged batch, a header's name: any library's
        for partition, position in before.items():
            consumer.seek(partition, position)
    else:
        return polled
    found: dict[TopicPartition, list[ConsumerRecord]] = {}
    damage: UnreadablePartitionError | None = None
    for partition in partitions:
        records: list[ConsumerRecord] = []
        try:
            while len(records) < _MOST_SINGLY and (
                one := await consumer.getmany(partition, timeout_ms=timeout_ms, max_records=1)
            ):
                records += one[partition]
        except Exception as error:  # noqa: BLE001 — as above
            place = await consumer.position(partition)
            damage = damage or UnreadablePartitionError(
                partition.topic, partition.partition, place, type(error).__name__
            )
        if records:
            found[partition] = records
    if damage is not None and not found:
        raise damage
    return found


async def _next_batches(
    consumer: AIOKafkaConsumer, partitions: Iterable[TopicPartition]
) -> Mapping[TopicPartition, list[ConsumerRecord]]:
    """Return the next batches, or none if the position only moved past a transaction's marker."""
    before = {partition: await consumer.position(partition) for partition in partitions}
    while True:
        batches = await poll(consumer, *before, timeout_ms=_POLL_MS)
        if batches or await _has_moved(consumer, before):
            return batches


async def _has_moved(consumer: AIOKafkaConsumer, before: Mapping[TopicPartition, int]) -> bool:
    return before != {partition: await consumer.position(partition) for partition in before}
