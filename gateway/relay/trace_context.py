"""The trace context (W3C Trace Context) of a record: from its Kafka headers, else from the event; and carried on, as it came.

The context under which a message was made is its maker's, and nobody between changes it (OpenTelemetry, messaging spans):
so an output has its input's, whether this worker traces or not, and the same input gives the same bytes.
"""

import re
from collections.abc import Mapping, Sequence

from gateway.core.decision import Decision
from gateway.core.privacy import holds_personal_number

PARENT, STATE = "traceparent", "tracestate"
_PARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_STATE = re.compile(rb"[\x20-\x7e]{1,512}")

TraceHeaders = tuple[tuple[str, bytes], ...]


def trace_headers(headers: Sequence[tuple[str, bytes]], decision: Decision) -> TraceHeaders:
    """The headers ``traceparent`` and ``tracestate`` for what becomes of a record with ``headers``; none where it has none.

    The headers are the last sender's and go first, if they are well-formed; then the event's own extension attributes.
    """
    carried: Mapping[str, object] | None = decision.reading.carried if decision.reading is not None else None
    if not headers and not carried:  # as most are
        return ()
    parent = state = None
    for name, value in headers or ():
        if name == PARENT:
            parent = value
        elif name == STATE:
            state = value
    if parent is None or not _PARENT.fullmatch(parent):
        parent, state = (_encoded(carried.get(name)) if carried else None for name in (PARENT, STATE))
        if parent is None or not _PARENT.fullmatch(parent):
            return ()
    # A vendor's words could be anybody's number; a parent's hexadecimal digits are of no such length.
    if state is None or not _STATE.fullmatch(state) or holds_personal_number(state.decode("ascii")):
        return ((PARENT, parent),)
    return ((PARENT, parent), (STATE, state))


def _encoded(text: object) -> bytes | None:
    return text.encode("utf-8", "replace") if isinstance(text, str) else None
