"""Effectiveness (落地实效): what was shown, day by day, by row, direction and area; counted from the ledger. Pure.

A day of one province in one partition is one small value, so that 400 days cost little: see ``DayShare``.
"""

from collections import Counter
from collections.abc import Iterable, MutableMapping
from functools import lru_cache
from typing import NamedTuple, Protocol

import msgspec

from gateway.contract.ledger_entry import Entry, read_entry
from gateway.core.decision import Outcome
from gateway.core.recognition import RowRef
from gateway.core.times import china_date
from gateway.feedback.areas import area_of

KEPT_DAYS = 400
REDRIVEN = "redriven"
"""Outcome of an event that was refused, and went through by `gateway redrive`."""


class Place(NamedTuple):
    """What days are counted by. ``outcome`` is the contract's, or ``REDRIVEN``; ``reason`` the primary one."""

    row: RowRef | None
    area: str
    outcome: str
    reason: str | None


class Use(NamedTuple):
    """How a recognised certificate was shown, in the list's words."""

    row: RowRef
    channel: str
    scenario: str


class DayShare(msgspec.Struct, frozen=True):
    """One partition's share of a province's day (received, UTC+8). ``since``, ``applied``: first and last ledger offset counted.

    ``places`` by `batch/row|area|outcome|reason`, ``uses`` by `batch/row|channel|scenario`: about 40 bytes for each combination
    that occurred, as JSON.
    """

    places: dict[str, int]
    uses: dict[str, int]
    since: int
    applied: int


DayShares = MutableMapping[str, DayShare]
"""By ``partition/province/day``."""


class Day(NamedTuple):
    """A province's day, all shares together; ``province`` is the one whose certificates were shown."""

    province: str
    date: str
    places: Counter[Place]
    uses: Counter[Use]


def day_key(partition: int, province: str, date: str) -> str:
    """Return the key of a share: its partition, the province that published, the day."""
    return f"{partition}/{province}/{date}"


class LedgerRecord(Protocol):
    """What is read of a record of the ledger."""

    @property
    def offset(self) -> int: ...  # noqa: D102

    @property
    def value(self) -> bytes | None: ...  # noqa: D102


def count_ledger(shares: DayShares, partition: int, records: Iterable[LedgerRecord]) -> None:
    """Count those of ``records`` that are entries, by ``count_entries``."""
    entries = ((record.offset, read_entry(record.value)) for record in records)
    count_entries(shares, partition, [(offset, entry) for offset, entry in entries if entry is not None])


def count_entries(shares: DayShares, partition: int, entries: Iterable[tuple[int, Entry]]) -> None:
    """Count ledger entries, each with its offset in the ledger's ``partition``, in offset order; those counted before not again.

    Each share that they change is put once: it holds a day, and there are hundreds of entries a second.
    """
    tallies: dict[str, _DayCounter] = {}
    for offset, entry in entries:
        key = day_key(partition, entry.province.value, china_date(entry.received * 1000))
        tally = tallies.get(key) or tallies.setdefault(key, _DayCounter(shares.get(key), offset))
        if offset > tally.applied:
            tally.add(offset, entry)
    for key, tally in tallies.items():
        if tally.is_changed:
            if key not in shares:
                _forget_old(shares, key)
            shares[key] = tally.share()


class _DayCounter:
    """A share while entries are added to it; where there was none yet, one that begins at ``offset``."""

    def __init__(self, share: DayShare | None, offset: int) -> None:
        self._places: Counter[str] = Counter(share.places if share else ())
        self._uses: Counter[str] = Counter(share.uses if share else ())
        self._since = share.since if share else offset
        self.applied = share.applied if share else -1
        self.is_changed = False

    def add(self, offset: int, entry: Entry) -> None:
        """Count ``entry``, which stands at ``offset``."""
        for count in entry.counts:
            outcome = count.outcome
            if entry.redriven is not None:
                if outcome != Outcome.FORWARD:
                    continue  # refused again, for another reason: counted as refused already
                outcome = REDRIVEN
            row = count.ref
            place = Place(row, area_of(count.region) if count.region else "", outcome, count.reason)
            self._places[_join(place)] += count.count
            if row is not None and count.channel and count.scenario:
                self._uses[_join(Use(row, count.channel, count.scenario))] += count.count
        self.applied, self.is_changed = offset, True

    def share(self) -> DayShare:
        """Return the share with what was added."""
        return DayShare(dict(self._places), dict(self._uses), self._since, self.applied)


def _forget_old(shares: DayShares, new_key: str) -> None:
    """Make room for a day that comes in, ``new_key``: of its partition and province only so many are kept."""
    prefix = new_key[: new_key.rindex("/") + 1]
    kept = sorted(key for key in shares if key.startswith(prefix) and key < new_key)
    for key in kept[: max(0, len(kept) - KEPT_DAYS + 1)]:
        del shares[key]


def _join(parts: Iterable[str | RowRef | None]) -> str:
    return "|".join("" if part is None else str(part) for part in parts)


def merge_day(province: str, date: str, shares: Iterable[DayShare]) -> Day:
    """Return the day that ``shares`` add up to."""
    day = Day(province, date, Counter(), Counter())
    for share in shares:
        for text, count in share.places.items():
            day.places[_place(text)] += count
        for text, count in share.uses.items():
            day.uses[_use(text)] += count
    return day


def merge_days(shares: Iterable[tuple[str, DayShare]]) -> list[Day]:
    """Return the days that ``shares`` (by key) add up to, the newest first."""
    by_day: dict[tuple[str, str], list[DayShare]] = {}
    for key, share in shares:
        by_day.setdefault(day_of(key), []).append(share)
    return [merge_day(province, date, by_day[date, province]) for date, province in sorted(by_day, reverse=True)]


def day_of(key: str) -> tuple[str, str]:
    """Return the date and the province that a share's key names."""
    _, province, date = key.split("/")
    return date, province


@lru_cache(maxsize=65_536)  # few are distinct, and they come again for every day and partition
def _place(text: str) -> Place:
    row, area, outcome, reason = text.split("|")
    return Place(_row(row) if row else None, area, outcome, reason or None)


@lru_cache(maxsize=65_536)
def _use(text: str) -> Use:
    row, rest = text.split("|", 1)
    channel, _, scenario = rest.rpartition("|")
    return Use(_row(row), channel, scenario)


def _row(text: str) -> RowRef:
    batch, _, row = text.partition("/")
    return RowRef(int(batch), int(row))
