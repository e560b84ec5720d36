"""A report's content, worked out from state and list. Pure: the same state, list and period give the same report."""

import datetime
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from gateway.core.decision import Outcome
from gateway.core.province import COORDINATING_CENTRES, Province
from gateway.core.reasons import Code
from gateway.core.recognition import Recognition, RowRef
from gateway.core.recognition.document import Row
from gateway.core.recognition.editions import ListedRow
from gateway.errors import UsageError
from gateway.feedback.areas import area_name, areas_of
from gateway.feedback.cases import Case
from gateway.feedback.days import REDRIVEN, Day, Place
from gateway.feedback.history import Standing, Status
from gateway.feedback.listed import CELL_NAMES, cells_of, words_of
from gateway.feedback.state import State

CENTRES = "、".join(COORDINATING_CENTRES)

_CELL_OF_FIELD = {
    "certificate.type_name": "certificate",
    "display.channel": "channels",
    "display.scenario": "scenarios",
}


@dataclass(frozen=True, slots=True)
class Flow:
    """Displays (亮证): how many, how many recognised (通过) and refused (退回). Repetitions are none."""

    recognised: int
    refused: int

    @property
    def shown(self) -> int:
        """All of them."""
        return self.recognised + self.refused


@dataclass(frozen=True, slots=True)
class CaseLine:
    """A case: events in the period, in the period before, and in all; the list's words beside what was found."""

    case: Case
    standing: Standing
    in_period: int
    before: int
    meaning: str
    advice: str
    listed: str


@dataclass(frozen=True, slots=True)
class RowLine:
    """A row of the list: its displays in the period, where, and how. ``last`` is the day of the last one, if any is known."""

    ref: RowRef
    certificate: str | None
    flow: Flow
    areas: tuple[str, ...]
    uses: tuple[tuple[str, str, int], ...]
    last: str | None
    unresolved: tuple[str, ...]
    cost: int
    """Events refused in the period because of its unresolved cells."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a report says. ``unit`` is None for the coordinating centres', which covers all departments. Days in UTC+8."""

    unit: str | None
    first: str
    last: str
    before: tuple[str, str]
    made: str
    now: Flow
    earlier: Flow
    cases: tuple[CaseLine, ...]
    trend: tuple[tuple[str, Flow], ...]
    reasons: tuple[tuple[str, str, int], ...]
    areas: tuple[tuple[str, Flow], ...]
    idle_areas: tuple[str, ...]
    """Where the certificates could have been shown, and were not."""
    rows: tuple[RowLine, ...]
    departments: tuple[tuple[str, int, int], ...]

    @property
    def title(self) -> str:
        """Its heading."""
        return f"川渝电子证照亮证互认情况反馈（{self.unit or '两个协调中心'}）"

    @property
    def by_status(self) -> dict[Status, int]:
        """How many cases stand where."""
        counts = Counter(line.standing.status for line in self.cases)
        return {status: counts[status] for status in Status}

    @property
    def unresolved(self) -> tuple[RowLine, ...]:
        """Rows with cells that are inferred or missing, the dearest first."""
        return tuple(sorted((row for row in self.rows if row.unresolved), key=lambda row: (-row.cost, row.ref)))

    @property
    def idle(self) -> tuple[RowLine, ...]:
        """Rows without a display in the period."""
        return tuple(row for row in self.rows if not row.flow.shown)


def known_units(state: State, recognition: Recognition) -> set[str]:
    """List every unit that a report can be made for."""
    units = {unit for case in state.cases.values() for unit in case.problem.units}
    for edition in recognition.editions:
        for listed in edition.rows:
            units |= {unit for province in Province for unit in _issuers(listed.row, province)}
    return units | {province.platform for province in Province} | set(COORDINATING_CENTRES)


