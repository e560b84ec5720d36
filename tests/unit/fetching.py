"""Fetches as a consumer makes them, out of a log of batches."""

import struct
from collections.abc import Sequence
from typing import Any

from aiokafka import TopicPartition
from aiokafka.consumer import fetcher

from gateway.adapters import fetch_patches
from gateway.adapters.fetch_patches import Fetched, PartitionRecords
from gateway.adapters.unreadable import MissingRecords, UnreadableRecord

LANE = TopicPartition("sichuan.display", 3)
MIB = 1 << 20


def fetch(
    log: bytes, offset: int, *, aborted: Sequence[tuple[int, int]] = (), missing: bool = False
) -> PartitionRecords:
    wish = fetch_patches.REPORT_MISSING if missing else True
    return PartitionRecords(
        LANE, Fetched(log), list(aborted), offset, None, None, wish, fetcher.READ_COMMITTED
    )  # fmt: skip


def consume(log: Sequence[bytes], offset: int = 0, **options: Any) -> list[Any]:
    """What a consumer gets of ``log``, batch after batch, fetching again wherever it has to."""
    given_out: list[Any] = []
    idle = 0
    while idle < 5:
        left = b"".join(batch for batch in log if end_of(batch) > offset)
        records = fetch(left, offset, **options)
        given_out += list(records)
        idle = 0 if records.next_fetch_offset > offset else idle + 1
        assert records.next_fetch_offset >= offset
        offset = records.next_fetch_offset
    return given_out


def end_of(batch: bytes) -> int:
    base, delta = struct.unpack_from(">q", batch)[0], struct.unpack_from(">i", batch, 23)[0]
    return int(base + max(delta, 0) + 1)


def shown(record: Any) -> Any:
    if isinstance(record, UnreadableRecord):
        return record.offset, record.problem
    if isinstance(record, MissingRecords):
        return record.offset, "missing up to", record.last_offset
    return record.offset, record.value
