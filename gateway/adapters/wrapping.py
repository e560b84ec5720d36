"""Lays a long line out for a terminal: lines that go on are indented, so that where the next one begins is
seen."""

import os
import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple, TextIO

_MOST_LEAD = 8
"""A line that is indented further than this stands below another's text, and goes on where it began."""
_LABEL = re.compile(r"\S {2,}(?=\S)")
_WIDE = "\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6"
_OPENING, _CLOSING = "（「『“《〔【", "，。；：、？！）」』”》〕】…"
# A command between backquotes is copied whole; Chinese may be broken between any two characters, but for
# those that begin or end a line nowhere.
_PIECE = re.compile(
    rf"\s+|[{_OPENING}]*(?:`[^`]*`[^\s{_WIDE}]*|[{_WIDE}]|[^\s{_WIDE}{_OPENING}`]+|`|[{_OPENING}])[{_CLOSING}]*"
)


class Line(NamedTuple):
    """A part of a text, from ``start`` to ``end``, and by how many columns it is indented."""

    indent: int
    start: int
    end: int


def columns_of(text: str) -> int:
    """Return how many columns of a terminal ``text`` takes."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(each) else 1 + (unicodedata.east_asian_width(each) in "WF") for each in text)


def lay_out(text: str, width: int) -> Iterator[Line]:
    """Yield the lines of ``text``, itself one line, on ``width`` columns.

    Lines that go on stand below the text after a label and two blanks, or below what the first is indented
    by. A word that is longer than a line stays whole: the terminal breaks it, and it can be copied.
    """
    indent = start = end = used = 0
    for piece in _PIECE.finditer(text):
        if piece[0].isspace():
            used += columns_of(piece[0])
            continue
        columns = columns_of(piece[0])
        if used + columns > width and end > start:
            yield Line(indent, start, end)
            indent = indent or _hanging(text, width)
            start, used = piece.start(), indent
        used, end = used + columns, piece.end()
    yield Line(indent, start, len(text) if end == start else end)


def wrap(text: str, stream: TextIO) -> str:
    """Return ``text``, of one line or several, as ``stream`` takes it: laid out where that is a terminal."""
    if not stream.isatty():
        return text
    width = _width_of(stream)
    return "\n".join(
        " " * part.indent + line[part.start : part.end] for line in text.split("\n") for part in lay_out(line, width)
    )


def _hanging(text: str, width: int) -> int:
    lead = len(text) - len(text.lstrip(" →"))
    label = _LABEL.search(text, lead)
    if label is not None and (column := columns_of(text[: label.end()])) <= width // 2:
        return column
    return lead if _MOST_LEAD < lead <= width // 2 else min(lead, _MOST_LEAD) + 2


def _width_of(stream: TextIO) -> int:
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and int(given):
        return int(given)
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 80
