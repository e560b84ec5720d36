"""The cases that the page lists: which are meant, in which order. Pure functions of the state; every answer
is bounded."""

import unicodedata
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from gateway.core.province import COORDINATING_CENTRES
from gateway.core.recognition import RowRef
from gateway.errors import UsageError
from gateway.feedback.areas import region_names
from gateway.feedback.cases import Case
from gateway.feedback.history import Standing, Status
from gateway.feedback.listed import row_in_chinese
from gateway.feedback.problems import WORDS, Problem
from gateway.feedback.report.tables import field_name
from gateway.feedback.shown import case_as_json
from gateway.feedback.state import State

MOST = 2000
"""Cases in one answer."""
TREND_DAYS = 14
"""Days of which an answer has the counts."""
_ORDER_OF_CODES = {code: number for number, code in enumerate(WORDS)}
_ORDERS: dict[str, Callable[[Case], Any]] = {
    "last": lambda case: case.last,
    "first": lambda case: case.first,
    "reason": lambda case: (_ORDER_OF_CODES.get(case.problem.code, len(_ORDER_OF_CODES)), case.problem.ref or (0, 0)),
}
"""What cases can be sorted by, beside their events."""
OPEN = "open"
"""未办结, as the overview counts: pending or fed back."""
MOST_UNITS = 8
"""Units in one answer that a part of a name stands for."""


@dataclass(frozen=True, slots=True)
class CaseQuery:
    """Which cases are meant; None is any. Of ``certificate`` a part of the name will do, of ``unit`` too
    (see ``units_named``); of ``text`` each word stands somewhere in the case. ``period``: those
    with events from its first day to its last (YYYY-MM-DD, UTC+8). ``status`` may be ``OPEN``, too. With
    ``own_matter``, cases are left out with which nobody has anything to do yet (``Case.is_behind``)."""

    id: str | None = None
    status: str | None = None
    province: str | None = None
    code: str | None = None
    row: RowRef | None = None
    certificate: str | None = None
    unit: str | None = None
    text: str | None = None
    reopened: bool = False
    own_matter: bool = False
    period: tuple[str, str] | None = None

    def events(self, case: Case) -> int:
        """Count the events of ``case`` that are meant: all, or those of the period."""
        return case.count if self.period is None else case.in_days(*self.period)

    def admits(self, case: Case, standing: Standing) -> bool:
        """Tell whether ``case``, which stands at ``standing``, is one of them."""
        problem = case.problem
        return (
            self.id in {None, case.id}
            and (
                self.status in {None, standing.status.value}
                or (self.status == OPEN and standing.status is not Status.VERIFIED)
            )
            and self.province in {None, problem.province}
            and self.code in {None, problem.code}
            and self.row in {None, problem.ref}
            and (self.certificate is None or self.certificate in (problem.certificate or ""))
            and (not self.reopened or standing.is_reopened)
            and not (self.own_matter and case.is_behind)
            and (self.text is None or _has_words(problem, self.text))
            and self.events(case) > 0
        )


def list_cases(
    state: State, query: CaseQuery, sort: str = "last-desc", limit: int = 200, known_units: Collection[str] = ()
) -> dict[str, Any]:
    """Return ``limit`` of the cases that ``query`` means, how many it means in all, what can be chosen in
    the filters, and whose report is meant: ``known_units`` are those that have one, beside those with cases.

    ``sort`` is events, last, first or reason, then -asc or -desc. Raises UsageError for any other.
    """
    orders = {"events": query.events, **_ORDERS}
    name, _, direction = sort.partition("-")
    if name not in orders or direction not in {"asc", "desc"}:
        raise UsageError(f"sort: {' or '.join(orders)}, then -asc or -desc", code="sort_invalid")
    units = units_of(state)
    named = units_named({*units, *known_units}, query.unit or "")
    found = [
        case
        for case in state.cases.values()
        if (query.unit is None or not named.isdisjoint(case.problem.units)) and query.admits(case, state.standing(case))
    ]
    if sort != "last-desc":  # the state's own order, in which equals stay
        found.sort(key=orders[name], reverse=direction == "desc")
    return {
        "items": [_shown(case, state, query) for case in found[: min(limit, MOST)]],
        "total": len(found),
        "all": len(state.cases),
        "units": units,
        "report": {
            "units": sorted(named)[:MOST_UNITS],
            "count": len(named),
            "of_all": len(named) == 1 and named <= set(COORDINATING_CENTRES),
        },
        "certificates": sorted({each.problem.certificate for each in state.cases.values() if each.problem.certificate}),
    }


def units_of(state: State) -> list[str]:
    """Return the units that have cases, by name."""
    return sorted({unit for case in state.cases.values() for unit in case.problem.units})


def units_named(units: Collection[str], text: str) -> set[str]:
    """Return the units that ``text`` stands for: the one of that name, else all with it in their names."""
    return {text} if text in units else {unit for unit in units if text in unit}


def _shown(case: Case, state: State, query: CaseQuery) -> dict[str, Any]:
    """Return a case with its last days; ``in_period`` where a period is meant."""
    shown = case_as_json(case, state) | {"days": dict(sorted(case.days.items())[-TREND_DAYS:])}
    return shown if query.period is None else shown | {"in_period": query.events(case)}


def _has_words(problem: Problem, text: str) -> bool:
    words = _words_of(problem)
    return all(_plain(word) in words for word in text.split())


@lru_cache(maxsize=20_000)
def _words_of(problem: Problem) -> str:
    """Return all that a case can be searched by: value, reason, certificate, row, field and units, in
    Chinese and as codes."""
    known = WORDS.get(problem.code)
    words = [
        problem.value or "", region_names().get(problem.value or "", ""), problem.code, problem.zh, problem.en,
        known.zh if known else "", known.en if known else "", problem.certificate or "", problem.field,
        field_name(problem.field), str(problem.ref or ""), row_in_chinese(problem.ref) if problem.ref else "", *problem.units,
    ]  # fmt: skip
    return _plain("\n".join(words))


def _plain(text: str) -> str:
    """Return ``text`` as it is compared: without differences of width or case."""
    return unicodedata.normalize("NFKC", text).casefold()
