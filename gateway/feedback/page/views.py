"""What the page asks for, as JSON: pure functions of state, list and live data. Everything is bounded."""

import time
from collections import Counter
from collections.abc import Iterable
from typing import Any

from gateway.core.decision import Outcome
from gateway.core.province import Province
from gateway.core.reasons import Code
from gateway.core.recognition import Recognition, RowRef
from gateway.core.recognition.document import Cell
from gateway.feedback.areas import area_name, areas_of
from gateway.feedback.cases import Case
from gateway.feedback.days import REDRIVEN, Day, Use
from gateway.feedback.history import Status
from gateway.feedback.listed import cells_of, words_of
from gateway.feedback.page.cluster import Cluster
from gateway.feedback.page.live import BUCKET_S, BUCKETS, Live
from gateway.feedback.problems import WORDS
from gateway.feedback.shown import case_as_json, today
from gateway.feedback.state import State

MOST = 200
"""Items in one answer."""


def overview(
    live: Live, cluster: Cluster, state: State, recognition: Recognition, *, edit_refused: bool
) -> dict[str, Any]:
    """Return the overview: last hour by ten seconds, day so far, lag, workers, cases by status, list in force."""
    buckets = live.recent()
    reasons: Counter[str] = Counter()
    for bucket in buckets:
        reasons.update(bucket.reasons)
    edition = recognition.edition_on(today())
    statuses = Counter(state.standing(case).status for case in state.cases.values())
    return {
        "connected": live.connected and cluster.known,
        "now": int(time.time()),
        "bucket_s": BUCKET_S,
        "buckets": BUCKETS,
        "provinces": {province.value: _flow(province, buckets, state.days) for province in Province},
        "reasons": [{"code": code, "count": count} for code, count in reasons.most_common(16)],
        "lag": [
            {"topic": topic, "partition": partition, "lag": lag}
            for (topic, partition), lag in sorted(cluster.lag.items(), key=lambda item: (-item[1], item[0]))[:MOST]
        ],
        "lag_total": sum(cluster.lag.values()),
        "lanes": len(cluster.lag),
        "workers": cluster.workers[:MOST],
        "cases": {status.value: statuses[status] for status in Status},
        "list": {
            "digest": edition.digest,
            "since": edition.since,
            "rows": len(edition.rows),
            "unresolved_rows": sum(bool(listed.row.unresolved()) for listed in edition.rows),
            "unresolved_cells": sum(len(listed.row.unresolved()) for listed in edition.rows),
            "edit_refused": edit_refused,
        },
    }


def _flow(province: Province, buckets: Iterable[Any], days: Iterable[Day]) -> dict[str, Any]:
    hour = []
    for bucket in buckets:
        counts = {outcome.value: bucket.outcomes[province.value, outcome.value] for outcome in Outcome}
        if any(counts.values()):
            hour.append({"start": bucket.start, **counts})
    now = today()
    totals: Counter[str] = Counter()
    for day in days:
        if day.date == now and day.province == province.value:
            for place, count in day.places.items():
                totals[place.outcome] += count
    return {"hour": hour, "today": {name: totals[name] for name in (*(each.value for each in Outcome), REDRIVEN)}}


def codes() -> dict[str, Any]:
    """Return every reason code, then every error code of dead letters, with what it means."""
    return {"items": [{"code": code, "zh": words.zh, "en": words.en} for code, words in WORDS.items()]}


def rejections(
    live: Live, wanted: dict[str, str], row: RowRef | None, before: int | None, limit: int
) -> dict[str, Any]:
    """Return the newest rejections that match ``wanted`` (province, code, unit) and ``row``, from before ``before``."""
    found = []
    for item in reversed(live.rejections):
        if (before is None or item["seq"] < before) and _fits(item, wanted, row):
            found.append(item)
            if len(found) == limit:
                break
    return {"items": found, "kept": len(live.rejections), "seq": live.seq}


