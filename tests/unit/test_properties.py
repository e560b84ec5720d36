"""What holds for every input: total, deterministic, deaf to spelling, silent about people."""

import base64
import json
import unicodedata
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from stdnum.cn import uscc

from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import packaged_config
from gateway.contract import strict_json
from gateway.core.decision import Decision, Duplicate, Forward, Outcome, codes_of, row_of
from gateway.core.province import Province
from gateway.decide import decide_bytes
from gateway.operate.examples import display_event
from tests.unit.any_events import JSON, PATHS, PROVINCES, mutated_events, put
from tests.unit.written import record_of, said_by

LIST = load_recognition(packaged_config() / "recognition")
RECEIVED = 1_795_392_003_000


def outputs(raw: bytes, province: Province | None, **options: Any) -> tuple[Decision, bytes]:
    decision = decide_bytes(raw, province, RECEIVED, LIST, **options)
    record = record_of(decision, raw)
    assert record is not None
    return decision, record


@given(st.binary(max_size=200), st.none() | PROVINCES)
def test_any_bytes_have_an_outcome(raw: bytes, province: Province | None) -> None:
    first, record = outputs(raw, province)
    assert isinstance(first.outcome, Outcome)
    assert json.loads(record)
    assert outputs(raw, province)[1] == record


@settings(max_examples=400, deadline=None)
@given(mutated_events(), st.none() | PROVINCES, st.none() | st.binary(max_size=70))
def test_any_json_has_a_reproducible_outcome(event: Any, province: Province | None, key: bytes | None) -> None:
    raw = json.dumps(event).encode()
    first, record = outputs(raw, province, key=key)
    assert not isinstance(first, Duplicate)
    assert json.loads(record)
    again, same_record = outputs(raw, province, key=key)
    assert (type(again), codes_of(again), again.digest, same_record) == (
        type(first), codes_of(first), first.digest, record,
    )  # fmt: skip


@given(JSON)
def test_json_without_event_is_dead_lettered_or_rejected(value: Any) -> None:
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
    assert isinstance(plain, Forward)
    assert isinstance(spelt, Forward)
    assert row_of(spelt) == row_of(plain)
    listed = plain.listing.comparison.issuer.canonical
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
    st.sampled_from(["value", "name", "list", "broken", "binary", "key", "base64"]),
)
def test_no_output_holds_what_is_personal(
    province: Province, path: tuple[str, str], secret: str, around: tuple[str, str], where: str
) -> None:
    # One in hundreds of identity numbers is a valid credit code too, and then an organisation's.
    assume(not uscc.is_valid(secret))
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
    elif where == "base64":
        data = json.dumps(event.pop("data"), ensure_ascii=False).encode()
        raw = json.dumps(event | {"data_base64": base64.b64encode(data).decode()}, ensure_ascii=False).encode()
    elif where == "key":
        key = text.encode()
    decision, record = outputs(raw, province, headers=headers, key=key)
    assert decision.outcome in {Outcome.REJECT, Outcome.DEAD_LETTER}
    kept = json.loads(record)["data"].get("bytes_base64") or ""
    everything = record.decode() + base64.b64decode(kept).decode("utf-8", "replace") + said_by(decision)
    assert secret not in everything


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
def test_fast_and_plain_json_readers_agree(outer: Any, inner: Any) -> None:
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
