"""Instants as integers: microseconds since 1970-01-01T00:00:00Z; days as they are counted in China
(UTC+8)."""

import datetime
import re
from functools import lru_cache

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_EPOCH_ORDINAL = _EPOCH.toordinal()
_CHINA_OFFSET = 8 * 3_600_000_000
_DAY = 86_400_000_000
_FIRST = (datetime.date.min.toordinal() - _EPOCH_ORDINAL) * _DAY - _CHINA_OFFSET
_END = (datetime.date.max.toordinal() + 1 - _EPOCH_ORDINAL) * _DAY - _CHINA_OFFSET

MINUTE = 60_000_000
HOUR = 60 * MINUTE

_CLOCK = re.compile(r"[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})")
_REST = re.compile(r"(?:\.([0-9]{1,9}))?([Zz]|[+-][0-9]{2}:[0-9]{2})")
RFC3339 = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})$"


def parse_instant(text: str) -> int | None:
    """Return the microseconds of an RFC 3339 date-time; None if ``text`` is not one, or no such moment
    exists.

    Day, time of day and the rest are read apart: each recurs often, though the whole does not.
    """
    days, clock, rest = _day_of(text[:10]), _clock_of(text[10:19]), _rest_of(text[19:])
    if days is None or clock is None or rest is None:
        return None
    instant = days * _DAY + clock + rest
    # A day that China's calendar has no date for is not valid either: 9999-12-31 ends eight hours early
    # there.
    return instant if _FIRST <= instant < _END else None


@lru_cache(maxsize=1024)
def _day_of(text: str) -> int | None:
    """Return the days since the epoch of YYYY-MM-DD."""
    return datetime.date.fromisoformat(text).toordinal() - _EPOCH_ORDINAL if is_date(text) else None


@lru_cache(maxsize=86_400)
def _clock_of(text: str) -> int | None:
    """Return the microseconds since midnight of Thh:mm:ss."""
    match = _CLOCK.fullmatch(text)
    if match is None:
        return None
    hours, minutes, seconds = map(int, match.groups())
    return (hours * 3600 + minutes * 60 + seconds) * 1_000_000 if hours < 24 and minutes < 60 and seconds < 60 else None


@lru_cache(maxsize=8192)
def _rest_of(text: str) -> int | None:
    """Return the microseconds to add for a fraction of a second (truncated) and to get from the offset to
    UTC."""
    match = _REST.fullmatch(text)
    if match is None:
        return None
    fraction, zone = match.groups()
    microseconds = int((fraction or "")[:6].ljust(6, "0"))
    if zone in {"Z", "z"}:
        return microseconds
    hours, minutes = int(zone[1:3]), int(zone[4:6])
    if hours > 23 or minutes > 59:
        return None
    return microseconds - int(zone[0] + "1") * (hours * HOUR + minutes * MINUTE)


@lru_cache(maxsize=4096)  # the broker stamps a whole batch with one time
def format_instant(instant: int) -> str:
    """Format ``instant`` as RFC 3339 in UTC with milliseconds (Kafka's resolution)."""
    moment = _EPOCH + datetime.timedelta(microseconds=instant)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def format_china(instant: int) -> str:
    """Format ``instant`` for people: in UTC+8, to the second, with the offset:
    ``2026-11-23 08:00:03 +08:00``."""
    moment = _EPOCH + datetime.timedelta(microseconds=instant + _CHINA_OFFSET)
    return f"{moment.replace(tzinfo=None).isoformat(' ', 'seconds')} +08:00"


def china_date(instant: int) -> str:
    """Return the calendar date in UTC+8 at ``instant``, as YYYY-MM-DD."""
    return _date_of((instant + _CHINA_OFFSET) // _DAY)


def china_hour(instant: int) -> int:
    """Return the hour of the day in UTC+8 at ``instant``, 0 to 23."""
    return (instant + _CHINA_OFFSET) % _DAY // HOUR


@lru_cache(maxsize=1024)
def _date_of(days: int) -> str:
    return datetime.date.fromordinal(_EPOCH_ORDINAL + days).isoformat()


@lru_cache(maxsize=4096)
def is_date(text: str) -> bool:
    """Tell whether ``text`` is a calendar date, YYYY-MM-DD."""
    try:
        return datetime.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
