"""Spans of committed turns and their events, after OpenTelemetry's conventions for messaging.

A turn has a trace of its own: ``process``, with ``decide``, ``send`` and a link to every sampled event in
it. An event that came with a sampled trace context has its three spans there: ``consume``, from its receipt
by the broker until the commit, and under it ``decide`` and ``send``, which are the turn's, as it decides and
writes together. No value out of an event is in any attribute, beyond its id, source and type.
"""

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import structlog
from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Tracer,
    get_current_span,
    set_span_in_context,
)  # fmt: skip
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from gateway.adapters.logs import OFFSET, PARTITION, TOPIC
from gateway.adapters.settings import Settings
from gateway.contract.display_event import EVENT_TYPE
from gateway.contract.headers import trace_headers
from gateway.contract.outputs import destinations_of
from gateway.contract.topics import LaneId
from gateway.core.decision import DeadLetter, Decision, Forward, Reject, codes_of, row_of
from gateway.core.event import Valid
from gateway.relay.observer import Observer, Times
from gateway.relay.reported import REPORTED, Reported
from gateway.relay.turn import Turn

log = structlog.get_logger("gateway.relay")

_NS = 1_000_000_000
_MS = 1_000_000
_ROOT = Context()
_propagator = TraceContextTextMapPropagator()


class _Window(NamedTuple):
    """When a turn began to decide, to write, and was committed; in nanoseconds since the epoch, by this
    machine's clock."""

    deciding: int
    sending: int
    committed: int


class TracedTurns:
    """An observer of lanes that makes spans of what they commit, and passes all on to ``inner``."""

    def __init__(self, inner: Observer, tracer: Tracer, settings: Settings) -> None:
        self._inner = inner
        self._tracer = tracer
        self._settings = settings
        self._topics = settings.topic_names

    def committed(self, lane: LaneId, turn: Turn, times: Times) -> None:
        """See Observer. The lane reports all of its turn; ``inner`` gets as much as the log's settings
        say."""
        reported = (
            turn if self._settings.relay.log_forwards else replace(turn, reported=tuple(_to_report(turn.reported)))
        )
        now = time.time_ns()
        sending = now - round(times.committing * _NS)
        self._inner.committed(lane, reported, times)
        try:
            self._trace(lane, turn, _Window(sending - round(times.deciding * _NS), sending, now))
        except Exception as error:  # noqa: BLE001 — the turn is committed: no trouble with its picture may stop the lane
            log.warning("tracing.failed", **{"error.type": type(error).__name__, TOPIC: lane.topic})

    def aborted(self, lane: LaneId) -> None:
        """See Observer."""
        self._inner.aborted(lane)

    def fenced(self, lane: LaneId) -> None:
        """See Observer."""
        self._inner.fenced(lane)

    def ended(self, lane: LaneId) -> None:
        """See Observer."""
        self._inner.ended(lane)

    def _trace(self, lane: LaneId, turn: Turn, window: _Window) -> None:
        contexts = [_context_of(decided) for decided in turn.reported]
        sampled = [each for each in contexts if each is not None and each.trace_flags.sampled]
        outcomes: Counter[str] = Counter()
        for facets, count in turn.counts.items():
            outcomes[facets.outcome] += count
        place: dict[str, Any] = {"messaging.system": "kafka", TOPIC: lane.topic, PARTITION: str(lane.partition)}
        place["messaging.consumer.group.name"] = self._settings.groups[0]
        about = place | {f"chuanyu.outcome.{name}": count for name, count in outcomes.items()}
        about["messaging.batch.message_count"] = outcomes.total()
        root = self._start("process", lane.topic, SpanKind.CONSUMER, _ROOT, window.deciding, about, map(Link, sampled))
        inside = set_span_in_context(root, _ROOT)
        self._start("decide", "", SpanKind.INTERNAL, inside, window.deciding, {}).end(window.sending)
        written = Counter(output.topic for output in turn.outputs)
        for topic, number in written.items():
            sent = {"messaging.system": "kafka", TOPIC: topic, PARTITION: str(lane.partition)}
            self._start(
                "send", topic, SpanKind.CLIENT, inside, window.sending, sent | {"messaging.batch.message_count": number}
            ).end(window.committed)
        root.end(window.committed)
        if self._settings.tracing.events == "none":
            return
        destinations = destinations_of(lane, self._topics)
        for decided, context in zip(turn.reported, contexts, strict=True):
            if self._settings.tracing.events == "all" or (context is not None and context.trace_flags.sampled):
                destination = destinations.get(decided.alike.outcome)
                self._trace_event(decided, context, place, destination, root, window)

    def _trace_event(
        self, decided: Reported, context: SpanContext | None, place: Mapping[str, Any], destination: str | None,
        turn: Span, window: _Window,
    ) -> None:  # fmt: skip
        record, decision = decided.record, decided.alike
        parent = _ROOT if context is None else set_span_in_context(NonRecordingSpan(context), _ROOT)
        received = min(record.timestamp * _MS, window.deciding)  # the broker's clock may be ahead of ours
        consume = self._start(
            "consume", str(place[TOPIC]), SpanKind.CONSUMER, parent, received,
            {**place, OFFSET: record.offset, **_identity(decided)}, [Link(turn.get_span_context())],
        )  # fmt: skip
        inside = set_span_in_context(consume, _ROOT)
        self._start("decide", "", SpanKind.INTERNAL, inside, window.deciding, _about(decision)).end(window.sending)
        if destination is not None:
            sent = {"messaging.system": "kafka", TOPIC: destination, PARTITION: place[PARTITION]}
            self._start("send", destination, SpanKind.PRODUCER, inside, window.sending, sent).end(window.committed)
        consume.end(window.committed)

    def _start(
        self, operation: str, topic: str, kind: SpanKind, parent: Context, at: int, about: Mapping[str, Any],
        links: Iterable[Link] = (),
    ) -> Span:  # fmt: skip
        attributes = dict(about)
        if topic:
            attributes["messaging.operation.name"] = operation
            attributes["messaging.operation.type"] = "send" if operation == "send" else "process"
        name = f"{operation} {topic}".rstrip()
        return self._tracer.start_span(name, parent, kind, attributes, links=list(links), start_time=at)


