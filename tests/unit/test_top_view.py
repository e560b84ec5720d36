"""What ``gateway top`` draws on the smallest of terminals."""

import asyncio
import os
import pty
from collections.abc import Sequence
from dataclasses import replace
from io import StringIO

import pytest
from rich.cells import cell_len
from rich.console import ConsoleDimensions

from gateway.adapters.console import Terminal
from gateway.contract.topics import Topics
from gateway.core.province import Province
from gateway.feedback.page.live import Bucket
from gateway.operate.top import read_keys
from gateway.operate.top_view import Picture, draw
from tests.patience import PATIENCE_S


def drawn(picture: Picture, width: int) -> list[str]:
    console = Terminal(wrap=True)
    console.file, console.size = StringIO(), ConsoleDimensions(width, 24)
    console.print(draw(picture, width))
    return console.file.getvalue().splitlines()


def picture(*, connected: bool | None = True, buckets: Sequence[Bucket] = (), known: bool = True) -> Picture:
    topics = Topics("")
    lag = {(topics.display(Province.SICHUAN), 0): 1_234_567, (topics.display(Province.CHONGQING), 0): 42}
    return Picture(0.0, "broker:9092", connected, topics, buckets, [], [], lag, {}, [], known)


@pytest.mark.parametrize("width", [80, 100, 150])
def test_the_lag_is_seen_at_every_width(width: int) -> None:
    lines = drawn(picture(), width)
    assert "\\n" not in "".join(lines)  # a line break in a heading, shown as an escape
    line = next(line for line in lines if line.startswith("四川 → 重庆"))
    assert line.split()[-1] == "1,234,567"


def test_lag_is_unknown_while_the_broker_is_down() -> None:
    lines = drawn(picture(connected=False, known=False), 100)
    assert next(line for line in lines if line.startswith("四川 → 重庆")).split()[-1] == "?"
    assert next(line for line in lines if line.startswith("四川 → 重庆")).split()[3:5] == ["?", "?"]  # the rates
    assert any("0:?" in line for line in lines)
    assert not any("1,234,567" in line for line in lines)


@pytest.mark.parametrize("width", [60, 80, 150])
def test_a_broker_that_is_down_dates_the_data(width: int) -> None:
    down = replace(picture(connected=False, known=False), as_of=1_795_406_400)
    lines = [line.rstrip() for line in drawn(down, width)]
    said = "".join(
        " ".join(lines[1 : lines.index(next(line for line in lines if "certificates shown" in line))]).split()
    )
    assert "Kafka（消息系统）无响应，以下为2026-11-2312:00:00的数据" in said
    assert "asof2026-11-2312:00:00(Beijingtime)" in said
    assert said.count("`gatewaydoctor`") == 2
    assert max(map(cell_len, lines)) <= width
    assert not any("无响应" in line for line in drawn(replace(down, connected=True), width))
    undated = "".join(drawn(replace(down, as_of=None), 150))
    assert "Kafka does not answer. Run `gateway doctor`" in undated


@pytest.mark.parametrize(
    ("connected", "words"), [(None, "正在连接 connecting"), (True, "已连接 connected"), (False, "未连接 not connected")]
)
def test_what_has_not_connected_yet_is_connecting(connected: bool | None, words: str) -> None:
    assert words in drawn(picture(connected=connected), 100)[0]


def test_reasons_can_be_read_on_a_narrow_terminal() -> None:
    bucket = Bucket(0)
    bucket.reasons["CHANNEL_NOT_RECOGNISED"] = 3
    assert any("CHANNEL_NOT_REC" in line for line in drawn(picture(buckets=[bucket]), 60))
    assert any("█" in line for line in drawn(picture(buckets=[bucket]), 100))


async def test_keys_pressed_before_the_start_still_count(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pty.openpty()
    pressed = asyncio.Event()
    os.write(ours, b"q")
    with os.fdopen(theirs, encoding="ascii") as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        with read_keys(pressed.set):
            await asyncio.wait_for(pressed.wait(), PATIENCE_S)
    os.close(ours)
