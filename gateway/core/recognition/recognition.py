"""The recognition list (互认实施清单) as decisions use it: which row a display belongs to, on the day it was shown."""

from functools import lru_cache

import msgspec

from gateway.core.digest import canonical, sha256
from gateway.core.names import normalise_certificate
from gateway.core.recognition.document import Amendment, Batch
from gateway.core.recognition.editions import Edition, compile_editions, edition_at
from gateway.core.recognition.listing import NearestRow, RowIndex, Shown, Verdict

_REMEMBERED = 65_536


class Listing(msgspec.Struct, frozen=True, eq=False, gc=False):
    """What the list says of a display, ``shown``.

    ``row`` is the row that lists the certificate, None where none ever did; ``nearest`` is that row, or the one that
    comes closest; ``verdict`` holds the display against it. ``in_effect`` is whether the row is in force on the day.
    """

    shown: Shown
    row: RowIndex | None
    nearest: RowIndex | None
    verdict: Verdict | None
    in_effect: bool


class Recognition:
    """All documents compiled. Lookups cost no scan; equal lookups are remembered, as few distinct ones occur."""

    def __init__(self, batches: list[tuple[str, Batch]], amendments: list[tuple[str, Amendment]]) -> None:
        self.editions = compile_editions(batches, amendments)
        self.digest = sha256(canonical([[each.since, each.digest] for each in self.editions]))
        # Before the first document nothing is listed, and that too has a digest.
        self._before = Edition(since="0001-01-01", rows=(), digest=sha256(canonical([])))
        self._indexes = {id(edition): _Index(edition) for edition in (self._before, *self.editions)}
        self.listing = lru_cache(maxsize=_REMEMBERED)(self._listing)
        self.edition_on = lru_cache(maxsize=1024)(self._edition_on)

    def _edition_on(self, date: str) -> Edition:
        """The edition in force on ``date`` (YYYY-MM-DD, UTC+8)."""
        return edition_at(self.editions, date) or self._before

    def _listing(self, date: str, shown: Shown) -> Listing:
        """What the list says of ``shown`` on ``date`` (YYYY-MM-DD, UTC+8)."""
        today = self._indexes[id(self._edition_on(date))]
        name = normalise_certificate(shown.type_name)
        if rows := today.by_name.get(name):
            row, verdict = _best(rows, shown)
            return Listing(shown, row, row, verdict, in_effect=True)
        for edition in reversed(self.editions):  # not in force today: the newest words on it explain best
            if rows := self._indexes[id(edition)].by_name.get(name):
                row, verdict = _best(rows, shown)
                return Listing(shown, row, row, verdict, in_effect=False)
        nearest = today.nearest.find(shown)
        return Listing(shown, None, nearest, nearest.judge(shown) if nearest else None, in_effect=False)


class _Index:
    def __init__(self, edition: Edition) -> None:
        rows = [RowIndex(listed) for listed in edition.rows]
        self.nearest = NearestRow(rows)
        self.by_name: dict[str, list[RowIndex]] = {}
        for row in rows:
            for name in row.names:
                self.by_name.setdefault(name, []).append(row)


def _best(rows: list[RowIndex], shown: Shown) -> tuple[RowIndex, Verdict]:
    """Of the rows that list the certificate, the one with the fewest misses; the first of equals."""
    judged = [(row, row.judge(shown)) for row in rows]
    return min(judged, key=lambda pair: pair[1].misses)
