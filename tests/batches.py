"""Record batches as a client may send them, and as none should: built by aiokafka, then changed, compressed,
sealed."""

import gzip
import struct
import zlib
from collections.abc import Callable, Sequence

import cramjam
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c, encode_varint

HEADER_BYTES = 61
GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4
ATTRIBUTES, LAST_DELTA, MAX_TIMESTAMP, PRODUCER_ID, COUNT = (21, ">h"), (23, ">i"), (35, ">q"), (43, ">q"), (57, ">i")
APPEND_TIME, TRANSACTIONAL, CONTROL = 0x08, 0x10, 0x20
NOW = 1_790_000_000_000

Row = tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]


def xerial(data: bytes) -> bytes:
    """Snappy as snappy-java frames it: blocks of 32 kB, each with its length before it."""
    blocks = [bytes(cramjam.snappy.compress_raw(data[at : at + 32_768])) for at in range(0, len(data), 32_768)]
    framed = b"".join(struct.pack(">i", len(block)) + block for block in blocks)
    return b"\x82SNAPPY\0" + struct.pack(">ii", 1, 1) + framed


def lz4(data: bytes) -> bytes:
    """LZ4 in blocks that do not depend on each other: a broker takes no others."""
    compressor = cramjam.lz4.Compressor(block_linked=False)
    compressor.compress(data)
    return bytes(compressor.finish())


CODECS: dict[str, tuple[int, Callable[[bytes], bytes]]] = {
    "gzip": (GZIP, gzip.compress),
    "snappy": (SNAPPY, lambda data: bytes(cramjam.snappy.compress_raw(data))),
    "xerial": (SNAPPY, xerial),
    "lz4": (LZ4, lz4),
    "zstd": (ZSTD, lambda data: bytes(cramjam.zstd.compress(data))),
}


def rows(*values: bytes | None) -> list[Row]:
    return [(b"key", value, []) for value in values]


def build(content: Sequence[Row], base: int = 0) -> bytes:
    """An uncompressed batch that stands at offset ``base``, with the broker's time."""
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 30)
    for delta, (key, value, headers) in enumerate(content):
        builder.append(delta, NOW, key, value, headers)
    return seal(change(bytes(builder.build()), (ATTRIBUTES, APPEND_TIME)), base)


def change(batch: bytes, *fields: tuple[tuple[int, str], int]) -> bytes:
    changed = bytearray(batch)
    for (place, form), value in fields:
        struct.pack_into(form, changed, place, value)
    return bytes(changed)


def seal(batch: bytes, base: int | None = None) -> bytes:
    """Set length and CRC, and ``base`` as the offset, as for a batch that was made like this."""
    sealed = bytearray(batch)
    if base is not None:
        struct.pack_into(">q", sealed, 0, base)
    struct.pack_into(">i", sealed, 8, len(sealed) - 12)
    struct.pack_into(">I", sealed, 17, calc_crc32c(bytes(sealed[21:])))
    return bytes(sealed)


def attributes(batch: bytes) -> int:
    return int(struct.unpack_from(">h", batch, 21)[0])


def packed(batch: bytes, codec: str) -> bytes:
    number, pack = CODECS[codec]
    return repacked(batch, number, pack(batch[HEADER_BYTES:]))


def repacked(batch: bytes, number: int, records: bytes) -> bytes:
    return seal(change(batch[:HEADER_BYTES], (ATTRIBUTES, attributes(batch) | number)) + records)


def bomb(unpacked: int, base: int = 0) -> bytes:
    """Return a record of ``unpacked`` zero bytes in gzip, built without holding them: about a thousandth of
    it."""
    inner = b"\0\0\0\x02k"  # attributes, time and offset deltas, a key: a compacted topic takes none without
    inner += varint(unpacked)
    body = varint(len(inner) + unpacked + 1) + inner
    deflate = zlib.compressobj(9, zlib.DEFLATED, 31)
    parts = [deflate.compress(body)]
    chunk = bytes(1 << 20)
    parts += [deflate.compress(chunk[:left]) for left in range(unpacked, 0, -len(chunk))]
    parts += [deflate.compress(b"\0"), deflate.flush()]
    return seal(repacked(build(rows(b"")), GZIP, b"".join(parts)), base)


def varint(number: int) -> bytes:
    written = bytearray()
    encode_varint(number, written.append)
    return bytes(written)


def marker(base: int, producer: int, *, aborts: bool) -> bytes:
    key = struct.pack(">hh", 0, 0 if aborts else 1)
    batch = build([(key, bytes(6), [])])
    fields = ((ATTRIBUTES, APPEND_TIME | TRANSACTIONAL | CONTROL), (PRODUCER_ID, producer))
    return seal(change(batch, *fields), base)


def transactional(batch: bytes, producer: int) -> bytes:
    return seal(change(batch, (ATTRIBUTES, attributes(batch) | TRANSACTIONAL), (PRODUCER_ID, producer)))


def with_bad_header(batch: bytes) -> bytes:
    """The header names ``zzzz`` in it become bytes that are not UTF-8."""
    assert b"zzzz" in batch
    return seal(batch.replace(b"zzzz", b"\xff\xfe\xc3\x28"))
