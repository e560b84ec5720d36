"""The trace context of records: where it comes from, what goes on, and what does not."""

import json
import subprocess
import sys

import pytest

from gateway.adapters.setting_groups import TracingSettings
from gateway.adapters.settings import load_settings
from gateway.core.province import Province
from gateway.operate.doctor.here import check_configuration
from gateway.operate.doctor.result import CheckStatus, Installation
from gateway.operate.examples import display_event
from tests.unit.test_turn import Record, turn

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
HEADER, EXTENSION = f"00-{TRACE}-{SPAN}-01", f"00-{'1' * 32}-{'2' * 16}-00"


def carried_on(headers: list[tuple[str, bytes]], **extensions: str) -> dict[str, bytes]:
    """The trace headers of what becomes of an event with these headers and extension attributes."""
    event = display_event(Province.SICHUAN)
    event.pop("traceparent", None)
    value = json.dumps(event | extensions).encode()
    output, _ = turn([Record(0, value, event["data"]["holder"]["ref"].encode(), headers=headers)]).outputs
    return {name: value for name, value in output.headers if name in {"traceparent", "tracestate"}}


def test_the_header_takes_precedence_over_the_events_context() -> None:
    assert carried_on([]) == {}
    assert carried_on([], traceparent=EXTENSION, tracestate="a=1") == {
        "traceparent": EXTENSION.encode(), "tracestate": b"a=1",
    }  # fmt: skip
    sent = [("traceparent", HEADER.encode()), ("tracestate", b"vendor=x")]
    assert carried_on(sent, traceparent=EXTENSION, tracestate="a=1") == dict(sent)


@pytest.mark.parametrize(
    "parent",
    [b"", b"nonsense", HEADER.upper().encode(), f"00-{'0' * 32}-{SPAN}-01".encode(), f"00-{TRACE}-{'0' * 16}-01".encode(),
     f"ff-{TRACE}-{SPAN}-01".encode(), HEADER.encode() + b"\n", None],
)  # fmt: skip
def test_an_invalid_trace_context_is_not_propagated(parent: bytes) -> None:
    assert carried_on([("traceparent", parent), ("tracestate", b"vendor=x")]) == {}
    assert carried_on([("traceparent", parent)], traceparent=HEADER) == {"traceparent": HEADER.encode()}


@pytest.mark.parametrize("state", [b"vendor=13800138000", "vendor=四川".encode(), b"x" * 513, b"", None])
def test_a_tracestate_with_personal_numbers_is_dropped(state: bytes) -> None:
    assert carried_on([("traceparent", HEADER.encode()), ("tracestate", state)]) == {"traceparent": HEADER.encode()}


def test_switched_off_it_is_not_even_imported() -> None:
    code = "import sys, gateway.relay.app; sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


async def test_the_doctor_says_where_spans_go() -> None:
    tracing = TracingSettings(enabled=True, endpoint="http://collector:4318")
    settings = load_settings().model_copy(update={"tracing": tracing})
    found = {each.subject: each for each in await check_configuration(Installation(settings))}
    assert (found["tracing"].status, found["tracing"].message) == (
        CheckStatus.FINE,
        "spans go to http://collector:4318",
    )
