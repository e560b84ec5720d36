"""Codes whose members are the entries of a table, and the words for people that go with them, in both
languages; counts."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What a code means, and what its recipient is to do, in Chinese and English."""

    zh: str
    en: str
    advice_zh: str
    advice_en: str


class EntryCode(StrEnum):
    """A code whose members are the entries of one table: the code itself as a string, and its ``entry``."""

    entry: Any
    _value_: str

    def __new__(cls, entry: Any) -> Self:  # typed Any because a look-up, Code("…"), passes the code's value
        """Make the code of ``entry``."""
        code = str.__new__(cls, entry.code)
        code._value_ = entry.code
        code.entry = entry
        return code

    __hash__ = str.__hash__  # Enum's own is written in Python, and every rejection is counted by its code


def count_of(number: int, noun: str) -> str:
    """Return the number with its noun: 1 line, 2 lines."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
