"""What a number read back may be: whoever wrote it, it must be one that can be shown as a time, a count or
an offset."""

from typing import Annotated

from msgspec import Meta

MILLISECONDS_END = 253_402_185_600_000
"""The end of the last day that China's calendar has a date for, in milliseconds since the epoch."""
COUNT_END = 2**53
"""What JSON's readers keep exactly; no count comes near it."""

MillisecondsOf = Annotated[int, Meta(ge=0, lt=MILLISECONDS_END)]
CountOf = Annotated[int, Meta(ge=0, lt=COUNT_END)]
OffsetOf = Annotated[int, Meta(ge=-1, le=2**63 - 1)]


def bounded_time(milliseconds: int) -> int:
    """Return ``milliseconds``, or the nearest time that can be shown: a record's time may be its writer's
    invention."""
    return min(max(milliseconds, 0), MILLISECONDS_END - 1)
