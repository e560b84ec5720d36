"""What is assembled from fragments is what the plain way writes, byte for byte."""

import copy
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import packaged_config
from gateway.core.assembly import assemble_rejection, assemble_verification
from gateway.core.content import encode, rejection, verification
from gateway.core.decision import Decision, Outcome, decide
from gateway.core.province import Province
from gateway.operate.examples import display_event
from gateway.operate.simulate import Simulator

LIST = load_recognition(packaged_config() / "recognition")
RECEIVED = 1_795_392_003_000
TEXT = (
    st.none() | st.text(max_size=20) | st.sampled_from(["天府通办", "渝快办", 'a "quoted" \\ word', "\u2028<script>%b"])
)


def assert_same(decision: Decision) -> Outcome:
    if decision.outcome is Outcome.FORWARD:
        assert assemble_verification(decision) == encode(verification(decision))
    elif decision.outcome is Outcome.REJECT:
        assert assemble_rejection(decision) == encode(rejection(decision))
    return decision.outcome


def test_simulated_events_of_every_kind() -> None:
    simulator = Simulator(LIST, 7, reject_share=0.5, duplicate_share=0, garbage_share=0.05, binary_share=0.1)
    events = [simulator.next_event(RECEIVED) for _ in range(3000)]
    outcomes = {
        assert_same(decide(event.value, event.province, RECEIVED, LIST, key=event.key, headers=event.headers))
        for event in events
    }
    assert outcomes >= {Outcome.FORWARD, Outcome.REJECT}


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(Province),
    st.fixed_dictionaries({}, optional=dict.fromkeys(("identifier", "valid_from", "valid_until", "type_code"), TEXT)),
    st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(("channel", "matter_name", "matter_code", "verifier_name", "verifier_code"), TEXT),
    ),
    st.none() | TEXT.map(lambda text: f"某{text}"),
    st.fixed_dictionaries({}, optional=dict.fromkeys(("traceparent", "tracestate", "extension", "id"), TEXT)),
)
def test_whatever_an_event_says(
    province: Province,
    certificate: dict[str, Any],
    display: dict[str, Any],
    name: str | None,
    attributes: dict[str, Any],
) -> None:
    event = copy.deepcopy(display_event(province))
    event["data"]["certificate"] |= certificate
    event["data"]["display"] |= display
    event["data"]["holder"]["name_masked"] = name
    raw = json.dumps(event | attributes).encode("utf-8", "surrogatepass")
    assert_same(decide(raw, province, RECEIVED, LIST))
