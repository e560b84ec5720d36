"""Rows on the command line: ``1/5``, or ``5`` where only one batch has that row."""

import json

import pytest

from gateway.core.province import Province
from gateway.core.recognition import RowRef
from gateway.decide import decide_bytes
from gateway.errors import UsageError
from gateway.operate.rows import require_rows
from gateway.operate.tail import _in_words
from tests.unit.second_batch import recognition_of_two, second_batch_event
from tests.unit.written import record_of

LISTS = recognition_of_two()


def test_an_unambiguous_row_number_needs_no_batch() -> None:
    assert require_rows("--row", LISTS, "1/5", "2/5", "12") == {RowRef(1, 5), RowRef(2, 5), RowRef(1, 12)}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("5", "say which: 1/5, 2/5"),
        ("99", "no row 99"),
        ("3/5", "no row 3/5"),
        ("2/12", "no row 2/12"),
        ("five", "'five' is not a row, such as 1/5"),
        ("1/", "is not a row"),
    ],
)
def test_what_names_no_row_or_several_is_said(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        require_rows("--row", LISTS, text)


def test_tail_names_a_row_with_its_batch() -> None:
    raw = json.dumps(second_batch_event(Province.SICHUAN, 5)).encode()
    record = record_of(decide_bytes(raw, Province.SICHUAN, 1_795_392_003_000, LISTS), raw)
    assert _in_words(json.loads(record or b"{}")).startswith("通过  第2批第5行 公共场所卫生许可证  天府通办  ")
