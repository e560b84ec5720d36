"""What counts as personal (docs/events.md#personal-data). All numbers are made up: area code 999999 is no place."""

import datetime
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core import privacy
from gateway.core.privacy import holds_personal_number, is_masked

WEIGHTS = [2 ** (17 - position) % 11 for position in range(17)]
FREE = st.text(st.sampled_from("窗口号：，。 -+()张张é\n“”"), max_size=8)


def resident_id(birth: str, sequence: str = "001", area: str = "999999") -> str:
    """17 digits and GB 11643's check character (ISO 7064 MOD 11-2)."""
    body = area + birth + sequence
    remainder = sum(int(digit) * weight for digit, weight in zip(body, WEIGHTS, strict=True)) % 11
    return body + "10X98765432"[remainder]


BIRTHS = st.dates(datetime.date(1900, 1, 1), datetime.date(2026, 12, 31)).map(lambda day: day.strftime("%Y%m%d"))
IDS = st.builds(resident_id, BIRTHS, st.integers(0, 999).map("{:03d}".format))
MOBILES = st.builds("1{}{:09d}".format, st.integers(3, 9), st.integers(0, 999_999_999))
SECRETS = IDS | MOBILES | IDS.map(str.lower)


def full_width(text: str) -> str:
    return "".join(chr(ord(character) + 0xFEE0) for character in text)


@given(FREE, SECRETS, FREE)
def test_number_between_anything_but_letters_and_digits_is_found(before: str, secret: str, after: str) -> None:
    assert holds_personal_number(before + secret + after)
    assert holds_personal_number(before + full_width(secret) + after)


def found_by_the_pattern_alone(text: str) -> bool:
    return any(
        len(number) < 18 or privacy._is_resident_id(number.upper())
        for form in (text, unicodedata.normalize("NFKC", text))
        for number in privacy._CANDIDATE.findall(form)
    )


@given(st.lists(SECRETS | SECRETS.map(full_width) | FREE | st.text(st.characters(), max_size=30), max_size=5))
def test_looking_for_digits_in_a_row_first_changes_no_answer(parts: list[str]) -> None:
    text = "".join(parts)
    assert holds_personal_number(text) is found_by_the_pattern_alone(text)


@given(SECRETS, st.sampled_from("0159AZazX"), st.booleans())
def test_number_that_touches_a_letter_or_digit_is_another(secret: str, neighbour: str, in_front: bool) -> None:
    text = neighbour + secret if in_front else secret + neighbour
    assert not holds_personal_number(text) or len(text) == 18  # 17 digits and one more may be a number of their own


@given(IDS, st.sampled_from("0123456789X"))
def test_only_the_right_check_character_makes_it_one(number: str, check: str) -> None:
    assert holds_personal_number(number[:17] + check) is (number[17] == check)


@pytest.mark.parametrize("birth", ["19900230", "19901301", "19900100", "20230229", "00000101", "19000229"])
def test_no_such_day(birth: str) -> None:
    assert not holds_personal_number(resident_id(birth))


def test_leap_day() -> None:
    assert holds_personal_number(resident_id("20000229"))
    assert holds_personal_number(resident_id("19960229"))


@pytest.mark.parametrize(
    ("text", "personal"),
    [
        ("13900000000", True),
        ("19900000000", True),
        ("12900000000", False),
        ("10900000000", False),
        ("23900000000", False),
        ("1390000000", False),
        ("139000000000", False),
        ("+8613900000000", False),  # 86 touches it
        ("+86 13900000000", True),
        ("+86-13900000000", True),
        ("x13900000000", False),
        ("13900000000x", False),
        ("_13900000000_", True),
        ("手机13900000000微信", True),
        ("139 0000 0000", False),
        ("13900000000/13900000001", True),
        ("b6f13900000000ab", False),
        ("000 13900000000", True),
        ("", False),
    ],
)
def test_mobile_numbers(text: str, personal: bool) -> None:
    assert holds_personal_number(text) is personal


@pytest.mark.parametrize("length", [50, 99, 100, 101, 5000])
def test_length_of_the_text_does_not_matter(length: int) -> None:
    assert holds_personal_number("号" * length + "13900000000")
    assert holds_personal_number("13900000000" + " " * length)
    assert not holds_personal_number("1" * length)


@given(st.text(max_size=80))
def test_any_text_has_an_answer_and_without_digits_it_is_no(text: str) -> None:
    found = holds_personal_number(text)
    assert found in {True, False}
    if not any(character.isdigit() for character in text):
        assert not found


@pytest.mark.parametrize("name", ["张*", "＊三", "张某", "张某某", "○○公司", "成都**运输公司", "*"])
def test_masked(name: str) -> None:
    assert is_masked(name)


@pytest.mark.parametrize("name", ["张三", "赵钱孙李运输公司", "", "张x", "张_", "张-", "zhang san", "张?"])
def test_not_masked(name: str) -> None:
    assert not is_masked(name)
