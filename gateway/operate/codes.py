"""Reason and error codes as a person gives them on the command line."""

from difflib import get_close_matches

from gateway.core.dead_letter_codes import DeadLetterCode
from gateway.core.reasons import Code
from gateway.errors import UsageError

KNOWN = (*(code.value for code in Code), *(code.value for code in DeadLetterCode))
"""Reason codes of rejections, then error codes of dead letters."""


def require_codes(option: str, *codes: str) -> frozenset[str]:
    """Return ``codes`` where all of them exist. Raises UsageError naming ``option``: nothing would be found
    by another code."""
    for code in codes:
        if code not in KNOWN:
            close = get_close_matches(code.upper(), KNOWN, 1)
            meant = f"did you mean {close[0]}? All codes: " if close else "the codes are: "
            raise UsageError(f"{option}: '{code}' is not a reason or error code; {meant}{', '.join(KNOWN)}")
    return frozenset(codes)
