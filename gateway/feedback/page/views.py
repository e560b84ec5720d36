"""What the page asks for, as JSON: pure functions of state, list and live data. Everything is bounded."""

import datetime
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from gateway.core.decision import Outcome
from gateway.core.province import Province
from gateway.core.recognition import Recognition
from gateway.core.recognition.document import Cell
from gateway.feedback.areas import region_names
from gateway.feedback.days import REDRIVEN, Day
from gateway.feedback.listed import cells_of, words_of
from gateway.feedback.lost import LostOnDay, find_lost, notes_of
from gateway.feedback.page.cluster import Cluster
from gateway.feedback.page.glance import passing, to_do
from gateway.feedback.page.live import BUCKET_S, BUCKETS, Live
from gateway.feedback.problems import EVENT_FIELDS, WORDS
from gateway.feedback.report.tables import field_name
from gateway.feedback.shown import today
from gateway.feedback.state import State

MOST = 200
"""Items in one answer."""
LOST_DAYS = 30
"""Days for which the overview says that records were lost."""
MOST_NOTES = 5
"""Notes of lost records that it shows, of a province."""


def overview(
    live: Live, cluster: Cluster, state: State, recognition: Recognition, *, edit_refused: bool, overdue_days: int
) -> dict[str, Any]:
    """Return the overview: last hour by ten seconds, day so far, lag, workers, who has most to do, list in
    force."""
    buckets = live.recent()
    reasons: Counter[str] = Counter()
    for bucket in buckets:
        reasons.update(bucket.reasons)
    edition = recognition.edition_on(today())
    now, connected = int(time.time()), is_current(live, cluster)
    return {
        "connected": connected,
        "now": now,
        "as_of": None if connected else as_of(live, cluster),
        "bucket_s": BUCKET_S,
        "buckets": BUCKETS,
        "counted_again": state.is_counted_again,
        "lost": _lost(state.days),
        "provinces": {province.value: _flow(province, buckets, state.days) for province in Province},
        "reasons": [{"code": code, "count": count} for code, count in reasons.most_common(16)],
        "lag": [
            {"topic": place[0], "partition": place[1], "lag": lag, "stuck_s": cluster.stuck_s.get(place)}
            for place, lag in sorted(
                cluster.lag.items(), key=lambda item: (-cluster.stuck_s.get(item[0], 0), -item[1], item[0])
            )[:MOST]
        ],
        "lag_total": sum(cluster.lag.values()),
        "lanes": len(cluster.lag),
        "workers": cluster.workers[:MOST],
        "strangers": cluster.strangers[:MOST],
        "passing": passing(state.days, now * 1000),
        **to_do(state, now * 1000, overdue_days),
        "list": {
            "digest": recognition.digest,
            "edition_digest": edition.digest,
            "since": edition.since,
            "rows": len(edition.rows),
            "unresolved_rows": sum(bool(listed.row.unresolved()) for listed in edition.rows),
            "unresolved_cells": sum(len(listed.row.unresolved()) for listed in edition.rows),
            "edit_refused": edit_refused,
        },
    }


def is_current(live: Live, cluster: Cluster) -> bool:
    """Tell whether the broker answers both that ask it, so that what is shown is up to date."""
    return live.connected and cluster.known


def as_of(live: Live, cluster: Cluster) -> int | None:
    """Return when the broker last answered both that ask it, in seconds; None where it has not since the
    worker started."""
    answers = [each.answered_at for each in (live, cluster) if each.answered_at is not None]
    return min(answers) if len(answers) == 2 else None


def _lost(days: Sequence[Day]) -> list[dict[str, Any]]:
    """Return for each province what was lost in the days that the overview looks back on: ``count`` records
    of which nobody has taken note, and when that was last; how many are ``acknowledged``, by whom and
    why."""
    since = (datetime.date.fromisoformat(today()) - datetime.timedelta(days=LOST_DAYS - 1)).isoformat()
    found: dict[str, list[LostOnDay]] = {}
    for lost in find_lost((day for day in days if day.date >= since), notes_of(days)):
        found.setdefault(lost.province, []).append(lost)
    return [
        {
            "province": province,
            "days": LOST_DAYS,
            "count": sum(lost.open for lost in each),
            "last": next((lost.date for lost in each if lost.open), None),
            "acknowledged": sum(lost.acknowledged for lost in each),
            "notes": [
                {"by": note.by, "why": note.why}
                for note in list(dict.fromkeys(note for lost in each for note in lost.notes))[:MOST_NOTES]
            ],
        }
        for province, each in sorted(found.items(), reverse=True)
    ]


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
    """Return what codes mean: reasons, then dead letters' errors, with what is to be done about each;
    fields; regions."""
    return {
        "items": [
            {
                "code": code,
                "zh": words.zh,
                "en": words.en,
                "advice": {"zh": words.advice_zh, "en": words.advice_en},
            }
            for code, words in WORDS.items()
        ],
        "fields": {field: field_name(field) for field in sorted(EVENT_FIELDS)},
        "regions": region_names(),
    }


def recognition_list(recognition: Recognition, date: str) -> dict[str, Any]:
    """Return the rows in force on ``date`` (YYYY-MM-DD, UTC+8): every cell's words and where they come from;
    and the documents that they follow from. Before the first edition there are none; ``first`` is the day
    from which it is in force."""
    edition = recognition.edition_on(date)
    return {
        "date": date,
        "since": edition.since,
        "first": recognition.editions[0].since,
        "documents": [{"number": each.number, "title": each.title} for each in edition.documents],
        "digest": recognition.digest,
        "edition_digest": edition.digest,
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
