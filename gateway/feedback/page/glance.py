"""What the overview answers at a glance: how much passes, against yesterday, and which units have most to
do. Pure."""

import datetime
from collections import Counter
from collections.abc import Iterable
from typing import Any

from gateway.core.decision import Outcome
from gateway.core.province import Province
from gateway.core.times import china_date, china_hour
from gateway.feedback.cases import Case
from gateway.feedback.days import Day, Hour
from gateway.feedback.history import Change, Standing, Status
from gateway.feedback.state import State

MOST_UNITS = 8
_DAY_MS = 86_400_000


def passing(days: Iterable[Day], now: int) -> dict[str, Any]:
    """Return what was forwarded and rejected today, and in the same hours of yesterday, by province; ``now``
    in milliseconds.

    ``hours`` is how many hours of both days count: the current one counts whole, as yesterday's is kept by
    the hour only.
    """
    today, hours = china_date(now * 1000), china_hour(now * 1000) + 1
    yesterday = (datetime.date.fromisoformat(today) - datetime.timedelta(days=1)).isoformat()
    counts = {(day.province, day.date): _first(day, hours) for day in days if day.date in {today, yesterday}}
    none = {"forward": 0, "reject": 0}
    return {
        "hours": hours,
        "provinces": {
            each.value: {
                "today": counts.get((each.value, today), none),
                "yesterday": counts.get((each.value, yesterday), none),
            }
            for each in Province
        },
    }


def _first(day: Day, hours: int) -> dict[str, int]:
    """Count what was decided in the first ``hours`` of ``day``."""
    return {
        outcome.value: sum(day.hours[Hour(hour, outcome.value)] for hour in range(hours))
        for outcome in (Outcome.FORWARD, Outcome.REJECT)
    }


def to_do(state: State, now: int, overdue_days: int) -> dict[str, Any]:
    """Return the cases by status, and the units with the most open ones; ``now`` in milliseconds.

    A case is open (未办结) until it is verified, and counts for each of its responsible units. It is overdue
    when it was announced, or came back, more than ``overdue_days`` days ago: calendar days, as no calendar
    here knows China's holidays. Cases with which nobody has anything to do yet (``Case.is_behind``) are
    counted apart, as ``behind``.
    """
    statuses: Counter[Status] = Counter()
    units: dict[str, Counter[str]] = {}
    overdue = behind = 0
    for case in state.cases.values():
        if case.is_behind:
            behind += 1
            continue
        standing = state.standing(case)
        statuses[standing.status] += 1
        if standing.status is Status.VERIFIED:
            continue
        is_overdue = now - open_since(case, standing) > overdue_days * _DAY_MS
        overdue += is_overdue
        for unit in case.problem.units:
            counts = units.setdefault(unit, Counter())
            counts["open"] += 1
            counts[standing.status.value] += 1
            counts["overdue"] += is_overdue
    most = sorted(units.items(), key=lambda item: (-item[1]["open"], -item[1]["overdue"], item[0]))[:MOST_UNITS]
    return {
        "cases": {status.value: statuses[status] for status in Status},
        "behind": behind,
        "overdue": overdue,
        "overdue_days": overdue_days,
        "units_with_open": len(units),
        "units": [
            {"unit": unit, **{name: counts[name] for name in ("open", Status.PENDING.value, "overdue")}}
            for unit, counts in most
        ],
    }


def open_since(case: Case, standing: Standing) -> int:
    """Return since when a case is open, in milliseconds: when it was last announced as new or as back, else
    its first event."""
    announced = (step.at for step in reversed(standing.steps) if step.change in {Change.OPENED, Change.REOPENED})
    return next(announced, case.first)
