"""What is assembled from fragments is what the plain way writes, byte for byte."""

import copy
import json
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import packaged_config
from gateway.core.assembly import assemble_rejection, assemble_verification
from gateway.core.building import build_dead_letter, build_record
from gateway.core.content import encode, rejection, verification
from gateway.core.decision import ENGINE_VERSION, Decision, Outcome, decide
from gateway.core.digest import sha256
from gateway.core.province import Province
from gateway.core.recognition import Batch, Recognition
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


_BYTES_OF_VERSION = {
    "0.1.0": "sha256:72da364fd6cc91723a8088b073418e4fd7c63a95e53c63fc9fc0dabfebc57408",
}
"""Over a verification record, a rejection and a dead letter of fixed inputs, under a list of one row."""

_ONE_ROW = """
batch: 1
document: {number: "1", title: 清单, issued_by: [某办公厅], signed: 2022-10-23}
effective_from: 2022-10-23
rows:
  - row: 5
    certificate: {provenance: read, value: 道路运输证}
    issuers:
      sichuan: {provenance: read, value: [四川省交通运输厅]}
      chongqing: {provenance: read, value: [重庆市交通局]}
    channels: {provenance: read, value: [天府通办, 渝快办]}
    scenarios: {provenance: read, value: [{code: 05-1, text: 政务服务}, {code: 05-2, text: 执法场景}]}
    matters: {provenance: read, value: []}
    scope:
      sichuan: {provenance: inferred, value: {text: 四川全省, whole: true}}
      chongqing: {provenance: read, value: {text: 重庆全市, whole: true}}
"""


def test_a_version_writes_the_same_bytes_for_ever() -> None:
    """Other bytes under the same number would make `gateway audit --prove` call records altered that nobody touched.

    Where they have to change, the version does too, with a line more here.
    """
    event = display_event(Province.SICHUAN)
    event["data"]["certificate"]["identifier"] = "11100000000013338W011.11430000006122244L.20230000403.001.U"
    refused = copy.deepcopy(event) | {"id": "refused"}
    refused["data"]["display"]["channel"] = "微信小程序"
    inputs = [json.dumps(event).encode(), json.dumps(refused).encode(), b"{}"]
    one_row = Recognition([("one-row.yaml", Batch.model_validate(yaml.safe_load(_ONE_ROW)))], [])
    decisions = [decide(raw, Province.SICHUAN, RECEIVED, one_row) for raw in inputs]
    assert [decision.outcome for decision in decisions] == [Outcome.FORWARD, Outcome.REJECT, Outcome.DEAD_LETTER]
    records = [build_record(decision) or b"" for decision in decisions[:2]]
    letter = build_dead_letter(decisions[2], inputs[2], "sichuan.display", 0, 0)
    assert sha256(b"\n".join([*records, letter])) == _BYTES_OF_VERSION[ENGINE_VERSION]


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
