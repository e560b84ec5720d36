"""A report's content, worked out from state and list. Pure: the same state, list and period give the same
report."""

import datetime
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from gateway.core.decision import Outcome
from gateway.core.province import COORDINATING_CENTRES, Province, province_of_region
from gateway.core.reasons import Code
from gateway.core.recognition import Recognition, RowRef
from gateway.core.recognition.editions import ListedRow
from gateway.core.times import china_date, parse_instant
from gateway.errors import UsageError
from gateway.feedback.areas import area_name
from gateway.feedback.days import Day
from gateway.feedback.flows import Flow
from gateway.feedback.history import Status
from gateway.feedback.listed import CELL_NAMES, cells_of
from gateway.feedback.lost import LostOnDay, find_lost, notes_of
from gateway.feedback.report.case_groups import CaseGroup, CaseLine, find_cases, group_cases, marked_words
from gateway.feedback.report.figures import (
    IsTheirs,
    Part,
    Shown,
    areas_idle,
    areas_shown,
    flow_of,
    is_platform,
    issuers,
    parts_of,
    scope_of,
    shown_on,
)
from gateway.feedback.state import State

ALL_UNITS = "汇总"
"""What the coordinating centres' report, on all units, is called."""


@dataclass(frozen=True, slots=True)
class RowLine:
    """A row of the list: its displays in the period, where, and how. ``last`` is the day of the last one, if
    any is known."""

    ref: RowRef
    certificate: str | None
    flow: Flow
    areas: tuple[str, ...]
    uses: tuple[tuple[str, str, int], ...]
    """Channel, scenario and how many of the recognised displays; all together those that are recognised."""
    last: str | None
    unresolved: tuple[tuple[str, str], ...]
    """The cells that are inferred or missing, each with the words that are to be confirmed."""
    cost: int
    """Events refused in the period because of its unresolved cells."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Where a department answers, and by which day (YYYY-MM-DD)."""

    to: str
    by: str


@dataclass(frozen=True, slots=True)
class Report:
    """What a report says. ``unit`` is None for the coordinating centres', which covers all departments. Days
    in UTC+8."""

    unit: str | None
    first: str
    last: str
    before: tuple[str, str]
    made: str
    now: Flow
    earlier: Flow
    parts: tuple[Part, ...]
    unread: int
    """Records of the period that no display could be read from (dead letters); the platform's and the
    centres' matter."""
    groups: tuple[CaseGroup, ...]
    behind: tuple[CaseLine, ...]
    """Cases that occurred only in events which another unit has to see to first: nobody is asked about
    them."""
    trend: tuple[tuple[str, Flow], ...]
    areas: tuple[tuple[str, Flow], ...]
    idle_areas: tuple[str, ...]
    """Where the certificates could have been shown, and were not."""
    rows: tuple[RowLine, ...]
    no_row: Flow
    """The displays to which no row of ``rows`` applies."""
    departments: tuple[tuple[str, int, int], ...]
    """Each unit with its cases that are not verified, and the refused events whose primary reason is its
    matter."""
    lost: tuple[LostOnDay, ...]
    """Input records that were gone before they could be decided, by day: the centres' and the publishing
    platform's matter."""
    is_counted_again: bool
    """Whether counts are not complete yet: the tables are being made again."""
    answer: Answer | None
    is_current: bool = True
    """Whether Kafka answered when it was made; otherwise newer displays and marks are missing."""
    data_of: str | None = None
    """Until when Kafka had answered (RFC 3339), where it did not any more; None where that is not known."""

    @property
    def title(self) -> str:
        """Its heading."""
        return f"川渝电子证照亮证互认情况反馈（{self.unit or ALL_UNITS}）"

    @property
    def cases(self) -> tuple[CaseLine, ...]:
        """The cases that somebody is asked about."""
        return tuple(line for group in self.groups for line in group.cases)

    @property
    def by_status(self) -> dict[Status, int]:
        """How many cases stand where."""
        counts = Counter(line.standing.status for line in self.cases)
        return {status: counts[status] for status in Status}

    @property
    def redriven(self) -> int:
        """Events that were refused and then passed by a redrive: the parts add up to them and what stays
        refused."""
        return sum(part.count for part in self.parts if part.is_shown) - self.now.refused

    @property
    def reasons(self) -> tuple[tuple[str, int], ...]:
        """The primary reasons of the report's own displays, each with its events; most first."""
        counts: Counter[str] = Counter()
        for part in self.parts:
            if part.is_shown:
                counts[part.code] += part.count
        return tuple(counts.most_common())

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
    return _listed_units(recognition) | {unit for case in state.cases.values() for unit in case.problem.units}


