"""Input records that were gone from the log before they could be decided, by day, and who has taken note of
them. Pure."""

from collections.abc import Iterable
from typing import NamedTuple

from gateway.core.decision import Outcome
from gateway.feedback.days import Day, Note


class LostOnDay(NamedTuple):
    """Input records of a province that were gone from the log before they could be decided, on a day
    (UTC+8).

    ``acknowledged``: those of them of which somebody has taken note (``gateway acknowledge``); ``notes`` say
    who, and why.
    """

    province: str
    date: str
    records: int
    acknowledged: int
    notes: tuple[Note, ...]

    @property
    def open(self) -> int:
        """Those of which nobody has taken note."""
        return self.records - self.acknowledged


def notes_of(days: Iterable[Day]) -> dict[str, Note]:
    """Return who has taken note of what, by the digest of the ledger entry that says what was lost."""
    return {entry: note for day in days for entry, note in day.notes.items()}


def find_lost(days: Iterable[Day], notes: dict[str, Note]) -> list[LostOnDay]:
    """Return what was lost on ``days``, in their order; ``notes`` are of all days, as one is taken later."""
    found = (_lost_on(day, notes) for day in days)
    return [lost for lost in found if lost.records]


def _lost_on(day: Day, notes: dict[str, Note]) -> LostOnDay:
    records = sum(count for place, count in day.places.items() if place.outcome == Outcome.LOST)
    noted = {entry: count for entry, count in day.lost.items() if entry in notes}
    said = tuple(dict.fromkeys(notes[entry] for entry in noted))
    return LostOnDay(day.province, day.date, records, min(records, sum(noted.values())), said)
