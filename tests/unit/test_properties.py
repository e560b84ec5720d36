"""What holds for every input: total, deterministic, deaf to spelling, silent about people."""

import base64
import copy
import json
import unicodedata
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import packaged_config
from gateway.core import reading, strict_json
from gateway.core.building import build_dead_letter, build_record
from gateway.core.decision import Decision, Outcome, decide
from gateway.core.event import DisplayEvent
from gateway.core.plain import plain_event, valid_event
from gateway.core.province import Province
from gateway.operate.examples import display_event

LIST = load_recognition(packaged_config() / "recognition")
RECEIVED = 1_795_392_003_000
PROVINCES = st.sampled_from(Province)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=5),
    max_leaves=20,
)
PATHS = [
    (section, name)
    for section, names in {
        "certificate": [
            "type_name",
            "type_code",
            "identifier",
            "issuer_name",
            "issuer_code",
            "valid_from",
            "valid_until",
            "unknown",
        ],
        "holder": ["kind", "ref", "name_masked", "name"],
        "display": [
            "channel",
            "scenario",
            "matter_name",
            "matter_code",
            "region_code",
            "verifier_name",
            "verifier_code",
            "x y",
        ],
        "": [
            "id",
            "source",
            "type",
            "time",
            "specversion",
            "datacontenttype",
            "data",
            "extension",
            "traceparent",
            "Bad-Name",
        ],
    }.items()
    for name in names
]


def put(event: dict[str, Any], path: tuple[str, str], value: Any) -> None:
    (event["data"][path[0]] if path[0] else event)[path[1]] = value


@st.composite
def mutated_events(draw: st.DrawFn) -> dict[str, Any]:
    """An event of the examples with some members replaced by anything."""
    event = copy.deepcopy(display_event(draw(PROVINCES)))
    for path in draw(st.lists(st.sampled_from(PATHS), max_size=4)):
        data = event.get("data")
        if not path[0] or (isinstance(data, dict) and isinstance(data.get(path[0]), dict)):
            put(event, path, draw(JSON))
    return event


def outputs(raw: bytes, province: Province | None, **options: Any) -> tuple[Decision, bytes]:
    decision = decide(raw, province, RECEIVED, LIST, **options)
    record = build_record(decision)
    if record is None:
        record = build_dead_letter(decision, raw, "sichuan.display", 3, 17, options.get("headers", ()))
    return decision, record


@given(st.binary(max_size=200), st.none() | PROVINCES)
def test_any_bytes_have_an_outcome(raw: bytes, province: Province | None) -> None:
    first, record = outputs(raw, province)
    assert isinstance(first.outcome, Outcome)
    assert json.loads(record)
    assert outputs(raw, province)[1] == record


@settings(max_examples=400, deadline=None)
@given(mutated_events(), st.none() | PROVINCES, st.none() | st.binary(max_size=70))
def test_any_json_has_an_outcome_and_the_same_bytes_again(
    event: Any, province: Province | None, key: bytes | None
) -> None:
    raw = json.dumps(event).encode()
    first, record = outputs(raw, province, key=key)
    assert first.outcome is not Outcome.DUPLICATE
    assert json.loads(record)
    again, same_record = outputs(raw, province, key=key)
    assert (again.outcome, again.codes, again.digest, same_record) == (first.outcome, first.codes, first.digest, record)


@given(JSON)
def test_json_that_is_no_event_is_a_dead_letter_or_invalid(value: Any) -> None:
    decision, _ = outputs(json.dumps(value).encode(), Province.SICHUAN)
    assert decision.outcome in {Outcome.DEAD_LETTER, Outcome.REJECT}


