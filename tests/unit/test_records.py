"""What goes out keeps the contract's models, whatever came in; and says what was decided."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import packaged_config
from gateway.contract.dead_letter import MAX_DEADLETTER_BYTES, DeadLetterRecord
from gateway.contract.display_event import as_repeated
from gateway.contract.rejection import RejectionRecord
from gateway.core.decision import ENGINE_VERSION, Decision, Duplicate, Forward, Outcome, Reject, row_of
from gateway.core.event import Identity
from gateway.core.province import Province
from gateway.core.reasons import Code
from gateway.decide import decide_bytes
from gateway.operate.examples import display_event
from gateway.operate.simulate import Simulator
from tests.unit.written import MODELS, ORIGIN, record_of

ROOT = Path(__file__).parents[2]
LIST = load_recognition(packaged_config() / "recognition")
RECEIVED = 1_795_392_003_000
PROVINCES = st.sampled_from(Province)
ANYTHING = st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.lists(st.integers(), max_size=2)
FIELDS = ["id", "source", "type", "time", "data", "extension", "certificate.type_name", "certificate.valid_from",
          "certificate.identifier", "holder.kind", "holder.ref", "holder.name_masked", "holder.more", "display.channel",
          "display.scenario", "display.region_code", "display.verifier_name", "display.matter_code"]  # fmt: skip


@st.composite
def raws(draw: st.DrawFn) -> bytes:
    """An event with some of its members replaced by anything, sometimes cut."""
    event = display_event(draw(PROVINCES))
    for field in draw(st.lists(st.sampled_from(FIELDS), max_size=3, unique=True)):
        section, _, name = field.rpartition(".")
        if not section:
            event[name] = draw(ANYTHING)
        elif isinstance(event["data"], dict):
            event["data"][section][name] = draw(ANYTHING)
    raw = json.dumps(event).encode()
    return raw[: draw(st.integers(0, len(raw)))] if draw(st.integers(0, 9)) == 0 else raw


def written_of(decision: Decision, raw: bytes) -> bytes:
    record = record_of(decision, raw)
    assert record is not None
    return record


def decided(event: dict[str, Any], received: int = RECEIVED, province: Province | None = Province.SICHUAN) -> Decision:
    return decide_bytes(json.dumps(event).encode(), province, received, LIST)


@settings(max_examples=400, deadline=None)
@given(raws() | st.binary(max_size=50), PROVINCES, st.integers(0, 2 * 10**12))
def test_output_keeps_its_model_and_says_what_was_decided(raw: bytes, province: Province, received: int) -> None:
    decision = decide_bytes(raw, province, received, LIST)
    written: Any = MODELS[decision.outcome].model_validate_json(written_of(decision, raw), strict=True)
    if isinstance(written, DeadLetterRecord):
        assert (written.data.origin.topic, written.data.origin.partition, written.data.origin.offset) == ORIGIN[:3]
        assert written.data.size == len(raw)
        assert written.data.input_digest == "sha256:" + hashlib.sha256(raw).hexdigest()
        assert (written.data.bytes_base64 is None) is (written.data.withheld is not None)
    else:
        assert written.data.event.id == as_repeated(json.loads(raw)["id"])
        assert written.data.event.source == json.loads(raw)["source"]
        assert written.data.decision.input_digest == "sha256:" + hashlib.sha256(raw).hexdigest()
        assert written.data.decision.engine_version == ENGINE_VERSION
        assert written.id == decision.digest.removeprefix("sha256:")[:32]
    if isinstance(decision, Reject):
        order = list(Code)
        codes = [order.index(reason.code) for reason in written.data.reasons]
        assert codes == sorted(codes)  # the contract's order: the first is the primary one
        if Code.INVALID_EVENT in decision.codes:
            assert decision.codes == (Code.INVALID_EVENT,)  # no further checks
            assert written.data.nearest_row is None
            fields = [reason.field for reason in written.data.reasons]
            assert len(set(fields)) == len(fields)
        for reason in written.data.reasons:
            assert reason.message.zh.startswith(reason.code.entry.zh)
            assert reason.message.en.startswith(reason.code.entry.en)


def test_decision_digest_can_be_recomputed_from_the_record() -> None:
    """Input digest, list digest, engine version, outcome and reasons: each changes it, nothing else does."""
    event = display_event(Province.SICHUAN)
    plain, later = decided(event), decided(event, RECEIVED + 1000)
    assert plain.digest == later.digest  # the outcome is the same, and when it was received is not part of it
    other, stale = decided(event | {"id": "y"}), decided(event, RECEIVED + 4 * 86_400_000)
    assert len({plain.digest, other.digest, stale.digest}) == 3
    record = json.loads(written_of(plain, b""))["data"]
    parts = [
        record["decision"]["input_digest"],
        record["list"]["digest"],
        record["decision"]["engine_version"],
        "forward",
        "",
    ]
    assert record["decision"]["digest"] == "sha256:" + hashlib.sha256("\n".join(parts).encode()).hexdigest()


def test_five_checks_are_always_explained_together() -> None:
    for province in Province:
        for field, value in [("channel", "x"), ("scenario", "x"), ("region_code", "110101")]:
            event = display_event(province)
            event["data"]["display"][field] = value
            decision = decided(event, province=province)
            nearest = json.loads(written_of(decision, b""))["data"]["nearest_row"]
            assert [check["dimension"] for check in nearest["checks"]] == [
                "certificate", "issuer", "channel", "scenario", "scope",
            ]  # fmt: skip
            assert (nearest["batch"], nearest["row"]) == row_of(decision)


@pytest.mark.parametrize("unknown", [1, 99, 101, 5000])
def test_rejection_stays_small_however_many_fields_are_wrong(unknown: int) -> None:
    event = display_event(Province.SICHUAN)
    event["data"]["display"] |= {f"a{number}": 0 for number in range(unknown)}
    decision = decided(event)
    record = RejectionRecord.model_validate_json(written_of(decision, b""))
    assert isinstance(decision, Reject)
    assert decision.codes == (Code.INVALID_EVENT,)
    assert len(record.data.reasons) == min(unknown, 101)
    assert len(record.model_dump_json()) < 100_000
    if unknown > 100:
        assert record.data.reasons[-1].field == "event"
        assert str(unknown - 100) in record.data.reasons[-1].message.en
        assert str(unknown - 100) in record.data.reasons[-1].message.zh


@pytest.mark.parametrize(("size", "withheld"), [(MAX_DEADLETTER_BYTES, None), (MAX_DEADLETTER_BYTES + 1, "too large")])
def test_dead_letter_holds_bytes_up_to_its_limit(size: int, withheld: str | None) -> None:
    raw = b"x" * size
    decision = decide_bytes(raw, Province.SICHUAN, RECEIVED, LIST)
    assert json.loads(written_of(decision, raw))["data"]["withheld"] == withheld


def test_extension_attributes_never_overwrite_the_records_own() -> None:
    event = display_event(Province.SICHUAN) | {
        "subject": "s",
        "dataschema": "urn:x",
        "sequence": 7,
        "last": True,
        "no": None,
    }
    record = json.loads(written_of(decided(event), b""))
    assert record["type"] == "cn.chuanyu.certificate.verified.v1"
    assert record["source"] == "urn:chuanyu:gateway"
    assert (record["subject"], record["sequence"], record["last"]) == ("s", 7, True)
    assert record["traceparent"] == event["traceparent"]
    assert not record.keys() & {"dataschema", "no"}


def test_without_a_province_the_source_says_it() -> None:
    for province in Province:
        decision = decided(display_event(province), province=None)
        assert isinstance(decision, Forward)
        assert decision.province is province
    unknown = decided(display_event(Province.SICHUAN) | {"source": "urn:x"}, province=None)
    assert isinstance(unknown, Reject)
    assert (unknown.province, unknown.codes) == (None, (Code.INVALID_EVENT,))
    assert written_of(unknown, b"")


def test_what_was_forwarded_is_only_read() -> None:
    raw = json.dumps(display_event(Province.SICHUAN)).encode()
    first = decide_bytes(raw, Province.SICHUAN, RECEIVED, LIST)
    assert isinstance(first, Forward)
    forwarded: dict[Identity, tuple[str, ...]] = {first.reading.identity: (first.reading.content_digest,)}
    before = dict(forwarded)
    again = decide_bytes(raw, Province.SICHUAN, RECEIVED, LIST, forwarded=forwarded)
    assert isinstance(again, Duplicate)
    assert again.reading == first.reading
    assert forwarded == before


def test_a_digest_prefix_suffices_to_recognise_content() -> None:
    """The horizon keeps only the beginning of each digest."""
    event = display_event(Province.SICHUAN)
    first = decided(event)
    assert isinstance(first, Forward)
    forwarded = {first.reading.identity: ("sha256:0000", first.reading.content_digest[:23])}
    for changes, outcome in (({}, Outcome.DUPLICATE), ({"subject": "x"}, Outcome.REJECT)):
        raw = json.dumps(event | changes).encode()
        assert decide_bytes(raw, Province.SICHUAN, RECEIVED, LIST, forwarded=forwarded).outcome is outcome


def digest_of_many(seed: int = 11, records: int = 1500) -> str:
    """One digest over all that becomes of simulated events; run in processes of their own below."""
    simulator, digest = Simulator(LIST, seed), hashlib.sha256(LIST.digest.encode())
    for index in range(records):
        record: Any = simulator.next_event(RECEIVED + index)
        decision = decide_bytes(
            record.value, record.province, RECEIVED + index, LIST, key=record.key, headers=record.headers
        )
        digest.update(written_of(decision, record.value))
    return digest.hexdigest()


def test_hash_seed_and_time_zone_change_no_bytes() -> None:
    """What Python does not fix between processes (the order of sets, the local time) must not be in a
    decision."""
    program = (
        "import importlib.util as u; s = u.spec_from_file_location('records', r'" + __file__ + "'); "
        "m = u.module_from_spec(s); s.loader.exec_module(m); print(m.digest_of_many())"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            check=True,
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": hash_seed, "TZ": zone},
        ).stdout.strip()
        for hash_seed, zone in [("0", "Asia/Shanghai"), ("4242", "America/New_York")]
    }
    assert found == {digest_of_many().encode()}
