"""Times as a person gives them on the command line."""

import re
from typing import overload

from gateway.core.times import RFC3339, parse_instant
from gateway.errors import UsageError


@overload
def parse_time(option: str, text: str) -> int: ...
@overload
def parse_time(option: str, text: None) -> None: ...
@overload
def parse_time(option: str, text: str | None) -> int | None: ...


def parse_time(option: str, text: str | None) -> int | None:
    """``text`` (RFC 3339) as milliseconds since the epoch, None as None. Raises UsageError naming ``option``."""
    if text is None:
        return None
    instant = parse_instant(text) if re.match(RFC3339, text) else None
    if instant is None:
        raise UsageError(f"{option}: {text} is no RFC 3339 date-time with an offset, such as 2026-11-23T08:00:00+08:00")
    return instant // 1000
