"""Effectiveness (落地实效) as the page asks for it: rows × areas of the other side, what passed and what was
rejected. Pure."""

from collections import Counter
from typing import Any

from gateway.core.province import Province, province_of_region
from gateway.core.reasons import Code
from gateway.core.recognition import Recognition, RowRef
from gateway.core.recognition.editions import ListedRow
from gateway.feedback.areas import area_name, areas_of
from gateway.feedback.days import Use
from gateway.feedback.flows import Flow, flows_of
from gateway.feedback.state import State

MOST_USES = 200
"""Channels and scenarios used, of a row: more than any list has."""


def effectiveness(state: State, recognition: Recognition, province: Province, first: str, last: str) -> dict[str, Any]:
    """Return rows × areas of ``province``'s certificates shown on the other side, from ``first`` to
    ``last``; and how.

    What was shown outside the other side (it is rejected) is no area of the table: ``elsewhere`` counts it
    by name.
    """
    cells: dict[tuple[RowRef, str], Flow] = {}
    elsewhere: Counter[str] = Counter()
    unlisted = 0
    cost: Counter[RowRef | None] = Counter()  # refused because of the row's unresolved cells
    uses: Counter[Use] = Counter()
    for day in state.days:
        if day.province != province.value or not first <= day.date <= last:
            continue
        for place, count in day.places.items():
            unlisted += count if place.reason == Code.CERTIFICATE_NOT_LISTED else 0
            cost[place.row] += count if place.reason == Code.LIST_ROW_UNRESOLVED else 0
        for cell, flow in flows_of(day).items():
            if province_of_region(cell.area) is not province.other:
                elsewhere[cell.area] += flow.refused if cell.area else 0
            elif cell.row is not None and flow.shown:
                cells[cell.row, cell.area] = cells.get((cell.row, cell.area), Flow()) + flow
        uses.update(day.uses)
    by_row: dict[RowRef, list[Use]] = {}
    for use, _ in uses.most_common():
        by_row.setdefault(use.row, []).append(use)
    areas = sorted({area for _, area in cells})
    rows = [
        {
            "batch": listed.batch,
            "row": listed.row.row,
            "certificate": listed.row.certificate.value,
            "unresolved": bool(listed.row.unresolved()),
            "cost": cost[listed.ref],
            "areas": {area: _shown(cells[listed.ref, area]) for area in areas if (listed.ref, area) in cells},
            "uses": [_used(listed, use, uses[use]) for use in by_row.get(listed.ref, ())[:MOST_USES]],
        }
        for listed in recognition.edition_on(last).rows
    ]
    return {
        "province": province.value,
        "since": first,
        "until": last,
        "areas": [{"code": area, "name": area_name(area)} for area in areas],
        "idle_areas": [area_name(area) for area in areas_of(province.other) if area not in areas],
        "elsewhere": [{"name": area_name(area), "count": count} for area, count in elsewhere.most_common() if count],
        "rows": rows,
        "unlisted": unlisted,
    }


def _shown(flow: Flow) -> dict[str, int]:
    return {"forwarded": flow.recognised, "refused": flow.refused}


def _used(listed: ListedRow, use: Use, count: int) -> dict[str, Any]:
    """Return how a row was shown; ``scenario_text`` are the list's words for the scenario, None where the
    row lacks the code."""
    words = {scenario.code: scenario.text for scenario in listed.row.scenarios.value or ()}
    return {"channel": use.channel, "scenario": use.scenario, "scenario_text": words.get(use.scenario), "count": count}
