"""JSON without mercy, and the fast reader beside the plain one: what one reads the other reads."""

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.contract import strict_json
from gateway.contract.strict_json import MAX_DEPTH, NotJsonError, read
from gateway.core.digest import canonical


def outcome(reader: Any, raw: bytes) -> str:
    try:
        return repr(reader(raw))
    except NotJsonError as error:
        return error.code


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**40), 10**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=10,
)


@settings(max_examples=300, deadline=None)
@given(VALUES, st.booleans(), st.sampled_from([None, 1, "\t"]))
def test_json_is_read_as_by_the_standard_library(value: Any, ascii_only: bool, indent: Any) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    document = read(text.encode())
    assert repr(document.value) == repr(json.loads(text))
    assert document.flaws == ()


PIECES = st.one_of(
    st.sampled_from(
        ["{", "}", "[", "]", ":", ",", '"', '"a"', '"a":', "\\", "\\u003a", "\\u003A", "\\ud800", "\\n", "a:b"]
    ),
    st.sampled_from(
        ["0", "1", "-", "+", ".", "e", "E9", "01", "1.", ".5", "1e400", "-1E-400", "9" * 25, "true", "nul"]
    ),
    st.sampled_from(
        ["null", "NaN", "Infinity", " ", "\n", "\r", "\t", "\0", "\x0b", "\x0c", "\u00a0", "\u2028", "\ufeff"]
    ),
    st.sampled_from(["é", "张", "😀", "//", "\\udc00"]),
)


@settings(max_examples=800, deadline=None)
@given(st.lists(PIECES, max_size=14).map("".join))
def test_fast_and_plain_readers_agree_on_malformed_json(text: str) -> None:
    raw = text.encode()
    assert outcome(read, raw) == outcome(strict_json._read_strictly, raw)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """JSON with bytes replaced, taken out or put in."""
    raw = bytearray(json.dumps(draw(VALUES), ensure_ascii=draw(st.booleans())).encode())
    for _ in range(draw(st.integers(1, 3))):
        position = draw(st.integers(0, len(raw)))
        raw[position : position + draw(st.integers(0, 2))] = draw(
            st.binary(max_size=2) | st.sampled_from([b'"', b"\\", b",", b"\xed\xa0\x80", b"\xc0\x80", b"\x7f"])
        )
    return bytes(raw)


@settings(max_examples=600, deadline=None)
@given(damaged() | st.binary(max_size=30))
def test_fast_reader_and_plain_reader_agree_on_damaged_bytes(raw: bytes) -> None:
    assert outcome(read, raw) == outcome(strict_json._read_strictly, raw)


@pytest.mark.parametrize(
    ("text", "flaws"),
    [
        ('{"a":1,"a":1}', [(("a",), "repeated")]),
        ('{"a":1,"\\u0061":2}', [(("a",), "repeated")]),
        ('{"a":1,"b":{"c":1,"c":2,"c":3}}', [(("b", "c"), "repeated")]),
        ('[{"x":1,"x":":"}]', [(("0", "x"), "repeated")]),
        ('{"x":"\\u003a","x":1}', [(("x",), "repeated")]),
        ('{"a":":::","a":1}', [(("a",), "repeated")]),
        ('{"":0,"":0}', [(("",), "repeated")]),
        ('{"s":"\\ud800"}', [(("s",), "surrogate")]),
        ('["a","\\udfff\\ud800"]', [(("1",), "surrogate")]),
        ('{"\\ud800":1}', [(("\ud800",), "surrogate")]),
        ('{"s":"\\ud83d\\ude00"}', []),
        ('{"a":{"x":1},"b":{"x":1}}', []),
    ],
)
def test_flaws_are_named_with_their_path(text: str, flaws: list[Any]) -> None:
    assert list(read(text.encode()).flaws) == flaws


@pytest.mark.parametrize(
    "text",
    ["", " ", "{", "NaN", "[Infinity]", '{"a":-Infinity}', "{'a':1}", '{"a":1,}', "[1,]", "01", "+1", "1.", ".1", "1 2",
     "\ufeff{}", '"\n"', '"\\x41"', "tru", "/**/1", "9" * 5000, "\u00a01", '"a', '{"a" 1}', '{a:1}', "\\u0031"],
)  # fmt: skip
def test_text_that_is_not_json_is_refused(text: str) -> None:
    with pytest.raises(NotJsonError) as caught:
        read(text.encode())
    assert caught.value.code == "NOT_JSON"


@pytest.mark.parametrize("raw", [b"\xff", b'"\xed\xa0\x80"', b'"\xc0\xaf"', b'{"a":"\xe5\xbc"}', "{}".encode("utf-16")])
def test_not_utf8(raw: bytes) -> None:
    with pytest.raises(NotJsonError) as caught:
        read(raw)
    assert caught.value.code == "NOT_UTF8"


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"a":'])
def test_depth_is_bounded_whatever_the_callers_depth(opening: str) -> None:
    levels = opening.count("[") + opening.count("{")
    closing = "".join({"[": "]", "{": "}"}[char] for char in reversed(opening) if char in "[{")
    fits, exceeds = MAX_DEPTH // levels, MAX_DEPTH // levels + 1
    assert read((opening * fits + "1" + closing * fits).encode()).flaws == ()
    with pytest.raises(NotJsonError, match=f"more than {MAX_DEPTH} deep"):
        read((opening * exceeds + "1" + closing * exceeds).encode())


def test_brackets_in_strings_and_sibling_arrays_add_no_depth() -> None:
    assert read(json.dumps(["[{" * 100, '"[' * 50, "\\" * 9 + "["]).encode()).flaws == ()
    assert read(json.dumps([[[]]] * 500).encode()).flaws == ()


@given(st.text(max_size=20), st.integers(0, 5))
def test_messages_quote_nothing(text: str, cut: int) -> None:
    secret = "赵钱孙13900000000"
    raw = json.dumps({"a": text, "b": secret}, ensure_ascii=False).encode()
    with pytest.raises(NotJsonError) as caught:
        read(raw[: -1 - cut])
    assert "13900000000" not in str(caught.value) + repr(caught.value)
    assert "赵" not in str(caught.value) + repr(caught.value)


@given(VALUES)
def test_canonical_form_is_one_and_reads_back(value: Any) -> None:
    text = canonical(value)
    assert repr(sorted_deep(json.loads(text))) == repr(sorted_deep(json.loads(json.dumps(value))))
    assert canonical(json.loads(json.dumps(value, indent=2))) == text


def sorted_deep(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: sorted_deep(value[key]) for key in sorted(value)}
    return [sorted_deep(each) for each in value] if isinstance(value, list) else value


def test_number_beyond_a_double_is_its_own_content() -> None:
    beyond, null = read(b'{"n":1e999}').value, read(b'{"n":null}').value
    assert canonical(beyond) != canonical(null)
    assert canonical(beyond) != canonical(read(b'{"n":-1e999}').value)
    assert canonical(read(b'{"n":1e999,"s":"\\ud800"}').value) != canonical(read(b'{"n":null,"s":"\\ud800"}').value)


def test_huge_exponents_take_no_longer_to_read() -> None:
    """A record has room for 40,000 of them; msgspec alone takes a second for that, a hundred times as long
    as for small ones."""

    def seconds(number: str) -> float:
        raw = ("[" + ",".join([number] * 20_000) + "]").encode()
        times = []
        for _ in range(3):
            started = time.thread_time()
            read(raw)
            times.append(time.thread_time() - started)
        return min(times)

    assert seconds("9e307") < 8 * seconds("9e007")
