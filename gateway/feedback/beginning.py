"""Where the counting of a source begins, once a table's changelog has been read: the changelog is compared
with the log. Pure."""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from gateway.feedback.changelog import Position


class SourceLog(NamedTuple):
    """How a partition of a topic that is counted stands: the group's committed offset, the log's beginning,
    its end, and when its first record was written (in milliseconds; None where it holds none)."""

    committed: int | None
    start: int
    end: int
    first_time: int | None = None


class ChangelogState(StrEnum):
    """What the changelog and the log say of each other."""

    GOES_ON = "goes on"
    BEHIND = "behind"  # counted before, and committed, and not in the changelog: counted once more from there
    REMOVED = "removed"  # records were removed from the log before they were counted
    LOST = "lost"  # the changelog does not hold what was counted: counted again
    CUT = "cut"  # the log ends before what was counted: counted again
    OTHER_LOG = "other log"  # the topic was made again: counted from its beginning, added to what was counted


class Beginning(NamedTuple):
    """The next offset to count, and what was found."""

    offset: int
    finding: ChangelogState = ChangelogState.GOES_ON


def what_is_lost(position: Position | None, keys: int, logs: Mapping[str, SourceLog]) -> str | None:
    """Say what a changelog's partition lacks that had ``position`` and ``keys`` shares; None where it is
    whole."""
    if position is not None:
        return f"it holds {keys} shares of {position.keys}" if keys < position.keys else None
    is_new = not keys and all(log.committed is None for log in logs.values())
    return None if is_new else "it does not say up to where it counts"


def find_beginning(topic: str, position: Position, log: SourceLog) -> Beginning:
    """Find where the counting of ``topic`` goes on, of which the changelog is whole and has ``position``."""
    counted = position.next.get(topic)
    if counted is None:
        return Beginning(log.start)
    # All that the log held up to ``counted`` was counted; its first record cannot be later than all of them.
    if (
        log.start < counted
        and log.first_time is not None
        and log.first_time > position.times.get(topic, log.first_time)
    ):
        return Beginning(log.start, ChangelogState.OTHER_LOG)
    if counted > log.end:
        return Beginning(log.start, ChangelogState.OTHER_LOG if log.start == log.end else ChangelogState.CUT)
    if counted < log.start:
        return Beginning(log.start, ChangelogState.REMOVED)
    is_behind = log.committed is not None and counted < log.committed <= log.end
    return Beginning(counted, ChangelogState.BEHIND if is_behind else ChangelogState.GOES_ON)
