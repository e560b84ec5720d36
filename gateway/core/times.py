"""Instants as integers: microseconds since 1970-01-01T00:00:00Z; days as they are counted in China (UTC+8)."""

import datetime
from functools import lru_cache

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_EPOCH_ORDINAL = _EPOCH.toordinal()
_MICROSECOND = datetime.timedelta(microseconds=1)
_CHINA_OFFSET = 8 * 3_600_000_000
_DAY = 86_400_000_000

MINUTE = 60_000_000
HOUR = 60 * MINUTE

RFC3339 = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})$"


@lru_cache(maxsize=4096)
def parse_instant(text: str) -> int | None:
    """Microseconds of an RFC 3339 date-time that matches ``RFC3339``; None where no such moment exists, or it has no offset."""
    if text[-3:-2] == ":" and text[-2:] > "59":  # Python takes +08:99 for an offset; RFC 3339 does not
        return None
    try:
        instant = (datetime.datetime.fromisoformat(text.upper()) - _EPOCH) // _MICROSECOND
        china_date(instant)
    except (ValueError, OverflowError, TypeError):  # the last: no offset, so no instant
        return None
    return instant


@lru_cache(maxsize=4096)  # the broker stamps a whole batch with one time
def format_instant(instant: int) -> str:
    """``instant`` as RFC 3339 in UTC with milliseconds (Kafka's resolution)."""
    moment = _EPOCH + datetime.timedelta(microseconds=instant)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def china_date(instant: int) -> str:
    """The calendar date in UTC+8 at ``instant``, as YYYY-MM-DD."""
    return _date_of((instant + _CHINA_OFFSET) // _DAY)


@lru_cache(maxsize=1024)
def _date_of(days: int) -> str:
    return datetime.date.fromordinal(_EPOCH_ORDINAL + days).isoformat()


@lru_cache(maxsize=4096)
def is_date(text: str) -> bool:
    """Whether ``text`` is a calendar date, YYYY-MM-DD."""
    try:
        return datetime.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
