"""What is personal in a string: resident identity numbers (GB 11643) and mobile numbers; and what a mask looks like."""

import datetime
import re
import unicodedata
from functools import lru_cache

from stdnum.cn import ric

SHORTEST_PERSONAL_NUMBER = 11
"""Characters of a mobile number; a shorter string holds neither."""
_MASKS = frozenset("*＊某○")
# What stands before is part of the match: a look-behind at every position costs more than the whole decision.
_CANDIDATE = re.compile(r"(?:\A|[^0-9A-Za-z])(1[3-9][0-9]{9}|[0-9]{17}[0-9Xx])(?![0-9A-Za-z])")
# Nearly no text has so many digits in a row, and that is seen ten times as fast as the pattern is searched.
_DIGITS_TO_ZERO = bytes(ord("0") if chr(byte) in "0123456789" else ord(" ") for byte in range(256))
_DIGITS_IN_A_ROW = b"0" * SHORTEST_PERSONAL_NUMBER
_RESIDENT_ID_LENGTH = 18
_EARLIEST_BIRTH, _LATEST_BIRTH = 1800, 2099


_CACHED_LENGTH = 100


def holds_personal_number(text: str) -> bool:
    """Tell whether ``text`` holds a resident identity or mobile number that touches no other ASCII letter or digit.

    A resident identity number (GB 11643) is 17 digits with a real birth date and the right check character; a mobile
    number is 11 digits, 1[3-9]…. Full-width forms count too: the string is looked at as it is and after NFKC.
    """
    if len(text) < SHORTEST_PERSONAL_NUMBER:
        return False
    if text.isascii():
        return _found_in(text)
    # Chinese strings are names as a rule, which recur; a long one is not worth keeping.
    return _found_folded_remembered(text) if len(text) <= _CACHED_LENGTH else _found_folded(text)


def _found_folded(text: str) -> bool:
    if _found_in(text):
        return True
    return (folded := unicodedata.normalize("NFKC", text)) != text and _found_in(folded)


_found_folded_remembered = lru_cache(maxsize=4096)(_found_folded)


def _found_in(text: str) -> bool:
    if _DIGITS_IN_A_ROW not in text.encode("utf-8", "replace").translate(_DIGITS_TO_ZERO):
        return False
    match = _CANDIDATE.search(text)
    while match is not None:  # nearly never
        number = match[1]
        if len(number) < _RESIDENT_ID_LENGTH or _is_resident_id(number.upper()):
            return True
        match = _CANDIDATE.search(text, match.end())
    return False


def _is_resident_id(number: str) -> bool:
    # python-stdnum's own validate() also wants a birthplace out of its table; the contract does not.
    if ric.calc_check_digit(number) != number[-1]:
        return False
    try:
        born = datetime.date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return False
    return _EARLIEST_BIRTH <= born.year <= _LATEST_BIRTH


def is_masked(name: str) -> bool:
    """Tell whether ``name`` carries a mask character (``*``, ``＊``, ``某``, ``○``)."""
    return not _MASKS.isdisjoint(name)
