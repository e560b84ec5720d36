"""Unpacks the records of a compressed batch, of whatever codec, and never more of them than
``MAX_UNPACKED_BYTES``."""

import mmap
import re
import threading
import zlib
from collections.abc import Callable

import cramjam

MAX_UNPACKED_BYTES = 16 * 1_048_576
"""What the records of one batch may unpack to, and those of one fetch.

A batch is 1 MiB at the most as it is stored (Kafka's max.message.bytes), and events hold too many digests
and ids to shrink much: zstd makes an eighth of eight thousand of them, an eleventh at its best level. Twelve
lanes that all meet the largest batches at once hold 400 MB with the records made of them; the container of a
worker has 1 GB.
"""

_GZIP_WINDOW = 31
_FIRST_STEP = 1024
"""Bytes of a gzip member that are unpacked first; then twice as many, and so on."""
_ZEROS = re.compile(b"\0*")
_XERIAL = b"\x82SNAPPY\0"
_XERIAL_HEADER_BYTES = 16


class UnpackError(ValueError):
    """The records cannot be unpacked: damaged, of no known codec, or larger than they may be."""


def unpack(codec: int, packed: memoryview, limit: int = MAX_UNPACKED_BYTES) -> bytes:
    """Unpack ``packed``, by the codec's number in a batch's attributes, to ``limit`` bytes at the most,
    which are no more than ``MAX_UNPACKED_BYTES``. Raises UnpackError.
    """
    unpacker = _UNPACKERS.get(codec)
    if unpacker is None:
        raise UnpackError(f"codec {codec} is not one of Kafka's")
    try:
        return unpacker(packed, limit)
    except (zlib.error, cramjam.DecompressionError, ValueError) as error:
        raise UnpackError(str(error)) from None


def _gunzip(packed: memoryview, limit: int) -> bytes:
    parts, size, position = [], 0, 0
    while position < len(packed):  # a gzip file may have several members, and zeros behind them
        member, step = zlib.decompressobj(_GZIP_WINDOW), _FIRST_STEP
        while not member.eof:
            # What a member leaves of its bytes is copied: with all of them at once, 50,000 empty members
            # would take a second and a half.
            taken = packed[position : position + step]
            # One byte more than allowed tells whether there is more.
            part = member.decompress(taken, limit - size + 1)
            parts.append(part)
            size += len(part)
            if size > limit or not taken:
                raise UnpackError("too large, or cut off")
            position, step = position + len(taken) - len(member.unused_data), 2 * step
        position = _ZEROS.match(packed, position).end()  # type: ignore[union-attr]  # none of them match too
    return b"".join(parts)


class _Scratch(threading.local):
    """Where a thread unpacks to. Mapped memory takes only what is written of it, and none to be filled with
    zeros."""

    def __init__(self) -> None:
        self.buffer = memoryview(mmap.mmap(-1, MAX_UNPACKED_BYTES))


_scratch = _Scratch()


def _into(decompress: Callable[[memoryview, memoryview], int]) -> Callable[[memoryview, int], bytes]:
    """Unpack into a buffer of ``limit`` bytes, which the codec does not write beyond."""

    def unpacker(packed: memoryview, limit: int) -> bytes:
        buffer = _scratch.buffer[:limit]
        return bytes(buffer[: decompress(packed, buffer)])

    return unpacker


def _unsnap(packed: memoryview, limit: int) -> bytes:
    """Unpack Snappy, which says its length first: bare, or in blocks as snappy-java (xerial) frames it."""
    if packed[: len(_XERIAL)] != _XERIAL:
        return _unsnap_block(packed, limit)
    parts, position = [], _XERIAL_HEADER_BYTES
    while position < len(packed):
        size, position = int.from_bytes(packed[position : position + 4], "big"), position + 4
        if position + size > len(packed):
            raise UnpackError("cut off")
        parts.append(_unsnap_block(packed[position : position + size], limit))
        limit -= len(parts[-1])
        position += size
    return b"".join(parts)


def _unsnap_block(packed: memoryview, limit: int) -> bytes:
    if cramjam.snappy.decompress_raw_len(packed) > limit:
        raise UnpackError("too large")
    return bytes(cramjam.snappy.decompress_raw(packed))


_UNPACKERS: dict[int, Callable[[memoryview, int], bytes]] = {
    1: _gunzip,
    2: _unsnap,
    3: _into(cramjam.lz4.decompress_into),
    4: _into(cramjam.zstd.decompress_into),
}
