"""CloudEvents extension attributes: which are allowed, which hold what is personal, which go out again."""

import re
from collections.abc import Mapping
from typing import Any

from gateway.core.event import TRACE_CONTEXT
from gateway.core.privacy import holds_personal_number

Carried = dict[str, str | bool | int]

_INT32 = 2**31
_NAME = re.compile(r"[a-z0-9]+")  # CloudEvents 1.0, naming conventions
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")  # W3C Trace Context
# These speak of the input's data, not of the output's.
_OF_THE_INPUT = frozenset({"dataschema", "signature", "signaturekey"})


def is_extension(name: str, value: Any) -> bool:
    """Whether CloudEvents 1.0 allows an extension attribute of this name and value, and the name is nobody's number."""
    if name not in TRACE_CONTEXT and (not _NAME.fullmatch(name) or holds_personal_number(name)):
        return False
    if value is None or isinstance(value, str | bool):
        return True
    return isinstance(value, int) and -_INT32 <= value < _INT32


def are_fit(extensions: Mapping[str, Any]) -> bool:
    """Whether all of them are allowed and none holds a personal number."""
    for name, value in extensions.items():
        if name == "traceparent" and _trace_parent(value):
            continue  # as nearly all are; no run of digits in one is as long as a personal number
        if not is_extension(name, value) or (isinstance(value, str) and holds_personal_number(value)):
            return False
    return True


def carried(extensions: Mapping[str, Any]) -> Carried:
    """Those of a valid event that go out again, by name."""
    return {
        name: value for name, value in sorted(extensions.items()) if value is not None and name not in _OF_THE_INPUT
    }


def carried_although_invalid(extensions: Mapping[str, Any]) -> Carried:
    """Of an invalid event's only a well-formed trace context, so that it can be followed."""
    parent = _trace_parent(extensions.get("traceparent"))
    return {"traceparent": parent[0]} if parent else {}


def trace_id(extensions: Mapping[str, Any]) -> str | None:
    """The W3C trace id among them."""
    parent = _trace_parent(extensions.get("traceparent"))
    return parent[1] if parent else None


def without_trace_context(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """What of an event's attributes is its content."""
    return {name: value for name, value in attributes.items() if name not in TRACE_CONTEXT}


def _trace_parent(value: Any) -> re.Match[str] | None:
    return _TRACEPARENT.fullmatch(value) if isinstance(value, str) else None
