"""CloudEvents extension attributes: which are allowed, which hold what is personal, which go out again."""

import re
from collections.abc import Mapping
from typing import Any

from gateway.contract.display_event.model import NO_CONTENT, TRACE_CONTEXT
from gateway.contract.headers import parse_traceparent
from gateway.core.event import Carried
from gateway.core.privacy import holds_personal_number

_INT32 = 2**31
_NAME = re.compile(r"[a-z0-9]+")  # CloudEvents 1.0, naming conventions
# These speak of the input's data, not of the output's.
_OF_THE_INPUT = frozenset({"dataschema", "signature", "signaturekey"})


def is_extension(name: str, value: Any) -> bool:
    """Tell whether CloudEvents 1.0 allows an extension attribute of this name and value, and the name is nobody's number."""
    if name not in TRACE_CONTEXT and (not _NAME.fullmatch(name) or holds_personal_number(name)):
        return False
    if value is None or isinstance(value, str | bool):
        return True
    return isinstance(value, int) and -_INT32 <= value < _INT32


def are_valid(extensions: Mapping[str, Any]) -> bool:
    """Tell whether all of them are allowed and none holds a personal number."""
    for name, value in extensions.items():
        if name == "traceparent" and parse_traceparent(value):
            continue  # as nearly all are; no run of digits in one is as long as a personal number
        if not is_extension(name, value) or (isinstance(value, str) and holds_personal_number(value)):
            return False
    return True


def carried(extensions: Mapping[str, Any]) -> Carried:
    """Pick those of a valid event that go out again, by name."""
    return {
        name: value for name, value in sorted(extensions.items()) if value is not None and name not in _OF_THE_INPUT
    }


def carried_although_invalid(extensions: Mapping[str, Any]) -> Carried:
    """Pick of an invalid event's only a well-formed trace context, so that it can be followed."""
    parent = parse_traceparent(extensions.get("traceparent"))
    return {"traceparent": parent[0]} if parent else {}


def content_of(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Leave of an event's attributes what is its content: a null says the same as an attribute that is absent."""
    return {
        name: _without_nulls(value)
        for name, value in attributes.items()
        if name not in NO_CONTENT and value is not None
    }


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(member) for name, member in value.items() if member is not None}
    return value
