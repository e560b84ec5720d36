"""What goes out for a decision, in one call: the record's bytes, its model, and what its reader reads back."""

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


def said_by(decision: Decision) -> str:
    """All words of a decision that could be logged or shown."""
    match decision:
        case Reject():
            return "\n".join(f"{reason!r} {reason.zh} {reason.en}" for reason in decision.reasons)
        case DeadLetter():
            return f"{decision!r} {decision.message}"
    return ""
