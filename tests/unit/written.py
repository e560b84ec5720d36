"""What goes out for a decision, in one call: the record's bytes, its model, and what its reader reads
back."""

import re
import unicodedata
from typing import Any

from gateway.contract.dead_letter import DeadLetterRecord, build_dead_letter, read_dead_letter
from gateway.contract.headers import Origin
from gateway.contract.rejection import RejectionRecord, build_rejection, read_rejection
from gateway.contract.verification import VerificationRecord, build_verification, read_verification
from gateway.core.decision import DeadLetter, Decision, Duplicate, Forward, Outcome, Reject

ORIGIN = Origin("sichuan.display", 3, 17)
MODELS = {
    Outcome.FORWARD: VerificationRecord,
    Outcome.REJECT: RejectionRecord,
    Outcome.DEAD_LETTER: DeadLetterRecord,
}
READERS: dict[Outcome, Any] = {
    Outcome.FORWARD: read_verification,
    Outcome.REJECT: read_rejection,
    Outcome.DEAD_LETTER: read_dead_letter,
}


def record_of(decision: Decision, raw: bytes, origin: Origin = ORIGIN) -> bytes | None:
    """The record that goes out for ``decision`` about ``raw``; None for a duplicate."""
    match decision:
        case Forward():
            return build_verification(decision)
        case Reject():
            return build_rejection(decision)
        case DeadLetter():
            return build_dead_letter(decision, raw, origin)
        case Duplicate():
            return None


def problems_of_cloudevent(content: dict[str, Any]) -> list[str]:
    """What CloudEvents 1.0 forbids in a record: SDKs refuse to read it, and a consumer stops at it."""
    problems = [name for name in ("id", "source", "type", "specversion") if not content.get(name)]
    for name, value in content.items():
        if name == "data":
            continue
        is_int32 = isinstance(value, int) and -(2**31) <= value < 2**31
        if not re.fullmatch("[a-z0-9]+", name) or not (isinstance(value, str | bool) or is_int32):
            problems.append(name)
        if name in {"subject", "dataschema", "time", "datacontenttype", "traceparent", "tracestate"} and (
            not isinstance(value, str) or not value
        ):
            problems.append(name)
        if isinstance(value, str) and any(
            unicodedata.category(each) in {"Cc", "Cs"} or 0xFDD0 <= ord(each) < 0xFDF0 or ord(each) & 0xFFFE == 0xFFFE
            for each in value
        ):
            problems.append(name)
    return problems


def said_by(decision: Decision) -> str:
    """All words of a decision that could be logged or shown."""
    match decision:
        case Reject():
            return "\n".join(f"{reason!r} {reason.zh} {reason.en}" for reason in decision.reasons)
        case DeadLetter():
            return f"{decision!r} {decision.message}"
    return ""
