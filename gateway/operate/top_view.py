"""What ``gateway top`` draws: rates and outcomes of both directions, lanes and lag, reasons, newest
rejections."""

import datetime
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import RenderableType
from rich.layout import Layout
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from gateway.adapters.wrapping import lay_out
from gateway.contract.topics import Topics
from gateway.core.decision import Outcome
from gateway.core.province import Province
from gateway.feedback.page.live import BUCKET_S, Bucket

_OUTCOMES = {
    Outcome.FORWARD: ("通过\nforwarded", "green"),
    Outcome.REJECT: ("退回\nrejected", "yellow"),
    Outcome.DUPLICATE: ("重复\nduplicates", "cyan"),
    Outcome.DEAD_LETTER: ("无法识别\ndead letters", "red"),
}
_CHINA = datetime.timezone(datetime.timedelta(hours=8))
_MINUTE = 60
_BAR = 18
_WIDE = 100
"""On fewer columns the reasons have no bars, so that their codes can be read."""
_LANES_A_LINE = 6
_SHOWN = 200
_LATE = 1000
"""So many events behind, a lane's lag is shown in yellow."""


@dataclass(frozen=True, slots=True)
class Picture:
    """What is known at ``now`` (seconds since the epoch). ``buckets`` are the last hour's; ``rejections``
    the newest last.

    ``workers``, ``strangers``, ``lag`` and ``stuck_s`` as ``gateway.feedback.page.cluster`` has them;
    ``connected``: whether the broker answers, None before it has the first time; ``as_of``: when it last
    did, in seconds since the epoch.
    """

    now: float
    where: str
    connected: bool | None
    topics: Topics
    buckets: Sequence[Bucket]
    rejections: Sequence[Mapping[str, Any]]
    workers: Sequence[Mapping[str, Any]]
    lag: Mapping[tuple[str, int], int]
    stuck_s: Mapping[tuple[str, int], int]
    strangers: Sequence[Mapping[str, Any]]
    lanes_known: bool
    as_of: float | None = None

    def rate(self, province: Province, seconds: int) -> float:
        """Return decided events per second, over the last whole buckets of ``seconds`` seconds."""
        end = self.now // BUCKET_S * BUCKET_S
        return sum(_decided(each, province) for each in self.buckets if end - seconds <= each.start < end) / seconds

    def outcomes(self, province: Province) -> dict[Outcome, int]:
        """Return how many of the last hour's events had each outcome."""
        return {each: sum(bucket.outcomes[province.value, each.value] for bucket in self.buckets) for each in Outcome}

    @property
    def owners(self) -> dict[str, str]:
        """Which worker has each lane."""
        return {lane: worker["id"] for worker in self.workers for lane in worker["lanes"]}


def _decided(bucket: Bucket, province: Province) -> int:
    return sum(bucket.outcomes[province.value, outcome.value] for outcome in Outcome)


def draw(picture: Picture, width: int) -> RenderableType:
    """Draw the whole screen, for a terminal of ``width`` columns."""
    screen = Layout()
    lines_of_lanes = sum(1 for _ in _lane_lines(picture))
    banner = _banner(picture, width)
    screen.split_column(
        Layout(_heading(picture), size=1),
        *([Layout(Text("\n".join(banner), style="bold red"), size=len(banner))] if banner else []),
        Layout(_directions(picture), size=6),
        Layout(name="middle", minimum_size=max(6, 2 + lines_of_lanes), ratio=1),
        Layout(_newest(picture.rejections), minimum_size=4, ratio=2),
        Layout(Text(" q 退出 quit", style="dim"), size=1),
    )
    screen["middle"].split_row(
        Layout(_lanes(picture)), Layout(_reasons(picture.buckets, bar=_BAR if width >= _WIDE else 0))
    )
    return screen


def _heading(picture: Picture) -> RenderableType:
    line = Table.grid(expand=True)
    line.add_column(no_wrap=True)
    line.add_column(justify="right", no_wrap=True)
    words, style = {
        True: ("● 已连接 connected", "green"),
        False: ("● 未连接 not connected", "bold red"),
        None: ("● 正在连接 connecting", "yellow"),
    }[picture.connected]
    state = Text(words, style=style)
    line.add_row(Text.assemble(("川渝亮证互认 gateway top", "bold"), f"  {picture.where}"), state)
    return line


def _banner(picture: Picture, width: int) -> list[str]:
    """Say, where the broker does not answer, from when the data are and what to do; the page has the same
    words."""
    if picture.connected is not False:
        return []
    zh, en = "", ""
    if picture.as_of is not None:
        last = datetime.datetime.fromtimestamp(picture.as_of, _CHINA).strftime("%Y-%m-%d %H:%M:%S")
        zh, en = f"，以下为 {last} 的数据；恢复后自动更新", f"; what follows is as of {last} (Beijing time)"
    zh = f"Kafka（消息系统）无响应{zh}。请运行 `gateway doctor` 查明原因。"
    en = f"Kafka does not answer{en}. Run `gateway doctor`: it says what is wrong."
    return [" " * part.indent + each[part.start : part.end] for each in (zh, en) for part in lay_out(each, width)]


