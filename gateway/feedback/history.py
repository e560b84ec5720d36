"""What became of a case: opened, fed back, verified, reopened. The messages on ``gateway.feedback`` are that
history.

They are for the departments' systems, and they are the only place where a case's status is kept. Pure.
"""

from collections.abc import Iterable
from typing import NamedTuple

from gateway.contract.feedback_messages import (
    Change,
    SentCase,
    SentCaseData,
    SentCaseMessage,
    SentDigestCase,
    SentText,
    Status,
    build_case_message,
    build_digests,
    read_feedback,
)
from gateway.core.times import format_instant
from gateway.feedback.bounds import bounded_time
from gateway.feedback.cases import Case

__all__ = ["Change", "History", "Message", "Standing", "Status", "Step", "case_message", "digest_messages"]


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

    @property
    def is_reopened(self) -> bool:
        """Whether the problem occurred again after it was verified, and has not been verified since."""
        return self.status is not Status.VERIFIED and any(step.status is Status.VERIFIED for step in self.steps)


class Reported(NamedTuple):
    """How many events of a case a message reported, and how many of them are no other unit's first."""

    events: int
    own: int


class History:
    """All that ``gateway.feedback`` says, folded in the order in which each partition has it."""

    def __init__(self) -> None:
        self.steps: dict[str, list[Step]] = {}
        self._seen: set[str] = set()
        self._reported: dict[tuple[str, str], Reported] = {}
        self.digested: dict[str, int] = {}
        """Unit → when its last digest went out, in milliseconds."""

    def take(self, value: bytes | None, at: int) -> None:
        """Fold one record in, written at ``at`` (ms). Foreign records, and those taken before, change
        nothing."""
        message, at = read_feedback(value), bounded_time(at)
        if message is None or message.id in self._seen:
            return  # nobody else may write there (ACLs); if somebody did, it is not history
        if isinstance(message, SentCaseMessage):
            self._take_step(message.data, at)
        else:
            self.digested[message.data.unit] = at
            for case in message.data.cases:
                self._report(message.data.unit, case)
        self._seen.add(message.id)

    def _take_step(self, said: SentCaseData, at: int) -> None:
        case = said.case
        step = Step(said.change, said.status.code, at, case.count, said.by, said.note)
        self.steps.setdefault(case.id, []).append(step)
        for unit in case.responsible_units:
            self._report(unit, case)

    def _report(self, unit: str, case: SentCase | SentDigestCase) -> None:
        reported = Reported(case.count, case.count - case.behind)
        self._reported[unit, case.id] = max(reported, self.reported(unit, case.id))

    def reported(self, unit: str, case_id: str) -> "Reported":
        """Return how much of a case a message last reported to ``unit``; nothing where none did."""
        return self._reported.get((unit, case_id), Reported(0, 0))

    def standing(self, case: Case) -> Standing:
        """Return where ``case`` stands: a problem that occurred again after it was verified is pending
        again."""
        steps = tuple(self.steps.get(case.id, ()))
        status = steps[-1].status if steps else Status.PENDING
        if status is Status.VERIFIED and case.came_back_after(steps[-1].at):
            status = Status.PENDING
        return Standing(status, steps)

    def due(self, case: Case) -> Change | None:
        """Return what has to be announced of ``case`` now: that it is new, or that it is back.

        A case that only waits for another unit is not announced: its units have nothing to do.
        """
        steps = self.steps.get(case.id)
        if not steps:
            return None if case.is_behind else Change.OPENED
        back = steps[-1].status is Status.VERIFIED and case.came_back_after(steps[-1].at)
        return Change.REOPENED if back else None

    def has_grown(self, case: Case, unit: str) -> bool:
        """Tell whether a known ``case`` has more events than was reported to ``unit``, of its own too."""
        reported = self.reported(unit, case.id)
        own = case.count - case.behind_count
        return case.id in self.steps and case.count > reported.events and own > reported.own


class Message(NamedTuple):
    """A record for ``gateway.feedback``; keyed by case or unit, so that what is said of one stays in
    order."""

    key: bytes
    value: bytes


def case_message(
    case: Case, change: Change, status: Status, now: int, *, by: str | None = None, note: str | None = None
) -> Message:
    """Build the message that ``case`` was opened, reopened, or marked; ``now`` in milliseconds."""
    return Message(case.id.encode(), build_case_message(_content(case), change, status, now, by=by, note=note))


def digest_messages(unit: str, grown: Iterable[tuple[Case, int]], since: int | None, now: int) -> list[Message]:
    """Build what has come to ``unit``'s cases since the last message: each case with the count that was
    reported of it."""
    cases = sorted(grown, key=lambda pair: (pair[1] - pair[0].count, pair[0].id))
    digests = build_digests(unit, [_grown(*pair) for pair in cases], since, now)
    return [Message(unit.encode(), digest) for digest in digests]


def _grown(case: Case, reported: int) -> SentDigestCase:
    problem = case.problem
    return SentDigestCase(
        id=case.id, province=problem.province, code=problem.code, batch=problem.batch, row=problem.row,
        field=problem.field, value=problem.value, count=case.count, behind=case.behind_count, added=case.count - reported,
    )  # fmt: skip


def _content(case: Case) -> SentCase:
    problem = case.problem
    return SentCase(
        id=case.id, province=problem.province, code=problem.code, batch=problem.batch, row=problem.row,
        field=problem.field, value=problem.value, certificate=problem.certificate, accepted=problem.accepted,
        message=SentText(problem.zh, problem.en), responsible_units=problem.units,
        first_seen=format_instant(case.first * 1000), last_seen=format_instant(case.last * 1000), count=case.count,
        behind=case.behind_count,
        examples=tuple(example.event_id or example.origin for example in case.examples),
    )  # fmt: skip
