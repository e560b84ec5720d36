"""Spans as a collector receives them: a worker on a real broker, and a receiver of the exporter's real wire
(OTLP over HTTP)."""

import asyncio
import contextlib
import gzip
import json
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from gateway.adapters.settings import Settings
from gateway.contract.topics import Topics
from gateway.core.decision import Outcome
from gateway.core.province import Province
from gateway.core.times import format_instant
from gateway.operate.examples import display_event
from gateway.operate.simulate import Simulated
from gateway.operate.topics import apply_topics
from tests.kafka.harness import audit, publish, read_topics, wait_until_accounted, workers
from tests.patience import PATIENCE_S

SAMPLED, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
UNSAMPLED, IN_EVENT = "1" * 32, "2" * 32


class Collector(ThreadingHTTPServer):
    """Takes spans as an OpenTelemetry collector does."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[ExportTraceServiceRequest] = []
        self.paths: set[str] = set()

    @property
    def spans(self) -> list[Span]:
        return [span for each in self.requests for of in each.resource_spans
                for scope in of.scope_spans for span in scope.spans]  # fmt: skip

    def wait_for(self, number: int, timeout_s: float = PATIENCE_S) -> list[Span]:
        deadline = time.monotonic() + timeout_s
        while len(self.spans) < number:
            assert time.monotonic() < deadline, [span.name for span in self.spans]
            time.sleep(0.1)
        return self.spans


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.server.paths.add(self.path)
        self.server.requests.append(ExportTraceServiceRequest.FromString(body))
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.end_headers()
        self.wfile.write(ExportTraceServiceResponse().SerializeToString())

    def log_message(self, *_: Any) -> None:
        """Write nothing to standard error."""


@contextlib.contextmanager
def collector() -> Iterator[Collector]:
    server = Collector()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def event(number: int, *headers: tuple[str, bytes], **changes: Any) -> Simulated:
    content = display_event(Province.SICHUAN)
    content.pop("traceparent", None)
    content |= {"id": f"traced-{number}", "time": format_instant(time.time_ns() // 1000), **changes}
    key = content["data"]["holder"]["ref"].encode()
    return Simulated(Province.SICHUAN, key, json.dumps(content).encode(), list(headers), Outcome.FORWARD, ())


def attributes(span: Span) -> dict[str, Any]:
    return {each.key: plain(each.value) for each in span.attributes}


def plain(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    return [plain(each) for each in value.array_value.values] if kind == "array_value" else getattr(value, kind)


def assert_turns(turns: list[Span], by_trace: dict[str, dict[str, Span]], topics: Topics) -> None:
    """Every event is counted, every sampled one linked to; what is in a turn's trace is under it."""
    assert {attributes(span)["messaging.destination.name"] for span in turns} == {topics.display(Province.SICHUAN)}
    assert sum(attributes(span)["messaging.batch.message_count"] for span in turns) == 4
    assert {link.trace_id.hex() for span in turns for link in span.links} == {SAMPLED, IN_EVENT}
    for span in turns:
        its = by_trace[span.trace_id.hex()]
        assert not span.parent_span_id
        assert {"decide", f"send {topics.ledger}"} <= its.keys()
        assert {each.parent_span_id for each in its.values() if each is not span} == {span.span_id}


def assert_event(
    spans: dict[str, Span], display: str, destination: str, outcome: str, turns: list[Span], group: str
) -> None:
    """Assert the event's spans: consume under the sender's, decide and send under it, linked to the turn."""
    assert spans.keys() == {f"consume {display}", "decide", f"send {destination}"}
    consume, decide, send = spans[f"consume {display}"], spans["decide"], spans[f"send {destination}"]
    assert consume.parent_span_id.hex() == SPAN
    assert decide.parent_span_id == send.parent_span_id == consume.span_id
    assert (consume.kind, decide.kind, send.kind) == (
        Span.SPAN_KIND_CONSUMER, Span.SPAN_KIND_INTERNAL, Span.SPAN_KIND_PRODUCER,
    )  # fmt: skip
    assert {link.span_id for link in consume.links} <= {span.span_id for span in turns}
    assert len(consume.links) == 1
    assert consume.start_time_unix_nano <= decide.start_time_unix_nano <= decide.end_time_unix_nano
    assert decide.end_time_unix_nano == send.start_time_unix_nano <= send.end_time_unix_nano
    assert attributes(decide)["chuanyu.outcome"] == outcome
    assert attributes(send)["messaging.destination.name"] == destination
    found = attributes(consume)
    assert (found["messaging.system"], found["messaging.operation.type"]) == ("kafka", "process")
    assert found["messaging.consumer.group.name"] == group
    assert found["cloudevents.event_id"].startswith("traced-")
    assert {"messaging.kafka.offset", "messaging.destination.partition.id"} <= found.keys()


