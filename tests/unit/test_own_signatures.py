"""The gateway's signatures on its own records: made and verified, found where changed, with mistakes in the
settings named."""

import asyncio
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.adapters.own_signatures import RecordCheck, RecordSigner, load_record_check, load_record_signer
from gateway.adapters.settings import Settings, load_settings
from gateway.contract.ledger_entry import LedgerEntry, has_outputs_digest, read_entry
from gateway.contract.outputs import digest
from gateway.contract.rejection import RejectionRecord
from gateway.contract.signing import read_signed, record_message, without_signature
from gateway.contract.topics import LaneId, Topics
from gateway.contract.verification import VerificationRecord
from gateway.core.province import Province
from gateway.errors import ConfigurationError
from gateway.operate.examples import display_event
from gateway.relay.closing import close_turn
from gateway.relay.horizon import Horizon
from gateway.relay.turn import DecidedTurn, Turn, decide_turn, take_turn
from tests.signing import ALGORITHMS, make_own_key, settings_signing
from tests.tools import require_tool
from tests.unit.test_turn import LIST, Record

NOON = 1_795_406_400_000
LANE = LaneId(Province.SICHUAN, "sichuan.display", 3)


@dataclass(frozen=True)
class Written:
    value: bytes
    timestamp: int = NOON
    headers: tuple[tuple[str, bytes], ...] = ()


def records_of_all_kinds() -> list[Record]:
    """One forwarded, one rejected, one of garbage."""
    good, bad = display_event(Province.SICHUAN), display_event(Province.SICHUAN) | {"id": "other"}
    bad = json.loads(json.dumps(bad))
    bad["data"]["display"]["channel"] = "somewhere"
    values = [json.dumps(good).encode(), json.dumps(bad).encode(), b"garbage"]
    key = good["data"]["holder"]["ref"].encode()
    return [Record(offset, value, key=key) for offset, value in enumerate(values)]


def turn_of_all_kinds() -> DecidedTurn:
    return decide_turn(LANE, records_of_all_kinds(), LIST, Horizon(10**9, 10), topics=Topics())


def close(turn: DecidedTurn, signer: RecordSigner | None = None) -> Turn:
    return asyncio.run(close_turn(turn, None, ledger=Topics().ledger, algorithm="sm3", signer=signer))


@pytest.fixture(params=ALGORITHMS)
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    return settings_signing(load_settings(), tmp_path, request.param)


@pytest.fixture
def signer(settings: Settings) -> RecordSigner:
    signer = load_record_signer(settings)
    assert signer is not None
    return signer


@pytest.fixture
def check(settings: Settings) -> RecordCheck:
    return load_record_check(settings)


def test_a_turns_digests_are_of_its_signed_records(signer: RecordSigner, check: RecordCheck) -> None:
    turn = turn_of_all_kinds()
    plain, signed = close(turn), close(turn, signer)
    assert plain == take_turn(
        LANE, records_of_all_kinds(), LIST, Horizon(10**9, 10), None, topics=Topics(), algorithm="sm3"
    )
    assert len(signed.outputs) == 4
    for before, after in zip(plain.outputs, signed.outputs, strict=True):
        assert check.problem(Written(after.value)) is None
        assert check.problem(Written(before.value)) == "the record bears no signature"
        assert (after.topic, after.key, after.headers) == (before.topic, before.key, before.headers)
    for before, after in list(zip(plain.outputs, signed.outputs, strict=True))[:-1]:
        assert without_signature(after.value) == before.value
    entry, before_entry = read_entry(signed.outputs[-1].value), read_entry(plain.outputs[-1].value)
    assert entry is not None
    assert before_entry is not None
    assert has_outputs_digest(entry, signed.outputs[:-1])
    assert not has_outputs_digest(before_entry, signed.outputs[:-1])
    assert entry.counts == before_entry.counts
    assert signed.entry_digest == digest("sm3", [signed.outputs[-1].value])
    for model, output in zip((VerificationRecord, RejectionRecord), signed.outputs, strict=False):
        model.model_validate_json(output.value)
    LedgerEntry.model_validate_json(signed.outputs[-1].value)


