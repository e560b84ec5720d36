"""What is personal in a string: resident identity numbers (GB 11643) and mobile numbers; and what a mask
looks like."""

import datetime
import re
from functools import lru_cache

from stdnum.cn import ric, uscc

from gateway.core.identifier import OID, SHAPE
from gateway.core.width import fold_width

_FEWEST_DIGITS = 11
"""Those of a mobile number; a shorter string holds neither."""
_FEWEST_CHARACTERS = 6
"""As many can be eleven digits after NFKC: ⑬ becomes 13, and no character becomes more in a row."""
_MASKS = frozenset("*＊某○")

# What takes no width: format characters, bidi controls, joiners, variation selectors, combining marks, tags.
_ZERO_WIDTH = (
    "[\u00ad\u0300-\u036f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\u20d0-\u20ff\ufe00-\ufe0f\ufeff"
    "\U000e0000-\U000e0fff]"
)
# Blanks, dashes and dots, Chinese ones too.
_SEPARATOR = (
    r"[\s\-.\u00b7\u2010-\u2015\u2022\u2027\u2043\u2212\u2219\u22c5\u3002\u30fb"
    r"\ufe52\ufe58\ufe63\uff0d\uff0e\uff61\uff65]"
)
# What may stand between two digits of a number: one separator, and nothing that is seen besides. It never
# gives back what it took (possessive), so that each place of a text is tried once.
_GAP = f"{_ZERO_WIDTH}*+{_SEPARATOR}?+{_ZERO_WIDTH}*+"


def _spaced(*parts: str) -> str:
    return _GAP.join(parts)


_DIGIT = "[0-9]"
_COUNTRY = f"(?:(?:{_spaced('0', '0', '')})?{_spaced('8', '6', '')})?"
_MOBILE = _COUNTRY + _spaced("1", "[3-9]", *[_DIGIT] * 9)
_YEAR = _spaced(f"(?:{_spaced('1', '[89]')}|{_spaced('2', '0')})", _DIGIT, _DIGIT)
_MONTH = f"(?:{_spaced('0', '[1-9]')}|{_spaced('1', '[0-2]')})"
_DAY = f"(?:{_spaced('0', '[1-9]')}|{_spaced('[12]', _DIGIT)}|{_spaced('3', '[01]')})"
_RESIDENT_ID = _spaced(*[_DIGIT] * 6, _YEAR, _MONTH, _DAY, *[_DIGIT] * 3, "[0-9Xx]")
# What stands before is part of the match: a look-behind at every position costs more than the whole
# decision.
_CANDIDATE = re.compile(rf"(?:\A|[^0-9A-Za-z])(?:{_MOBILE}|({_RESIDENT_ID}))(?![0-9A-Za-z])")
_NO_DIGIT = re.compile("[^0-9X]")
# Nearly no text has so many digits in a row, and that is seen ten times as fast as the pattern is searched:
# digits become zeros, what may stand between two of them is passed over, and so is all that is not ASCII.
_DIGITS_TO_ZERO = bytes(ord("0") if chr(byte) in "0123456789" else ord(" ") for byte in range(256))
_PASSED_OVER = bytes(byte for byte in range(256) if byte >= 0x80 or re.fullmatch(_SEPARATOR, chr(byte)))
_DIGITS_IN_A_ROW = b"0" * _FEWEST_DIGITS
_CREDIT_CODE = re.compile(r"[0-9A-HJ-NPQRTUWXY]{18}")

_CACHED_LENGTH = 100


def holds_personal_number(text: str) -> bool:
    """Tell whether ``text`` holds a resident identity or mobile number that touches no other ASCII letter or
    digit.

    A resident identity number (GB 11643) is 17 digits with a real birth date and the right check character;
    a mobile number is 11 digits, 1[3-9]…, with +86, 0086 or 86 before it too. Between two digits may stand a
    blank, a dash or a dot, and characters of no width. Full-width forms count too: the string is looked at
    as it is and after NFKC. Takes linear time.
    """
    if text.isascii():
        return len(text) >= _FEWEST_DIGITS and _found_in(text)
    if len(text) < _FEWEST_CHARACTERS:
        return False
    # Chinese strings are names as a rule, which recur; a long one is not worth keeping.
    return _found_folded_remembered(text) if len(text) <= _CACHED_LENGTH else _found_folded(text)


def holds_personal_code(code: str) -> bool:
    """Tell whether ``code``, an organisation's, is or holds a personal number.

    A valid unified social credit code (GB 32100) is not one: in some districts one in 900 satisfies GB 11643
    as well.
    """
    return holds_personal_number(code) and not is_credit_code(code)


def holds_personal_identifier(identifier: str) -> bool:
    """Tell whether ``identifier``, a certificate's (GB/T 36904), holds a personal number.

    In one of the standard's shape the dots part numbers and join none, and the issuer is an organisation's
    code.
    """
    match = SHAPE.fullmatch(identifier.removeprefix(OID))
    if match is None:
        return holds_personal_number(identifier)
    return holds_personal_code(match["issuer"]) or holds_personal_number(match["serial"])


def is_credit_code(text: str) -> bool:
    """Tell whether ``text`` is a unified social credit code (GB 32100) with the right check character."""
    return _CREDIT_CODE.fullmatch(text) is not None and uscc.calc_check_digit(text[:17]) == text[17]


def is_masked(name: str) -> bool:
    """Tell whether ``name`` carries a mask character (``*``, ``＊``, ``某``, ``○``)."""
    return not _MASKS.isdisjoint(name)


def _found_folded(text: str) -> bool:
    if _found_in(text):
        return True
    return (folded := fold_width(text)) != text and _found_in(folded)


_found_folded_remembered = lru_cache(maxsize=4096)(_found_folded)


def _found_in(text: str) -> bool:
    if _DIGITS_IN_A_ROW not in text.encode("utf-8", "replace").translate(_DIGITS_TO_ZERO, _PASSED_OVER):
        return False
    match = _CANDIDATE.search(text)
    while match is not None:  # nearly never
        if match[1] is None or _is_resident_id(_NO_DIGIT.sub("", match[1].upper())):
            return True
        match = _CANDIDATE.search(text, match.start() + 1)  # a number may begin inside what was not one
    return False


def _is_resident_id(number: str) -> bool:
    # python-stdnum's own validate() also wants a birthplace out of its table; the contract does not.
    if ric.calc_check_digit(number) != number[-1]:
        return False
    try:
        datetime.date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return False
    return True
