"""Tables on terminals of every width, and in a pipe."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from gateway.adapters.tables import Column, columns_that_fit, print_table
from gateway.core.words import count_of
from tests.patience import PATIENCE_S

ROOT = Path(__file__).parents[2]
COLUMNS = (
    Column("问题", "case"),
    Column("件数", "count", right=True),
    Column("不符内容", "value", drop=1, least=10),
    Column("责任单位", "units", drop=2, least=12),
)
ROWS = [
    ("c79b7799", "4", "微信小程序里的渠道", "四川省交通运输厅、重庆市交通局"),
    ("57d739c1", "12", "a\tb\x1b[2K", ""),
]
PROGRAM = "from tests.unit.test_tables import COLUMNS, ROWS; from gateway.adapters.tables import print_table; print_table(COLUMNS, ROWS)"


def test_in_a_pipe_every_value_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(COLUMNS, ROWS)
    assert capsys.readouterr().out.splitlines() == [
        "问题 case\t件数 count\t不符内容 value\t责任单位 units",
        "c79b7799\t4\t微信小程序里的渠道\t四川省交通运输厅、重庆市交通局",
        "57d739c1\t12\ta\\tb\\x1b[2K\t",
    ]


@pytest.mark.parametrize(("width", "kept"), [(100, [0, 1, 2, 3]), (41, [0, 1, 2, 3]), (40, [0, 1, 2]), (20, [0, 1])])
def test_the_least_important_columns_give_way(width: int, kept: list[int]) -> None:
    assert columns_that_fit(COLUMNS, ROWS, width) == kept


def drawn(width: int) -> list[str]:
    """What a terminal of ``width`` columns is given."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES", "NO_COLOR"}}
    environment |= {"TERM": "xterm", "NO_COLOR": "1"}
    subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, stdout=theirs, check=True, env=environment, timeout=PATIENCE_S
    )
    text = os.read(ours, 65536).decode()
    os.close(ours)
    os.close(theirs)
    return [line.rstrip() for line in text.replace("\x1b[1m", "").replace("\x1b[0m", "").splitlines()]


def test_on_a_terminal_columns_are_straight() -> None:
    assert drawn(100) == [
        "问题       件数  不符内容            责任单位",
        "case      count  value               units",
        "c79b7799      4  微信小程序里的渠道  四川省交通运输厅、重庆市交通局",
        "57d739c1     12  a\\tb\\x1b[2K",
    ]


def test_on_a_narrow_terminal_words_are_cut() -> None:
    assert [line.split()[:3] for line in drawn(44)[2:]] == [
        ["c79b7799", "4", "微信小程序里…"],
        ["57d739c1", "12", "a\\tb\\x1b[2K"],
    ]


@pytest.mark.parametrize(("number", "words"), [(0, "0 events"), (1, "1 event"), (2_469_843, "2,469,843 events")])
def test_singular_and_plural(number: int, words: str) -> None:
    assert count_of(number, "event") == words
