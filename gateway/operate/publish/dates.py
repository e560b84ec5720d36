"""Reads times and dates as a platform writes them, exactly: `strptime` reads "2028111" as 2028-11-01, and
full-width digits."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone

EPOCHS = {"epoch_s": 1, "epoch_ms": 1000}
_EPOCH = re.compile(r"-?[0-9]+")
# By directive: what it reads, and what it says (year, month, day, hour, minute, second; none of them: "").
_DIRECTIVES = {
    "%Y": (r"[0-9]{4}", "year"), "%y": (r"[0-9]{2}", "year"), "%m": (r"[0-9]{2}", "month"), "%-m": (r"[0-9]{1,2}", "month"),
    "%b": (r"[A-Za-z]{3}", "month"), "%B": (r"[A-Za-z]{3,9}", "month"), "%d": (r"[0-9]{2}", "day"),
    "%-d": (r"[0-9]{1,2}", "day"), "%H": (r"[0-9]{2}", "hour"), "%-H": (r"[0-9]{1,2}", "hour"), "%I": (r"[0-9]{2}", "hour"),
    "%-I": (r"[0-9]{1,2}", "hour"), "%p": (r"[AaPp][Mm]", "half"), "%M": (r"[0-9]{2}", "minute"),
    "%S": (r"[0-9]{2}", "second"), "%f": (r"[0-9]{1,6}", ""), "%z": (r"(?:Z|[+-][0-9]{2}:?[0-9]{2})", "zone"),
    "%%": (r"%", ""),
}  # fmt: skip
_PIECE = re.compile(r"%-?.|[^%]+|%", re.DOTALL)
_AS_PEOPLE_WRITE = {
    "%Y": "YYYY", "%y": "YY", "%m": "MM", "%-m": "M", "%d": "DD", "%-d": "D", "%H": "HH", "%-H": "H", "%M": "MM", "%S": "SS",
    "%f": "SSSSSS", "%z": "+HH:MM", "%%": "%",
}  # fmt: skip

Read = Callable[[str], datetime]


def reader_of(pattern: str, zone: str | None) -> Read:
    """Return what reads a text that is written as ``pattern`` says; it raises ValueError for any other.

    ``pattern`` is checked before, by ``problem_of``. A time without an offset of its own gets ``zone``
    (+08:00), if there is one.
    """
    offset = _offset(zone) if zone else None
    if pattern in EPOCHS:
        return lambda text: _read_epoch(text, EPOCHS[pattern], offset or UTC)
    shape = re.compile(
        "".join(_DIRECTIVES[piece][0] if piece[0] == "%" else re.escape(piece) for piece in _pieces(pattern))
    )
    padded = pattern.replace("%-", "%")

    def read(text: str) -> datetime:
        if not shape.fullmatch(text):
            raise ValueError(pattern)
        moment = datetime.strptime(text, padded)  # noqa: DTZ007 — with no zone, and no %z, it is a date
        return moment.replace(tzinfo=offset) if offset and moment.tzinfo is None else moment

    return read


def problem_of(pattern: str, *, with_time: bool) -> str | None:
    """Say what is wrong with a mapping's ``format``; None where nothing is."""
    if pattern in EPOCHS:
        return None
    pieces = _pieces(pattern)
    unknown = next((piece for piece in pieces if piece[0] == "%" and piece not in _DIRECTIVES), None)
    if unknown is not None:
        return f"{unknown} is not supported; there are {', '.join(_DIRECTIVES)}, or epoch_s, epoch_ms"
    said = [_DIRECTIVES[piece][1] for piece in pieces if piece[0] == "%"]
    if repeated := next((part for part in said if part and said.count(part) > 1), None):
        return f"it says the {repeated} twice"
    needed = ("year", "month", "day", "hour", "minute") if with_time else ("year", "month", "day")
    if missing := [part for part in needed if part not in said]:
        return f"it does not say the {', '.join(missing)}"
    if ("half" in said) != any(piece in {"%I", "%-I"} for piece in pieces):
        return "%I (1 to 12) and %p (AM, PM) belong together"
    return None


def in_words(pattern: str) -> str:
    """Return ``pattern`` as people write it (YYYY-MM-DD); as it is where it has other directives."""
    words = (_AS_PEOPLE_WRITE.get(piece, piece) for piece in _pieces(pattern))
    return "".join(words)


def _pieces(pattern: str) -> list[str]:
    return _PIECE.findall(pattern)


def _read_epoch(text: str, per_second: int, zone: timezone) -> datetime:
    if not _EPOCH.fullmatch(text):
        raise ValueError("not a whole number")
    return datetime.fromtimestamp(int(text) / per_second, UTC).astimezone(zone)


def _offset(zone: str) -> timezone:
    return timezone(timedelta(hours=int(zone[:3]), minutes=int(zone[0] + zone[4:])))


NO_END_WORDS = frozenset({"长期", "长期有效", "永久", "永久有效"})


def is_no_end(text: str) -> bool:
    """Tell whether ``text`` says, where an end date stands otherwise, that there is none."""
    return text.strip() in NO_END_WORDS


def is_last_day(day: date) -> bool:
    """Tell whether ``day`` is 9999-12-31, which stands for no end where a field must hold a date."""
    return day == date.max
