"""What SDKs write in a way of their own: headers without a value, data in Base64, media types; beside what
the cases show."""

import base64
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.adapters.signatures import load_key_ring
from gateway.contract.data_encoding import BASE64, JSON_TYPE, decode_base64, is_json_type, same_media_type
from gateway.contract.display_event import read_event
from gateway.contract.display_event.extensions import holds_disallowed
from gateway.contract.headers import Headers, is_binary, trace_headers
from gateway.contract.outputs import Output, outputs_digest
from gateway.contract.signing import signed_message
from gateway.core.province import Province
from gateway.core.signature import SignatureStatus
from gateway.decide import digest_input
from gateway.operate.audit.redriven import redrive_of
from gateway.operate.examples import display_event
from gateway.operate.publish.delivery import record_key
from tests.signing import SIGNERS, settings_with

NOON = 1_795_406_400_000
PARENT = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@dataclass
class Foreign:
    """A record that somebody wrote with another client."""

    headers: Headers


def in_base64(data: str) -> str:
    event = display_event(Province.SICHUAN)
    del event["data"]
    return json.dumps(event | {"data": None, "data_base64": base64.b64encode(data.encode()).decode()})


@given(st.binary(max_size=40))
def test_base64_is_read_as_its_pattern_says(content: bytes) -> None:
    text = base64.b64encode(content).decode()
    assert decode_base64(text) == content
    assert re.fullmatch(BASE64, text)


@pytest.mark.parametrize(
    "text", ["e30", "e30= ", "e3\n0=", "e31=", "-_8=", "====", "e=30", "e30=e30=", "é30=", "QQ=", "QR=="]
)
def test_what_is_nearly_base64_is_not(text: str) -> None:
    assert decode_base64(text) is None
    assert re.fullmatch(BASE64, text) is None


@pytest.mark.parametrize(
    ("media_type", "is_json"),
    [
        ("application/json", True), ("APPLICATION/Json", True), ("text/json", True), ("application/cloudevents+json", True),
        ("application/json;charset=utf-8", True), ('application/json ; charset="UTF-8"', True), ("text/json; CHARSET=Utf-8", True),
        ("application/a+b+json", True), ("application/+json", False), ("text/a+json", False), ("application/json; charset=utf-16", False),
        ("application/json; charset=utf-8; charset=gbk", False), ("application/json;", False), ("application/json\n", False),
        ("application/json; charset", False), (" application/json", False), ("json", False), ("", False),
    ],
)  # fmt: skip
def test_media_types_of_json(media_type: str, is_json: bool) -> None:
    assert is_json_type(media_type) is is_json
    assert (re.fullmatch(JSON_TYPE.removesuffix("$"), media_type) is not None) is is_json


def test_media_types_that_say_the_same() -> None:
    assert same_media_type("application/json", 'Application/JSON ;charset="utf-8"')
    assert same_media_type("Text/Plain", "text/plain")
    assert not same_media_type("application/json", "text/json")
    assert not same_media_type("application/json", "application/json; charset=gbk")


@given(st.characters())
def test_characters_that_cloudevents_disallows(character: str) -> None:
    code = ord(character)
    disallowed = code < 0x20 or 0x7F <= code < 0xA0 or 0xD800 <= code < 0xE000 or 0xFDD0 <= code < 0xFDF0
    assert holds_disallowed(f"证{character}") is (disallowed or code & 0xFFFE == 0xFFFE)


def test_a_header_without_a_value_is_as_none() -> None:
    event: Headers = [("ce_id", b"1"), ("content-type", b"application/json")]
    nulls: Headers = [("ce_subject", None), ("content-type", None), ("traceparent", None)]
    assert digest_input(b"{}", [*event, *nulls]) == digest_input(b"{}", event)
    assert digest_input(b"{}", [*event, ("ce_subject", b"")]) != digest_input(b"{}", event)
    assert digest_input(b"{}", nulls) == digest_input(b"{}")
    assert not is_binary([("ce_id", None), ("ce_specversion", None)])
    context: Headers = [("traceparent", PARENT), ("traceparent", None), ("tracestate", None)]
    assert trace_headers(context, {}) == (("traceparent", PARENT),)
    carried = {"traceparent": PARENT.decode(), "tracestate": "a=1"}
    assert trace_headers(nulls, carried) == (("traceparent", PARENT), ("tracestate", b"a=1"))


