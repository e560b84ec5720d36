"""What the contract's builders write keeps the models, and the readers read it back; a version writes the
same bytes for ever."""

import copy
import json
from collections import Counter
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import packaged_config
from gateway.contract.dead_letter import SentDeadLetter
from gateway.contract.envelope import SentEvent
from gateway.contract.facets import Facets, facets_of
from gateway.contract.headers import CONTENT_TYPE, Origin, origin_of
from gateway.contract.ledger_entry import (
    EntrySpan,
    InputLog,
    LedgerEntry,
    build_entry,
    has_inputs_digest,
    has_outputs_digest,
    has_remembered,
    input_line,
    is_last_input,
    read_entry,
)
from gateway.contract.outputs import Output, build_output
from gateway.contract.rejection import SentRejection
from gateway.contract.signing import with_signature, without_signature
from gateway.contract.topics import LaneId, Topics
from gateway.contract.verification import SentVerification
from gateway.core.dead_letter_codes import DeadLetterCode
from gateway.core.decision import (
    ENGINE_VERSION,
    DeadLetter,
    Decision,
    Duplicate,
    Forward,
    Outcome,
    Reject,
    dead_letter,
    row_of,
)
from gateway.core.digest import sha256
from gateway.core.province import Province
from gateway.core.reasons import Code
from gateway.core.recognition import Batch, Recognition, RowRef
from gateway.decide import decide_bytes
from gateway.operate.examples import display_event
from gateway.operate.simulate import Simulator
from tests.unit.second_batch import CERTIFICATES, issuer_of, recognition_of_two, second_batch_event
from tests.unit.written import MODELS, ORIGIN, READERS, problems_of_cloudevent, record_of

LIST = load_recognition(packaged_config() / "recognition")
RECEIVED = 1_795_392_003_000
TEXT = (
    st.none() | st.text(max_size=20) | st.sampled_from(["天府通办", "渝快办", 'a "quoted" \\ word', "\u2028<script>%b"])
)
OTHERS = {
    "subject": TEXT | st.integers() | st.booleans(), "traceparent": TEXT | st.integers(), "Bad": TEXT,
    "sequence": st.integers() | st.floats(allow_nan=False) | st.text("\x00\x85\ufdd0\U0001ffffa", max_size=3),
}  # fmt: skip


def assert_keeps_the_contract(decision: Decision, raw: bytes) -> Outcome:
    """The record of ``decision`` is valid by its model, says nothing else, and is read back by its reader
    alone."""
    record = record_of(decision, raw)
    assert record is not None
    content = json.loads(record)
    assert problems_of_cloudevent(content) == []
    model = MODELS[decision.outcome].model_validate_json(record, strict=True)
    assert model.model_dump(mode="json", exclude_unset=True) == content
    sent = READERS[decision.outcome](record)
    match sent:
        case SentVerification(data=data):
            assert isinstance(decision, Forward)
            assert data.event == sent_event(content)
            assert RowRef(data.list.batch, data.list.row) == row_of(decision)
            assert data.list.digest == decision.list_digest
            assert data.holder.ref == decision.reading.identity.holder
            assert (data.decision.digest, data.decision.content_digest, data.decision.received) == (
                decision.digest, decision.reading.content_digest, decision.received,
            )  # fmt: skip
        case SentRejection(data=data):
            assert isinstance(decision, Reject)
            assert data.event == sent_event(content)
            assert tuple(reason.code for reason in data.reasons) == tuple(each.code for each in decision.reasons)
            assert [reason.responsible_units for reason in data.reasons] == [each.units for each in decision.reasons]
            assert data.responsible_units == decision.units
            assert data.list_digest == decision.list_digest
            if data.nearest_row is not None and data.nearest_row.listed:
                assert RowRef(data.nearest_row.batch, data.nearest_row.row) == row_of(decision)
            else:
                assert row_of(decision) is None
        case SentDeadLetter(data=data):
            assert isinstance(decision, DeadLetter)
            assert (data.error.code, data.error.message) == (decision.code, decision.message)
            assert (data.origin.topic, data.origin.partition, data.origin.offset) == ORIGIN[:3]
            assert (data.received, data.size, data.input_digest) == (
                decision.received, len(raw), decision.input_digest,
            )  # fmt: skip
        case _:
            pytest.fail(f"not read back: {record!r}")
    for outcome, read in READERS.items():
        assert (read(record) is not None) is (outcome is decision.outcome)
    assert read_entry(record) is None
    return decision.outcome


def sent_event(content: dict[str, Any]) -> SentEvent:
    return SentEvent(**content["data"]["event"])


