"""JSON read without mercy: duplicate keys, NaN, lone surrogates and depth are found, not guessed about (RFC
8259, RFC 7493).

Two readers give the same answer. ``_read_strictly`` is the plain one. ``read`` first tries msgspec, which is
several times as fast but keeps the last of two equal keys; that it has dropped none is shown by counting
colons.
"""

import json
import math
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any, NoReturn

import msgspec

from gateway.core.digest import canonical

MAX_DEPTH = 32
"""Objects and arrays within one another; an event has three. A fixed bound, because Python's own differs by
caller."""


class NotJsonError(ValueError):
    """The bytes are not JSON; ``code`` is NOT_UTF8 or NOT_JSON. The message quotes nothing out of them."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Document:
    """A JSON text that was read. ``flaws`` are (path, kind), kind ``repeated`` (key) or ``surrogate``
    (lone)."""

    value: Any
    flaws: tuple[tuple[tuple[str, ...], str], ...] = ()


class _Repeated(dict[str, Any]):
    """An object in which some keys stood more than once."""

    keys_repeated: tuple[str, ...] = ()


def read(raw: bytes) -> Document:
    """Read ``raw`` as one JSON text. Raises NotJsonError, nothing else; takes time linear in its length."""
    if raw.count(b"{") + raw.count(b"[") > MAX_DEPTH:
        _refuse_depth(raw)
    try:
        value = _DECODE(raw)
        # Every key has one colon, and a colon in a string stays one: fewer colons after reading means a key
        # was dropped. A colon written as an escape would hide that, so such texts go to the plain reader.
        # (Nearly no text has a backslash, and a byte is looked for many times as fast as a word.)
        if (b"\\" not in raw or b"\\u003" not in raw) and raw.count(b":") == canonical(value).count(b":"):
            return Document(value)
    except (msgspec.MsgspecError, ValueError):
        pass  # what is wrong with it, if anything, is the plain reader's to say
    return _read_strictly(raw)


# The closing quote is optional so that an unterminated string is passed over once, not once for each quote
# in it.
_STRING_OR_BRACKET = re.compile(rb'"(?:[^"\\]|\\.)*"?|[\[{\]}]', re.DOTALL)


def _read_strictly(raw: bytes) -> Document:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotJsonError("NOT_UTF8", f"not UTF-8 at byte {error.start}") from None
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_refuse_constant, parse_float=_float)
    except json.JSONDecodeError as error:
        raise NotJsonError("NOT_JSON", f"not JSON: {error.msg} at character {error.pos}") from None
    except ValueError:  # a number of more digits than Python converts; NaN and Infinity
        raise NotJsonError("NOT_JSON", "not JSON: a number that no JSON reader accepts") from None
    flaws: list[tuple[tuple[str, ...], str]] = []
    _walk(value, (), flaws)
    return Document(value, tuple(flaws))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) == len(pairs):
        return members
    repeated = _Repeated(members)
    repeated.keys_repeated = tuple(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
    return repeated


class _BeyondDouble(float):
    """A number too large for a double, which no encoder may write as null."""


def _float(digits: str) -> float:
    number = float(digits)
    return number if math.isfinite(number) else _BeyondDouble(number)


# msgspec's own conversion takes 20 us for a number of 300 digits' size, and a record has room for 40,000 of
# them.
_DECODE = msgspec.json.Decoder(float_hook=_float).decode


def _refuse_constant(_: str) -> NoReturn:
    raise ValueError


def _refuse_depth(raw: bytes) -> None:
    depth = 0
    for token in _STRING_OR_BRACKET.finditer(raw):
        first = token.group()[:1]
        if first in b"{[":
            depth += 1
            if depth > MAX_DEPTH:
                raise NotJsonError("NOT_JSON", f"objects and arrays nested more than {MAX_DEPTH} deep")
        elif first in b"}]":
            depth -= 1


def _walk(value: Any, path: tuple[str, ...], flaws: list[tuple[tuple[str, ...], str]]) -> None:
    if isinstance(value, str):
        if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            flaws.append((path, "surrogate"))
    elif isinstance(value, dict):
        if isinstance(value, _Repeated):
            flaws += [((*path, name), "repeated") for name in value.keys_repeated]
        for name, member in value.items():
            _walk(name, (*path, name), flaws)
            _walk(member, (*path, name), flaws)
    elif isinstance(value, list):
        for index, member in enumerate(value):
            _walk(member, (*path, str(index)), flaws)
