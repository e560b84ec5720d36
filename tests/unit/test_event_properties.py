"""Which bytes are an event, and which events have the same content, whatever their spelling."""

import base64
import copy
import json
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.contract.display_event.model import NO_CONTENT, DisplayEvent
from gateway.contract.display_event.reader import read_event
from gateway.core.event import Event, UnreadableError, Valid
from gateway.core.province import Province
from gateway.operate.examples import display_event
from tests.unit.any_events import JSON, PATHS, PROVINCES, mutated_events, put


def members_of(event: Event) -> dict[str, Any]:
    """The event's own members as plain values."""
    members: dict[str, Any] = msgspec.to_builtins(event)
    return {name: members[name] for name in Event.__struct_fields__}


TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
EXTENSIONS = st.dictionaries(
    st.sampled_from(
        ["extension", "signature", "signaturekey", "dataschema", "traceparent", "tracestate", "subject", "x13800138000", "Bad",
         "data_base64", "datacontenttype", "a" * 21]
    ),
    st.none() | st.booleans() | st.integers(-(2**33), 2**33) | st.floats() | st.text(max_size=20) | st.just("a: b\\\"")
    | st.just(TRACEPARENT) | st.just("tel 13800138000") | JSON,
    max_size=5,
)  # fmt: skip
MEDIA_TYPES = st.sampled_from(
    ["application/json", "application/json; charset=utf-8", "application/json;charset=UTF-8", "text/json", "Application/JSON",
     "application/vnd.a-b+json", 'application/json ; Charset="Utf-8"']
)  # fmt: skip
GOOD_EXTENSIONS = st.fixed_dictionaries(
    {},
    optional={
        "subject": st.none() | st.text("ab: 四\"\\", max_size=8), "count": st.integers(-5, 5), "test": st.booleans(),
        "signature": st.none() | st.just("0" * 128), "signaturekey": st.none() | st.just("sc-2026"),
        "traceparent": st.none() | st.sampled_from([TRACEPARENT, "00-xyz-01", TRACEPARENT.replace("4bf92f3577b34da6a3ce929d0e0e4736", "0" * 32)]),
        "tracestate": st.none() | st.sampled_from(["a=1", "a:b=c", "四=1"]), "data_base64": st.none(),
        "datacontenttype": st.none() | MEDIA_TYPES,
    },
)  # fmt: skip
OPTIONAL = [
    (section, name)
    for section, name in PATHS
    if name in {"type_code", "identifier", "issuer_code", "valid_from", "valid_until", "name_masked"}
    or name.startswith(("matter_", "verifier_"))
]


@st.composite
def event_texts(draw: st.DrawFn, events: st.SearchStrategy[dict[str, Any]]) -> bytes:
    """One of ``events`` as somebody writes it: members in any order, with or without blanks, escapes and a
    member twice."""
    event = shuffled(draw, draw(events))
    separators = draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", " :\t")]))
    text = json.dumps(event, ensure_ascii=draw(st.booleans()), separators=separators)
    for character in draw(st.lists(st.sampled_from(':aqz"道1-'), max_size=2)):
        text = in_escapes(text, character)
    if draw(st.integers(0, 5)) == 0:
        name = draw(
            st.sampled_from(
                ["id", "time", "data", "type_name", "identifier", "ref", "subject", "tracestate", "datacontenttype"]
            )
        )
        value = draw(st.sampled_from(["null", '"x"', '":"', "{}", '"\\u003a"']))
        text = text.replace(f'"{name}"', f'"{name}": {value}, "{name}"', 1)
    return text.encode("utf-8", "surrogatepass")