def test_simulated_events_of_every_kind() -> None:
    simulator = Simulator(LIST, 7, reject_share=0.5, duplicate_share=0, garbage_share=0.05, binary_share=0.1)
    outcomes = set()
    for _ in range(2000):
        event = simulator.next_event(RECEIVED)
        decision = decide_bytes(event.value, event.province, RECEIVED, LIST, key=event.key, headers=event.headers)
        outcomes.add(assert_keeps_the_contract(decision, event.value))
    assert outcomes == {Outcome.FORWARD, Outcome.REJECT, Outcome.DEAD_LETTER}


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(Province),
    st.fixed_dictionaries({}, optional=dict.fromkeys(("identifier", "valid_from", "valid_until", "type_code"), TEXT)),
    st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(("channel", "matter_name", "matter_code", "verifier_name", "verifier_code"), TEXT),
    ),
    st.none() | TEXT.map(lambda text: f"某{text}"),
    st.fixed_dictionaries({}, optional=dict.fromkeys(("traceparent", "tracestate", "extension", "id"), TEXT) | OTHERS),
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
    assert_keeps_the_contract(decide_bytes(raw, province, RECEIVED, LIST), raw)


@pytest.mark.parametrize("code", DeadLetterCode)
def test_dead_letter_of_every_code(code: DeadLetterCode) -> None:
    decision = dead_letter(None, RECEIVED, sha256(b"x"), code, "what is wrong")
    assert assert_keeps_the_contract(decision, b"x") is Outcome.DEAD_LETTER


_BYTES_OF_VERSION = {
    "0.1.0": "sha256:cbe7f11144e8b009ce853816452d79f7f5221fd3c1d2490403dd332b09475397",
}
"""Over a verification record, a rejection and a dead letter of fixed inputs, under a list of one row; and
over all reasons."""

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
    """Other bytes under the same number would make `gateway audit --prove` call records altered that nobody
    touched.

    Where they have to change, the version does too, with a line more here.
    """
    event = display_event(Province.SICHUAN)
    event["data"]["certificate"]["identifier"] = "11100000000013338W011.11430000006122244L.20230000403.001.U"
    refused = copy.deepcopy(event) | {"id": "refused"}
    refused["data"]["display"]["channel"] = "微信小程序"
    inputs = [json.dumps(event).encode(), json.dumps(refused).encode(), b"{}"]
    one_row = Recognition([("one-row.yaml", Batch.model_validate(yaml.safe_load(_ONE_ROW)))], [])
    decisions = [decide_bytes(raw, Province.SICHUAN, RECEIVED, one_row) for raw in inputs]
    assert [decision.outcome for decision in decisions] == [Outcome.FORWARD, Outcome.REJECT, Outcome.DEAD_LETTER]
    records = [
        record_of(decision, raw, Origin("sichuan.display", 0, 0)) or b""
        for decision, raw in zip(decisions, inputs, strict=True)
    ]
    # A reason more, or one in another place, of another recipient or in other words, makes other rejections.
    reasons = [f"{code} {code.entry.recipient} {code.entry.zh} {code.entry.en}".encode() for code in Code]
    assert sha256(b"\n".join(records + reasons)) == _BYTES_OF_VERSION[ENGINE_VERSION]


@pytest.mark.parametrize("value", [None, b"", b"null", b"[]", b"{}", b'{"data":{}}', b"\xff", b"[" * 100_000])
def test_readers_return_none_for_foreign_records(value: bytes | None) -> None:
    for read in (*READERS.values(), read_entry):
        assert read(value) is None


def test_signature_stands_outside_what_is_read_back() -> None:
    decision = decide_bytes(json.dumps(display_event(Province.SICHUAN)).encode(), None, RECEIVED, LIST)
    record = record_of(decision, b"") or b""
    signed = with_signature(record, b"\x07" * 64, "gateway-1")
    assert MODELS[Outcome.FORWARD].model_validate_json(signed, strict=True).signaturekey == "gateway-1"
    assert READERS[Outcome.FORWARD](signed) == READERS[Outcome.FORWARD](record)
    assert without_signature(signed) == record


# Two batches with the same row numbers.


@pytest.mark.parametrize("province", Province)
@pytest.mark.parametrize("row", CERTIFICATES)
def test_second_batch_rows_are_named_with_their_batch(province: Province, row: int) -> None:
    two = recognition_of_two()
    event = second_batch_event(province, row)
    raw = json.dumps(event).encode()
    forward = decide_bytes(raw, province, RECEIVED, two)
    assert isinstance(forward, Forward)
    assert row_of(forward) == RowRef(2, row)
    assert str(row_of(forward)) == f"2/{row}"
    assert_keeps_the_contract(forward, raw)

    event["data"]["display"]["channel"] = "微信小程序"
    raw = json.dumps(event).encode()
    reject = decide_bytes(raw, province, RECEIVED, two)
    assert isinstance(reject, Reject)
    assert row_of(reject) == RowRef(2, row)
    assert reject.units == (issuer_of(province, row), issuer_of(province.other, row))
    assert_keeps_the_contract(reject, raw)

    event["data"]["certificate"]["type_name"] += "副本"
    raw = json.dumps(event).encode()
    unlisted = decide_bytes(raw, province, RECEIVED, two)
    assert isinstance(unlisted, Reject)
    assert row_of(unlisted) is None
    nearest = json.loads(record_of(unlisted, raw) or b"")["data"]["nearest_row"]
    assert (nearest["batch"], nearest["row"], nearest["listed"]) == (2, row, False)
    assert_keeps_the_contract(unlisted, raw)


# Ledger entries.