@settings(max_examples=300, deadline=None)
@given(mutated_events(), st.lists(st.tuples(st.text(max_size=8), st.binary(max_size=20)), max_size=4), st.booleans())
def test_binary_mode_is_total_too(event: dict[str, Any], extra: list[tuple[str, bytes]], ascii_only: bool) -> None:
    headers = [
        ("ce_" + name, str(value).encode("utf-8", "surrogatepass")) for name, value in event.items() if name != "data"
    ]
    raw = json.dumps(event.get("data"), ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    _, record = outputs(raw, Province.SICHUAN, headers=[*headers, *extra])
    assert json.loads(record)


def full_width(text: str) -> str:
    return "".join(chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char for char in text)


VARIANTS = st.sampled_from(
    [
        lambda name: name,
        lambda name: f" {name} ",
        lambda name: f"“{name}”",
        lambda name: f"「{name}」APP",
        lambda name: f"{name}移动端",
        lambda name: f"{name}　客户端",
        full_width,
        lambda name: " ".join(name),
        lambda name: unicodedata.normalize("NFKD", name),
        lambda name: name[:1] + "\u200b" + name[1:],
    ]
)


@given(PROVINCES, st.tuples(*[VARIANTS] * 5))
def test_spelling_does_not_matter(province: Province, variants: Any) -> None:
    event = display_event(province)
    plain, _ = outputs(json.dumps(event).encode(), province)
    names = [
        ("certificate", "type_name"),
        ("certificate", "issuer_name"),
        ("display", "channel"),
        ("display", "scenario"),
    ]
    for (section, name), variant in zip([*names, ("display", "verifier_name")], variants, strict=True):
        event["data"][section][name] = variant(event["data"][section][name])
    spelt, record = outputs(json.dumps(event, ensure_ascii=False).encode(), province)
    assert (
        (spelt.outcome, spelt.row, spelt.codes)
        == (plain.outcome, plain.row, plain.codes)
        == (Outcome.FORWARD, plain.row, ())
    )
    listed = plain.listing.verdict.issuer.canonical if plain.listing and plain.listing.verdict else None
    assert json.loads(record)["data"]["certificate"]["issuer_name"] == listed


def resident_id(body: int) -> str:
    digits = f"999999{1930 + body % 90}{1 + body % 12:02d}{1 + body % 28:02d}{body % 1000:03d}"
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return digits + "10X98765432"[sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=True)) % 11]


SECRETS = st.integers(0, 10**6).map(resident_id) | st.integers(10**8, 10**9 - 1).map(lambda n: f"1{3 + n % 7}{n}")
AROUND = st.sampled_from([("", ""), ("号", "。"), ("-", "-"), (" ", " "), ("“", "”"), ("+", "")])


@settings(max_examples=500, deadline=None)
@given(
    PROVINCES,
    st.sampled_from(PATHS),
    SECRETS,
    AROUND,
    st.sampled_from(["value", "name", "list", "broken", "binary", "key"]),
)
def test_no_output_holds_what_is_personal(
    province: Province, path: tuple[str, str], secret: str, around: tuple[str, str], where: str
) -> None:
    event, headers, key = display_event(province), [], ...
    text = secret.join(around)
    match where:
        case "name":
            put(event, (path[0], text), "x")
        case "list":
            put(event, path, [{"x": [text]}])
        case _:
            put(event, path, text)
    raw = json.dumps(event, ensure_ascii=False).encode()
    if where == "broken":
        raw = raw[: len(raw) - 3]
    elif where == "binary":
        headers = [(f"ce_{name}", str(value).encode()) for name, value in event.items() if name != "data"]
        raw = json.dumps(event["data"], ensure_ascii=False).encode()
    elif where == "key":
        key = text.encode()
    decision, record = outputs(raw, province, headers=headers, key=key)
    assert decision.outcome in {Outcome.REJECT, Outcome.DEAD_LETTER}
    kept = json.loads(record)["data"].get("bytes_base64") or ""
    said = [reason.field + reason.zh + reason.en + str(reason.found) for reason in decision.reasons]
    everything = (
        record.decode() + base64.b64decode(kept).decode("utf-8", "replace") + str(decision.error) + "".join(said)
    )
    assert secret not in everything


