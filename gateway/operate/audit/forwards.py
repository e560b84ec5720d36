"""Finds events that were forwarded twice: in two partitions, whose lanes do not know of each other, or by
one lane; on disk.

Each lane writes the hashes of what it forwarded into files by the hash's beginning; of one such file of
every lane the hashes are in memory at a time.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from gateway.adapters import kafka
from gateway.adapters.settings import Settings
from gateway.adapters.topic_reader import UnreadablePartitionError, find_spans, read_spans
from gateway.contract.topics import LaneId, Topics
from gateway.contract.verification import read_verification
from gateway.core.event import Identity
from gateway.operate.audit.findings import LaneReport
from gateway.relay.horizon import key_of, read_occurrences

_BUCKETS = 64
_BUFFER = 65_536
_KEY, _RECEIVED, _WRITTEN, _LANE = 15, 6, 6, 3
_BYTES = _KEY + _RECEIVED + _WRITTEN
_MARGIN_MS = 60_000
_MOST_PLACED = 100
"""Events whose records are looked up; of more the number is said."""


class Forwarded(NamedTuple):
    """A forwarded event: its identity's hash, when it was received, when its ledger entry was written (ms),
    and the lane."""

    key: bytes
    received_at: int
    written_at: int
    lane: int


@dataclass(slots=True)
class ForwardLog:
    """Writes what one lane, the ``number``-th, has forwarded into ``folder``."""

    folder: Path
    number: int
    _buffers: list[bytearray] = field(default_factory=lambda: [bytearray() for _ in range(_BUCKETS)])

    def add(self, remembered: bytes, written_at: int) -> None:
        """Add what an entry remembers, which was written at ``written_at`` (milliseconds since the
        epoch)."""
        written = written_at.to_bytes(_WRITTEN)
        for key, received_at in read_occurrences(remembered):
            bucket = key[0] % _BUCKETS
            buffer = self._buffers[bucket]
            buffer += key + received_at.to_bytes(_RECEIVED) + written
            if len(buffer) >= _BUFFER:
                self._flush(bucket)

    def close(self) -> None:
        """Write what is left."""
        for bucket in range(_BUCKETS):
            self._flush(bucket)

    def _flush(self, bucket: int) -> None:
        with _file(self.folder, self.number, bucket).open("ab") as file:
            file.write(self._buffers[bucket])
        self._buffers[bucket].clear()


def _file(folder: Path, lane: int, bucket: int) -> Path:
    return folder / f"{lane}-{bucket}"


def find_twice(folder: Path, lanes: int, horizon_ms: int) -> Iterator[tuple[Forwarded, Forwarded]]:
    """Yield events that were forwarded twice within the horizon, by one or two of ``lanes`` lanes, the
    earlier one first."""
    for bucket in range(_BUCKETS):
        found = list[bytes]()
        for lane in range(lanes):
            path, suffix = _file(folder, lane, bucket), lane.to_bytes(_LANE)
            content = path.read_bytes() if path.exists() else b""
            found += [content[start : start + _BYTES] + suffix for start in range(0, len(content), _BYTES)]
        found.sort()
        for one, other in pairwise(found):
            if one[:_KEY] == other[:_KEY]:
                first, second = _read(one), _read(other)
                distance = second.received_at - first.received_at
                # One lane may have forgotten at the very end of its horizon; and a redrive of the same
                # input, received at the same time, is found by its entry.
                if 0 < distance < horizon_ms or (first.lane != second.lane and distance in {0, horizon_ms}):
                    yield first, second


def _read(content: bytes) -> Forwarded:
    ends = (_KEY, _KEY + _RECEIVED, _BYTES)
    return Forwarded(
        content[: ends[0]],
        int.from_bytes(content[ends[0] : ends[1]]),
        int.from_bytes(content[ends[1] : ends[2]]),
        int.from_bytes(content[ends[2] :]),
    )


async def report_twice(
    settings: Settings, lanes: Sequence[LaneId], reports: Sequence[LaneReport], folder: Path
) -> None:
    """Report each such event with the lane that forwarded it later, at its verification record there."""
    found = find_twice(folder, len(lanes), settings.duplicates.horizon_ms)
    for number, (first, second) in enumerate(found):
        lane, other = lanes[second.lane], lanes[first.lane]
        record = None
        if number < _MOST_PLACED:
            with suppress(UnreadablePartitionError):
                record = await _find(settings, lane, second)
        where = "before in this partition" if lane == other else f"in partition {other.partition} too"
        detail = f"the event of this record was forwarded {where}: same source, id and key"
        findings = reports[second.lane].findings
        if record is not None:
            findings.add("doubled", record, detail)
        else:
            topic = settings.topic_names.verification(lane.province.other)
            findings.at("doubled", topic, lane.partition, -1, detail.replace("this record", "a record"))


async def _find(settings: Settings, lane: LaneId, wanted: Forwarded) -> ConsumerRecord | None:
    topics: Topics = settings.topic_names
    partition = TopicPartition(topics.verification(lane.province.other), lane.partition)
    async with kafka.consumer(settings) as consumer:
        consumer.assign([partition])
        found = None
        since, until = wanted.written_at - _MARGIN_MS, wanted.written_at + _MARGIN_MS
        async for _, records in read_spans(consumer, await find_spans(consumer, [partition], since=since, until=until)):
            for record in records:
                if (sent := read_verification(record.value)) is None:
                    continue
                identity = Identity(sent.data.event.source, sent.data.event.id, sent.data.holder.ref)
                if key_of(identity) == wanted.key:
                    found = record  # the last one: the one before may be as near
    return found
