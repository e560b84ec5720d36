"""Times as a person gives them on the command line, and as a person reads them there: Beijing time
(UTC+8)."""

import re
from typing import overload

from gateway.core.times import RFC3339, china_date, format_china, is_date, parse_instant
from gateway.errors import UsageError

_DAY_MS = 86_400_000


@overload
def parse_time(option: str, text: str) -> int: ...
@overload
def parse_time(option: str, text: None) -> None: ...
@overload
def parse_time(option: str, text: str | None) -> int | None: ...


def parse_time(option: str, text: str | None) -> int | None:
    """Parse an instant (RFC 3339) as milliseconds since the epoch; None stays None. Raises UsageError naming
    ``option``."""
    if text is None:
        return None
    if not re.fullmatch(RFC3339, text):
        raise UsageError(
            f"{option}: '{text}' is not an RFC 3339 date-time with an offset, such as 2026-11-23T08:00:00+08:00"
        )
    instant = parse_instant(text)
    if instant is not None:
        return instant // 1000
    if not is_date(text[:10]):
        raise UsageError(f"{option}: '{text}': there is no such day")
    if parse_instant("2026-11-23" + text[10:]) is None:
        raise UsageError(f"{option}: '{text}': there is no such time of day or offset")
    raise UsageError(
        f"{option}: '{text}' is outside the calendar: in China's time (UTC+8), by which days are counted, "
        "its year is before 1 or after 9999"
    )


def parse_since(text: str | None) -> int | None:
    """Parse ``--since``, a day (its beginning in Beijing) or an instant, as milliseconds since the epoch.
    Raises UsageError."""
    return _parse("--since", text)


def parse_until(text: str | None) -> int | None:
    """Parse ``--until`` likewise: where it is a day, that day is meant too, so the time is the day's end."""
    parsed = _parse("--until", text)
    return parsed + _DAY_MS if parsed is not None and text is not None and is_date(text) else parsed


def parse_day(option: str, text: str | None) -> str | None:
    """Parse a day, or an instant, as the day in Beijing (YYYY-MM-DD): for what is counted by days. Raises
    UsageError."""
    if text is None or is_date(text):
        return text
    parsed = _parse(option, text)
    return None if parsed is None else china_date(parsed * 1000)


def _parse(option: str, text: str | None) -> int | None:
    if text is None:
        return None
    if is_date(text):
        return parse_time(option, f"{text}T00:00:00+08:00")
    if text[10:11].upper() != "T":
        raise UsageError(f"{option}: '{text}' is not a day (2026-11-23) or an instant (2026-11-23T08:00:00+08:00)")
    return parse_time(option, text)


def time_for_people(time: int | str) -> str:
    """Format a time for a person, such as ``2026-11-23 08:00:03 +08:00``.

    ``time`` is in milliseconds since the epoch, or RFC 3339; text that is no instant stays as it is.
    """
    instant = parse_instant(time) if isinstance(time, str) else time * 1000
    return str(time) if instant is None else format_china(instant)