def _context_of(decided: Reported) -> SpanContext | None:
    """Read the trace context that the record carries on."""
    names = decided.names
    headers = trace_headers(decided.record.headers, {} if names is None else names.trace_context)
    if not headers:
        return None
    carrier = {name: value.decode("ascii") for name, value in headers}
    context = get_current_span(_propagator.extract(carrier, _ROOT)).get_span_context()
    return context if context.is_valid else None


def _to_report(reported: Iterable[Reported]) -> Iterable[Reported]:
    return (decided for decided in reported if decided.alike.outcome in REPORTED)


def _identity(decided: Reported) -> dict[str, str]:
    decision, names = decided.alike, decided.names
    if names is None or isinstance(decision, DeadLetter):
        return {}
    about = {"cloudevents.event_id": names.id, "cloudevents.event_source": names.source}
    return {**about, "cloudevents.event_type": EVENT_TYPE} if isinstance(decision.reading, Valid) else about


def _about(decision: Decision) -> dict[str, Any]:
    about: dict[str, Any] = {"chuanyu.outcome": decision.outcome.value}
    if (ref := row_of(decision)) is not None:
        about["chuanyu.list.batch"], about["chuanyu.list.row"] = ref
    if isinstance(decision, Forward | Reject) and decision.list_digest is not None:
        about["chuanyu.list.digest"] = decision.list_digest
    if codes := codes_of(decision):
        about["chuanyu.reasons"] = [code.value for code in codes]
    if isinstance(decision, DeadLetter):
        about["error.type"] = decision.code.value
    return about
