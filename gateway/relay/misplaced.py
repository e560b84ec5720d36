"""Records that stand in another partition than the one in which their key belongs: found in a turn, and
reported in the log."""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import structlog

from gateway.adapters.logs import OFFSET, PARTITION, TOPIC
from gateway.adapters.partitioning import fast_partitions_of
from gateway.contract.outputs import InputRecord
from gateway.contract.topics import LaneId

log = structlog.get_logger("gateway.relay")

LONGEST_KEY = 256
"""In bytes. A longer key is not a holder's reference (INVALID_EVENT says so), and to hash a megabyte would
hold up all lanes."""
_LINE_EVERY_S = 60.0


class Misplaced(NamedTuple):
    """How many ``records`` are misplaced; the ``offset`` of one, and the partition where that one
    ``belongs``."""

    records: int
    offset: int
    belongs: int


def find_misplaced(partition: int, records: Sequence[InputRecord], partitions: int) -> Misplaced | None:
    """Return which of ``records`` of ``partition``, of a topic that has ``partitions``, are misplaced; None
    if none is.

    A record without a key belongs nowhere and is not counted, nor is one whose key is longer than
    LONGEST_KEY.
    """
    keyed = [record for record in records if record.key is not None and len(record.key) <= LONGEST_KEY]
    belongs = fast_partitions_of([record.key or b"" for record in keyed], partitions)
    count = len(keyed) - belongs.count(partition)
    if not count:
        return None
    first = next(place for place, each in enumerate(belongs) if each != partition)
    return Misplaced(count, keyed[first].offset, belongs[first])


class MisplacedLog:
    """Writes one line per lane and minute at the most; what is found in between is in the next line's
    count."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._unreported: dict[LaneId, Misplaced] = {}
        self._reported_at: dict[LaneId, float] = {}

    def note(self, lane: LaneId, found: Misplaced) -> None:
        """Report what was ``found`` in a committed turn of ``lane``, now or once the lane's minute is
        over."""
        before = self._unreported.get(lane)
        self._unreported[lane] = found if before is None else before._replace(records=before.records + found.records)
        self._report(lane)

    def report(self) -> None:
        """Write the lines whose minute is over."""
        for lane in list(self._unreported):
            self._report(lane)

    def _report(self, lane: LaneId) -> None:
        now = self._clock()
        if now - self._reported_at.get(lane, -_LINE_EVERY_S) < _LINE_EVERY_S:
            return
        self._reported_at[lane] = now
        found = self._unreported.pop(lane)
        place = {TOPIC: lane.topic, PARTITION: lane.partition, OFFSET: found.offset}
        log.warning("records.misplaced", count=found.records, belongs_in=found.belongs, **place)
