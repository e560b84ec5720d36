"""Cases as commands and the page show them: plain JSON."""

import time
from typing import Any

from gateway.core.times import china_date, format_instant
from gateway.feedback.cases import Case
from gateway.feedback.history import Status
from gateway.feedback.state import State


def case_as_json(case: Case, state: State) -> dict[str, Any]:
    """Return a case with status and history. ``behind``: those of its events whose primary reason is another
    unit's matter."""
    problem, standing = case.problem, state.standing(case)
    this_week, week_before = case.trend(today())
    return {
        "id": case.id,
        "status": _status(standing.status),
        "reopened": standing.is_reopened,
        "province": problem.province,
        "code": problem.code,
        "batch": problem.batch,
        "row": problem.row,
        "certificate": problem.certificate,
        "field": problem.field,
        "value": problem.value,
        "accepted": list(problem.accepted),
        "message": {"zh": problem.zh, "en": problem.en},
        "advice": {"zh": problem.words.advice_zh, "en": problem.words.advice_en},
        "responsible_units": list(problem.units),
        "count": case.count,
        "behind": case.behind_count,
        "first_seen": time_as_text(case.first),
        "last_seen": time_as_text(case.last),
        "trend": {"last_7_days": this_week, "7_days_before": week_before},
        "days": case.days,
        "examples": [
            {"id": each.event_id, "received": time_as_text(each.received), "origin": each.origin}
            for each in case.examples
        ],
        "history": [
            {
                "change": step.change.value,
                "status": _status(step.status),
                "at": time_as_text(step.at),
                "by": step.by,
                "note": step.note,
                "count": step.events,
            }
            for step in standing.steps
        ],
    }


def today() -> str:
    """Return the date in China."""
    return china_date(int(time.time() * 1_000_000))


def time_as_text(milliseconds: int) -> str:
    """Format a time as RFC 3339 in UTC."""
    return format_instant(milliseconds * 1000)


def _status(status: Status) -> dict[str, str]:
    return {"code": status.value, "zh": status.zh}
