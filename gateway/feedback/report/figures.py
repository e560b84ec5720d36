"""A report's figures: displays by day, area, row and reason, each event counted once, so that parts add up.
Pure."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from gateway.core.decision import Outcome
from gateway.core.province import Province, province_of_region
from gateway.core.reasons import Code, recipients_of
from gateway.core.recognition import RowIndex, RowRef
from gateway.core.recognition.document import Row
from gateway.core.recognition.editions import ListedRow
from gateway.feedback.areas import area_name, areas_of
from gateway.feedback.days import Day
from gateway.feedback.flows import Flow, flows_of

NOT_THE_OTHER_SIDE = "亮证地点不在对方省市"
NO_AREA = "亮证地点不明"


@dataclass(frozen=True, slots=True)
class Part:
    """Events of the period that were refused for one primary reason, and the units that it is a matter of.

    ``is_shown``: they are among the report's own displays. Else they are other units' certificates, where
    this unit has a say.
    """

    code: str
    units: tuple[str, ...]
    count: int
    is_shown: bool


IsTheirs = Callable[[str, RowRef | None], bool]
"""Whether displays of a province's certificate, by the row of the list, are the unit's."""


def issuers(row: Row, province: Province) -> tuple[str, ...]:
    """Return the row's issuing units of ``province``; none where the cell is not resolved."""
    cell = row.issuers.of(province)
    return tuple(cell.value or ()) if cell.resolved else ()


def is_platform(unit: str | None) -> bool:
    """Tell whether ``unit`` publishes a province's events."""
    return unit in {province.platform for province in Province}


def scope_of(unit: str | None, rows: Iterable[ListedRow]) -> IsTheirs:
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
        if unit in issuers(listed.row, province)
    }
    return lambda published, row: (published, row) in issued


class Shown(NamedTuple):
    """Displays of a province's certificates on a day (YYYY-MM-DD, UTC+8), under one row and in one area."""

    date: str
    province: str
    row: RowRef | None
    area: str
    flow: Flow


def shown_on(days: Iterable[Day]) -> list[Shown]:
    """List the displays of ``days``; each is counted in one item."""
    return [Shown(day.date, day.province, *cell, flow) for day in days for cell, flow in flows_of(day).items()]


def flow_of(shown: Iterable[Shown], is_theirs: IsTheirs, admits: Callable[[Shown], bool] = lambda _: True) -> Flow:
    """Count the displays that are theirs, and that ``admits`` lets in."""
    return sum((each.flow for each in shown if is_theirs(each.province, each.row) and admits(each)), Flow())


def parts_of(days: Iterable[Day], is_theirs: IsTheirs, unit: str | None, rows: Iterable[ListedRow]) -> tuple[Part, ...]:
    """Divide what was refused by primary reason and the units that it is a matter of, by the list of the
    period's end.

    The parts that are the unit's displays add up to what was refused before anything was redriven; the
    others follow them.
    """
    index = {listed.ref: RowIndex(listed) for listed in rows}
    counts: Counter[tuple[bool, str, tuple[str, ...]]] = Counter()
    for day in days:
        province = Province(day.province)
        for place, count in day.places.items():
            if place.outcome != Outcome.REJECT or place.reason is None:
                continue
            row = index.get(place.row) if place.row else None
            units = recipients_of(Code(place.reason).entry.recipient, province, row)
            is_shown = is_theirs(day.province, place.row)
            if is_shown or unit in units:
                counts[is_shown, place.reason, tuple(sorted(units))] += count
    found = [Part(code, units, count, is_shown) for (is_shown, code, units), count in counts.items()]
    return tuple(sorted(found, key=lambda part: (not part.is_shown, -part.count, part.code, part.units)))


def area_in(province: Province, area: str) -> str:
    """Name an area as a place of display of ``province``'s certificates: those lie on the other side."""
    if not area:
        return NO_AREA
    return area_name(area) if province_of_region(area) is province.other else NOT_THE_OTHER_SIDE


def areas_shown(shown: Iterable[Shown], is_theirs: IsTheirs) -> tuple[tuple[str, Flow], ...]:
    """Count the displays by area, most first; those that are in no area of the other side come last."""
    counts: dict[str, Flow] = {}
    for each in shown:
        if is_theirs(each.province, each.row):
            name = area_in(Province(each.province), each.area)
            counts[name] = counts.get(name, Flow()) + each.flow
    flows = {name: flow for name, flow in counts.items() if flow.shown}
    nowhere = {NOT_THE_OTHER_SIDE, NO_AREA}
    return tuple(sorted(flows.items(), key=lambda item: (item[0] in nowhere, -item[1].shown, item[0])))


def areas_idle(days: Iterable[Day], is_theirs: IsTheirs, rows: Iterable[ListedRow]) -> tuple[str, ...]:
    """List the areas where the certificates could have been shown, and were not."""
    shown = {place.area for day in days for place in day.places if is_theirs(day.province, place.row)}
    refs = [listed.ref for listed in rows]
    sides = [province.other for province in Province if any(is_theirs(province.value, ref) for ref in refs)]
    return tuple(area_name(area) for side in sides for area in areas_of(side) if area not in shown)
