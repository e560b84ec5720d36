"""What was personal in the input is in nothing that goes out: names where no name may stand, numbers
anywhere.

All persons are made up. A name in the free text of a valid field cannot be distinguished from a unit's name,
and does not matter here.
"""

import base64
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import packaged_config
from gateway.contract.display_event import read_event
from gateway.core.decision import Outcome
from gateway.core.digest import sha256
from gateway.core.event import UnreadableError
from gateway.core.province import Province
from gateway.decide import decide_bytes
from gateway.operate.examples import display_event
from tests.unit.written import record_of, said_by

LIST = load_recognition(packaged_config() / "recognition")
RECEIVED = 1_795_392_003_000
PROVINCES = st.sampled_from(Province)
NAMES = st.text(st.sampled_from("赵钱孙李周吴郑王冯陈褚卫蒋沈韩杨丄狝"), min_size=3, max_size=4)
MOBILES = st.builds("1{}{:09d}".format, st.integers(3, 9), st.integers(0, 999_999_999))
CODINGS = ["utf-8", "gb18030", "utf-16-le", "utf-16-be", "utf-16"]
PLACES = st.sampled_from(
    ["name_masked", "field of the holder", "field's name", "field of data", "object for a text", "list for a text",
     "data itself", "kind", "attribute's name", "object as attribute", "twice"]
)  # fmt: skip


def with_name(event: dict[str, Any], place: str, name: str) -> str:
    """The event as JSON, with ``name`` where no name may stand."""
    data = event["data"]
    match place:
        case "name_masked":
            data["holder"]["name_masked"] = name
        case "field of the holder":
            data["holder"]["name"] = name
        case "field's name":
            data["display"][name] = 1
        case "field of data":
            data["person"] = {"names": [name]}
        case "object for a text":
            data["display"]["verifier_name"] = {"name": name}
        case "list for a text":
            data["certificate"]["type_name"] = [name]
        case "data itself":
            event["data"] = name
        case "kind":
            data["holder"]["kind"] = name
        case "attribute's name":
            event[name] = "x"
        case "object as attribute":
            event["person"] = {"name": name}
        case "twice":
            text = json.dumps(event, ensure_ascii=False)
            return text.replace(
                '"holder": {', json.dumps({"holder": name}, ensure_ascii=False)[1:-1] + ', "holder": {', 1
            )
    return json.dumps(event, ensure_ascii=False)


def everything_out(raw: bytes, province: Province, headers: Any = (), key: Any = ...) -> tuple[Outcome, str]:
    """The outcome, and all text that anybody could get to see: records, what they hold in Base64, reasons,
    errors."""
    decision = decide_bytes(raw, province, RECEIVED, LIST, headers=headers, key=key)
    record = record_of(decision, raw)
    assert record is not None
    kept = base64.b64decode(json.loads(record)["data"].get("bytes_base64") or "")
    readings = [kept.decode(coding, "replace") for coding in CODINGS]
    if b"\\u" in kept:
        readings.append(kept.decode("unicode-escape", "replace"))
    try:
        read_event(raw, headers, key=key)
    except UnreadableError as error:
        readings.append(f"{error} {error!r} {error.code}")
    return decision.outcome, "\n".join([record.decode(), *readings, said_by(decision)])


@settings(max_examples=300, deadline=None)
@given(PROVINCES, PLACES, NAMES, st.booleans())
def test_misplaced_name_is_rejected_and_not_repeated(province: Province, place: str, name: str, escaped: bool) -> None:
    text = with_name(display_event(province), place, name)
    if escaped:
        text = text.encode("ascii", "backslashreplace").decode()
    outcome, seen = everything_out(text.encode(), province)
    assert outcome is Outcome.REJECT
    assert name not in seen


@settings(max_examples=300, deadline=None)
@given(PROVINCES, PLACES, NAMES, st.sampled_from(["id", "source"]))
def test_name_in_a_dead_letter_is_not_kept(province: Province, place: str, name: str, lacks: str) -> None:
    event = display_event(province)
    del event[lacks]
    outcome, seen = everything_out(with_name(event, place, name).encode(), province)
    assert outcome is Outcome.DEAD_LETTER
    assert name not in seen


@settings(max_examples=400, deadline=None)
@given(
    PROVINCES,
    PLACES,
    NAMES | MOBILES,
    st.sampled_from(CODINGS),
    st.sampled_from(["", "\ufeff", "x"]),
    st.integers(0, 60),
    st.booleans(),
)
def test_broken_and_other_coded_bytes_are_not_kept(
    province: Province, place: str, secret: str, coding: str, before: str, cut: int, escaped: bool
) -> None:
    text = with_name(display_event(province), place, secret)
    if escaped:
        text = text.encode("ascii", "backslashreplace").decode()
    raw = (before + text).encode(coding)
    # Even where it is cut the name is there whole: behind its place there is more than is cut.
    _, seen = everything_out(raw[: len(raw) - cut], province)
    assert secret not in seen


