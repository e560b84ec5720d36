r"""Text that others wrote, as it may be shown: characters that command a terminal or cannot be seen stand as
escapes.

An ESC sequence in a channel's name would write lines of its own on a terminal, a bidi override turns a name
round, and a zero-width space tells two names apart that look alike. Shown are ``\x1b``, ``\u202e``,
``\U000e0041``; a newline is ``\n``.
"""

import re

# Controls, what Unicode calls default-ignorable, formats that are not drawn, spaces other than the plain and
# the ideographic one, separators of lines and paragraphs, lone surrogates and noncharacters. The page's
# `visible.js` has the same.
_RANGES = (
    "\\x00-\\x1f\\x7f-\\xa0\\xad\\u034f\\u061c\\u115f\\u1160\\u1680\\u17b4\\u17b5\\u180b-\\u180f\\u2000-\\u200f\\u2028-\\u202f"
    "\\u205f-\\u206f\\u2800\\u3164\\ud800-\\udfff\\ufdd0-\\ufdef\\ufe00-\\ufe0f\\ufeff\\uffa0\\ufff0-\\ufffb\\ufffe\\uffff"
    "\\U0001bca0-\\U0001bca3\\U0001d173-\\U0001d17a\\U000e0000-\\U000e0fff"
)
_HIDDEN = re.compile(f"[{_RANGES}]")
_HIDDEN_BUT_NEWLINE = re.compile("[{}]".format(_RANGES.replace("\\x00-\\x1f", "\\x00-\\x09\\x0b-\\x1f", 1)))
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_BMP = 0xFFFF


def visible(text: str, *, lines: bool = False) -> str:
    """Return ``text`` with its hidden characters as escapes; ``lines`` leaves its newlines as they are."""
    return (_HIDDEN_BUT_NEWLINE if lines else _HIDDEN).sub(_escape, text)


def visible_json(text: str) -> str:
    """Return the JSON ``text``, whole lines of it, with hidden characters as JSON escapes: it reads back the
    same."""
    return _HIDDEN_BUT_NEWLINE.sub(_escape_in_json, text)


def ascii_json(text: str) -> str:
    """Return the JSON ``text`` in ASCII alone: it reads back the same."""
    return re.sub(r"[^\n\x20-\x7e]", _escape_in_json, text)


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    code = ord(character)
    if code <= 0xFF:
        return _SHORT.get(character) or f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= _BMP else f"\\U{code:08x}"


def _escape_in_json(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code <= _BMP:
        return f"\\u{code:04x}"
    code -= _BMP + 1
    return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"
