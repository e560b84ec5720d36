"""Instants as integers: microseconds since 1970-01-01T00:00:00Z; days as they are counted in China
(UTC+8)."""

import datetime
import re
from functools import lru_cache

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_EPOCH_ORDINAL = _EPOCH.toordinal()
_MICROSECOND = datetime.timedelta(microseconds=1)
_CHINA_OFFSET = 8 * 3_600_000_000
_DAY = 86_400_000_000
_FIRST = (datetime.date.min.toordinal() - _EPOCH_ORDINAL) * _DAY - _CHINA_OFFSET
_END = (datetime.date.max.toordinal() + 1 - _EPOCH_ORDINAL) * _DAY - _CHINA_OFFSET

MINUTE = 60_000_000
HOUR = 60 * MINUTE

RFC3339 = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})$"
_DATE_TIME = re.compile(RFC3339)


def parse_instant(text: str) -> int | None:
    """Return the microseconds of an RFC 3339 date-time, a finer fraction truncated; None if ``text`` is not
    one, or no such moment exists."""
    # Python alone would take 99 minutes of an offset too.
    if _DATE_TIME.fullmatch(text) is None or (text[-3] == ":" and text[-2:] > "59"):
        return None
    try:
        moment = datetime.datetime.fromisoformat(text.upper())
    except ValueError:
        return None
    instant = (moment - _EPOCH) // _MICROSECOND
    # A day that China's calendar has no date for is not valid either: 9999-12-31 ends eight hours early
    # there.
    return instant if _FIRST <= instant < _END else None


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
    return datetime.date.fromordinal(_EPOCH_ORDINAL + (instant + _CHINA_OFFSET) // _DAY).isoformat()


def china_hour(instant: int) -> int:
    """Return the hour of the day in UTC+8 at ``instant``, 0 to 23."""
    return (instant + _CHINA_OFFSET) % _DAY // HOUR


def is_date(text: str) -> bool:
    """Tell whether ``text`` is a calendar date, YYYY-MM-DD."""
    try:
        return datetime.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