def _fits(item: dict[str, Any], wanted: dict[str, str], row: RowRef | None) -> bool:
    return (
        wanted.get("province", item["province"]) == item["province"]
        and (row is None or row == (item["batch"], item["row"]))
        and ("code" not in wanted or wanted["code"] in item["codes"])
        and ("unit" not in wanted or wanted["unit"] in item["units"])
    )


def cases(state: State, wanted: dict[str, str], row: RowRef | None) -> dict[str, Any]:
    """Return the cases that match ``wanted`` (id, status, code, unit, province) and ``row``, newest first."""
    found = [case for case in state.cases.values() if _is_wanted(case, state, wanted, row)]
    return {"items": [case_as_json(case, state) for case in found[:MOST]], "total": len(found)}


def _is_wanted(case: Case, state: State, wanted: dict[str, str], row: RowRef | None) -> bool:
    problem = case.problem
    return (
        wanted.get("id", case.id) == case.id
        and wanted.get("status", state.standing(case).status.value) == state.standing(case).status.value
        and wanted.get("code", problem.code) == problem.code
        and row in {None, problem.ref}
        and wanted.get("province", problem.province) == problem.province
        and ("unit" not in wanted or wanted["unit"] in problem.units)
    )


def recognition_list(recognition: Recognition, date: str) -> dict[str, Any]:
    """Return the rows in force on ``date`` (YYYY-MM-DD, UTC+8): every cell's words and where they come from."""
    edition = recognition.edition_on(date)
    return {
        "date": date,
        "since": edition.since,
        "digest": edition.digest,
        "rows": [
            {
                "batch": listed.batch,
                "row": listed.row.row,
                "unresolved": listed.row.unresolved(),
                "cells": {name: _cell(cell) for name, cell in cells_of(listed.row).items()},
            }
            for listed in edition.rows
        ],
    }


def _cell(cell: Cell[Any]) -> dict[str, Any]:
    return {"provenance": cell.provenance.value, "words": words_of(cell.value)}


def effectiveness(state: State, recognition: Recognition, province: Province, first: str, last: str) -> dict[str, Any]:
    """Return rows × areas of ``province``'s certificates shown on the other side, from ``first`` to ``last``; and how."""
    cells: dict[tuple[RowRef, str], Counter[str]] = {}
    unlisted = 0
    cost: Counter[RowRef | None] = Counter()  # refused because of the row's unresolved cells
    uses: Counter[Use] = Counter()
    for day in state.days:
        if day.province != province.value or not first <= day.date <= last:
            continue
        for place, count in day.places.items():
            if place.row is not None and place.area:
                cells.setdefault((place.row, place.area), Counter())[place.outcome] += count
            unlisted += count if place.reason == Code.CERTIFICATE_NOT_LISTED else 0
            cost[place.row] += count if place.reason == Code.LIST_ROW_UNRESOLVED else 0
        uses.update(day.uses)
    areas = sorted({area for _, area in cells})
    rows = [
        {
            "batch": listed.batch,
            "row": listed.row.row,
            "certificate": listed.row.certificate.value,
            "unresolved": bool(listed.row.unresolved()),
            "cost": cost[listed.ref],
            "areas": {area: _shown(cells[listed.ref, area]) for area in areas if (listed.ref, area) in cells},
            "uses": [
                {"channel": use.channel, "scenario": use.scenario, "count": count}
                for use, count in uses.most_common(MOST)
                if use.row == listed.ref
            ],
        }
        for listed in recognition.edition_on(last).rows
    ]
    return {
        "province": province.value,
        "since": first,
        "until": last,
        "areas": [{"code": area, "name": area_name(area)} for area in areas],
        "idle_areas": [area_name(area) for area in areas_of(province.other) if area not in areas],
        "rows": rows,
        "unlisted": unlisted,
    }


def _shown(counts: Counter[str]) -> dict[str, int]:
    refused = max(0, counts[Outcome.REJECT] - counts[REDRIVEN])
    return {"forwarded": counts[Outcome.FORWARD] + counts[REDRIVEN], "refused": refused}
