"""Polls for records, and takes out of them those that make one turn."""

from collections.abc import Sequence
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import NoOffsetForPartitionError, OffsetOutOfRangeError
from aiokafka.structs import ConsumerRecord

from gateway.adapters.unreadable import MissingRecords
from gateway.core.decision import Lost

_POLL_MS = 250
_DAY_MS = 86_400_000
_CHINA_AHEAD_MS = 8 * 3_600_000


class LogChangedError(Exception):
    """The input log may be another one, or no longer hold what comes next: the lane is to be opened again,
    at once."""


@dataclass(frozen=True, slots=True)
class Taken:
    """The records of a turn, or the offsets that the log has lost before the next one; ``next_offset`` is
    what follows.

    ``is_cut`` tells whether fetched records are left, which are to be fetched again from there.
    """

    records: Sequence[ConsumerRecord] | Lost
    next_offset: int
    is_cut: bool


async def poll(
    consumer: AIOKafkaConsumer, partition: TopicPartition, position: int, limit: int
) -> Sequence[ConsumerRecord | MissingRecords]:
    """Return up to ``limit`` records of ``partition`` that were fetched; none where there are none within a
    moment.

    Raises LogChangedError where the broker has nothing at ``position``, from where the lane reads.
    """
    try:
        polled = await consumer.getmany(partition, timeout_ms=_POLL_MS, max_records=limit)
    except NoOffsetForPartitionError:
        return ()  # of before the lane sought its position
    except OffsetOutOfRangeError as error:
        if error.args and error.args[0].get(partition) == position:
            raise LogChangedError from None
        return ()
    records: Sequence[ConsumerRecord | MissingRecords] = polled.get(partition, ())
    return records


def take(fetched: Sequence[ConsumerRecord | MissingRecords], position: int) -> Taken | None:
    """Take the turn that begins at ``position`` out of ``fetched``; None where nothing stands there.

    A turn ends where the log has a hole, which is an entry of its own, and at midnight (UTC+8) by the time
    its records were received, so that days, cases and reports agree.
    """
    records = fetched
    if records and _end_of(records[0]) < position:  # offsets rise
        records = [record for record in records if _end_of(record) >= position]
    if not records:
        return None
    first, whole = records[0], len(records)
    if isinstance(first, MissingRecords):
        return Taken(Lost(max(first.offset, position), first.last_offset), first.last_offset + 1, is_cut=whole > 1)
    if MissingRecords in map(type, records):
        records = records[: next(index for index, record in enumerate(records) if type(record) is MissingRecords)]
    day = _day(first)
    # Times only rise, as a rule: then the last record's day tells of all.
    if _day(records[-1]) != day:
        records = records[: next(index for index, record in enumerate(records) if _day(record) != day)]
    return Taken(records, records[-1].offset + 1, is_cut=len(records) < whole)


def _end_of(record: ConsumerRecord | MissingRecords) -> int:
    return int(record.last_offset if type(record) is MissingRecords else record.offset)


def _day(record: ConsumerRecord) -> int:
    """Number the day in China on which a record was received."""
    return (int(record.timestamp) + _CHINA_AHEAD_MS) // _DAY_MS