def require_unit(unit: str, state: State, recognition: Recognition) -> None:
    """Refuse a unit that neither the list nor a case names; say which names are near. Raises UsageError."""
    _require(unit, known_units(state, recognition), "in the list or in any case")


def require_listed_units(units: Iterable[str], recognition: Recognition) -> None:
    """Refuse units that no edition of the list names: no rejection has gone to them. Raises UsageError."""
    known = _listed_units(recognition)
    for unit in units:
        _require(unit, known, "in the list")


def _listed_units(recognition: Recognition) -> set[str]:
    units = {province.platform for province in Province} | set(COORDINATING_CENTRES)
    for edition in recognition.editions:
        for listed in edition.rows:
            units |= {unit for province in Province for unit in issuers(listed.row, province)}
    return units


def _require(unit: str, known: Collection[str], where: str) -> None:
    if unit not in known:
        close = get_close_matches(unit, known, 3, 0.3)
        hint = f"; nearest: {'、'.join(close)}" if close else ""
        raise UsageError(f"no department called {unit} is {where}{hint}", code="unit_unknown")


def build_report(
    state: State,
    recognition: Recognition,
    unit: str | None,
    first: str,
    last: str,
    made: str,
    answer: tuple[str, int] | None = None,
) -> Report:
    """Build the report of ``unit`` (None: the centres') from day ``first`` to ``last``, inclusive; ``made``
    is when.

    ``answer`` is to whom departments answer, and within how many days. Raises UsageError for an unknown
    unit, or days in the wrong order.
    """
    if first > last:
        raise UsageError(f"the period ends ({last}) before it begins ({first})", code="period_reversed")
    if unit is not None:
        require_unit(unit, state, recognition)
    if unit in COORDINATING_CENTRES:
        unit = None
    before = _period_before(first, last)
    rows = recognition.edition_on(last).rows
    is_theirs = scope_of(unit, rows)
    so_far = [day for day in state.days if day.date <= last]
    now = [day for day in so_far if first <= day.date]
    earlier = [day for day in state.days if before[0] <= day.date <= before[1]]
    asked, behind = find_cases(state, rows, unit, (first, last), before)
    parts = parts_of(now, is_theirs, unit, rows)
    shown = shown_on(now)
    listed = [row for row in rows if _lists(unit, row)]
    refs = {row.ref for row in listed}
    return Report(
        unit, first, last, before, made,
        flow_of(shown, is_theirs),
        flow_of(shown_on(earlier), is_theirs),
        parts,
        _unread(now, unit),
        group_cases(asked, unit),
        tuple(sorted(behind, key=lambda line: (-line.behind, line.case.id))),
        _trend(shown, is_theirs, first, last),
        areas_shown(shown, is_theirs),
        areas_idle(now, is_theirs, rows),
        tuple(_row_line(row, so_far, now, shown, unit) for row in listed),
        flow_of(shown, is_theirs, lambda each: each.row not in refs),
        _departments(asked, parts) if unit is None else (),
        tuple(
            lost for lost in find_lost(reversed(now), notes_of(state.days)) if _is_their_matter(unit, lost.province)
        ),
        state.is_counted_again,
        _answer(answer, made) if unit is not None and asked else None,
    )  # fmt: skip


def _is_their_matter(unit: str | None, province: str) -> bool:
    """Tell whether ``unit`` is to know of a province's lost or unreadable records: nobody else can publish
    them again."""
    return unit is None or unit == Province(province).platform


