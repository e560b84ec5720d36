"""A person's word on a case: fed back to the department (已反馈), or verified as fixed (已复核)."""

import time

from aiokafka.errors import KafkaError

from gateway.adapters import kafka
from gateway.adapters.own_signatures import load_record_signer
from gateway.adapters.settings import Settings
from gateway.core.privacy import holds_personal_number
from gateway.errors import UsageError
from gateway.feedback.cases import Case
from gateway.feedback.history import Change, Status, case_message
from gateway.feedback.state import FeedbackTopics, State

MAX_BY = 100
MAX_NOTE = 500

_BEFORE = {Status.FED_BACK: Status.PENDING, Status.VERIFIED: Status.FED_BACK}


def find_case(state: State, case_id: str) -> Case:
    """Return the case whose id begins with ``case_id``. Raises UsageError where none or several do."""
    found = [case for known, case in state.cases.items() if known.startswith(case_id)]
    if len(found) != 1 or not case_id:
        what = "no case has" if not found else f"{len(found)} cases have"
        raise UsageError(f"{what} an id that begins with {case_id!r}; `gateway feedback list` shows them")
    return found[0]


async def mark(settings: Settings, state: State, case_id: str, status: Status, by: str, note: str | None) -> Case:
    """Write on ``gateway.feedback`` that the case now stands at ``status``; returns the case.

    Raises UsageError where the case is unknown, the step is out of order or the words are not fit to be kept;
    BrokerUnreachableError.
    """
    case = find_case(state, case_id)
    by, note = by.strip(), (note or "").strip() or None
    _check_words("who marks it (by)", by, MAX_BY)
    _check_words("the note", note, MAX_NOTE)
    if not by:
        raise UsageError("say who marks it (by): a name or an office")
    standing = state.standing(case)
    if not standing.steps:
        raise UsageError(f"case {case.id} has not been announced yet; try again in a few seconds")
    before = _BEFORE.get(status)
    if before is None:
        raise UsageError("a case is marked fed_back (已反馈), then verified (已复核); it reopens by itself")
    if standing.status not in {before, status}:
        raise UsageError(
            f"case {case.id} is {standing.status} ({standing.status.zh}): it is marked "
            f"{before} ({before.zh}) before {status} ({status.zh})"
            if status is Status.VERIFIED
            else f"case {case.id} is {standing.status} ({standing.status.zh}) already; it reopens by itself"
        )
    message = case_message(case, Change.MARKED, status, int(time.time() * 1000), by=by, note=note)
    signer = load_record_signer(settings)
    value = signer.sign(message.value) if signer is not None else message.value
    try:
        async with kafka.producer(settings, enable_idempotence=True) as producer:
            await producer.send_and_wait(FeedbackTopics(settings).announcements, key=message.key, value=value)
    except (KafkaError, OSError) as error:
        raise kafka.unreachable(settings, error) from None
    return case


def _check_words(what: str, words: str | None, most: int) -> None:
    if words is None:
        return
    if len(words) > most or not words.isprintable():
        raise UsageError(f"{what} may have at most {most} printable characters, on one line")
    if holds_personal_number(words):
        raise UsageError(f"{what} holds a resident identity number or a mobile number; leave it out")
