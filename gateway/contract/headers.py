"""The Kafka headers of records: CloudEvents' binary mode, where an output comes from, and the trace context.

The context under which a message was made is its maker's, and nobody between changes it (OpenTelemetry,
messaging spans): an output has its input's W3C Trace Context, whether this worker traces or not, and the
same input gives the same bytes.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from gateway.core.privacy import holds_personal_number

Headers = Sequence[tuple[str, bytes | None]]
"""Names and values, in a record's order. A header whose value is null says the same as none."""

CONTENT_TYPE = ("content-type", b"application/cloudevents+json; charset=utf-8")
"""On everything that the gateway writes: CloudEvents' Kafka binding, structured mode."""
ORIGIN_HEADER = "chuanyu-origin"
"""On an output: its input record, ``topic/partition/offset``."""
EPOCH_HEADER = "chuanyu-epoch"
"""Beside it, where another log stood under the topic's name before: how many (see ``LedgerData.epoch``)."""
REMEMBERED_HEADER = "chuanyu-remembered"
"""On a ledger entry: the forwarded events that its turn adds to the duplicates' horizon
(``gateway.relay.horizon``)."""
REDRIVE_HEADER = "chuanyu-redrive"
"""On an output of `gateway redrive`: the id of the ledger entry that accounts for it."""
SUPERSEDES_HEADER = "chuanyu-supersedes"
"""On such an output: the rejection or dead letter whose place it takes, ``topic/partition/offset``."""

TRACEPARENT, TRACESTATE = "traceparent", "tracestate"
_PARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_PARENT_BYTES = re.compile(_PARENT.pattern.encode())
_STATE = re.compile(r"[\x20-\x7e]{1,512}")
_ORIGIN = re.compile(rb"([^/]*)/([0-9]{1,10})/([0-9]{1,19})")
_EPOCH = re.compile(rb"[0-9]{1,9}")
_NAMING_BINARY = frozenset({"ce_specversion", "ce_id"})
_NAMING_ELSEWHERE = re.compile(r"(?:ce|cloudevents)[-_:.]?(?:id|specversion)", re.IGNORECASE)
_STRUCTURED = re.compile(rb"application/cloudevents", re.IGNORECASE)


class Origin(NamedTuple):
    """Where an input record stands in Kafka; ``epoch`` tells logs of one name apart."""

    topic: str
    partition: int
    offset: int
    epoch: int = 0

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"


def is_binary(headers: Headers) -> bool:
    """Tell whether an event comes in binary mode: its attributes in ``ce_`` headers.

    The content type has the first word (CloudEvents Kafka binding 1.0.2, clause 3): ``ce_`` headers may
    stand beside it.
    """
    if not any(name in _NAMING_BINARY and value is not None for name, value in headers):
        return False
    return not any(name == "content-type" and _STRUCTURED.match(value or b"") for name, value in headers)


def has_misnamed_attributes(headers: Headers) -> bool:
    """Tell whether attributes stand in headers under names that binary mode does not have: ``CE_ID``, or
    HTTP's ``ce-id``.

    Names of Kafka headers differ by case, unlike HTTP's.
    """
    return not is_binary(headers) and any(
        value is not None and _NAMING_ELSEWHERE.fullmatch(name) and name not in _NAMING_BINARY
        for name, value in headers
    )


def origin_of(headers: Headers) -> Origin | None:
    """Read which input record an output's headers name; None where they name none."""
    origin, epoch = None, 0
    for name, value in headers:
        if name == ORIGIN_HEADER:
            origin = _ORIGIN.fullmatch(value or b"")
            if origin is None:
                return None
        elif name == EPOCH_HEADER:
            found = _EPOCH.fullmatch(value or b"")
            epoch = int(found[0]) if found else 0
    if origin is None:
        return None
    return Origin(origin[1].decode("utf-8", "replace"), int(origin[2]), int(origin[3]), epoch)


def parse_traceparent(value: Any) -> re.Match[str] | None:
    """Match a ``traceparent`` extension attribute if it is well-formed; its first group is the trace id."""
    return _PARENT.fullmatch(value) if isinstance(value, str) else None


def is_tracestate(value: Any) -> bool:
    """Tell whether ``value`` may go out as a ``tracestate``: printable ASCII, of the length that W3C wants
    propagated."""
    return isinstance(value, str) and _STATE.fullmatch(value) is not None


def trace_id(carried: Mapping[str, object]) -> str | None:
    """Return the W3C trace id among the attributes carried along."""
    parent = parse_traceparent(carried.get(TRACEPARENT))
    return parent[1] if parent else None


def trace_headers(headers: Headers, carried: Mapping[str, object]) -> tuple[tuple[str, bytes], ...]:
    """Make the trace context's headers for what becomes of a record with ``headers``; none where it has
    none.

    The headers are the last sender's and go first, if they are well-formed; then the event's own extension
    attributes.
    """
    if not headers and not carried:  # as most are
        return ()
    parent: bytes | None = None
    state: object = None
    for name, value in headers or ():
        if value is None:
            continue
        if name == TRACEPARENT:
            parent = value
        elif name == TRACESTATE:
            state = value.decode("latin-1")
    if parent is None or not _PARENT_BYTES.fullmatch(parent):
        of_event = parse_traceparent(carried.get(TRACEPARENT))
        if of_event is None:
            return ()
        parent, state = of_event[0].encode(), carried.get(TRACESTATE)
    # A vendor's words could be anybody's number; a parent's hexadecimal digits are of no such length.
    if not isinstance(state, str) or not is_tracestate(state) or holds_personal_number(state):
        return ((TRACEPARENT, parent),)
    return ((TRACEPARENT, parent), (TRACESTATE, state.encode()))
