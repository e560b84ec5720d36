"""A person's word on cases: fed back to the department (已反馈), or verified as fixed (已复核)."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from aiokafka.errors import KafkaError

from gateway.adapters import kafka
from gateway.adapters.own_signatures import load_record_signer
from gateway.adapters.settings import Settings
from gateway.contract.headers import CONTENT_TYPE
from gateway.core.remarks import MAX_BY, MAX_REMARK, check_remark
from gateway.errors import UsageError
from gateway.feedback.cases import Case
from gateway.feedback.history import Change, Status, case_message
from gateway.feedback.state import FeedbackTopics, State

_BEFORE = {Status.FED_BACK: Status.PENDING, Status.VERIFIED: Status.FED_BACK}


class Refusal(NamedTuple):
    """A case that was not marked, by the id that was given, and why."""

    case_id: str
    error: UsageError


class Marked(NamedTuple):
    """The cases that were marked; those that stood there already; those that could not be marked; and
    whether a note was added to those that stood there already."""

    cases: list[Case]
    already: list[Case]
    refused: list[Refusal]
    is_noted: bool


def find_case(state: State, case_id: str) -> Case:
    """Return the case whose id begins with ``case_id``. Raises UsageError where none or several do."""
    if case_id in state.cases:
        return state.cases[case_id]
    found = [case for known, case in state.cases.items() if known.startswith(case_id)]
    if len(found) != 1 or not case_id:
        what, code = ("no case has", "case_unknown") if not found else (f"{len(found)} cases have", "case_ambiguous")
        raise UsageError(f"{what} an id that begins with {case_id!r}; `gateway feedback list` shows them", code=code)
    return found[0]


async def mark(settings: Settings, state: State, case_id: str, status: Status, by: str, note: str | None) -> Marked:
    """Write on ``gateway.feedback`` that the case now stands at ``status``; returns what came of it.

    Raises UsageError where the case is unknown, the step is out of order or the words must not be kept;
    BrokerUnreachableError.
    """
    done = await mark_all(settings, state, [case_id], status, by, note)
    if done.refused:
        raise done.refused[0].error
    return done


async def mark_all(
    settings: Settings, state: State, case_ids: Iterable[str], status: Status, by: str, note: str | None
) -> Marked:
    """Write on ``gateway.feedback`` that each of the cases now stands at ``status``; those that cannot are
    returned with the reason. Of a case that stands there already, only a note is written.

    Raises UsageError where the words are not fit to be kept; BrokerUnreachableError.
    """
    by = check_remark("who marks it (by), a name or an office,", by, MAX_BY)
    note = check_remark("the note", note or "", MAX_REMARK, needed=False) or None
    cases, already, refused = dict[str, Case](), dict[str, Case](), list[Refusal]()
    for case_id in case_ids:
        try:
            case = find_case(state, case_id)
            _check_step(case, state, status)
        except UsageError as error:
            refused.append(Refusal(case_id, error))
        else:
            (already if state.standing(case).status is status else cases)[case.id] = case
    if written := [*cases.values(), *(already.values() if note else ())]:
        await _write(settings, written, status, by, note)
    return Marked(list(cases.values()), list(already.values()), refused, note is not None)


def _check_step(case: Case, state: State, status: Status) -> None:
    """Raise UsageError where ``case`` cannot be marked ``status`` now."""
    standing = state.standing(case)
    if not standing.steps:
        if case.is_behind:
            message = f"case {case.id} is not to be worked on yet: all of its events are another unit's matter first"
            raise UsageError(message, code="case_waits")
        message = f"case {case.id} has not been announced yet; try again in a few seconds"
        raise UsageError(message, code="case_not_announced")
    before = _BEFORE.get(status)
    if before is None:
        message = "a case is marked fed_back (已反馈), then verified (已复核); it reopens by itself"
        raise UsageError(message, code="mark_pending")
    if standing.status in {before, status}:
        return
    now = f"case {case.id} is {standing.status} ({standing.status.zh})"
    if status is Status.VERIFIED:
        message = f"{now}: it is marked {before} ({before.zh}) before {status} ({status.zh})"
        raise UsageError(message, code="mark_too_early")
    raise UsageError(f"{now} already; it reopens by itself", code="mark_too_late")


async def _write(settings: Settings, cases: Sequence[Case], status: Status, by: str, note: str | None) -> None:
    signer, now = load_record_signer(settings), int(time.time() * 1000)
    topic = FeedbackTopics(settings).announcements
    messages = [case_message(case, Change.MARKED, status, now, by=by, note=note) for case in cases]
    try:
        async with kafka.producer(settings, enable_idempotence=True) as producer:
            sent = [
                await producer.send(
                    topic, key=each.key, value=signer.sign(each.value) if signer else each.value, headers=[CONTENT_TYPE]
                )
                for each in messages
            ]
            await asyncio.gather(*sent)
    except (KafkaError, OSError) as error:
        raise kafka.unreachable(settings, error) from None
