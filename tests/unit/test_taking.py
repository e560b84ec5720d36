"""Which of the fetched records make a turn: one day's, up to a hole of the log."""

from types import SimpleNamespace
from typing import Any

from gateway.adapters.unreadable import MissingRecords
from gateway.core.decision import Lost
from gateway.relay.taking import Taken, take

MIDNIGHT = 20_700 * 86_400_000 - 8 * 3_600_000  # in China
EVENING, MORNING = MIDNIGHT - 1, MIDNIGHT


def record(offset: int, timestamp: int = MORNING) -> Any:
    return SimpleNamespace(offset=offset, timestamp=timestamp)


def missing(first: int, last: int) -> MissingRecords:
    return MissingRecords("t", 0, first, last, MORNING)


def test_a_turn_is_of_one_day() -> None:
    late, early = [record(5, EVENING), record(6, EVENING)], [record(9), record(10)]
    assert take([*late, *early], 5) == Taken(late, 7, is_cut=True)
    assert take(early, 7) == Taken(early, 11, is_cut=False)
    # Where a broker's clock went back, the turn ends too.
    assert take([*early, record(11, EVENING)], 7) == Taken(early, 11, is_cut=True)


def test_what_was_fetched_before_a_seek_is_passed_over() -> None:
    assert take([record(3), record(4)], 5) is None
    after = record(5)
    assert take([record(4), after], 5) == Taken([after], 6, is_cut=False)


def test_missing_offsets_are_lost_in_a_separate_turn() -> None:
    before, after = [record(5), record(6)], record(10)
    assert take([*before, missing(7, 9), after], 5) == Taken(before, 7, is_cut=True)
    assert take([missing(7, 9), after], 7) == Taken(Lost(7, 9), 10, is_cut=True)
    assert take([missing(7, 9)], 8) == Taken(Lost(8, 9), 10, is_cut=False)
    assert take([missing(7, 9)], 10) is None
