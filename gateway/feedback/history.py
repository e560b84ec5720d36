"""What became of a case: opened, fed back, verified, reopened. The messages on ``gateway.feedback`` are that history.

They are for the departments' systems, and they are the only place where a case's status is kept. Pure.
"""

import hashlib
from collections.abc import Iterable
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from gateway.core.content import encode
from gateway.core.records import CASE_TYPE, DIGEST_TYPE, GATEWAY_SOURCE
from gateway.core.times import format_instant
from gateway.feedback.cases import Case

MAX_DIGEST_CASES = 100


class Status(StrEnum):
    """Where a case stands; ``zh`` is the departments' word."""

    PENDING = "pending"
    FED_BACK = "fed_back"
    VERIFIED = "verified"

    @property
    def zh(self) -> str:
        """The Chinese word."""
        return {"pending": "待处理", "fed_back": "已反馈", "verified": "已复核"}[self.value]


class Change(StrEnum):
    """What a message says of a case."""

    OPENED = "opened"
    REOPENED = "reopened"
    MARKED = "marked"


class Step(NamedTuple):
    """One message about a case. ``at`` in milliseconds, by the broker's clock; ``events`` its count then;
    ``by`` and ``note`` where a person marked it."""

    change: Change
    status: Status
    at: int
    events: int
    by: str | None
    note: str | None


class Standing(NamedTuple):
    """Where a case stands now, and how it came there, the oldest step first."""

    status: Status
    steps: tuple[Step, ...]


class History:
    """All that ``gateway.feedback`` says, folded in the order in which each partition has it."""

    def __init__(self) -> None:
        self.steps: dict[str, list[Step]] = {}
        self._seen: set[str] = set()
        self._told: dict[tuple[str, str], int] = {}
        self.digested: dict[str, int] = {}
        """Unit → when its last digest went out, in milliseconds."""

    def take(self, value: bytes | None, at: int) -> None:
        """Fold one record in, written at ``at`` (ms). One that was taken before, or is none of ours, changes nothing."""
        try:
            record = msgspec.json.decode(value or b"")
            data, identity = record["data"], record["id"]
            if identity in self._seen:
                return
            if record["type"] == CASE_TYPE:
                self._take_step(data, at)
            elif record["type"] == DIGEST_TYPE:
                self.digested[data["unit"]] = at
                for item in data["cases"]:
                    self._tell(data["unit"], item["id"], item["count"])
            self._seen.add(identity)
        except (msgspec.MsgspecError, KeyError, TypeError, ValueError):
            return  # nobody else may write there (ACLs); if somebody did, it is not history

    def _take_step(self, data: dict[str, Any], at: int) -> None:
        case = data["case"]
        step = Step(
            Change(data["change"]), Status(data["status"]["code"]), at, case["count"], data.get("by"), data.get("note")
        )
        self.steps.setdefault(case["id"], []).append(step)
        for unit in case["responsible_units"]:
            self._tell(unit, case["id"], case["count"])

    def _tell(self, unit: str, case_id: str, count: int) -> None:
        self._told[unit, case_id] = max(count, self.told(unit, case_id))

    def told(self, unit: str, case_id: str) -> int:
        """The count of a case that a message last told ``unit``; 0 where none did."""
        return self._told.get((unit, case_id), 0)

    def standing(self, case: Case) -> Standing:
        """Where ``case`` stands: a problem that came again after it was verified is pending again."""
        steps = tuple(self.steps.get(case.id, ()))
        status = steps[-1].status if steps else Status.PENDING
        if status is Status.VERIFIED and case.last > steps[-1].at:
            status = Status.PENDING
        return Standing(status, steps)

    def due(self, case: Case) -> Change | None:
        """What has to be announced of ``case`` now: that it is new, or that it is back."""
        steps = self.steps.get(case.id)
        if not steps:
            return Change.OPENED
        back = steps[-1].status is Status.VERIFIED and case.last > steps[-1].at
        return Change.REOPENED if back else None


class Message(NamedTuple):
    """A record for ``gateway.feedback``; keyed by case or unit, so that what is said of one stays in order."""

    key: bytes
    value: bytes


def case_message(
    case: Case, change: Change, status: Status, now: int, *, by: str | None = None, note: str | None = None
) -> Message:
    """That ``case`` was opened, reopened, or marked; ``now`` in milliseconds."""
    value = _envelope(CASE_TYPE, (case.id, change, status, case.count, now), now) | {
        "data": {
            "case": _case(case),
            "change": change.value,
            "status": {"code": status.value, "zh": status.zh},
            "by": by,
            "note": note,
        }
    }
    return Message(case.id.encode(), encode(value))


def digest_message(unit: str, grown: Iterable[tuple[Case, int]], since: int | None, now: int) -> Message:
    """What has come to ``unit``'s cases since the last message: each case with how many events it had been told of."""
    cases = sorted(grown, key=lambda pair: (pair[1] - pair[0].count, pair[0].id))
    value = _envelope(DIGEST_TYPE, (unit, since, now), now) | {
        "data": {
            "unit": unit,
            "since": format_instant(since * 1000) if since is not None else None,
            "added": sum(case.count - told for case, told in cases),
            "cases": [
                {**_summary(case), "count": case.count, "added": case.count - told}
                for case, told in cases[:MAX_DIGEST_CASES]
            ],
            "more_cases": max(0, len(cases) - MAX_DIGEST_CASES),
        }
    }
    return Message(unit.encode(), encode(value))


def _envelope(event_type: str, identity: tuple[object, ...], now: int) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": hashlib.sha256(repr((event_type, *identity)).encode()).hexdigest()[:32],
        "source": GATEWAY_SOURCE,
        "type": event_type,
        "time": format_instant(now * 1000),
        "datacontenttype": "application/json",
    }


def _summary(case: Case) -> dict[str, Any]:
    problem = case.problem
    return {
        "id": case.id,
        "province": problem.province,
        "code": problem.code,
        "row": problem.row,
        "field": problem.field,
        "value": problem.value,
    }


def _case(case: Case) -> dict[str, Any]:
    problem = case.problem
    return {
        **_summary(case),
        "certificate": problem.certificate,
        "accepted": problem.accepted,
        "message": {"zh": problem.zh, "en": problem.en},
        "responsible_units": problem.units,
        "first_seen": format_instant(case.first * 1000),
        "last_seen": format_instant(case.last * 1000),
        "count": case.count,
        "examples": [example.event_id or example.origin for example in case.examples],
    }
