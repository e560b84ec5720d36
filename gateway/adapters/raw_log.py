"""What stands at each offset of a partition, by the broker's own bytes: what a consumer passes over without
a word is named.

Batches are read by their headers and not unpacked, but for those that compaction has thinned: only their
records say which offsets are left.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any, Literal, NamedTuple

from aiokafka import TopicPartition, errors
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.offset import OffsetRequest

from gateway.adapters.kafka_requests import raw_client
from gateway.adapters.record_batches import (
    HEADER,
    MAGIC,
    Aborted,
    BrokenFrameError,
    RecordBatch,
    cut_record,
    read_batches,
    read_delta,
)
from gateway.adapters.settings import Settings
from gateway.adapters.unpacking import UnpackError, unpack
from gateway.errors import BrokerUnreachableError, GatewayError

Kind = Literal["record", "marker", "aborted", "missing", "undecided"]
_UNCOMMITTED, _COMMITTED = 0, 1
_EARLIEST = -2
_FETCH_BYTES = 1_048_576
_TRIES, _PAUSE_S = 50, 0.2


class OffsetRange(NamedTuple):
    """Offsets ``first`` up to and with ``last``, and what stands there.

    ``record``: a committed record, which may be unreadable; ``marker``: the end of a transaction;
    ``aborted``: records of an aborted transaction; ``missing``: nothing, before the log's start or beyond
    its end too; ``undecided``: a record that no consumer of committed records is given yet, as a transaction
    before it is open.
    """

    first: int
    last: int
    kind: Kind


async def describe_offsets(
    settings: Settings, partition: TopicPartition, first: int, last: int
) -> AsyncIterator[OffsetRange]:
    """Yield what stands at the offsets from ``first`` up to and with ``last``: adjacent ranges, no two alike
    in a row.

    Holds one fetch at a time. Raises GatewayError where the broker does not answer, or what it holds are not
    batches.
    """
    current: OffsetRange | None = None
    async with raw_client(settings) as client:
        await client.set_topics([partition.topic])
        async for each in _ranges(client, partition, first, last):
            if current is not None and current.kind == each.kind:
                current = OffsetRange(current.first, each.last, each.kind)
                continue
            if current is not None:
                yield current
            current = each
    if current is not None:
        yield current


class _Answer(NamedTuple):
    """One partition of a fetch's answer; ``high_watermark`` is the end of the log, None where the offset is
    not in it."""

    high_watermark: int | None
    last_stable: int = 0
    aborted: list[tuple[int, int]] | None = None
    data: bytes = b""


async def _ranges(
    client: AIOKafkaClient, partition: TopicPartition, first: int, last: int
) -> AsyncIterator[OffsetRange]:
    """Yield the ranges in order, cut to ``first`` and ``last``; neighbours may be of one kind."""
    position = first
    while position <= last:
        answer = await _fetch(client, partition, position, _COMMITTED)
        is_stable = answer.high_watermark is not None and position < answer.last_stable
        if answer.high_watermark is not None and not is_stable and position < answer.high_watermark:
            answer = await _fetch(client, partition, position, _UNCOMMITTED)
        if answer.high_watermark is None or position >= answer.high_watermark:
            # Before the log's start, or at its end or beyond it.
            start = await _log_start(client, partition)
            end = min(start - 1, last) if start > position else last
            yield OffsetRange(position, end, "missing")
            position = end + 1
            continue
        before = position
        for each in _read(partition, answer, is_stable=is_stable):
            if each.last < position or position > last:
                continue
            if each.first > position:
                yield OffsetRange(position, min(each.first - 1, last), "missing")
            if each.first <= last:
                yield OffsetRange(max(each.first, position), min(each.last, last), each.kind)
            position = each.last + 1
        if position == before:
            raise _unusable(partition, position)


def _read(partition: TopicPartition, answer: _Answer, *, is_stable: bool) -> Iterator[OffsetRange]:
    """Yield what the batches of ``answer`` hold; between them nothing is."""
    aborted = Aborted(answer.aborted if is_stable else None)
    place = 0
    try:
        for batch in read_batches(answer.data):
            is_aborted, place = aborted.holds(batch), batch.next_offset
            if batch.is_control:
                yield OffsetRange(batch.base_offset, batch.next_offset - 1, "marker")
            elif is_aborted:
                yield OffsetRange(batch.base_offset, batch.next_offset - 1, "aborted")
            else:
                yield from _read_batch(batch, "record" if is_stable else "undecided")
    except BrokenFrameError:
        raise _unusable(partition, place) from None


def _read_batch(batch: RecordBatch, kind: Kind) -> Iterator[OffsetRange]:
    """Yield the ranges of a batch with records of ``kind``: one, unless compaction has thinned it."""
    position = batch.base_offset
    for first, last in _held(batch):
        if first > position:
            yield OffsetRange(position, first - 1, "missing")
        yield OffsetRange(first, last, kind)
        position = last + 1
    if position < batch.next_offset:
        yield OffsetRange(position, batch.next_offset - 1, "missing")


def _held(batch: RecordBatch) -> Iterator[tuple[int, int]]:
    """Yield the offsets that ``batch`` holds records at, both inclusive.

    All of them where its records say nothing else, or cannot be read: then each is an unreadable record.
    """
    end = batch.next_offset
    if batch.magic != MAGIC or batch.is_whole or not 0 <= batch.count < end - batch.base_offset:
        yield batch.base_offset, end - 1
        return
    expected = batch.base_offset
    try:
        packed = batch.stored[HEADER.size :]
        records: memoryview | bytes = packed if batch.codec == 0 else unpack(batch.codec, packed)
        position = 0
        for _ in range(batch.count):
            offset, position = batch.base_offset + read_delta(records, position), cut_record(records, position)
            if not expected <= offset < end:
                break
            yield offset, offset
            expected = offset + 1
        else:
            return
    except (UnpackError, ValueError):
        pass
    yield expected, end - 1


async def _fetch(client: AIOKafkaClient, partition: TopicPartition, offset: int, isolation: int) -> _Answer:
    wanted = [(partition.topic, [(partition.partition, offset, _FETCH_BYTES)])]
    answer = await _ask(client, partition, FetchRequest(0, 0, _FETCH_BYTES, isolation, wanted))
    code, high_watermark, *rest = answer
    if code == errors.OffsetOutOfRangeError.errno:
        return _Answer(None)
    last_stable, *_, data = rest
    # Before the batches; from version 11 on with a replica to read from between.
    aborted = rest[2] if len(rest) == 5 else rest[-2]
    return _Answer(high_watermark, last_stable, aborted, data or b"")


async def _log_start(client: AIOKafkaClient, partition: TopicPartition) -> int:
    request = OffsetRequest(-1, _UNCOMMITTED, [(partition.topic, [(partition.partition, _EARLIEST)])])
    _, _, offset = await _ask(client, partition, request)
    return int(offset)


async def _ask(client: AIOKafkaClient, partition: TopicPartition, request: Any) -> Any:
    """Send ``request`` to the partition's leader; return what its answer says of the partition, from the
    error code on.

    Asks again while the cluster is choosing a leader. Raises GatewayError.
    """
    error: Any = errors.LeaderNotAvailableError()
    for _ in range(_TRIES):
        leader = client.cluster.leader_for_partition(partition)
        if leader is not None and leader >= 0:
            try:
                response = await client.send(leader, request)
            except errors.KafkaError as failure:
                error = failure
            else:
                ((_, ((_, *answer),)),) = response.topics
                if answer[0] in {0, errors.OffsetOutOfRangeError.errno}:
                    return answer
                error = errors.for_code(answer[0])()
            if not error.retriable:
                break
        await client.force_metadata_update()
        await asyncio.sleep(_PAUSE_S)
    raise BrokerUnreachableError(
        f"{partition.topic}/{partition.partition} cannot be read ({type(error).__name__}); see that its broker runs"
    )


def _unusable(partition: TopicPartition, offset: int) -> GatewayError:
    return GatewayError(
        f"{partition.topic}/{partition.partition}, from offset {offset}: what the broker holds there is not a record "
        "batch; see its log and its disk"
    )