def test_any_change_of_a_signed_record_is_found(signer: RecordSigner, check: RecordCheck) -> None:
    value = signer.sign(turn_of_all_kinds().outputs[0].value)
    assert check.problem(Written(value)) is None
    for old, new in (
        (b'"500103"', b'"500105"'),
        (b'"row":', b'"row": '),
        (b'"id":"', b'"id":"0'),
        (b'"time":"20', b'"time":"21'),
    ):
        assert old in value
        assert check.problem(Written(value.replace(old, new, 1))) == "the signature is not that of this record", old
    signed = read_signed(value)
    assert signed is not None
    assert signed.message == record_message(value)
    other = value.replace(b'"gateway-1"', b'"gateway-2"')
    assert "not the gateway's" in str(check.problem(Written(other)))
    assert "not the gateway's" in str(check.problem(Written(value, NOON + 10 * 366 * 86_400_000)))


def test_optional_lets_pass_what_is_unsigned_and_nothing_else(signer: RecordSigner, settings: Settings) -> None:
    optional = load_record_check(with_signatures(settings, gateway="optional"))
    value = turn_of_all_kinds().outputs[0].value
    signed = signer.sign(value)
    assert optional.problem(Written(value)) is None
    assert optional.problem(Written(signed)) is None
    assert optional.problem(Written(signed.replace(b'"500103"', b'"500105"'))) is not None
    off = load_record_check(with_signatures(settings, gateway="off", keys=None))
    assert off.problem(Written(signed.replace(b'"500103"', b'"500105"'))) is None


def test_an_events_own_signature_is_not_passed_on() -> None:
    event = display_event(Province.SICHUAN) | {"signature": "ab" * 64, "signaturekey": "sichuan-1", "other": "stays"}
    record = Record(0, json.dumps(event).encode(), key=event["data"]["holder"]["ref"].encode())
    turn = take_turn(LANE, [record], LIST, Horizon(10**9, 10), None, topics=Topics(), algorithm="sm3")
    output = json.loads(turn.outputs[0].value)
    assert output["other"] == "stays"
    assert output.keys().isdisjoint({"signature", "signaturekey"})


def with_signatures(settings: Settings, **changes: Any) -> Settings:
    return settings.model_copy(update={"signatures": settings.signatures.model_copy(update=changes)})


def test_without_a_key_nothing_is_signed() -> None:
    assert load_record_signer(load_settings()) is None


def test_mistakes_are_named(settings: Settings, tmp_path: Path) -> None:
    def said_of(**changes: Any) -> str:
        with pytest.raises(ConfigurationError) as error:
            load_record_signer(with_signatures(settings, **changes))
        return str(error.value)

    require_tool("openssl")
    assert "own_key_id" in said_of(own_key_id=None)
    assert "no.pem cannot be read (No such file" in said_of(own_key=tmp_path / "no.pem")
    (tmp_path / "nonsense.pem").write_text("nonsense")
    assert "nonsense.pem is not the unencrypted PEM" in said_of(own_key=tmp_path / "nonsense.pem")
    locked = tmp_path / "locked.pem"
    make = ["openssl", "genpkey", "-algorithm", "ed25519", "-aes256", "-pass", "pass:made-up", "-out", str(locked)]
    subprocess.run(make, check=True, capture_output=True)
    assert "locked.pem is not the unencrypted PEM" in said_of(own_key=locked)
    rsa = tmp_path / "rsa.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-out", str(rsa)], check=True, capture_output=True)
    assert "rsa.pem is not the unencrypted PEM" in said_of(own_key=rsa)
    for algorithm in ALGORITHMS:
        other = make_own_key(tmp_path / "other.pem", algorithm)
        assert "other.pem is not the private key of gateway-1" in said_of(own_key=other)


def test_mistakes_in_what_an_audit_asks_are_named(settings: Settings, tmp_path: Path) -> None:
    def said_of(**changes: Any) -> str:
        with pytest.raises(ConfigurationError) as error:
            load_record_check(with_signatures(settings, **changes))
        return str(error.value)

    assert "signatures.keys" in said_of(keys=None)
    (tmp_path / "empty.yaml").write_text("keys: []")
    assert "gateway_keys" in said_of(keys=tmp_path / "empty.yaml")
    keys = json.loads((tmp_path / "keys.yaml").read_text())
    (tmp_path / "twice.yaml").write_text(json.dumps({"gateway_keys": keys["gateway_keys"] * 2}))
    assert "twice.yaml: key gateway-1 of the gateway stands there twice" in said_of(keys=tmp_path / "twice.yaml")