LANE = LaneId(Province.SICHUAN, "sichuan.display", 3)
LINES = [input_line(1_700 + number, RECEIVED, "sha256:00", b"key") for number in range(13)]
SPAN = EntrySpan(LANE, InputLog("topicid", 2), 1_700, 1_712, RECEIVED, LINES)


def decisions_of_two_batches() -> list[Decision]:
    two = recognition_of_two()
    events = [display_event(Province.SICHUAN)]  # row 1/5
    events += [second_batch_event(Province.SICHUAN, row) for row in CERTIFICATES]
    refused = [copy.deepcopy(event) for event in events]
    for event in refused:
        event["data"]["display"]["scenario"] = "网上购物"
    found = [decide_bytes(json.dumps(each).encode(), Province.SICHUAN, RECEIVED, two) for each in events + refused]
    first = found[0]
    assert isinstance(first, Forward)
    again = decide_bytes(
        json.dumps(events[0]).encode(), Province.SICHUAN, RECEIVED, two,
        forwarded={first.reading.identity: (first.reading.content_digest,)},
    )  # fmt: skip
    assert isinstance(again, Duplicate)
    invalid = decide_bytes(json.dumps(events[0] | {"time": None}).encode(), Province.SICHUAN, RECEIVED, two)
    return [*found, again, invalid, decide_bytes(b"{", Province.SICHUAN, RECEIVED, two)]


def test_ledger_counts_name_batch_and_row() -> None:
    decisions = decisions_of_two_batches()
    counts = Counter(facets_of(decision) for decision in decisions)
    lane, topics = LANE, Topics()
    outputs = [Output(topics.ledger, b"k", b"v", (CONTENT_TYPE,))]
    value = build_entry(SPAN, counts, outputs, LIST.digest, None, algorithm="sm3", remembered=b"r")
    model = LedgerEntry.model_validate_json(value, strict=True)
    assert model.model_dump(mode="json", exclude_unset=True) == json.loads(value)
    entry = read_entry(value)
    assert entry is not None
    assert {count.facets: count.count for count in entry.counts} == counts
    assert sum(count.count for count in entry.counts) == len(decisions)
    for outcome in ("forward", "reject"):
        named = {count.ref for count in entry.counts if count.outcome == outcome}
        rows = {RowRef(1, 5), *(RowRef(2, row) for row in CERTIFICATES)}
        assert named == rows | ({None} if outcome == "reject" else set())
    assert [count.ref for count in entry.counts if count.outcome in {"duplicate", "dead_letter"}] == [None, None]
    assert (entry.topic, entry.partition, entry.first_offset, entry.last_offset, entry.records) == (
        lane.topic, lane.partition, 1_700, 1_712, 13,
    )  # fmt: skip
    assert (entry.received, entry.engine_version, entry.previous, entry.redriven) == (
        RECEIVED, ENGINE_VERSION, None, None,
    )  # fmt: skip
    assert entry.log == SPAN.log
    assert has_inputs_digest(entry, LINES)
    assert not has_inputs_digest(entry, LINES[1:])
    assert is_last_input(entry, LINES[-1])
    assert not is_last_input(entry, LINES[0])
    assert has_remembered(entry, b"r")
    assert not has_remembered(entry, b"")
    assert has_outputs_digest(entry, outputs)
    assert not has_outputs_digest(entry, [Output(topics.ledger, None, b"v", (CONTENT_TYPE,))])
    for read in READERS.values():
        assert read(value) is None


def test_facets_of_each_outcome() -> None:
    two, event = recognition_of_two(), second_batch_event(Province.CHONGQING, 1)
    region = event["data"]["display"]["region_code"]
    forward = decide_bytes(json.dumps(event).encode(), None, RECEIVED, two)
    assert facets_of(forward) == Facets("forward", 2, 1, "天府通办", "01-1", region, None)
    event["data"]["display"]["channel"] = "微信小程序"
    reject = decide_bytes(json.dumps(event).encode(), None, RECEIVED, two)
    assert facets_of(reject) == Facets("reject", 2, 1, None, "01-1", region, "CHANNEL_NOT_RECOGNISED")


def test_output_stands_where_its_outcome_belongs() -> None:
    topics = Topics("x.")
    lane = LaneId(Province.SICHUAN, topics.display(Province.SICHUAN), 3)
    wanted = {
        Outcome.FORWARD: "x.chongqing.verification",
        Outcome.REJECT: "x.sichuan.rejection",
        Outcome.DEAD_LETTER: "x.gateway.deadletter",
    }
    for decision in decisions_of_two_batches():
        output = build_output(lane, _Input(), decision, topics)
        if isinstance(decision, Duplicate):
            assert output is None
            continue
        assert output is not None
        assert output.topic == wanted[decision.outcome]
        assert output.value == record_of(decision, b"{", Origin(lane.topic, 3, 42))
        assert origin_of(output.headers) == Origin(lane.topic, 3, 42)
        assert str(origin_of(output.headers)) == "x.sichuan.display/3/42"


class _Input:
    offset = 42
    timestamp = RECEIVED
    key = b"sm3:" + b"5c" * 32
    value = b"{"
    headers: tuple[tuple[str, bytes], ...] = ()
