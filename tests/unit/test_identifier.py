"""The certificate identifier of GB/T 36904: its shape, and ISO 7064 MOD 37,36 as the standard describes
it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.identifier import MAX_LENGTH, OID, check_character, is_valid_identifier

PUBLIC = "11100000000013338W011.11430000006122244L.20230000403.001.U"
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
USCC = st.text(ALPHABET, min_size=18, max_size=18)
SERIAL = st.text(ALPHABET, min_size=1, max_size=40)
DIGITS = st.text("0123456789", min_size=3, max_size=3)


def mod_37_36(text: str) -> str:
    """The pure system's recursion, as ISO 7064 clause 8 writes it: independent of the library that the
    gateway uses."""
    product = 36
    for character in text:
        product = (product + ALPHABET.index(character)) % 36 or 36
        product = product * 2 % 37
    return ALPHABET[(37 - product) % 36]


@st.composite
def identifiers(draw: st.DrawFn) -> str:
    body = f"{draw(USCC)}{draw(DIGITS)}.{draw(USCC)}.{draw(SERIAL)}.{draw(DIGITS)}"
    return f"{body}.{mod_37_36(body.replace('.', ''))}"


def test_public_example_passes_with_and_without_oid() -> None:
    assert is_valid_identifier(PUBLIC)
    assert is_valid_identifier(OID + PUBLIC)
    assert check_character(PUBLIC.rpartition(".")[0]) == "U"


@given(identifiers())
def test_check_character_is_the_standards(identifier: str) -> None:
    body, _, check = identifier.rpartition(".")
    assert check_character(body) == check
    assert is_valid_identifier(identifier)
    assert is_valid_identifier(OID + identifier)


@given(identifiers(), st.data())
def test_one_wrong_character_is_found(identifier: str, data: st.DataObject) -> None:
    position = data.draw(st.sampled_from([index for index, character in enumerate(identifier) if character != "."]))
    other = data.draw(st.sampled_from(ALPHABET.replace(identifier[position], "")))
    assert not is_valid_identifier(identifier[:position] + other + identifier[position + 1 :])


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        ".",
        OID,
        PUBLIC.lower(),
        PUBLIC + " ",
        " " + PUBLIC,
        PUBLIC + "\n",
        PUBLIC[:-1],
        PUBLIC[:-2],
        PUBLIC.replace(".", ""),
        PUBLIC.replace(".", "。"),
        OID + OID + PUBLIC,
        "1.2.156.3005.3." + PUBLIC,
        "1.2.156.3005.2" + PUBLIC,
        PUBLIC.replace(".001.", ".01."),
        PUBLIC.replace(".001.", ".0001."),
        PUBLIC.replace(".001.", ".00A."),
        PUBLIC.replace(".20230000403.", ".."),
        PUBLIC.replace("W011", "W01"),
        PUBLIC.replace("W011", "W01A"),
        PUBLIC.replace("0", "０"),
        PUBLIC.replace("20230000403", "2" * (MAX_LENGTH + 1)),
    ],
)
def test_malformed_is_refused(wrong: str) -> None:
    assert not is_valid_identifier(wrong)


@given(st.text(max_size=150))
def test_any_text_has_an_answer(text: str) -> None:
    assert is_valid_identifier(text) is False