def build_report(state: State, recognition: Recognition, unit: str | None, first: str, last: str, made: str) -> Report:
    """Build the report of ``unit`` (None: the centres') from day ``first`` to ``last``, inclusive; ``made`` is when.

    Raises UsageError for an unknown unit, or days in the wrong order.
    """
    if first > last:
        raise UsageError(f"the period ends ({last}) before it begins ({first})")
    if unit is not None and unit not in (known := known_units(state, recognition)):
        close = get_close_matches(unit, known, 3, 0.3)
        hint = f"; nearest: {'、'.join(close)}" if close else ""
        raise UsageError(f"no department called {unit} is in the list or in any case{hint}")
    if unit in COORDINATING_CENTRES:
        unit = None
    before = _period_before(first, last)
    rows = recognition.edition_on(last).rows
    is_theirs = _scope(unit, rows)
    now = [day for day in state.days if first <= day.date <= last]
    earlier = [day for day in state.days if before[0] <= day.date <= before[1]]
    cases = _cases(state, rows, unit, (first, last), before)
    return Report(
        unit, first, last, before, made,
        _flow(now, is_theirs),
        _flow(earlier, is_theirs),
        cases,
        tuple((date, _flow([day for day in now if day.date == date], is_theirs)) for date in _dates(first, last)),
        _reasons(cases),
        _areas(now, is_theirs),
        _idle_areas(now, is_theirs, rows),
        tuple(_row_line(row, state.days, now, unit) for row in rows if _lists(unit, row.row)),
        _departments(cases) if unit is None else (),
    )  # fmt: skip


_Scope = Callable[[str, RowRef | None], bool]


def _scope(unit: str | None, rows: Iterable[ListedRow]) -> _Scope:
    """Say which displays are the unit's: all, its platform's, or those of certificates that it issues."""
    if unit is None:
        return lambda _, __: True
    for province in Province:
        if unit == province.platform:
            return lambda published, _, mine=province.value: published == mine  # type: ignore[misc]
    issued = {
        (province.value, listed.ref)
        for listed in rows
        for province in Province
        if unit in _issuers(listed.row, province)
    }
    return lambda published, row: (published, row) in issued


def _issuers(row: Row, province: Province) -> tuple[str, ...]:
    cell = row.issuers.of(province)
    return tuple(cell.value or ()) if cell.settled else ()


def _lists(unit: str | None, row: Row) -> bool:
    is_platform = unit in {province.platform for province in Province}
    return unit is None or is_platform or any(unit in _issuers(row, province) for province in Province)


def _flow(days: Iterable[Day], is_theirs: _Scope, admits: Callable[[Place], bool] = lambda _: True) -> Flow:
    counts: Counter[str] = Counter()
    for day in days:
        for place, count in day.places.items():
            if is_theirs(day.province, place.row) and admits(place):
                counts[place.outcome] += count
    return _as_flow(counts)


def _as_flow(counts: Counter[str]) -> Flow:
    """Make a flow of the counts; an event that was refused and then passed by a redrive counts as recognised."""
    redriven = counts[REDRIVEN]
    return Flow(counts[Outcome.FORWARD] + redriven, max(0, counts[Outcome.REJECT] - redriven))


def _areas(days: Iterable[Day], is_theirs: _Scope) -> tuple[tuple[str, Flow], ...]:
    counts: dict[str, Counter[str]] = {}
    for day in days:
        for place, count in day.places.items():
            if place.area and is_theirs(day.province, place.row):
                counts.setdefault(place.area, Counter())[place.outcome] += count
    flows = {area_name(area): _as_flow(counter) for area, counter in counts.items()}
    return tuple(sorted(flows.items(), key=lambda item: (-item[1].shown, item[0])))


def _idle_areas(days: Iterable[Day], is_theirs: _Scope, rows: Iterable[ListedRow]) -> tuple[str, ...]:
    shown = {place.area for day in days for place in day.places if is_theirs(day.province, place.row)}
    refs = [listed.ref for listed in rows]
    sides = [province.other for province in Province if any(is_theirs(province.value, ref) for ref in refs)]
    return tuple(area_name(area) for side in sides for area in areas_of(side) if area not in shown)


