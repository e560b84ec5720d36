"""What the demo shows: a live picture on a terminal, and the summary."""

from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from gateway.core.province import Province
from gateway.operate.verify import DemoCounts


class LiveView:
    """Counts by direction and outcome and the newest rejections, redrawn on a terminal's stderr; silent elsewhere."""

    def __init__(self, tally: DemoCounts, events: int, console: Console) -> None:
        self._tally = tally
        columns = (TextColumn("accounted for"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._progress = Progress(*columns, console=console)
        self._task = self._progress.add_task("events", total=events)
        self._live = Live(console=console, refresh_per_second=8, transient=True) if console.is_terminal else None

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()

    def update(self) -> None:
        """Show the tally as it stands."""
        if self._live is not None:
            self._progress.update(self._task, completed=self._tally.received)
            self._live.update(Group(outcome_table(self._tally), self._newest(), self._progress))

    def _newest(self) -> RenderableType:
        table = Table(title="最新不通过 · newest rejections", expand=True)
        for heading, ratio in (("来自", 1), ("code", 5), ("原因", 8), ("反馈", 6)):
            table.add_column(heading, no_wrap=True, overflow="ellipsis", ratio=ratio)
        for province, code, message, unit in reversed(self._tally.newest):
            table.add_row(Province(province).chinese, code, message, unit)
        return table


def outcome_table(tally: DemoCounts) -> Table:
    """Both directions, outcome by outcome."""
    table = Table(title="亮证互认 · certificates shown")
    headings = (
        "方向",
        "发布 published",
        "通过 forwarded",
        "不通过 rejected",
        "重复 duplicates",
        "无法识别 dead letters",
    )
    for heading in headings:
        table.add_column(
            heading,
            justify="left" if heading == headings[0] else "right",
            min_width=12 if heading == headings[0] else None,
        )
    counters = (tally.published, tally.forwarded, tally.rejected, tally.duplicates, tally.dead_letters)
    for province in Province:
        direction = f"{province.chinese} → {province.other.chinese}"
        table.add_row(direction, *(str(counter[province.value]) for counter in counters))
    return table


def print_summary(tally: DemoCounts, seconds: float, broker: str) -> None:
    """The result, on stdout."""
    console = Console()
    console.print(outcome_table(tally))
    reasons = Table(title="不通过原因 · primary reasons")
    reasons.add_column("code")
    reasons.add_column("count", justify="right")
    for code, count in tally.reasons.most_common():
        reasons.add_row(code, str(count))
    console.print(reasons)
    rate = tally.published.total() / seconds if seconds else 0
    console.print(
        f"{tally.published.total()} events in {seconds:.1f} s ({rate:,.0f}/s) through {broker}", highlight=False
    )
    if tally.is_proper:
        console.print(
            "Read back from the topics: every event has exactly one outcome, the expected one. Lost 0, sent twice 0."
        )
    else:
        console.print(
            f"NOT PROPER: lost {tally.lost}, sent twice {tally.doubled}, decided otherwise {len(tally.wrong)}"
        )