def _unread(days: Iterable[Day], unit: str | None) -> int:
    return sum(
        count for day in days if _is_their_matter(unit, day.province)
        for place, count in day.places.items() if place.outcome == Outcome.DEAD_LETTER
    )  # fmt: skip


def _answer(answer: tuple[str, int] | None, made: str) -> Answer | None:
    if answer is None:
        return None
    to, days = answer
    day = datetime.date.fromisoformat(china_date(parse_instant(made) or 0)) + datetime.timedelta(days=days)
    return Answer(to, day.isoformat())


def _lists(unit: str | None, listed: ListedRow) -> bool:
    issued = (unit in issuers(listed.row, province) for province in Province)
    return unit is None or is_platform(unit) or any(issued)


def _trend(shown: list[Shown], is_theirs: IsTheirs, first: str, last: str) -> tuple[tuple[str, Flow], ...]:
    by_date: dict[str, list[Shown]] = {}
    for each in shown:
        by_date.setdefault(each.date, []).append(each)
    return tuple((date, flow_of(by_date.get(date, ()), is_theirs)) for date in _dates(first, last))


def _row_line(listed: ListedRow, days: list[Day], now: list[Day], shown: list[Shown], unit: str | None) -> RowLine:
    row, ref, is_theirs = listed.row, listed.ref, scope_of(unit, [listed])

    theirs = [day for day in now if is_theirs(day.province, ref)]
    seen = [day.date for day in days if is_theirs(day.province, ref) and any(place.row == ref for place in day.places)]
    uses: Counter[tuple[str, str]] = Counter()
    scenarios = {scenario.code: f"{scenario.code} {scenario.text}" for scenario in row.scenarios.value or ()}
    for day in theirs:
        for use, count in day.uses.items():
            if use.row == ref:
                uses[use.channel, scenarios.get(use.scenario, use.scenario)] += count
    return RowLine(
        ref,
        row.certificate.value,
        flow_of(shown, is_theirs, lambda each: each.row == ref),
        tuple(sorted({area for day in theirs for area in _areas(day, ref)})),
        tuple((channel, scenario, count) for (channel, scenario), count in uses.most_common()),
        max(seen, default=None),
        tuple((CELL_NAMES[name], marked_words(cell)) for name, cell in cells_of(row).items() if not cell.resolved),
        sum(
            count for day in theirs for place, count in day.places.items()
            if place.row == ref and place.reason == Code.LIST_ROW_UNRESOLVED
        ),
    )  # fmt: skip


def _areas(day: Day, ref: RowRef) -> Iterable[str]:
    """Name the areas of the other side where the row's certificates were shown."""
    side = Province(day.province).other
    return {
        area_name(place.area) for place in day.places if place.row == ref and province_of_region(place.area) is side
    }


def _departments(cases: Iterable[CaseLine], parts: Iterable[Part]) -> tuple[tuple[str, int, int], ...]:
    open_cases: Counter[str] = Counter()
    events: Counter[str] = Counter()
    for line in cases:
        for unit in line.case.problem.units:
            open_cases[unit] += line.standing.status is not Status.VERIFIED
    for part in parts:
        for unit in part.units:
            events[unit] += part.count
    units = open_cases.keys() | events.keys()
    return tuple(
        sorted(((unit, open_cases[unit], events[unit]) for unit in units), key=lambda each: (-each[2], each[0]))
    )


def _dates(first: str, last: str) -> list[str]:
    start, end = datetime.date.fromisoformat(first), datetime.date.fromisoformat(last)
    return [(start + datetime.timedelta(days=n)).isoformat() for n in range((end - start).days + 1)]


def _period_before(first: str, last: str) -> tuple[str, str]:
    start, end = datetime.date.fromisoformat(first), datetime.date.fromisoformat(last)
    length = (end - start).days + 1
    return (start - datetime.timedelta(days=length)).isoformat(), (start - datetime.timedelta(days=1)).isoformat()