def _directions(picture: Picture) -> RenderableType:
    table = Table(
        expand=True,
        box=None,
        padding=(0, 1, 0, 0),
        title="亮证互认 · certificates shown (last hour)",
        title_justify="left",
    )
    table.add_column("方向", no_wrap=True, min_width=12)
    for heading in (
        f"每秒 /s\n{BUCKET_S} s",
        "每秒 /s\n1 min",
        *(heading for heading, _ in _OUTCOMES.values()),
    ):
        table.add_column(Text(heading), justify="right", no_wrap=True, overflow="ellipsis")
    table.add_column(Text("积压\nlag"), justify="right", no_wrap=True, min_width=9)  # up to 9,999,999 on 80 columns too
    for province in Province:
        counts = picture.outcomes(province)
        total = sum(counts.values())
        lag = [behind for (topic, _), behind in picture.lag.items() if topic == picture.topics.display(province)]
        table.add_row(
            f"{province.chinese} → {province.other.chinese}",
            *("?" if picture.connected is False else f"{picture.rate(province, s):,.1f}" for s in (BUCKET_S, _MINUTE)),
            *(Text(_share(counts[outcome], total), style=style) for outcome, (_, style) in _OUTCOMES.items()),
            f"{sum(lag):,}" if lag and picture.lanes_known else "?",
        )
    return table


def _share(count: int, total: int) -> str:
    return f"{count:,} {100 * count / total:.0f}%" if total else "0"


def _lane_lines(picture: Picture) -> Iterator[tuple[Province, bool, list[int]]]:
    """Yield the lanes as they stand in lines: the province, whether it is its first line, and the
    partitions."""
    for province in Province:
        topic = picture.topics.display(province)
        numbers = sorted(partition for name, partition in picture.lag if name == topic)
        for first in range(0, len(numbers), _LANES_A_LINE):
            yield province, first == 0, numbers[first : first + _LANES_A_LINE]


def _lanes(picture: Picture) -> RenderableType:
    table = Table.grid(padding=(0, 1))
    owners = picture.owners
    for province, is_first, numbers in _lane_lines(picture):
        cells = [_lane(picture, picture.topics.display(province), each, owners) for each in numbers]
        table.add_row(province.chinese if is_first else "", *cells)
    workers = len(picture.workers)
    title = (
        f"通道 lanes: {len(owners)}/{len(picture.lag)} · 处理进程 workers: {workers}"
        if picture.lanes_known
        else "通道 lanes: ?"
    )
    if picture.strangers:
        title += f" · 外来成员 strangers: {len(picture.strangers)}"
    return Panel(
        table,
        title=title,
        title_align="left",
        border_style="red" if picture.lanes_known and (not workers or picture.strangers or picture.stuck_s) else "dim",
    )


def _lane(picture: Picture, topic: str, partition: int, owners: Mapping[str, str]) -> Text:
    """Show a lane by its partition: how far behind, red where no worker has it, or it has decided nothing
    for a minute."""
    if not picture.lanes_known:
        return Text(f"{partition}:?", style="dim")
    behind = picture.lag[topic, partition]
    if f"{topic}-{partition}" not in owners:
        return Text(f"{partition}:{behind:,} 无人", style="bold red")
    if stuck_s := picture.stuck_s.get((topic, partition)):
        return Text(f"{partition}:{behind:,} 停滞{stuck_s // 60}min", style="bold red")
    return Text(f"{partition}:{behind:,}", style="yellow" if behind >= _LATE else "green")


def _reasons(buckets: Iterable[Bucket], bar: int) -> RenderableType:
    reasons: Counter[str] = Counter()
    for bucket in buckets:
        reasons.update(bucket.reasons)
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    table.add_column(justify="right")
    if bar:
        table.add_column(width=bar)
    most = max(reasons.values(), default=1)
    for code, count in reasons.most_common(10):
        bars = [Text("█" * max(1, round(bar * count / most)), style="yellow")] if bar else []
        table.add_row(code, f"{count:,}", *bars)
    return Panel(table, title="退回原因 reasons", title_align="left", border_style="dim")


def _newest(rejections: Sequence[Mapping[str, Any]]) -> RenderableType:
    table = Table(expand=True, box=None, pad_edge=False)
    table.add_column("接收", no_wrap=True, width=8)
    table.add_column("来自", no_wrap=True, width=4)
    table.add_column("code", no_wrap=True, overflow="ellipsis", max_width=25)
    for heading, ratio in (("原因", 7), ("反馈 to", 5), ("id", 5)):
        table.add_column(heading, no_wrap=True, overflow="ellipsis", ratio=ratio)
    for each in sorted(rejections, key=lambda each: str(each["received"]), reverse=True)[:_SHOWN]:
        first = each["reasons"][0]
        style = "red" if each["kind"] == "dead_letter" else ""
        province = Province(each["province"]).chinese if each["province"] else "?"
        table.add_row(
            _clock(each["received"]), province, first["code"], first["message"]["zh"],
            "、".join(each["units"]), each["id"] or each["place"], style=style,
        )  # fmt: skip
    return Panel(table, title="最新退回 newest rejections", title_align="left", border_style="dim")


def _clock(received: str) -> str:
    """Return the time of day in China."""
    return datetime.datetime.fromisoformat(received).astimezone(_CHINA).strftime("%H:%M:%S")
