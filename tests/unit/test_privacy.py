"""What counts as personal (docs/events.md#personal-data). All numbers are made up: area code 999999 is not a
place."""

import datetime
import re
import time
import unicodedata
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum.cn import uscc

from gateway.core.identifier import OID, check_character
from gateway.core.privacy import (
    holds_personal_code,
    holds_personal_identifier,
    holds_personal_number,
    is_credit_code,
    is_masked,
)

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


ZERO_WIDTH = "\u200b\u200d\u202d\ufe0f\ufeff\u0301"
SEPARATORS = " -.\u3000\u00a0—–‑·．－"
INVISIBLE = st.text(st.sampled_from(ZERO_WIDTH), max_size=2)
GAPS = st.just("") | st.builds("{}{}{}".format, INVISIBLE, st.just("") | st.sampled_from(SEPARATORS), INVISIBLE)


@st.composite
def spaced(draw: st.DrawFn) -> str:
    """A number with something between its digits, a mobile number sometimes with its country's before it."""
    secret = draw(SECRETS)
    if len(secret) == 11:
        secret = draw(st.sampled_from(["", "86", "0086", "+86"])) + secret
    sign, digits = secret[: secret.startswith("+")], secret[secret.startswith("+") :]
    gap = draw(GAPS)
    text = sign + "".join(digit + draw(st.sampled_from(["", gap])) for digit in digits[:-1]) + digits[-1]
    return full_width(text) if draw(st.booleans()) and text.isascii() and text.isalnum() else text


@given(FREE, spaced(), FREE)
def test_number_with_separators_or_invisible_characters_is_found(before: str, secret: str, after: str) -> None:
    assert holds_personal_number(before + secret + after)


@given(SECRETS, st.integers(1, 10), st.sampled_from(SEPARATORS), st.sampled_from(SEPARATORS + "/,、年a#"))
def test_two_separators_part_a_number(secret: str, place: int, one: str, other: str) -> None:
    text = secret[:place] + one + other + secret[place:]
    assert holds_personal_number(text) is found_plainly(text)
    # What is left of it is not one, but the end of an identity number can be a mobile number.
    assert len(secret) == 18 or not holds_personal_number(text)


def readings(text: str, start: int) -> Iterator[str]:
    """Every number that begins at ``start`` and ends before something that is neither letter nor digit."""
    read, place = "", start
    while place < len(text) and text[place] in "0123456789Xx":
        read, place = read + text[place], place + 1
        if place == len(text) or not (text[place].isascii() and text[place].isalnum()):
            yield read
        place = passed_over(ZERO_WIDTH, text, place)
        place += text[place : place + 1] in {*SEPARATORS, "\u2010"}
        place = passed_over(ZERO_WIDTH, text, place)


def passed_over(characters: str, text: str, place: int) -> int:
    while place < len(text) and text[place] in characters:
        place += 1
    return place


def is_personal(number: str) -> bool:
    mobile = number.removeprefix("00") if number.startswith("0086") else number
    mobile = mobile.removeprefix("86")
    if len(mobile) == 11 and mobile.isdigit() and mobile[0] == "1" and mobile[1] in "3456789":
        return True
    if len(number) != 18 or not number[:17].isdigit():
        return False
    try:
        day = datetime.date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return False
    return 1800 <= day.year < 2100 and resident_id(number[6:14], number[14:17], number[:6]) == number.upper()


def found_plainly(text: str) -> bool:
    """The rule, read off place by place."""
    return any(
        is_personal(number)
        for form in (text, unicodedata.normalize("NFKC", text))
        for start in range(len(form))
        if not (start and form[start - 1].isascii() and form[start - 1].isalnum())
        for number in readings(form, start)
    )


PIECES = st.text(st.sampled_from("0123456789 01386-.Xxa号\u200b\u0301—１"), max_size=30)


@given(st.lists(SECRETS | SECRETS.map(full_width) | spaced() | FREE | PIECES, max_size=5))
def test_number_search_agrees_with_the_plain_rule(parts: list[str]) -> None:
    text = "".join(parts)
    assert holds_personal_number(text) is found_plainly(text)


@given(SECRETS, st.sampled_from("0159AZazX"), st.booleans())
def test_number_that_touches_a_letter_or_digit_is_another(secret: str, neighbour: str, in_front: bool) -> None:
    text = neighbour + secret if in_front else secret + neighbour
    assert not holds_personal_number(text) or len(text) == 18  # 17 digits and one more may be a number of their own


@given(IDS, st.sampled_from("0123456789X"))
def test_only_the_right_check_character_makes_it_one(number: str, check: str) -> None:
    assert holds_personal_number(number[:17] + check) is (number[17] == check)


