"""The recognition list (互认实施清单) as decisions use it: which row a display belongs to, on the day it was
shown."""

from functools import lru_cache
from typing import NamedTuple

import msgspec

from gateway.core.digest import canonical, sha256
from gateway.core.names import normalise_certificate
from gateway.core.recognition.document import Amendment, Batch
from gateway.core.recognition.editions import Edition, compile_editions, edition_at
from gateway.core.recognition.listing import Comparison, NearestRow, RowIndex, Shown

_REMEMBERED = 32_768
_SHORT_WORDS = 512
"""Characters of a display's words, altogether; most have less than 100."""


class Listed(msgspec.Struct, frozen=True, eq=False, gc=False):
    """The certificate is listed: the row that lists it, and ``shown`` compared with that row.

    ``in_effect`` says whether the row is in force on the day of the display; ``unit_matters``, whether the
    verifying unit was looked at, to compare the display or to choose between rows.
    """

    shown: Shown
    row: RowIndex
    comparison: Comparison
    in_effect: bool
    unit_matters: bool


class Nearest(NamedTuple):
    """A row whose certificate has a similar name or issuer, and the display compared with it."""

    row: RowIndex
    comparison: Comparison


class Unlisted(msgspec.Struct, frozen=True, eq=False, gc=False):
    """No row ever listed the certificate; ``nearest`` is the row that comes closest, if any does."""

    shown: Shown
    nearest: Nearest | None

    @property
    def unit_matters(self) -> bool:
        """Whether the verifying unit was looked at."""
        return self.nearest is not None and self.nearest.row.asks_for_the_unit(self.shown.province.other)


Listing = Listed | Unlisted
"""What the list says of a display."""


class Recognition:
    """All documents compiled. Lookups cost no scan; equal lookups are remembered, as few distinct ones
    occur."""

    def __init__(self, batches: list[tuple[str, Batch]], amendments: list[tuple[str, Amendment]]) -> None:
        self.editions = compile_editions(batches, amendments)
        self.digest = sha256(canonical([[each.since, each.digest] for each in self.editions]))
        # Before the first document nothing is listed, and that too has a digest.
        self._before = Edition(since="0001-01-01", rows=(), digest=sha256(canonical([])))
        self._indexes = {id(edition): _Index(edition) for edition in (self._before, *self.editions)}
        self._remembered_listing = lru_cache(maxsize=_REMEMBERED)(self._listing)
        self.edition_on = lru_cache(maxsize=1024)(self._edition_on)

    def listing(self, date: str, shown: Shown) -> Listing:
        """Return what the list says of ``shown`` on ``date`` (YYYY-MM-DD, UTC+8)."""
        # Short words are those that recur; so many of long ones would take too much memory.
        is_short = sum([len(word) for word in shown if word]) <= _SHORT_WORDS
        return self._remembered_listing(date, shown) if is_short else self._listing(date, shown)

    def _edition_on(self, date: str) -> Edition:
        """Return the edition in force on ``date`` (YYYY-MM-DD, UTC+8)."""
        return edition_at(self.editions, date) or self._before

    def _listing(self, date: str, shown: Shown) -> Listing:
        today = self._indexes[id(self._edition_on(date))]
        name = normalise_certificate(shown.type_name)
        if rows := today.by_name.get(name):
            return _listed(rows, shown, in_effect=True)
        for edition in reversed(self.editions):  # not in force today: the newest words on it explain best
            if rows := self._indexes[id(edition)].by_name.get(name):
                return _listed(rows, shown, in_effect=False)
        nearest = today.nearest.find(shown)
        return Unlisted(shown, Nearest(nearest, nearest.compare(shown)) if nearest else None)


class _Index:
    def __init__(self, edition: Edition) -> None:
        rows = [RowIndex(listed) for listed in edition.rows]
        self.nearest = NearestRow(rows)
        self.by_name: dict[str, list[RowIndex]] = {}
        for row in rows:
            for name in row.names:
                self.by_name.setdefault(name, []).append(row)


def _listed(rows: list[RowIndex], shown: Shown, *, in_effect: bool) -> Listed:
    """Pick, of the rows that list the certificate, the one with the fewest misses; the first of equals."""
    compared = [(row, row.compare(shown)) for row in rows]
    row, comparison = min(compared, key=lambda pair: pair[1].misses)
    place = shown.province.other
    return Listed(shown, row, comparison, in_effect, any(each.asks_for_the_unit(place) for each in rows))
