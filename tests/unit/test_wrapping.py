"""Long lines on narrow terminals: what goes on is indented, and what is to be copied stays whole."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from gateway.adapters.wrapping import columns_of, lay_out
from tests.patience import PATIENCE_S

ROOT = Path(__file__).parents[2]
PROGRAM = """
from rich.text import Text
from gateway.adapters.console import Terminal
from gateway.adapters.terminal import say, write_lines
from tests.unit.test_wrapping import LINES
for line in LINES:
    Terminal().print(line)
    Terminal(wrap=True).print(Text(line))
    say(line)
    write_lines(line + "\\n")
"""
LABEL = "问题 problem    topics 主题 · sichuan.display: 3 partitions 而其他主题都有四个分区，请扩充（全部主题同步）。"
ADVICE = "                → run `gateway topics plan --config /etc/gateway.yaml`, and then act"
PLAIN = "gateway: the configuration is not valid, and here is a long sentence that says what it is about."
LINES = (LABEL, ADVICE, PLAIN)


def drawn(text: str, width: int) -> list[str]:
    return [" " * part.indent + text[part.start : part.end] for part in lay_out(text, width)]


def test_what_goes_on_stands_below_what_the_label_says() -> None:
    assert drawn(LABEL, 60) == [
        "问题 problem    topics 主题 · sichuan.display: 3 partitions",
        "                而其他主题都有四个分区，请扩充（全部主题同",
        "                步）。",
    ]
    assert drawn(ADVICE, 70) == [
        "                → run",
        "                  `gateway topics plan --config /etc/gateway.yaml`,",
        "                  and then act",
    ]
    assert drawn(PLAIN, 60) == [
        "gateway: the configuration is not valid, and here is a long",
        "  sentence that says what it is about.",
    ]


@pytest.mark.parametrize("width", range(25, 130, 7))
@pytest.mark.parametrize(
    "text", [*LINES, "", "   ", "短", "one", "a  b  c " * 30, "（" * 40, "a" * 300, "`" * 9, "  x"]
)
def test_nothing_is_lost_and_only_long_words_are_wider(text: str, width: int) -> None:
    lines = drawn(text, width)
    assert "".join("".join(lines).split()) == "".join(text.split())
    wider = [line.strip() for line in lines if columns_of(line) > width]
    assert [line for line in wider if " " in line and line[0] != "`"] == []


def test_every_way_to_a_terminal_wraps_alike() -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES"}}
    environment |= {"TERM": "xterm", "NO_COLOR": "1"}
    subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, stdout=theirs, check=True, env=environment, timeout=PATIENCE_S
    )
    text = os.read(ours, 65536).decode()
    os.close(ours)
    os.close(theirs)
    assert text.splitlines() == [line for each in LINES for _ in range(4) for line in drawn(each, 60)]
