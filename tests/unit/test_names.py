"""How names are compared (NFKC, no spaces, no quotes, no trailing APP/移动端/客户端; 中华人民共和国
optional)."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.names import normalise, normalise_certificate

SPACES = " \t\n\u00a0\u2003\u3000\u200b\ufeff"
QUOTES = "\"'“”‘’「」『』＂＇"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("天府通办", "天府通办"),
        ("天府通办APP", "天府通办"),
        ("天府通办 app", "天府通办"),
        ("天府通办ＡＰＰ", "天府通办"),
        ("“天府通办”移动端", "天府通办"),
        ("“天府通办APP”", "天府通办"),
        ("渝快办客户端", "渝快办"),
        ("渝快办移动端APP", "渝快办"),
        ("交管１２１２３", "交管12123"),
        ("  交 管 12123  ", "交管12123"),
        ("政务服务、执法场景", "政务服务、执法场景"),
    ],
)
def test_spellings_of_one_name(written: str, meant: str) -> None:
    assert normalise(written) == normalise(meant) == meant


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("天府通办", "天府通"),
        ("APP天府通办", "天府通办"),
        ("移动端天府通办", "天府通办"),
        ("道路运输证", "道路运输证明"),
        ("就业登记", "就、业登记"),
        ("四川省公安厅", "四川公安厅"),
    ],
)
def test_different_names_stay_different(one: str, other: str) -> None:
    assert normalise(one) != normalise(other)


def test_name_that_is_nothing_but_a_suffix_keeps_it() -> None:
    assert normalise("APP") == "APP"
    assert normalise("客户端") == "客户端"


def test_the_states_name_is_optional_on_certificates_only() -> None:
    assert normalise_certificate("中华人民共和国机动车驾驶证") == normalise_certificate("机动车驾驶证")
    assert normalise_certificate("“中华人民共和国 机动车驾驶证”") == "机动车驾驶证"
    assert normalise_certificate("机动车中华人民共和国驾驶证") != normalise_certificate("机动车驾驶证")
    assert normalise_certificate("中华人民共和国") == "中华人民共和国"
    assert normalise("中华人民共和国公安部") != normalise("公安部")


NAMES = st.text(st.sampled_from("四川省重庆市交管天府通办证书人社12ABé㎏"), min_size=1, max_size=12)


@given(NAMES, st.lists(st.tuples(st.integers(0, 12), st.sampled_from(SPACES + QUOTES)), max_size=6))
def test_spaces_and_quotes_anywhere_change_nothing(name: str, put: list[tuple[int, str]]) -> None:
    written = name
    for position, character in put:
        written = written[:position] + character + written[position:]
    assert normalise(written) == normalise(name)
    assert normalise_certificate(written) == normalise_certificate(name)


@given(NAMES, st.sampled_from(["", "APP", "移动端", " 客户端"]))
def test_normal_form_is_its_own(name: str, suffix: str) -> None:
    assert normalise(normalise(name + suffix)) == normalise(name + suffix)
    assert normalise(unicodedata.normalize("NFKC", name + suffix)) == normalise(name + suffix)


@given(st.text(max_size=60))
def test_any_text_has_a_normal_form_without_blanks(text: str) -> None:
    assert not any(character.isspace() for character in normalise(text) + normalise_certificate(text))