def test_input_digests_differ_where_binary_records_differ() -> None:
    """What stands between headers may stand in a header too: neither moves to the other unseen."""
    records: list[tuple[Headers, bytes]] = [
        ([("ce_a", b"1"), ("ce_b", b"2")], b"{}"),
        ([("ce_a", b"1\nce_b:2")], b"{}"),
        ([("ce_a", b"1")], b"ce_b:2\n{}"),
        ([("ce_a:1\nce_b", b"2")], b"{}"),
        ([("ce_a", b"1"), ("ce_b", b"2{}")], b""),
    ]
    assert len({digest_input(raw, headers) for headers, raw in records}) == len(records)
    netstrings = b"4:ce_a,1:1,4:ce_b,1:2,2:{},"
    assert digest_input(records[0][1], records[0][0][::-1]) == "sha256:" + hashlib.sha256(netstrings).hexdigest()


def test_audit_reads_foreign_records_with_null_headers() -> None:
    assert redrive_of(Foreign([("chuanyu-redrive", None)])) is None
    null, empty = (Output("t", b"k", b"v", (("a", value),)) for value in (None, b""))  # type: ignore[arg-type]
    assert outputs_digest("sm3", [null]) != outputs_digest("sm3", [empty])


def test_signature_covers_the_decoded_base64_data(tmp_path: Path) -> None:
    ring = load_key_ring(settings_with(tmp_path, "optional"))
    data = json.dumps(display_event(Province.SICHUAN)["data"])
    event = json.loads(in_base64(data))
    event |= {"signaturekey": "sichuan-2", "subject": "x"}
    message = signed_message(event["id"], event["source"], event["time"], data.encode())
    event["signature"] = SIGNERS["sichuan-2"](message)
    headers: Headers = [("ce_signature", None)]
    assert ring.status(Province.SICHUAN, NOON, json.dumps(event).encode(), headers) is SignatureStatus.VALID
    event["data_base64"] = base64.b64encode(data.encode() + b" ").decode()
    assert ring.status(Province.SICHUAN, NOON, json.dumps(event).encode()) is SignatureStatus.INVALID


def test_a_signature_header_without_a_value_is_none(tmp_path: Path) -> None:
    headers: Headers = [(f"ce_{name}", b"1") for name in ("id", "source", "time")] + [("ce_signature", None)]
    optional = load_key_ring(settings_with(tmp_path, "optional"))
    assert optional.status(Province.SICHUAN, NOON, b"{}", headers) is SignatureStatus.UNASKED


def test_the_key_of_an_event_with_data_in_base64() -> None:
    event = display_event(Province.SICHUAN)
    key = record_key(json.dumps(event).encode())
    assert key == event["data"]["holder"]["ref"].encode()
    assert record_key(in_base64(json.dumps(event["data"])).encode()) == key
    for broken in ("{}", "x", '{"holder": {"ref": 5}}'):
        assert record_key(in_base64(broken).encode()) is None
    assert record_key(b'{"data_base64": "*"}') is None
    assert record_key(b"{}") is None


@pytest.mark.parametrize(
    "time",
    [
        "2001-09-09T01:46:39.999999Z", "2001-09-09T01:46:40Z", "2286-11-20T17:46:39.999999Z", "2286-11-20T17:46:40Z",
        "0001-01-02T00:00:00Z", "2026-11-23T08:00:00.123456789+08:00",
    ],
)  # fmt: skip
def test_an_instant_is_one_content_however_written(time: str) -> None:
    shifted = time.replace("Z", "+00:00") if time.endswith("Z") else time.replace("T08", "t00").replace("+08:00", "z")
    readings = [
        read_event(json.dumps(display_event(Province.SICHUAN) | {"time": each}).encode()) for each in (time, shifted)
    ]
    assert [each.time for each in readings] == [time, shifted]
    assert len({each.content_digest for each in readings}) == 1