@settings(max_examples=200, deadline=None)
@given(PROVINCES, PLACES, NAMES | MOBILES, st.sampled_from(CODINGS), st.integers(0, 5), st.booleans())
def test_binary_mode_keeps_no_name_either(
    province: Province, place: str, secret: str, coding: str, cut: int, has_id: bool
) -> None:
    event = display_event(province)
    headers = [(f"ce_{name}", str(value).encode()) for name, value in event.items() if name != "data"]
    if not has_id:
        headers = [header for header in headers if header[0] != "ce_id"]
    value = json.dumps(json.loads(with_name(event, place, secret))["data"], ensure_ascii=False).encode(coding)
    _, seen = everything_out(value[: len(value) - cut], province, headers)
    if place not in {"attribute's name", "object as attribute", "twice"}:  # those stand outside data
        assert secret not in seen


@settings(max_examples=200, deadline=None)
@given(PROVINCES, st.sampled_from(["ce_contact", "ce_traceparent", "ce_type", "ce_id", "ce_source"]), MOBILES)
def test_numbers_in_headers_are_refused_and_not_repeated(province: Province, header: str, number: str) -> None:
    event = display_event(province)
    headers = {f"ce_{name}": str(value).encode() for name, value in event.items() if name != "data"}
    headers[header] = f"+86 {number}".encode()
    value = json.dumps(event["data"], ensure_ascii=False).encode()
    outcome, seen = everything_out(value, province, list(headers.items()))
    assert outcome in {Outcome.REJECT, Outcome.DEAD_LETTER}
    assert number not in seen


@settings(max_examples=100, deadline=None)
@given(PROVINCES, NAMES | MOBILES, st.sampled_from(CODINGS))
def test_key_that_names_a_person_is_not_repeated(province: Province, secret: str, coding: str) -> None:
    raw = json.dumps(display_event(province), ensure_ascii=False).encode()
    outcome, seen = everything_out(raw, province, key=secret.encode(coding))
    assert outcome is Outcome.REJECT
    assert secret not in seen


@settings(max_examples=200, deadline=None)
@given(PROVINCES, st.sampled_from([None, "channel", "scenario"]))
def test_holder_leaves_as_reference_and_masked_name_only(province: Province, wrong: str | None) -> None:
    """A verification holds both, as the contract says; a rejection holds neither."""
    event = display_event(province)
    if wrong:
        event["data"]["display"][wrong] = "别的"
    outcome, seen = everything_out(json.dumps(event).encode(), province)
    holder = event["data"]["holder"]
    assert outcome is (Outcome.REJECT if wrong else Outcome.FORWARD)
    for text in (holder["ref"], holder["name_masked"]):
        assert (text in seen) is (outcome is Outcome.FORWARD)


@settings(max_examples=300, deadline=None)
@given(
    PROVINCES,
    MOBILES,
    st.sampled_from(["", "86", "+86", "0086"]),
    st.sampled_from(
        ["\\n", "\\t", "\\r", "\\b", "\\f", '\\"', "\\/", "\\\\", "\\u0020", "\\u8bdd", "\\\\n", "\\\\\\n", "-"]
    ),
    st.sampled_from(["", "-", " ", "\u200b"]),
    st.sampled_from(CODINGS),
    st.booleans(),
)
def test_number_behind_an_escape_is_not_kept(
    province: Province, number: str, country: str, before: str, gap: str, coding: str, closed: bool
) -> None:
    spelt = gap.join([number[:3], number[3:7], number[7:]])
    raw = f'{{"phone": "{before}{country}{spelt}{"" if not closed else chr(34) + "}"}'.encode(coding)
    outcome, seen = everything_out(raw, province)
    assert outcome is Outcome.DEAD_LETTER
    assert spelt not in seen


@settings(max_examples=200, deadline=None)
@given(
    PROVINCES,
    MOBILES | st.text("\u202e\x07\x1b\u2028", min_size=1),
    st.text(max_size=8),
    st.text(max_size=8),
    st.booleans(),
)
def test_disallowed_id_is_shown_as_its_digest(
    province: Province, bad: str, before: str, after: str, in_binary_mode: bool
) -> None:
    event_id = f"{before}-{bad}-{after}"
    event = display_event(province) | {"id": event_id}
    headers, raw = [], json.dumps(event).encode()
    if in_binary_mode:
        data = event.pop("data")
        headers = [(f"ce_{name}", str(value).encode("utf-8")) for name, value in event.items()]
        raw = json.dumps(data).encode()
    outcome, seen = everything_out(raw, province, headers)
    assert outcome is Outcome.REJECT
    assert bad not in seen
    assert sha256(event_id.encode()) in seen
