"""Reason and error codes as a person gives them on the command line."""

from gateway.core.dead_letter_codes import DeadLetterCode
from gateway.core.reasons import Code
from gateway.errors import UsageError

KNOWN = (*(code.value for code in Code), *(code.value for code in DeadLetterCode))
"""Reason codes of rejections, then error codes of dead letters."""


def require_codes(option: str, *codes: str) -> frozenset[str]:
    """``codes``, if there are such. Raises UsageError naming ``option``: nothing would ever be found under another."""
    for code in codes:
        if code not in KNOWN:
            raise UsageError(f"{option}: {code} is no reason or error code. They are: {', '.join(KNOWN)}")
    return frozenset(codes)
