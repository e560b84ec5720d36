"""Rows on the command line: ``1/5``, or ``5`` where only one batch has that row."""

import pytest

from gateway.core.recognition import RowRef
from gateway.errors import UsageError
from gateway.operate.rows import require_rows
from tests.unit.second_batch import recognition_of_two

LISTS = recognition_of_two()


def test_a_row_is_named_by_batch_and_number_or_by_a_number_that_one_batch_has() -> None:
    assert require_rows("--row", LISTS, "1/5", "2/5", "12") == {RowRef(1, 5), RowRef(2, 5), RowRef(1, 12)}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("5", "say which: 1/5, 2/5"),
        ("99", "no row 99"),
        ("3/5", "no row 3/5"),
        ("2/12", "no row 2/12"),
        ("five", "five is no row, such as 1/5"),
        ("1/", "is no row"),
    ],
)
def test_what_names_no_row_or_several_is_said(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        require_rows("--row", LISTS, text)
