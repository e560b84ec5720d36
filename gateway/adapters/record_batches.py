"""Kafka's record batches (message format 2) as a broker stores and sends them: framing, headers, markers;
nothing unpacked.

Source: the documentation of Apache Kafka, Implementation, Message Format.
"""

import struct
from collections.abc import Iterable, Iterator

MAGIC = 2
"""The message format that transactions and headers need; no other has been written since Kafka 3.0."""
HEADER = struct.Struct(">qiibIhiqqqhii")
CODEC_MASK, LOG_APPEND_TIME, TRANSACTIONAL, CONTROL = 0x07, 0x08, 0x10, 0x20

_LENGTH_AND_MAGIC = struct.Struct(">8xi4xb")
_FRAME_BYTES = 12
_OLD_HEADER_BYTES = 26
# Base offset, attributes, last offset delta, largest timestamp, producer's id, number of records.
_READ = struct.Struct(">q13xhi8xqq6xi")
_ABORT = 0
_VARINT_BYTES = 10


class BrokenFrameError(ValueError):
    """The bytes are not a sequence of batches: not even their lengths can be read."""


class RecordBatch:
    """A batch and its header. ``stored`` are all its bytes; offsets from ``base_offset`` up to, not with,
    ``next_offset``.

    Of a format other than 2, only the offsets are read.
    """

    __slots__ = ("attributes", "base_offset", "count", "magic", "max_timestamp", "next_offset", "producer_id", "stored")

    base_offset: int
    attributes: int
    max_timestamp: int
    producer_id: int
    count: int
    next_offset: int

    def __init__(self, stored: memoryview, magic: int) -> None:
        self.stored = stored
        self.magic = magic
        if magic == MAGIC:
            (
                self.base_offset, self.attributes, last_delta, self.max_timestamp, self.producer_id, self.count,
            ) = _READ.unpack_from(stored)  # fmt: skip
            self.next_offset = self.base_offset + max(last_delta, 0) + 1
        else:
            self.base_offset = int.from_bytes(stored[:8], "big", signed=True)
            self.attributes, self.next_offset = 0, self.base_offset + 1
            self.max_timestamp = int.from_bytes(stored[18:26], "big", signed=True) if magic == 1 else 0

    @property
    def codec(self) -> int:
        """The number of its compression; 0 for none."""
        return self.attributes & CODEC_MASK

    @property
    def is_control(self) -> bool:
        """Whether it is a marker: the end of a transaction."""
        return bool(self.attributes & CONTROL)

    @property
    def is_whole(self) -> bool:
        """Whether it holds a record for each of its offsets, as every producer writes it and only compaction
        changes."""
        return self.count == self.next_offset - self.base_offset

    def header(self, count: int) -> bytes:
        """Return the header of an uncompressed batch of ``count`` records with this one's offsets and
        times."""
        fields = list(HEADER.unpack_from(self.stored))
        fields[5] &= ~CODEC_MASK
        fields[12] = count
        return HEADER.pack(*fields)


def read_batches(fetched: bytes) -> Iterator[RecordBatch]:
    """Yield the batches of a fetch's answer; what is left of one that the broker cut off is not a batch.

    Raises BrokenFrameError where a length is too small to be one.
    """
    view, position, size = memoryview(fetched), 0, len(fetched)
    while size - position >= _LENGTH_AND_MAGIC.size:
        length, magic = _LENGTH_AND_MAGIC.unpack_from(fetched, position)
        end = position + _FRAME_BYTES + length
        if end > size:
            return
        if end - position < (HEADER.size if magic == MAGIC else _OLD_HEADER_BYTES):
            raise BrokenFrameError(f"a length of {length} bytes")
        yield RecordBatch(view[position:end], magic)
        position = end


class Aborted:
    """Tells which batches belong to aborted transactions, given the batches in order.

    ``listed`` is a fetch's list: the producer's id and the transaction's first offset, for each aborted
    transaction.
    """

    def __init__(self, listed: Iterable[tuple[int, int]] | None) -> None:
        self._coming = sorted(((first, producer) for producer, first in listed or ()), reverse=True)
        self._now: set[int] = set()

    def holds(self, batch: RecordBatch) -> bool:
        """Tell whether ``batch`` is part of an aborted transaction; a marker is not."""
        while self._coming and self._coming[-1][0] <= batch.base_offset:
            self._now.add(self._coming.pop()[1])
        if not self._now:
            return False
        if batch.is_control:
            if _marker(batch) == _ABORT:
                self._now.discard(batch.producer_id)
            return False
        return bool(batch.attributes & TRANSACTIONAL) and batch.producer_id in self._now


def _marker(batch: RecordBatch) -> int | None:
    """Read which marker a control batch is: its one record's key is a version and a type, two bytes each."""
    try:
        _, position = read_varint(batch.stored, _skip_to_delta(batch.stored, HEADER.size))
        size, position = read_varint(batch.stored, position)
    except ValueError:
        return None
    key = bytes(batch.stored[position : position + max(size, 0)])
    return int.from_bytes(key[2:4], "big") if len(key) >= 4 else None


def read_varint(data: memoryview | bytes, position: int) -> tuple[int, int]:
    """Read a zigzag varint; return it and the position behind it. Raises ValueError where there is none."""
    raw = shift = 0
    for byte in data[position : position + _VARINT_BYTES]:
        raw |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return (raw >> 1) ^ -(raw & 1), position + shift // 7
    raise ValueError("no varint")


def cut_record(records: memoryview | bytes, position: int) -> int:
    """Return where the record at ``position`` of a batch's unpacked records ends. Raises ValueError where it
    can't be read."""
    length, start = read_varint(records, position)
    if length < 0 or start + length > len(records):
        raise ValueError("a record of no possible length")
    return start + length


def read_delta(record: memoryview | bytes, position: int = 0) -> int:
    """Return by how much the offset of the record at ``position`` exceeds its batch's. Raises ValueError."""
    return read_varint(record, _skip_to_delta(record, position))[0]


def _skip_to_delta(records: memoryview | bytes, position: int) -> int:
    """Return where the record's offset delta stands: behind its length, a byte of attributes, and a
    timestamp delta."""
    _, position = read_varint(records, position)
    return read_varint(records, position + 1)[1]
