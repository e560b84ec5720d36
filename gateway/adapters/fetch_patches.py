"""How a consumer makes records of what it fetched, in aiokafka's place: whatever a client wrote, reading
goes on.

aiokafka unpacks a batch without a bound, and raises on a record that it cannot read, there and at every
further try: a consumer gets past neither. Here what cannot be read is given out as an ``UnreadableRecord``
for each offset. The same bytes give the same records, whenever they are read and from whichever offset.

Belongs to ``aiokafka_patches``, whose ``apply`` puts it in force.
"""

from collections.abc import Callable, Iterator
from typing import Any

from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.structs import ConsumerRecord

from gateway.adapters.record_batches import (
    CODEC_MASK,
    CONTROL,
    HEADER,
    LOG_APPEND_TIME,
    MAGIC,
    TRANSACTIONAL,
    Aborted,
    BrokenFrameError,
    RecordBatch,
    cut_record,
    read_batches,
    read_delta,
)
from gateway.adapters.unpacking import MAX_UNPACKED_BYTES, UnpackError, unpack
from gateway.adapters.unreadable import MissingRecords, UnreadableRecord
from gateway.core.digest import sha256

LAST_TIME = 253_402_300_799_999
"""The end of the year 9999, in milliseconds since the epoch: no later time can be written as RFC 3339."""
CRC_TRIES = 3
"""How often a batch is fetched before its CRC counts as wrong: once may be the network's or a replica's
fault."""

# All that a problem can be, and nothing else: a dead letter repeats these words.
OLD_FORMAT = "its message format is not version 2"
WRONG_CRC = "the CRC of its batch is wrong"
NOT_UNPACKED = f"its batch cannot be unpacked to {MAX_UNPACKED_BYTES >> 20} MiB or less"
NO_ORDER = "the records of its batch cannot be told apart"
MALFORMED = "its bytes are not a record"
NOT_UTF8 = "the name of one of its headers is not UTF-8"
NO_TIME = "its timestamp is not a time"

REPORT_MISSING = "check CRCs, and report missing offsets"
"""Stands in ``check_crcs``, the one option that aiokafka hands on from consumer to here and uses for nothing
but its truth."""


def apply() -> None:
    """Put ``PartitionRecords`` in force for all consumers; a second call does nothing."""
    fetcher.MemoryRecords = Fetched
    fetcher.PartitionRecords = PartitionRecords


class Fetched:
    """The bytes of one partition in a fetch's answer, as aiokafka's fetcher asks of them (its
    ``MemoryRecords``)."""

    __slots__ = ("_data",)

    def __init__(self, data: bytes) -> None:
        self._data = data

    def size_in_bytes(self) -> int:
        """Return how many bytes there are."""
        return len(self._data)

    def has_next(self) -> bool:
        """Tell whether there is a whole batch, or bytes that are not one."""
        try:
            return next(read_batches(self._data), None) is not None
        except BrokenFrameError:
            return True

    def batches(self) -> Iterator[RecordBatch]:
        """Return the batches, in order."""
        return read_batches(self._data)


# How often the same batch came with a wrong CRC, for each partition: its base offset, and the times.
_wrong_crcs: dict[TopicPartition, tuple[int, int]] = {}