def test_spans_cover_sampled_events_and_context_is_propagated(settings: Settings) -> None:
    asyncio.run(apply_topics(settings))
    topics = Topics(settings.topic_prefix)
    header = ("traceparent", f"00-{SAMPLED}-{SPAN}-01".encode())
    unlisted = display_event(Province.SICHUAN)["data"]
    unlisted["display"]["channel"] = "微信小程序"
    records = [
        event(1, header, ("tracestate", b"vendor=x")),
        event(2, ("traceparent", f"00-{UNSAMPLED}-{SPAN}-00".encode())),
        event(3, traceparent=f"00-{IN_EVENT}-{SPAN}-01", data=unlisted),
        event(4),
    ]
    asyncio.run(publish(settings, records))
    with collector() as received:
        environment = {
            "GATEWAY_TRACING__ENABLED": "true",
            "GATEWAY_TRACING__ENDPOINT": f"http://127.0.0.1:{received.server_port}/",
        }
        with workers(settings, 1, **environment) as (worker,):
            account = asyncio.run(wait_until_accounted(settings, len(records)))
            assert worker.terminate() == 0  # what is left is sent before it ends
            assert not [line for line in worker.lines() if line["event"] == "tracing.failed"]
            # The log says no more than without: one line per rejection.
            assert not worker.events("record.forwarded")
            assert len(worker.events("record.rejected")) == 1
        account.assert_proper(len(records))
        assert received.paths == {"/v1/traces"}
        by_trace: dict[str, dict[str, Span]] = defaultdict(dict)
        turns = []
        for span in received.spans:
            by_trace[span.trace_id.hex()][span.name] = span
            if span.name.startswith("process "):
                turns.append(span)
        (resource,) = {each.resource.SerializeToString(deterministic=True): each.resource
                       for request in received.requests for each in request.resource_spans}.values()  # fmt: skip
        about = {each.key: plain(each.value) for each in resource.attributes}
        assert about["service.name"] == "chuanyu-gateway"
        wire = b"".join(each.SerializeToString() for each in received.requests)

    assert_turns(turns, by_trace, topics)
    # An event's spans stand in its own trace; one that is not sampled has none.
    assert by_trace.keys() - {span.trace_id.hex() for span in turns} == {SAMPLED, IN_EVENT}
    places = (topics.display(Province.SICHUAN), topics.verification(Province.CHONGQING))
    assert_event(by_trace[SAMPLED], *places, "forward", turns, settings.groups[0])
    assert_event(by_trace[IN_EVENT], places[0], topics.rejection(Province.SICHUAN), "reject", turns, settings.groups[0])
    assert attributes(by_trace[IN_EVENT]["decide"])["chuanyu.reasons"] == ["CHANNEL_NOT_RECOGNISED"]

    # No holder in anything that was sent.
    holder = display_event(Province.SICHUAN)["data"]["holder"]
    for personal in (holder["ref"], holder["ref"].partition(":")[2], holder["name_masked"]):
        assert personal.encode() not in wire

    # What goes out: the header as it came (or the event's own), the extension as it came; and the audit
    # proves those bytes.
    assert asyncio.run(sent_headers(settings)) == {
        "traced-1": {"traceparent": header[1], "tracestate": b"vendor=x"},
        "traced-2": {"traceparent": f"00-{UNSAMPLED}-{SPAN}-00".encode()},
        "traced-3": {"traceparent": f"00-{IN_EVENT}-{SPAN}-01".encode()},
        "traced-4": {},
    }
    proved = audit(settings, "--prove")
    assert proved["ok"] is True
    assert proved["offsets"] == len(records)


async def sent_headers(settings: Settings) -> dict[str, dict[str, bytes]]:
    topics = Topics(settings.topic_prefix)
    found = {}
    async for record in read_topics(
        settings, [topics.verification(Province.CHONGQING), topics.rejection(Province.SICHUAN)]
    ):
        content = json.loads(record.value)
        identity = content["data"]["event"]["id"]
        assert ("traceparent" in content) == (identity == "traced-3")
        found[identity] = {name: value for name, value in record.headers if name.startswith("trace")}
    return found


def test_a_collector_that_is_not_there_holds_nobody_up(settings: Settings) -> None:
    asyncio.run(apply_topics(settings))
    asyncio.run(publish(settings, [event(number) for number in range(50)]))
    environment = {
        "GATEWAY_TRACING__ENABLED": "true", "GATEWAY_TRACING__ENDPOINT": "http://127.0.0.1:1",
        "GATEWAY_TRACING__EVENTS": "all",
    }  # fmt: skip
    with workers(settings, 1, **environment) as (worker,):
        asyncio.run(wait_until_accounted(settings, 50)).assert_proper(50)
        assert worker.terminate() == 0
        complaints = [line for line in worker.lines() if "opentelemetry" in str(line.get("logger"))]
        assert complaints  # it is said
        assert {line["level"] for line in complaints} <= {"warning", "error"}