@pytest.mark.parametrize("birth", ["19900230", "19901301", "19900100", "20230229", "00000101", "19000229"])
def test_number_with_a_nonexistent_birthday_is_not_personal(birth: str) -> None:
    assert not holds_personal_number(resident_id(birth))


def test_number_with_a_leap_day_is_personal() -> None:
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
        ("+8613900000000", True),
        ("8613900000000", True),
        ("008613900000000", True),
        ("0086-139-0000-0000", True),
        ("+86\u200b139\u200b0000\u200b0000", True),
        ("18613900000000", False),
        ("013900000000", False),
        ("386 13900000000", True),
        ("+86 13900000000", True),
        ("+86-13900000000", True),
        ("x13900000000", False),
        ("13900000000x", False),
        ("_13900000000_", True),
        ("手机13900000000微信", True),
        ("139 0000 0000", True),
        ("139-0000-0000", True),
        ("139.0000.0000", True),
        ("139—0000—0000", True),
        ("1 3 9 0 0 0 0 0 0 0 0", True),
        ("139  0000 0000", False),
        ("139--0000-0000", False),
        ("139/0000/0000", False),
        ("139000000001234", False),  # fifteen digits, as old registrations have them
        ("999999 19900307 0012", True),
        ("999999 19900307 0013", False),
        ("5 999999 19900307 0012", True),
        ("\u202d13900000000\u202c", True),
        ("⑬900000000", True),
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


LONG = {
    "marks": "\u0301\u0316", "letters of 18": "\ufdfa", "digits": "1 ", "dates": " 2 0 1 0 1 0 1 0", "mobiles": "139000000001 ",
    "identities": "999999199003070013 ", "unseen": "1\u200b", "only unseen": "\u200b", "full-width": "１\u3000", "digit and mark": "1\u0301",
}  # fmt: skip


def seconds(text: str) -> float:
    """The least CPU time of three searches of a text that holds nothing, so that all of it is looked at."""
    times = []
    for _ in range(3):
        started = time.thread_time()
        assert not holds_personal_number(text)
        times.append(time.thread_time() - started)
    return min(times)


@pytest.mark.parametrize("unit", LONG.values(), ids=LONG)
def test_time_is_linear_in_the_length_of_any_text(unit: str) -> None:
    """Four times the text takes about four times as long; what sorts or tries again from each place takes
    sixteen."""
    short = unit * (30_000 // len(unit))
    assert seconds(short * 4) < 9 * seconds(short) + 0.005


def both(area: str = "519999", birth: str = "19900307") -> str:
    """A code with the right check characters of both standards."""
    numbers = (resident_id(birth, f"{sequence:03d}", area) for sequence in range(1000))
    return next(number for number in numbers if uscc.calc_check_digit(number[:17]) == number[17])


@given(st.integers(100_000, 999_998).map(str), BIRTHS)
def test_valid_credit_code_is_never_a_personal_code(area: str, birth: str) -> None:
    code = both(area, birth)
    assert holds_personal_number(code)
    assert is_credit_code(code)
    assert not holds_personal_code(code)
    for other in (code.replace("9", "９"), f" {code}", f"{code[:6]} {code[6:]}", resident_id(birth, "000", area)):
        assert is_credit_code(other) or holds_personal_code(other)


@pytest.mark.parametrize("code", ["91110000600037341L", "11430000006122244L", "12100000000000000A", ""])
def test_credit_code_agrees_with_python_stdnum(code: str) -> None:
    assert is_credit_code(code) is uscc.is_valid(code)


def test_dots_in_an_identifier_join_no_digits() -> None:
    start = "11100000000013338W011"
    for issuer, serial, personal in (
        ("11430000006122244L", "20230000403", False),
        ("11430000006122244L", "15000403", False),  # with the version behind it, eleven digits
        (both(), "20230000403", False),
        (resident_id("19900307", "001"), "20230000403", True),
        ("11430000006122244L", "13900000000", True),
    ):
        body = f"{start}.{issuer}.{serial}.001"
        for identifier in (f"{body}.{check_character(body)}", f"{OID}{body}.{check_character(body)}", f"{body}.A"):
            assert holds_personal_identifier(identifier) is personal
    assert holds_personal_identifier("139.0000.0000")  # not of the standard's shape


def test_no_character_folds_to_over_two_digits() -> None:
    folded = (unicodedata.normalize("NFKC", chr(code)) for code in range(0x80, 0x110000))
    assert max(len(digits) for text in folded for digits in re.findall(r"[0-9]+", text)) == 2


@given(st.text(max_size=80))
def test_text_without_digits_holds_no_personal_number(text: str) -> None:
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