class PartitionRecords:
    """Iterates over one partition's records of a fetch; ``next_fetch_offset`` is where the next one begins.

    Takes the place of aiokafka's class, with its arguments. Every offset of every batch is given out once,
    as a record or as an ``UnreadableRecord``, except for markers and for what was aborted; what is missing
    from the log, where it is to be reported, as ``MissingRecords``. Where this ends before the fetched bytes
    do, aiokafka fetches the rest again.
    """

    def __init__(
        self, tp: TopicPartition, records: Fetched, aborted_transactions: list[tuple[int, int]] | None, fetch_offset: int,
        key_deserializer: Callable[[Any], Any] | None, value_deserializer: Callable[[Any], Any] | None, check_crcs: Any,
        isolation_level: int,
    ) -> None:  # fmt: skip
        self.next_fetch_offset = fetch_offset
        self._tp = tp
        self._fetched = records
        self._aborted = Aborted(aborted_transactions if isolation_level == fetcher.READ_COMMITTED else None)
        self._check_crcs = check_crcs
        self._reports_missing = check_crcs == REPORT_MISSING
        self._key_deserializer, self._value_deserializer = key_deserializer, value_deserializer
        self._left = MAX_UNPACKED_BYTES
        self._iterator = self._read()

    def __iter__(self) -> Iterator[Any]:
        return self._iterator

    def __next__(self) -> Any:
        return next(self._iterator)

    def _read(self) -> Iterator[Any]:
        try:
            for batch in self._fetched.batches():
                if batch.magic != MAGIC:
                    # Of several records in one old message, its offset is the last one's.
                    yield from self._unreadable(batch, self.next_fetch_offset, batch.next_offset, OLD_FORMAT)
                    continue
                rows = DefaultRecordBatch(batch.stored)
                if self._check_crcs and not rows.validate_crc():
                    if not self._is_final(batch):
                        return
                    yield from self._unreadable(batch, batch.base_offset, self._believable_end(batch), WRONG_CRC)
                    return  # its header may be wrong too: what follows is fetched again, with what was aborted there
                if self._reports_missing and batch.base_offset > self.next_fetch_offset:
                    yield self._missing(batch, batch.base_offset)
                attributes = batch.attributes
                if attributes & (TRANSACTIONAL | CONTROL) and (self._aborted.holds(batch) or attributes & CONTROL):
                    pass
                elif attributes & CODEC_MASK == 0:
                    yield from self._read_batch(batch, rows, None)
                elif (unpacked := self._unpack(batch)) is not None:
                    rows = DefaultRecordBatch(batch.header(batch.count) + unpacked)
                    yield from self._read_batch(batch, rows, unpacked)
                elif self._left < MAX_UNPACKED_BYTES:
                    return  # first in the next fetch it may be as large as a batch may be
                else:
                    self._left = 0  # to try takes 20 ms, and one fetch may hold a thousand of them: one for each
                    yield from self._unreadable(batch, batch.base_offset, batch.next_offset, NOT_UNPACKED)
                self.next_fetch_offset = max(self.next_fetch_offset, batch.next_offset)
        except BrokenFrameError as error:
            place = f"{self._tp.topic}/{self._tp.partition}, from offset {self.next_fetch_offset}"
            hint = "what the broker holds there is not a record batch: see its log and its disk"
            raise CorruptRecordException(f"{place}: {hint} ({error})") from None

    def _unpack(self, batch: RecordBatch) -> bytes | None:
        try:
            unpacked = unpack(batch.codec, batch.stored[HEADER.size :], self._left)
        except UnpackError:
            return None
        self._left -= len(unpacked)
        return unpacked

    def _read_batch(self, batch: RecordBatch, rows: Any, unpacked: bytes | None) -> Iterator[Any]:
        """Yield the records of ``batch``: as aiokafka reads its ``rows``, and where it cannot, singly."""
        expected, count = batch.base_offset, batch.next_offset - batch.base_offset
        is_thinned = batch.count != count  # by compaction
        if is_thinned and not 0 <= batch.count < count:
            yield from self._unreadable(batch, expected, batch.next_offset, NO_ORDER)
            return
        # The broker's own time is one for the whole batch.
        has_own_times = not (batch.attributes & LOG_APPEND_TIME and _is_time(batch.max_timestamp))
        try:
            for record in rows:
                offset = record.offset
                if offset != expected or is_thinned:
                    _require_order(batch, offset, expected)
                    if self._reports_missing and offset > self.next_fetch_offset:
                        yield self._missing(batch, offset)
                if has_own_times and not _is_time(record.timestamp):
                    raise ValueError(NO_TIME)  # noqa: TRY301 — to be read singly, as any other bad record
                expected = offset + 1
                if offset >= self.next_fetch_offset:
                    self.next_fetch_offset = expected
                    yield self._give_out(record)
        except Exception:  # noqa: BLE001 — whatever bad bytes make aiokafka raise: it promises no kind of error
            yield from self._read_singly(batch, batch.stored[HEADER.size :] if unpacked is None else unpacked)
        if self._reports_missing and batch.next_offset > self.next_fetch_offset:
            yield self._missing(batch, batch.next_offset)

    def _read_singly(self, batch: RecordBatch, records: memoryview | bytes) -> Iterator[Any]:
        """Yield the records of ``batch`` that are not given out yet, each read by itself: a bad one spoils
        no other.

        Their lengths tell them apart, up to the first one whose length or offset cannot be right.
        """
        header = batch.header(count=1)
        position, expected = 0, batch.base_offset
        for _ in range(batch.count):
            try:
                end = cut_record(records, position)
                own = bytes(records[position:end])
                record, problem = _read_one(header, own)
                if record is not None:
                    offset = record.offset
                else:
                    offset = expected if batch.is_whole else batch.base_offset + read_delta(own)
                _require_order(batch, offset, expected)
            except ValueError:
                yield from self._unreadable(batch, expected, batch.next_offset, NO_ORDER)
                return
            if self._reports_missing and offset > self.next_fetch_offset:
                yield self._missing(batch, offset)
            position, expected = end, offset + 1
            if offset >= self.next_fetch_offset:
                self.next_fetch_offset = expected
                if problem is None:
                    yield self._give_out(record)
                else:
                    yield self._spoilt(batch, offset, problem, sha256(own), len(own))

    def _give_out(self, record: Any) -> ConsumerRecord:
        topic, partition = self._tp
        key, value = record.key, record.value
        return ConsumerRecord(
            topic, partition, record.offset, record.timestamp, record.timestamp_type,
            key if self._key_deserializer is None else self._key_deserializer(key),
            value if self._value_deserializer is None else self._value_deserializer(value),
            None, -1 if key is None else len(key), -1 if value is None else len(value), tuple(record.headers),
        )  # fmt: skip

    def _unreadable(self, batch: RecordBatch, first: int, end: int, problem: str) -> Iterator[UnreadableRecord]:
        """Yield one for each offset from ``first`` up to, not with, ``end`` that is not given out yet.

        One after the other, as they are asked for: a batch may claim two thousand million.
        """
        stored = bytes(batch.stored)
        digest = sha256(stored)
        for offset in range(max(first, self.next_fetch_offset), end):
            self.next_fetch_offset = offset + 1
            yield self._spoilt(batch, offset, problem, digest, len(stored))

    def _spoilt(self, batch: RecordBatch, offset: int, problem: str, digest: str, size: int) -> UnreadableRecord:
        return UnreadableRecord(
            *self._tp, offset, _as_time(batch.max_timestamp), int(bool(batch.attributes & LOG_APPEND_TIME)),
            None, None, None, -1, -1, (), problem, digest, size,
        )  # fmt: skip

    def _missing(self, batch: RecordBatch, end: int) -> MissingRecords:
        """Report that the log lacks the offsets between the one that comes next and ``end``."""
        first, self.next_fetch_offset = self.next_fetch_offset, end
        topic, partition = self._tp
        return MissingRecords(topic, partition, first, end - 1, _as_time(batch.max_timestamp))

    def _is_final(self, batch: RecordBatch) -> bool:
        """Count a wrong CRC; tell whether the batch has been fetched with one ``CRC_TRIES`` times."""
        base_offset, times = _wrong_crcs.get(self._tp, (batch.base_offset, 0))
        times = min(times, CRC_TRIES) + 1 if base_offset == batch.base_offset else 1
        _wrong_crcs[self._tp] = (batch.base_offset, times)
        return times >= CRC_TRIES

    def _believable_end(self, batch: RecordBatch) -> int:
        """Return where a batch ends whose header may be wrong: not beyond its records' number, and so that
        reading goes on."""
        end = min(batch.next_offset, batch.base_offset + max(batch.count, 1))
        return max(end, self.next_fetch_offset + 1)


def _read_one(header: bytes, own: bytes) -> tuple[Any, str | None]:
    """Read the record of the bytes ``own``, under its batch's ``header``; return it, or None, and its
    problem, or None."""
    try:
        (record,) = DefaultRecordBatch(header + own)
    except UnicodeDecodeError:
        return None, NOT_UTF8
    except Exception:  # noqa: BLE001 — as in _read_batch
        return None, MALFORMED
    return record, None if _is_time(record.timestamp) else NO_TIME


def _require_order(batch: RecordBatch, offset: int, expected: int) -> None:
    """Raise ValueError where ``offset`` cannot be the next record's: compaction leaves gaps, and nothing
    else does."""
    if not (offset == expected if batch.is_whole else expected <= offset < batch.next_offset):
        raise ValueError("records out of order")


def _is_time(timestamp: int | None) -> bool:
    return timestamp is not None and 0 <= timestamp <= LAST_TIME


def _as_time(timestamp: int) -> int:
    return min(max(timestamp, 0), LAST_TIME)