@settings(max_examples=500, deadline=None)
@given(mutated_events())
def test_the_plain_reading_says_yes_only_where_the_models_do(event: dict[str, Any]) -> None:
    """``gateway.core.plain`` is an optimisation of the models: never more lenient, and the same event where both say yes."""
    event = {
        name: value for name, value in event.items() if name in DisplayEvent.model_fields
    }  # extensions are looked at elsewhere
    plain = plain_event(event)
    try:
        DisplayEvent.model_validate(event)
    except ValidationError:
        assert plain is None
    else:
        assert plain is None or msgspec.structs.replace(plain, datacontenttype=None) == valid_event(event)


EXTENSIONS = st.dictionaries(
    st.sampled_from(["extension", "signature", "dataschema", "traceparent", "tracestate", "subject", "x13800138000", "Bad"]),
    st.none() | st.booleans() | st.integers(-(2**33), 2**33) | st.floats() | st.text(max_size=20) | st.just("a: b\\\"")
    | st.just("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01") | st.just("tel 13800138000") | JSON,
    max_size=4,
)  # fmt: skip


@settings(max_examples=1000, deadline=None)
@given(mutated_events(), EXTENSIONS, st.booleans(), st.booleans(), st.none() | st.binary(max_size=70) | st.just(...))
def test_the_short_way_reads_what_the_long_one_reads(
    event: dict[str, Any], extensions: dict[str, Any], blanks: bool, ascii_only: bool, key: Any
) -> None:
    separators = (", ", ": ") if blanks else (",", ":")
    text = json.dumps(event | extensions, ensure_ascii=ascii_only, separators=separators)
    raw = text.encode("utf-8", "surrogatepass")
    short = reading._read_plainly(raw, key)
    if short is not None:
        assert msgspec.to_builtins(short) == msgspec.to_builtins(reading._read_fully(raw, (), key))


def test_ordinary_events_go_the_short_way() -> None:
    for province in Province:
        for extensions in (
            {},
            {"traceparent": None, "tracestate": "a=1"},
            {"subject": "四川：证照", "tracestate": "a:1"},
            {"signature": "0" * 128, "signaturekey": "sc-2026", "count": 3, "test": True, "dataschema": None},
        ):
            event = json.dumps(display_event(province) | extensions, ensure_ascii=False)
            assert reading._read_plainly(event.encode(), ...) is not None


@settings(max_examples=500, deadline=None)
@given(mutated_events())
def test_a_repeated_key_never_goes_the_short_way(event: dict[str, Any]) -> None:
    raw = json.dumps(event | {"subject": "a", "tracestate": "a=1"})
    for name in ("id", "time", "type_name", "identifier", "ref", "subject", "tracestate"):
        doubled = raw.replace(f'"{name}":', f'"{name}": null, "{name}":', 1)
        assert doubled == raw or reading._read_plainly(doubled.encode(), ...) is None


KEYS = st.sampled_from(['"a"', '"b"', '"\\u0061"', '"a:b"', '" a"'])
SCALARS = st.sampled_from(
    [
        "1",
        "-0.5",
        "1e400",
        "true",
        "null",
        '"x"',
        '"a:b"',
        '"\\u003a"',
        '"\\""',
        '"\\ud800"',
        "NaN",
        "9" * 40,
        "{}",
        "[]",
    ]
)
MEMBERS = st.lists(st.tuples(KEYS, st.sampled_from(["", " ", "\n"]), SCALARS), max_size=4)


@settings(max_examples=600, deadline=None)
@given(MEMBERS, MEMBERS)
def test_the_fast_reader_reads_what_the_plain_one_reads(outer: Any, inner: Any) -> None:
    """Duplicate keys, escapes, colons in strings: where both read the text they read the same."""

    def members(pairs: Any, more: str = "") -> str:
        return (
            "{"
            + ",".join([f"{key}{space}:{space}{value}" for key, space, value in pairs] + ([more] if more else []))
            + "}"
        )

    raw = members(outer, f'"data":{members(inner)}').encode()
    try:
        plain: Any = strict_json._read_strictly(raw)
    except strict_json.NotJsonError as error:
        plain = error.code
    try:
        fast: Any = strict_json.read(raw)
    except strict_json.NotJsonError as error:
        fast = error.code
    assert repr(fast) == repr(plain)
