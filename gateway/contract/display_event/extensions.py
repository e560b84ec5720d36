"""CloudEvents extension attributes: which are allowed, which hold what is personal, which go out again."""

import re
from collections.abc import Mapping
from typing import Any

from gateway.contract.data_encoding import DATACONTENTTYPE, is_json_type
from gateway.contract.display_event.model import ATTRIBUTE_NAME, INT32, NO_CONTENT, NOT_EMPTY
from gateway.contract.headers import TRACEPARENT, TRACESTATE, is_tracestate, parse_traceparent
from gateway.core.event import Carried
from gateway.core.privacy import holds_personal_number
from gateway.core.times import parse_instant

_NAME = re.compile(ATTRIBUTE_NAME)
_STRINGS = NOT_EMPTY | {TRACEPARENT, TRACESTATE}
# These speak of the input's data, not of the output's.
_OF_THE_INPUT = frozenset({"dataschema", "signature", "signaturekey"})
# CloudEvents 1.0, type system: controls, lone surrogates, noncharacters.
_DISALLOWED = re.compile(
    "[\\x00-\\x1f\\x7f-\\x9f\\ud800-\\udfff\\ufdd0-\\ufdef"
    + "".join(f"\\U{plane:04x}fffe\\U{plane:04x}ffff" for plane in range(17))
    + "]"
)


def problem_of(name: str, value: Any) -> str | None:
    """Say what is wrong with an extension attribute, as the kind of a problem; None if CloudEvents 1.0 and
    the contract allow it.

    Null says that there is no such attribute, but only an attribute's name may say it.
    """
    if name == TRACEPARENT and parse_traceparent(value):
        return None  # its digits are nobody's number, though two of its parts may look like one
    if not _NAME.fullmatch(name):
        return "attribute_name"
    if holds_personal_number(name):
        return "personal"
    if isinstance(value, str):
        return _problem_of_text(name, value)
    if name in _STRINGS and value is not None:
        return "string_type"
    is_allowed = value is None or isinstance(value, bool) or (isinstance(value, int) and -INT32 <= value < INT32)
    return None if is_allowed else "attribute_type"


def _problem_of_text(name: str, text: str) -> str | None:
    if not text and name in NOT_EMPTY:
        return "string_too_short"
    if holds_disallowed(text):
        return "disallowed"
    return "personal" if holds_personal_number(text) else None


def holds_disallowed(text: str) -> bool:
    """Tell whether ``text`` holds a character that CloudEvents allows in no attribute."""
    # None of them is printable, and of ASCII nothing else is unprintable; that is seen at twenty times the
    # pattern's speed.
    return not text.isprintable() and (text.isascii() or _DISALLOWED.search(text) is not None)


def carried_if_valid(extensions: Mapping[str, Any]) -> Carried | None:
    """Pick of an event's extension attributes those that go out again, by name; None if something is wrong
    with one of them.

    A trace context that is malformed is nobody's: it does not go out, and the event does.
    """
    carried: dict[str, str | bool | int] = {}
    for name, value in sorted(extensions.items()):
        if name == TRACEPARENT and parse_traceparent(value):  # as nearly all are
            carried[name] = value
        elif problem_of(name, value) is not None:
            return None
        elif value is None or name in _OF_THE_INPUT or name == TRACEPARENT:
            continue
        elif name != TRACESTATE or (TRACEPARENT in carried and is_tracestate(value)):
            carried[name] = value
    return carried


def carried_although_invalid(extensions: Mapping[str, Any]) -> Carried:
    """Pick of an invalid event's only a well-formed trace context, so that it can be followed."""
    parent = parse_traceparent(extensions.get(TRACEPARENT))
    return {TRACEPARENT: parent[0]} if parent else {}


def content_of(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Leave of an event's attributes what is its content, as CloudEvents' modes and formats have it in
    common.

    A null says the same as an attribute that is absent, all media types of JSON say the same, ``time`` is an
    instant (microseconds since the epoch) however it is written, and an attribute that is a boolean or an
    integer is the string that stands in a header of binary mode.
    """
    content = {
        name: value if isinstance(value, str) else _without_nulls(value) if name == "data" else _as_text(value)
        for name, value in attributes.items()
        if name not in NO_CONTENT and value is not None and not (name == DATACONTENTTYPE and is_json_type(value))
    }
    time = content.get("time")
    if isinstance(time, str) and (instant := parse_instant(time)) is not None:
        content["time"] = instant
    return content


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(member) for name, member in value.items() if member is not None}
    return value


def _as_text(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else value
