"""Effectiveness (落地实效): what was shown, day by day, by row, direction and area; counted from the ledger.
Pure.

A day of one province in one partition is one small value, so that 400 days cost little: see ``DayShare``.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, MutableMapping
from functools import lru_cache
from typing import NamedTuple

import msgspec

from gateway.contract.ledger_entry import Count, Entry
from gateway.core.decision import Outcome
from gateway.core.reasons import Code
from gateway.core.recognition import RowRef
from gateway.core.remarks import MAX_BY, MAX_REMARK
from gateway.core.times import china_date, china_hour
from gateway.feedback.areas import area_of
from gateway.feedback.bounds import COUNT_END, CountOf, OffsetOf

KEPT_DAYS = 400
MAX_LOST = 200
"""Entries of lost offsets, and notes of them, that a share tells apart."""
REDRIVEN = "redriven"
"""Outcome of an event that was refused, and went through by `gateway redrive`."""

_OUTCOMES = {*(outcome.value for outcome in Outcome), REDRIVEN}
_REASONS = {code.value for code in Code}
_RECOGNISED = {Outcome.FORWARD.value, REDRIVEN}
_BY_HOUR = (Outcome.FORWARD.value, Outcome.REJECT.value)


class Place(NamedTuple):
    """What days are counted by. ``outcome`` is the contract's, or ``REDRIVEN``; ``reason`` the primary
    one."""

    row: RowRef | None
    area: str
    outcome: str
    reason: str | None


class Use(NamedTuple):
    """How a certificate was shown that was recognised, in the list's words."""

    row: RowRef
    channel: str
    scenario: str


class Hour(NamedTuple):
    """An hour of a day (0 to 23, UTC+8), and what was decided in it at first: ``Outcome.FORWARD`` or
    ``Outcome.REJECT``."""

    hour: int
    outcome: str


class Note(msgspec.Struct, frozen=True):
    """Who has taken note of what an entry says was lost, and why it is closed; cut to what
    ``gateway acknowledge`` writes."""

    by: str
    why: str


class DayShare(msgspec.Struct, frozen=True):
    """One partition's share of a province's day (received, UTC+8). ``since``, ``applied``: first and last
    ledger offset counted.

    ``places`` by `batch/row|area|outcome|reason`, ``uses`` by `batch/row|channel|scenario`: about 40 bytes
    for each combination that occurred, as JSON. ``forwarded``, ``rejected``: how many were decided so at
    first, by hour of the day (UTC+8); 24 numbers, or none where nothing was counted by the hour. ``lost``:
    lost records by the digest of the entry that says so; ``notes``, by the same, who has taken note.
    """

    places: dict[str, CountOf]
    uses: dict[str, CountOf]
    since: OffsetOf
    applied: OffsetOf
    forwarded: tuple[CountOf, ...] = ()
    rejected: tuple[CountOf, ...] = ()
    lost: dict[str, CountOf] = {}
    notes: dict[str, Note] = {}


DayShares = MutableMapping[str, DayShare]
"""By ``partition/province/day``."""


class Day(NamedTuple):
    """A province's day, all shares together; ``province`` is the one whose certificates were shown."""

    province: str
    date: str
    places: Counter[Place]
    uses: Counter[Use]
    hours: Counter[Hour]
    lost: Counter[str]
    notes: dict[str, Note]


def day_key(partition: int, province: str, date: str) -> str:
    """Return the key of a share: its partition, the province that published, the day."""
    return f"{partition}/{province}/{date}"


def is_countable(entry: Entry) -> bool:
    """Tell whether ``entry`` can have been written by a relay: its words are the contract's, and its numbers
    can be added up."""
    return entry.received > 0 and all(_is_countable(count) for count in entry.counts)


def _is_countable(count: Count) -> bool:
    return (
        count.outcome in _OUTCOMES
        and (count.reason in _REASONS if count.outcome == Outcome.REJECT else count.reason is None)
        and 0 < count.count < COUNT_END
        and all(number is None or 0 <= number < COUNT_END for number in (count.batch, count.row))
    )


