"""A report's cases in groups: those with the same responsible units and reason stand together, with one
advice. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from gateway.core.province import Province
from gateway.core.reasons import Code
from gateway.core.recognition import Provenance
from gateway.core.recognition.document import Cell, Row
from gateway.core.recognition.editions import ListedRow
from gateway.core.times import china_date
from gateway.feedback.cases import Case
from gateway.feedback.history import Standing, Status
from gateway.feedback.listed import cells_of, words_of
from gateway.feedback.state import State

_MARKS = {Provenance.READ: "", Provenance.INFERRED: "〔推断〕", Provenance.MISSING: "〔缺失〕"}
_CELL_OF_FIELD = {
    "certificate.type_name": "certificate",
    "certificate.issuer_name": "issuers.{own}",
    "display.channel": "channels",
    "display.scenario": "scenarios",
    "display.region_code": "scope.{other}",
    "display.verifier_name": "scope.{other}",
}


@dataclass(frozen=True, slots=True)
class CaseLine:
    """A case: events in the period, in the period before, and in all; the list's words beside what was
    found.

    ``behind``: events of the period that another unit has to see to first; they are not in ``in_period``.
    """

    case: Case
    standing: Standing
    in_period: int
    behind: int
    before: int
    listed: str


@dataclass(frozen=True, slots=True)
class CaseGroup:
    """Cases of the same responsible units and reason: what it means, what is to be done, and each case."""

    units: tuple[str, ...]
    code: str
    meaning: str
    advice: str
    cases: tuple[CaseLine, ...]

    @property
    def in_period(self) -> int:
        """Events of the case that has most: the group's events are at least that many, and are not the
        cases' sum."""
        return max(line.in_period for line in self.cases)


def find_cases(
    state: State, rows: Iterable[ListedRow], unit: str | None, period: tuple[str, str], before: tuple[str, str]
) -> tuple[list[CaseLine], list[CaseLine]]:
    """Find the cases that ``unit`` (None: anybody) is asked about, and those that others have to see to
    first.

    Left out are those that first occurred after the period, and those that were verified and did not occur
    in it.
    """
    by_ref = {listed.ref: listed.row for listed in rows}
    asked: list[CaseLine] = []
    behind: list[CaseLine] = []
    for case in state.cases.values():
        standing, problem = state.standing(case), case.problem
        if (unit is not None and unit not in problem.units) or china_date(case.first * 1000) > period[1]:
            continue
        in_period, not_first = case.in_days(*period), case.behind_in_days(*period)
        if not in_period and standing.status is Status.VERIFIED:
            continue
        row = by_ref.get(problem.ref) if problem.ref else None
        listed = "；".join(problem.accepted) or _cell_words(row, problem.field, problem.province)
        earlier = case.in_days(*before) - case.behind_in_days(*before)
        line = CaseLine(case, standing, in_period - not_first, not_first, earlier, listed)
        only_behind = not_first == in_period if in_period else case.is_behind
        (behind if only_behind else asked).append(line)
    return asked, behind


def group_cases(lines: Iterable[CaseLine], unit: str | None) -> tuple[CaseGroup, ...]:
    """Group the cases by responsible units (a unit's own report: not by units), then reason; most events
    first.

    In the centres' report the list's unresolved rows come first: nobody else can act on them.
    """
    ordered = sorted(lines, key=lambda line: _kind(line, unit))
    groups = [
        _group(units, code, found) for (units, code), found in groupby(ordered, key=lambda line: _kind(line, unit))
    ]
    most: dict[tuple[str, ...], int] = {}
    for group in groups:
        most[group.units] = max(group.in_period, most.get(group.units, 0))
    first = {group.units for group in groups if unit is None and group.code == Code.LIST_ROW_UNRESOLVED}
    return tuple(
        sorted(
            groups,
            key=lambda group: (
                group.units not in first, -most[group.units], group.units,
                unit is not None or group.code != Code.LIST_ROW_UNRESOLVED, -group.in_period, group.code,
            ),
        )
    )  # fmt: skip


def _kind(line: CaseLine, unit: str | None) -> tuple[tuple[str, ...], str]:
    problem = line.case.problem
    return (tuple(sorted(problem.units)) if unit is None else (), problem.code)


def _group(units: tuple[str, ...], code: str, found: Iterable[CaseLine]) -> CaseGroup:
    lines = sorted(found, key=lambda line: (-line.in_period, -line.case.count, line.case.id))
    words = lines[0].case.problem.words
    return CaseGroup(units, code, words.zh, words.advice_zh, tuple(lines))


def _cell_words(row: Row | None, field: str, province: str | None) -> str:
    """Return what the list's cell says that a field is held against; where it is to be confirmed, so
    marked."""
    name = _CELL_OF_FIELD.get(field)
    if row is None or name is None or province is None:
        return ""
    own = Province(province)
    return marked_words(cells_of(row)[name.format(own=own.value, other=own.other.value)])


def marked_words(cell: Cell[Any]) -> str:
    """Return a cell's words, marked where they are inferred (〔推断〕) or missing (〔缺失〕)."""
    return _MARKS[cell.provenance] + "；".join(words_of(cell.value))
