"""The Kafka headers of records: CloudEvents' binary mode, where an output comes from, and the trace context.

The context under which a message was made is its maker's, and nobody between changes it (OpenTelemetry, messaging spans): an
output has its input's W3C Trace Context, whether this worker traces or not, and the same input gives the same bytes.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from gateway.core.privacy import holds_personal_number

Headers = Sequence[tuple[str, bytes]]

CONTENT_TYPE = ("content-type", b"application/cloudevents+json; charset=utf-8")
"""On everything that the gateway writes: CloudEvents' Kafka binding, structured mode."""
ORIGIN_HEADER = "chuanyu-origin"
"""On an output: its input record, ``topic/partition/offset``."""
REMEMBERED_HEADER = "chuanyu-remembered"
"""On a ledger entry: the forwarded events that its turn adds to the duplicates' horizon (``gateway.relay.horizon``)."""
REDRIVE_HEADER = "chuanyu-redrive"
"""On an output of `gateway redrive`: the id of the ledger entry that accounts for it."""
SUPERSEDES_HEADER = "chuanyu-supersedes"
"""On such an output: the rejection or dead letter whose place it takes, ``topic/partition/offset``."""

TRACEPARENT, TRACESTATE = "traceparent", "tracestate"
_EXTENSION = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_PARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_STATE = re.compile(rb"[\x20-\x7e]{1,512}")
_STRUCTURED = re.compile(rb"application/cloudevents", re.IGNORECASE)


class Origin(NamedTuple):
    """Where an input record stands in Kafka."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"


def is_binary(headers: Headers) -> bool:
    """Tell whether an event comes in binary mode: its attributes in ``ce_`` headers.

    The content type has the first word (CloudEvents Kafka binding 1.0.2, clause 3): ``ce_`` headers may stand beside it.
    """
    if not any(name in {"ce_specversion", "ce_id"} for name, _ in headers):
        return False
    return not any(name == "content-type" and _STRUCTURED.match(value or b"") for name, value in headers)


def origin_of(headers: Headers) -> Origin | None:
    """Read which input record an output's headers name; None where they name none."""
    for name, value in headers:
        if name == ORIGIN_HEADER:
            topic, _, rest = value.decode("utf-8", "replace").partition("/")
            partition, _, offset = rest.partition("/")
            if partition.isdecimal() and offset.isdecimal():
                return Origin(topic, int(partition), int(offset))
            return None
    return None


def parse_traceparent(value: Any) -> re.Match[str] | None:
    """Match a ``traceparent`` extension attribute; its first group is the trace id."""
    return _EXTENSION.fullmatch(value) if isinstance(value, str) else None


def trace_id(carried: Mapping[str, object]) -> str | None:
    """Return the W3C trace id among the attributes carried along."""
    parent = parse_traceparent(carried.get(TRACEPARENT))
    return parent[1] if parent else None


def trace_headers(headers: Headers, carried: Mapping[str, object]) -> tuple[tuple[str, bytes], ...]:
    """Make the trace context's headers for what becomes of a record with ``headers``; none where it has none.

    The headers are the last sender's and go first, if they are well-formed; then the event's own extension attributes.
    """
    if not headers and not carried:  # as most are
        return ()
    parent = state = None
    for name, value in headers or ():
        if name == TRACEPARENT:
            parent = value
        elif name == TRACESTATE:
            state = value
    if parent is None or not _PARENT.fullmatch(parent):
        parent, state = (_encoded(carried.get(name)) if carried else None for name in (TRACEPARENT, TRACESTATE))
        if parent is None or not _PARENT.fullmatch(parent):
            return ()
    # A vendor's words could be anybody's number; a parent's hexadecimal digits are of no such length.
    if state is None or not _STATE.fullmatch(state) or holds_personal_number(state.decode("ascii")):
        return ((TRACEPARENT, parent),)
    return ((TRACEPARENT, parent), (TRACESTATE, state))


def _encoded(text: object) -> bytes | None:
    return text.encode("utf-8", "replace") if isinstance(text, str) else None