def shuffled(draw: st.DrawFn, value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {name: shuffled(draw, value[name]) for name in draw(st.permutations(list(value)))}


def in_escapes(text: str, character: str) -> str:
    """``text`` with ``character`` as an escape wherever it stands in a string (and is not one already)."""
    parts: list[str] = []
    inside, escaped = False, False
    for each in text:
        if each == '"' and not escaped:
            inside = not inside
        escaped = each == "\\" and not escaped
        parts.append(
            f"\\u{ord(each):04x}"
            if inside and each == character and each not in '"u' and not after_escape(parts)
            else each
        )
    return "".join(parts)


def after_escape(parts: list[str]) -> bool:
    """Whether what comes next belongs to an escape that has begun."""
    tail = "".join(parts[-5:])
    return "\\" in tail


@st.composite
def events_with_extensions(draw: st.DrawFn) -> dict[str, Any]:
    """An event that is often valid: optional members null, absent or there; a trace context, a signature,
    anything beside."""
    event = draw(mutated_events()) if draw(st.booleans()) else copy.deepcopy(display_event(draw(PROVINCES)))
    if isinstance(event.get("data"), dict):
        for section, name in draw(st.lists(st.sampled_from(OPTIONAL), max_size=6)):
            members = event["data"].get(section)
            if isinstance(members, dict):
                if draw(st.booleans()):
                    members[name] = None
                else:
                    members.pop(name, None)
    return event | draw(EXTENSIONS if draw(st.booleans()) else GOOD_EXTENSIONS)


@settings(max_examples=500, deadline=None)
@given(event_texts(events_with_extensions()))
def test_only_what_the_model_takes_is_an_event(raw: bytes) -> None:
    """And the event has what stands there."""
    reading = outcome_of(raw)
    if not isinstance(reading, Valid):
        return
    attributes = json.loads(raw)
    model = DisplayEvent.model_validate(attributes)
    members = members_of(reading.event)
    assert members == {name: getattr(model, name) for name in members if name != "data"} | {
        "data": model.data.model_dump()
    }


def outcome_of(raw: bytes, key: Any = ...) -> Any:
    try:
        return read_event(raw, key=key)
    except UnreadableError:
        return None


def test_a_member_that_stands_twice_is_seen() -> None:
    event = display_event(Province.SICHUAN)
    event["data"]["display"] |= {"matter_code": None, "matter_name": None}
    plain = read_event(json.dumps(event).encode())
    signed = event | {"signature": "ab" * 64, "signaturekey": "k1", "traceparent": f"00-{'1' * 32}-{'2' * 16}-01"}
    texts = [json.dumps(signed, indent=indent, ensure_ascii=False, separators=separators).encode()
             for indent in (None, 2) for separators in ((",", ":"), (", ", ": "))]  # fmt: skip
    for raw in texts:
        reading = read_event(raw)
        assert isinstance(reading, Valid)
        assert reading.content_digest == plain.content_digest
        assert list(reading.carried) == ["traceparent"]
    for member in (b'"signature":"cd",', b'"time":null,', b'"type":"y",'):
        assert not isinstance(read_event(texts[0].replace(b'{"', b"{" + member + b'"', 1)), Valid)
    for null in (b'"matter_code":null', b'"matter_name":null'):
        assert not isinstance(read_event(texts[0].replace(null, null + b"," + null)), Valid)


@settings(max_examples=150, deadline=None)
@given(event_texts(events_with_extensions()), st.none() | st.binary(max_size=70) | st.just(b"sm3:" + b"5c" * 32))
def test_key_other_than_the_reference_is_invalid(raw: bytes, key: bytes | None) -> None:
    unkeyed, reading = outcome_of(raw), outcome_of(raw, key)
    if not isinstance(unkeyed, Valid):
        return
    if key == unkeyed.event.data.holder.ref.encode():
        assert members_of(reading.event) == members_of(unkeyed.event)
        assert reading.content_digest == unkeyed.content_digest
    else:
        assert [problem.field for problem in reading.problems] == ["key"]


def test_ordinary_events_are_valid() -> None:
    for province in Province:
        for extensions in (
            {},
            {"traceparent": None, "tracestate": "a=1"},
            {"subject": "四川：证照", "tracestate": "a:1"},
            {"signature": "0" * 128, "signaturekey": "sc-2026", "count": 3, "test": True, "dataschema": None},
            {"datacontenttype": None},
            {"datacontenttype": "application/json; charset=utf-8"},
        ):
            event = display_event(province) | extensions
            reading = read_event(json.dumps(event, ensure_ascii=False).encode())
            assert isinstance(reading, Valid)
            without_nulls = {name: value for name, value in event.items() if value is not None}
            for section in ("certificate", "holder", "display"):
                members = without_nulls["data"][section]
                without_nulls["data"][section] = {name: value for name, value in members.items() if value is not None}
            fewer = read_event(json.dumps(without_nulls, ensure_ascii=False).encode())
            assert isinstance(fewer, Valid)
            assert (fewer.content_digest, fewer.event) == (reading.content_digest, reading.event)


@settings(max_examples=500, deadline=None)
@given(mutated_events(), st.sampled_from(["null", '"x"', '{"a":1}']), st.booleans())
def test_a_repeated_key_is_never_valid(event: dict[str, Any], value: str, behind: bool) -> None:
    raw = json.dumps(event | {"subject": "a", "tracestate": "a=1"})
    for name in ("id", "time", "type_name", "identifier", "ref", "subject", "tracestate", "datacontenttype"):
        doubled = raw.replace(f'"{name}":', f'"{name}": {value}, "{name}":', 1)
        if behind:
            doubled = doubled.replace(f'"{name}": {value}, "{name}": null', f'"{name}": null, "{name}": {value}', 1)
        assert doubled == raw or not isinstance(outcome_of(doubled.encode()), Valid)


TEXT_EXTENSIONS = st.dictionaries(
    st.sampled_from(["subject", "partitionkey", "sequence"]), st.text('ab c:"\\四', min_size=1, max_size=6), max_size=3
)


def reading_of(raw: bytes, headers: Any = ()) -> Valid:
    reading = read_event(raw, headers)
    assert isinstance(reading, Valid)
    return reading


@settings(max_examples=150, deadline=None)
@given(PROVINCES, TEXT_EXTENSIONS, st.data())
def test_two_spellings_of_one_event_have_one_content(
    province: Province, extensions: dict[str, Any], data: st.DataObject
) -> None:
    """Nulls or nothing, any signature, trace context, media type, order, escapes, Base64, and binary mode:
    the same content."""
    event = display_event(province) | extensions
    del event["traceparent"]
    digest = reading_of(json.dumps(event).encode()).content_digest
    other = copy.deepcopy(event)
    for section, name in data.draw(st.lists(st.sampled_from(OPTIONAL), max_size=8)):
        members = other["data"][section]
        if members.get(name) is None:
            members[name] = None
        if data.draw(st.booleans()) and members[name] is None:
            del members[name]
    for name in data.draw(st.lists(st.sampled_from(["subject", "partitionkey", "more"]), max_size=2)):
        other.setdefault(name, None)
    other["datacontenttype"] = data.draw(MEDIA_TYPES)
    assert event["time"] == "2026-11-23T08:00:00+08:00"
    other["time"] = data.draw(
        st.sampled_from(
            [event["time"], "2026-11-23T00:00:00Z", "2026-11-23t00:00:00.000z", "2026-11-22T19:00:00.0-05:00"]
        )
    )
    for name in data.draw(st.sets(st.sampled_from(sorted(NO_CONTENT)))):
        other[name] = data.draw(
            st.sampled_from([TRACEPARENT, "a", None]) if name != "traceparent" else st.just(TRACEPARENT)
        )
    separators = data.draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", " :\t")]))
    text = json.dumps(shuffled(data.draw, other), ensure_ascii=data.draw(st.booleans()), separators=separators)
    text = in_escapes(text, data.draw(st.sampled_from("x:a四")))
    assert reading_of(text.encode()).content_digest == digest
    headers = [
        (f"ce_{name}", None if value is None else value.encode()) for name, value in other.items() if name != "data"
    ]
    headers.append(("content-type", other["datacontenttype"].encode()))
    assert reading_of(json.dumps(other["data"]).encode(), headers).content_digest == digest
    encoded = {"data_base64": base64.b64encode(json.dumps(other.pop("data")).encode()).decode()}
    assert reading_of(json.dumps(shuffled(data.draw, other | encoded)).encode()).content_digest == digest


@settings(max_examples=150, deadline=None)
@given(PROVINCES, st.sampled_from([*OPTIONAL, ("", "subject"), ("", "id"), ("", "time")]), TEXT_EXTENSIONS)
def test_another_value_is_other_content(province: Province, path: tuple[str, str], extensions: dict[str, Any]) -> None:
    event = display_event(province) | extensions
    digest = reading_of(json.dumps(event).encode()).content_digest
    values = {
        "type_code": "11100000000013338W019", "issuer_code": "9" * 17 + "X", "valid_from": "2019-02-03",
        "valid_until": "2029-02-03", "name_masked": "某", "time": "2026-11-23T08:00:00.001+08:00",
    }  # fmt: skip
    put(event, path, values.get(path[1], "another"))
    assert reading_of(json.dumps(event).encode()).content_digest != digest
