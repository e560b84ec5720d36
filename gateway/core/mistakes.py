"""The words for a mistake in a file that a person has written, instead of pydantic's. They never hold the
value."""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

_PATTERNS = {
    r"^[A-Za-z0-9._-]*$": "may only have letters, digits, '.', '_' and '-'",
    r"^[A-Za-z0-9._-]+$": "may only have letters, digits, '.', '_' and '-', at least one",
    r"^[A-Za-z0-9._-]{1,64}$": "must have 1 to 64 letters, digits, '.', '_' and '-'",
    r"^https?://": "must begin with http:// or https://",
}
_WORDS = {
    "missing": "is missing",
    "int": "must be a whole number",
    "float": "must be a number",
    "bool": "must be true or false",
    "string": "must be text",
    "path": "must be a path",
    "tuple": "must be a list, in square brackets",
    "list": "must be a list, in square brackets",
    "date": "must be a day, such as 2026-11-23",
    "datetime": "must be a time with an offset, such as 2026-11-23T08:00:00+08:00",
    "timezone": "must be a time with an offset, such as 2026-11-23T08:00:00+08:00",
    "finite": "must be a number",
    "dict": "must be a mapping of names to values",
    "model": "must be a mapping of names to values",
}
"""By pydantic's type of error, or how it begins."""
_BOUNDS = {
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "too_short": "must have {min_length} or more entries",
    "string_too_short": "must not be empty",
    "string_too_long": "may have at most {max_length} characters",
}


def words_of(problem: Mapping[str, Any], known: Iterable[str] = ()) -> str:
    """Return what is wrong, for one of a ValidationError's ``errors()``; ``known`` are the names that may
    stand there."""
    kind, context = str(problem["type"]), problem.get("ctx") or {}
    if kind == "extra_forbidden":
        return f"there is no such field{meant(str(problem['loc'][-1]), known)}"
    if kind in {"literal_error", "enum"}:
        return f"must be {context['expected']}"
    if kind in _BOUNDS:
        return _BOUNDS[kind].format(**context)
    if kind == "string_pattern_mismatch":
        return _PATTERNS.get(context["pattern"], f"must match {context['pattern']}")
    words = _WORDS.get(kind) or _WORDS.get(re.split("[_.]", kind)[0])
    return words or str(problem["msg"]).removeprefix("Value error, ")


def meant(name: str, known: Iterable[str]) -> str:
    """Return the question for the known name that is nearest to ``name``; nothing where none is near."""
    close = get_close_matches(name, known, 1)
    return f"; did you mean {close[0]}?" if close else ""