def _cases(
    state: State, rows: Iterable[ListedRow], unit: str | None, period: tuple[str, str], before: tuple[str, str]
) -> tuple[CaseLine, ...]:
    by_ref = {listed.ref: listed.row for listed in rows}
    lines = []
    for case in state.cases.values():
        in_period, standing = case.in_days(*period), state.standing(case)
        if unit is not None and unit not in case.problem.units:
            continue
        if not in_period and standing.status is Status.VERIFIED:
            continue
        problem = case.problem
        row = by_ref.get(problem.ref) if problem.ref else None
        listed = "；".join(problem.accepted) or _cell_words(row, problem.field)
        words = problem.words
        lines.append(CaseLine(case, standing, in_period, case.in_days(*before), words.zh, words.advice_zh, listed))
    first = {Code.LIST_ROW_UNRESOLVED.value} if unit is None else set()
    return tuple(
        sorted(
            lines,
            key=lambda line: (line.case.problem.code not in first, -line.in_period, -line.case.count, line.case.id),
        )
    )


def _cell_words(row: Row | None, field: str) -> str:
    name = _CELL_OF_FIELD.get(field)
    cell = cells_of(row).get(name) if row is not None and name else None
    return "；".join(words_of(cell.value)) if cell is not None and cell.settled else ""


def _reasons(cases: Iterable[CaseLine]) -> tuple[tuple[str, str, int], ...]:
    counts: Counter[tuple[str, str]] = Counter()
    for line in cases:
        counts[line.case.problem.code, line.meaning] += line.in_period
    return tuple((code, meaning, count) for (code, meaning), count in counts.most_common() if count)


def _row_line(listed: ListedRow, days: list[Day], now: list[Day], unit: str | None) -> RowLine:
    row, ref, is_theirs = listed.row, listed.ref, _scope(unit, [listed])

    def admits(place: Place) -> bool:
        return place.row == ref

    seen = [day.date for day in days if is_theirs(day.province, ref) and any(map(admits, day.places))]
    uses: Counter[tuple[str, str]] = Counter()
    for day in now:
        for use, count in day.uses.items():
            if use.row == ref and is_theirs(day.province, ref):
                uses[use.channel, use.scenario] += count
    areas = {place.area for day in now for place in day.places if admits(place) and place.area}
    return RowLine(
        ref,
        row.certificate.value,
        _flow(now, is_theirs, admits),
        tuple(sorted(area_name(area) for area in areas)),
        tuple((channel, scenario, count) for (channel, scenario), count in uses.most_common()),
        max(seen, default=None),
        tuple(CELL_NAMES[name] for name, cell in cells_of(row).items() if not cell.settled),
        sum(
            count for day in now for place, count in day.places.items()
            if admits(place) and place.reason == Code.LIST_ROW_UNRESOLVED and is_theirs(day.province, ref)
        ),
    )  # fmt: skip


def _departments(cases: Iterable[CaseLine]) -> tuple[tuple[str, int, int], ...]:
    counts: dict[str, list[int]] = {}
    for line in cases:
        for unit in line.case.problem.units:
            entry = counts.setdefault(unit, [0, 0])
            entry[0] += line.standing.status is not Status.VERIFIED
            entry[1] += line.in_period
    return tuple(
        sorted(
            ((unit, open_, events) for unit, (open_, events) in counts.items()), key=lambda each: (-each[2], each[0])
        )
    )


def _dates(first: str, last: str) -> list[str]:
    start, end = datetime.date.fromisoformat(first), datetime.date.fromisoformat(last)
    return [(start + datetime.timedelta(days=n)).isoformat() for n in range((end - start).days + 1)]


def _period_before(first: str, last: str) -> tuple[str, str]:
    start, end = datetime.date.fromisoformat(first), datetime.date.fromisoformat(last)
    length = (end - start).days + 1
    return (start - datetime.timedelta(days=length)).isoformat(), (start - datetime.timedelta(days=1)).isoformat()