def count_entries(
    shares: DayShares, partition: int, entries: Iterable[tuple[int, Entry]], digests: Mapping[int, str] = {}
) -> None:
    """Count ledger entries, each with its offset in the ledger's ``partition``, in offset order; those
    counted before not again. ``digests``, by offset, are those of the entries of lost offsets.

    Each share that they change is put once: it holds a day, and there are hundreds of entries a second.
    """
    tallies: dict[str, _DayCounter] = {}
    for offset, entry in entries:
        key = day_key(partition, entry.province.value, china_date(entry.received * 1000))
        tally = tallies.get(key) or tallies.setdefault(key, _DayCounter(shares.get(key), offset))
        if offset > tally.applied:
            tally.add(offset, entry, digests.get(offset))
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
        self._hours = _hours(share) if share else Counter()
        self._lost = dict(share.lost) if share else {}
        self._notes = dict(share.notes) if share else {}
        self._since = share.since if share else offset
        self.applied = share.applied if share else -1
        self.is_changed = False

    def add(self, offset: int, entry: Entry, digest: str | None) -> None:
        """Count ``entry``, which stands at ``offset``; ``digest`` is its own where it is of lost offsets."""
        hour = china_hour(entry.received * 1000)
        for count in entry.counts:
            outcome = count.outcome
            if entry.redriven is not None:
                if outcome != Outcome.FORWARD:
                    continue  # refused again, for another reason: counted as refused already
                outcome = REDRIVEN
            elif outcome in _BY_HOUR:
                self._hours[Hour(hour, outcome)] += count.count
            row = count.ref
            place = Place(row, area_of(count.region) if count.region else "", outcome, count.reason)
            self._places[_join(place)] += count.count
            # Of what passed only, a redrive's too: they add up to what is recognised.
            if row is not None and count.channel and count.scenario and outcome in _RECOGNISED:
                self._uses[_join(Use(row, count.channel, count.scenario))] += count.count
            if digest is not None and len(self._lost) < MAX_LOST:
                self._lost[digest] = self._lost.get(digest, 0) + count.count
        noted = entry.acknowledged
        if noted is not None and noted.entry is not None and len(self._notes) < MAX_LOST:
            self._notes.setdefault(noted.entry[:MAX_REMARK], Note(noted.by[:MAX_BY], noted.why[:MAX_REMARK]))
        self.applied, self.is_changed = offset, True

    def share(self) -> DayShare:
        """Return the share with what was added."""
        forwarded, rejected = (tuple(self._hours[Hour(hour, each)] for hour in range(24)) for each in _BY_HOUR)
        return DayShare(
            dict(self._places),
            dict(self._uses),
            self._since,
            self.applied,
            forwarded,
            rejected,
            self._lost,
            self._notes,
        )


def _forget_old(shares: DayShares, new_key: str) -> None:
    """Make room for a day that comes in, ``new_key``: of its partition and province only KEPT_DAYS are
    kept."""
    prefix = new_key[: new_key.rindex("/") + 1]
    kept = sorted(key for key in shares if key.startswith(prefix) and key < new_key)
    for key in kept[: max(0, len(kept) - KEPT_DAYS + 1)]:
        del shares[key]


def _join(parts: Iterable[str | RowRef | None]) -> str:
    return "|".join("" if part is None else str(part) for part in parts)


def merge_day(province: str, date: str, shares: Iterable[DayShare]) -> Day:
    """Return the day that ``shares`` add up to."""
    day = Day(province, date, Counter(), Counter(), Counter(), Counter(), {})
    for share in shares:
        for text, count in share.places.items():
            day.places[_place(text)] += count
        for text, count in share.uses.items():
            day.uses[_use(text)] += count
        day.hours.update(_hours(share))
        day.lost.update(share.lost)
        day.notes.update(share.notes)
    return day


def _hours(share: DayShare) -> Counter[Hour]:
    counts = zip(_BY_HOUR, (share.forwarded, share.rejected), strict=True)
    return Counter({Hour(hour, each): count for each, hours in counts for hour, count in enumerate(hours) if count})


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


def has_known_keys(share: DayShare) -> bool:
    """Tell whether what ``share`` counts by can be read; raises ValueError where not even its parts can be
    told apart."""
    for text in share.uses:
        _use(text)
    if {len(share.forwarded), len(share.rejected)} not in ({0}, {24}):
        return False
    return all(_place(text).outcome in _OUTCOMES for text in share.places)


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
