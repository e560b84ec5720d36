"""Events' signatures: published vectors of the standards, any change found, keys by their periods, order
kept."""

import asyncio
import base64
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st
from tongsuopy.crypto.asymciphers import ec

from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import packaged_config
from gateway.adapters.signatures import NO_SIGNATURES, KeyRing, load_key_ring
from gateway.contract.signing import read_signed, signed_message
from gateway.core.decision import Reject
from gateway.core.province import Province
from gateway.core.reasons import Code
from gateway.core.signature import SignatureStatus
from gateway.decide import decide_bytes
from gateway.errors import ConfigurationError
from gateway.operate.examples import display_event
from tests.signing import KEYS, SIGNERS, edwards_pem, event_signed_by, settings_with, sm2_pem

LIST = load_recognition(packaged_config() / "recognition")
NOON = 1_795_406_400_000
# GB/T 32918.5-2017, annex A.2: the recommended curve, user A with the default ID, the message "message
# digest".
PUBLIC = (
    0x09F9DF311E5421A150DD7D161E4BC5C672179FAD1833FC076BB08FF356F35020,
    0xCCEA490CE26775A52DC6EA718CC1AA600AED05FBF35E084A6632F6072DA9AD13,
)
SIGNATURE = bytes.fromhex(
    "F5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3"
    "B1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA"
)
# RFC 8032, clause 7.1, test 2.
EDWARDS_PUBLIC = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
EDWARDS_SIGNATURE = bytes.fromhex(
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> KeyRing:
    """Return a key ring under which Sichuan must sign."""
    return load_key_ring(settings_with(tmp_path_factory.mktemp("keys"), "required"))


def test_the_standards_own_signatures_are_valid(tmp_path: Path) -> None:
    sm2 = ec.EllipticCurvePublicNumbers(*PUBLIC, ec.SM2()).public_key()
    edwards = Ed25519PublicKey.from_public_bytes(EDWARDS_PUBLIC)
    period = {"valid_from": "2026-01-01T00:00:00Z", "valid_until": "2027-01-01T00:00:00Z", "province": "sichuan"}
    keys = [
        {"id": "gb", "algorithm": "sm2", "public_key": sm2_pem(sm2), **period},
        {"id": "rfc", "algorithm": "ed25519", "public_key": edwards_pem(edwards), **period},
    ]
    trusted = load_key_ring(settings_with(tmp_path, "optional", keys)).keys
    for key_id, message, signature in (("gb", b"message digest", SIGNATURE), ("rfc", b"\x72", EDWARDS_SIGNATURE)):
        verify = trusted[Province.SICHUAN, key_id].verify
        assert verify(signature, message)
        assert not verify(signature, message + b" ")
        assert not verify(signature[::-1], message)
        assert not verify(bytes(64), message)


@pytest.mark.parametrize("key_id", KEYS)
def test_a_signed_event_is_valid_in_both_modes(ring: KeyRing, key_id: str) -> None:
    raw = event_signed_by(key_id)
    assert ring.status(Province.SICHUAN, NOON, raw) is SignatureStatus.VALID
    event = json.loads(raw)
    data = json.dumps(event.pop("data")).encode()
    event["signature"] = SIGNERS[key_id](signed_message(event["id"], event["source"], event["time"], data))
    headers = [(f"ce_{name}", str(value).encode()) for name, value in event.items()]
    assert ring.status(Province.SICHUAN, NOON, data, headers) is SignatureStatus.VALID
    assert ring.status(Province.SICHUAN, NOON, data + b" ", headers) is SignatureStatus.INVALID


@given(st.data())
def test_any_change_of_what_is_signed_is_found(ring: KeyRing, data: st.DataObject) -> None:
    raw = event_signed_by(data.draw(st.sampled_from(sorted(KEYS))))
    event = json.loads(raw)
    place = data.draw(st.sampled_from(["id", "source", "time", "data", "signature", "blank"]))
    if place == "blank":  # the bytes of data count, not what they say
        changed = raw.replace(b'"certificate": {', b'"certificate":  {')
    elif place == "data":
        event["data"]["display"]["region_code"] = data.draw(st.sampled_from(["500105", "500112"]))
        changed = json.dumps(event, ensure_ascii=False).encode()
    elif place == "signature":
        bit = data.draw(st.integers(0, 511))
        flipped = int(event["signature"], 16) ^ (1 << bit)
        changed = raw.replace(event["signature"].encode(), f"{flipped:0128x}".encode())
    else:
        changed = raw.replace(json.dumps(event[place]).encode(), json.dumps(event[place] + "1").encode(), 1)
    assert changed != raw
    assert ring.status(Province.SICHUAN, NOON, changed) is SignatureStatus.INVALID


@given(st.lists(st.binary(max_size=20), min_size=8, max_size=8))
def test_no_two_events_have_the_same_signed_bytes(parts: list[bytes]) -> None:
    texts = [part.decode("latin-1") for part in parts]
    one = signed_message(texts[0], "s", texts[1], parts[2])
    other = signed_message(texts[3], "s", texts[4], parts[5])
    same = (texts[0].encode(), texts[1].encode(), parts[2]) == (texts[3].encode(), texts[4].encode(), parts[5])
    assert (one == other) is same


@given(
    st.binary(max_size=300), st.lists(st.tuples(st.sampled_from(["ce_id", "ce_signature", "ce_source"]), st.binary()))
)
def test_bytes_of_any_kind_have_a_status(ring: KeyRing, raw: bytes, headers: list[tuple[str, bytes]]) -> None:
    assert ring.status(Province.SICHUAN, NOON, raw, headers) is SignatureStatus.MISSING or read_signed(raw, headers)


def test_the_documents_example_is_what_is_signed() -> None:
    page = (Path(__file__).parents[2] / "docs" / "signing.md").read_text(encoding="utf-8")
    event = page.partition("```json\n")[2].partition("\n```")[0]
    signed = read_signed(event.replace('"time"', '"signaturekey":"k","time"').encode())
    assert signed is not None
    assert signed.message.decode() == page.partition("```text\n")[2].partition("\n```")[0]


def test_what_the_policy_makes_of_it(ring: KeyRing, tmp_path: Path) -> None:
    unsigned = json.dumps(display_event(Province.SICHUAN)).encode()
    wrong = event_signed_by("sichuan-1").replace(b'"500103"', b'"500105"')
    optional = load_key_ring(settings_with(tmp_path, "optional"))
    assert ring.status(Province.SICHUAN, NOON, unsigned) is SignatureStatus.MISSING
    assert optional.status(Province.SICHUAN, NOON, unsigned) is SignatureStatus.UNASKED
    assert optional.status(Province.SICHUAN, NOON, wrong) is SignatureStatus.INVALID
    for off in (NO_SIGNATURES, ring):  # Chongqing's are off in both
        assert off.status(Province.CHONGQING, NOON, wrong) is SignatureStatus.UNASKED
    half = event_signed_by("sichuan-1").replace(b'"signature": "', b'"signature": "zz')
    assert optional.status(Province.SICHUAN, NOON, half) is SignatureStatus.MALFORMED


DER = bytes.fromhex("3045022100" + "f5" * 32 + "0220" + "31" * 32)
FORMS = [
    (DER.hex(), SignatureStatus.IN_DER),
    (DER.hex().upper(), SignatureStatus.IN_DER),
    (base64.b64encode(DER).decode(), SignatureStatus.IN_DER),
    (base64.urlsafe_b64encode(DER).decode().rstrip("="), SignatureStatus.IN_DER),
    (base64.b64encode(SIGNATURE).decode(), SignatureStatus.IN_BASE64),
    (base64.urlsafe_b64encode(SIGNATURE).decode(), SignatureStatus.IN_BASE64),
    (base64.b64encode(SIGNATURE).decode().rstrip("="), SignatureStatus.IN_BASE64),
    (SIGNATURE.hex()[:-1], SignatureStatus.OTHER_LENGTH),
    (SIGNATURE.hex()[:-2], SignatureStatus.OTHER_LENGTH),
    ("04" + SIGNATURE.hex(), SignatureStatus.OTHER_LENGTH),
    ("0", SignatureStatus.OTHER_LENGTH),
    ("", SignatureStatus.MALFORMED),
    ("0x" + SIGNATURE.hex(), SignatureStatus.MALFORMED),
    (SIGNATURE.hex(":"), SignatureStatus.MALFORMED),
    ("签名", SignatureStatus.MALFORMED),
    (17, SignatureStatus.MALFORMED),
    (None, SignatureStatus.MALFORMED),
    ("f" * 100_000, SignatureStatus.MALFORMED),
    (SIGNATURE.hex(), SignatureStatus.INVALID),  # another message's, in the right form
]


@pytest.mark.parametrize(("value", "status"), FORMS, ids=lambda value: str(value)[:12])
def test_wrong_form_and_wrong_value_differ(ring: KeyRing, value: Any, status: SignatureStatus) -> None:
    event = json.loads(event_signed_by("sichuan-1"))
    event["signature"] = value
    assert ring.status(Province.SICHUAN, NOON, json.dumps(event).encode()) is status
    if isinstance(value, str):
        data = json.dumps(event.pop("data")).encode()
        headers = [(f"ce_{name}", str(attribute).encode()) for name, attribute in event.items()]
        assert ring.status(Province.SICHUAN, NOON, data, headers) is status


@pytest.mark.parametrize("status", sorted({status for _, status in FORMS}))
def test_the_reason_says_which(status: SignatureStatus) -> None:
    raw = json.dumps(display_event(Province.SICHUAN)).encode()
    decision = decide_bytes(raw, Province.SICHUAN, NOON, LIST, signature=status)
    assert isinstance(decision, Reject)
    (reason,) = decision.reasons
    assert reason.code is Code.SIGNATURE_INVALID
    assert ("form is wrong" in reason.en, "格式错误" in reason.zh) == ((status is not SignatureStatus.INVALID,) * 2)
    for word, other in (
        ("DER", "in_der"),
        ("Base64", "in_base64"),
        ("length", "other_length"),
        ("does not match", "invalid"),
    ):
        assert (word in reason.en) is (status == other)


@given(st.text(st.sampled_from("0123456789abcdefABCXYZ+/-_= "), max_size=200))
def test_whatever_stands_there_is_no_valid_signature(ring: KeyRing, text: str) -> None:
    event = json.loads(event_signed_by("sichuan-1")) | {"signature": text}
    assert ring.status(Province.SICHUAN, NOON, json.dumps(event).encode()) in {status for _, status in FORMS}


def test_keys_overlap_and_each_has_its_period(ring: KeyRing) -> None:
    day, old, new = 86_400_000, event_signed_by("sichuan-1"), event_signed_by("sichuan-2")
    for days, wanted in ((-60, "vu"), (0, "vv"), (60, "uv"), (500, "uu")):
        found = [ring.status(Province.SICHUAN, NOON + days * day, raw) for raw in (old, new)]
        assert found == [SignatureStatus.VALID if each == "v" else SignatureStatus.KEY_UNKNOWN for each in wanted], days


@dataclass(frozen=True)
class Record:
    value: bytes
    timestamp: int = NOON
    headers: list[tuple[str, bytes]] = field(default_factory=list)


def test_statuses_come_in_the_records_order(ring: KeyRing) -> None:
    good = [event_signed_by("sichuan-1", id=f"e{number}") for number in range(20)]
    kinds = [good[number % 20] if number % 3 else good[number % 20].replace(b'"e', b'"f') for number in range(211)]
    found = asyncio.run(ring.statuses(Province.SICHUAN, [Record(raw) for raw in kinds]))
    assert found == [SignatureStatus.VALID if number % 3 else SignatureStatus.INVALID for number in range(211)]
    assert asyncio.run(ring.statuses(Province.CHONGQING, [Record(b"")] * 3)) == [SignatureStatus.UNASKED] * 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"algorithm": "ed25519"}, "not the PEM of an Ed25519 public key"),
        ({"public_key": "nothing"}, "not the PEM of an SM2 public key"),
        ({"valid_until": "2020-01-01T00:00:00Z"}, "valid_until must be later"),
        ({"valid_from": "2026-01-01T00:00:00"}, "must be a time with an offset"),
        ({"province": "guizhou"}, "keys.0.province"),
    ],
)
def test_a_mistake_in_the_keys_is_named(tmp_path: Path, change: dict[str, str], said: str) -> None:
    names = ("province", "algorithm", "public_key", "valid_from", "valid_until")
    key = {"id": "k", **dict(zip(names, KEYS["sichuan-1"], strict=True))} | change
    with pytest.raises(ConfigurationError, match=said) as error:
        load_key_ring(settings_with(tmp_path, "required", [key]))
    assert "keys.yaml" in str(error.value)


def test_keys_that_are_missing_or_doubled_are_named(tmp_path: Path) -> None:
    names = ("province", "algorithm", "public_key", "valid_from", "valid_until")
    key = {"id": "k", **dict(zip(names, KEYS["sichuan-1"], strict=True))}
    with pytest.raises(ConfigurationError, match="twice"):
        load_key_ring(settings_with(tmp_path, "required", [key, key]))
    settings = settings_with(tmp_path, "required")
    (tmp_path / "keys.yaml").unlink()
    with pytest.raises(ConfigurationError, match=r"keys.yaml is not readable"):
        load_key_ring(settings)
    without = settings.signatures.model_copy(update={"keys": None})
    with pytest.raises(ConfigurationError, match=r"signatures\.keys: name the file"):
        load_key_ring(settings.model_copy(update={"signatures": without}))
