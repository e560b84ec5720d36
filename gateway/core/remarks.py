"""What a person has written for the record: who says so, and why. Bounded, on one line, and without
anybody's number."""

from gateway.core.privacy import holds_personal_number
from gateway.errors import UsageError

MAX_BY = 100
"""Characters of a name or an office."""
MAX_REMARK = 500
"""Characters of a note or a reason."""


def check_remark(what: str, words: str, most: int, *, needed: bool = True) -> str:
    """Return ``words`` as they are kept, without blanks around them; ``what`` names them in a message.

    Raises UsageError where they have more than ``most`` characters, or what is not printable, or hold a
    personal number; and where there are none, if they are ``needed``.
    """
    kept = words.strip()
    if needed and not kept:
        raise UsageError(f"{what} is missing: write it in a few words", code="remark_missing")
    if len(kept) > most or not kept.isprintable():
        raise UsageError(f"{what} may have at most {most} printable characters, on one line", code="remark_too_long")
    if holds_personal_number(kept):
        message = f"{what} holds a resident identity number or a mobile number; leave it out"
        raise UsageError(message, code="remark_personal")
    return kept
