"""What the demo shows: a live picture on a terminal, and the summary."""

from types import TracebackType
from typing import Self

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from gateway.adapters.console import Terminal
from gateway.adapters.tables import Column, aligned, print_table
from gateway.core.province import Province
from gateway.core.words import count_of
from gateway.operate.verify import DemoCounts


class LiveView:
    """Counts by direction and outcome and the newest rejections, redrawn on a terminal's stderr; silent
    elsewhere."""

    def __init__(self, tally: DemoCounts, events: int, console: Terminal) -> None:
        self._tally = tally
        columns = (TextColumn("accounted for"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._progress = Progress(*columns, console=console)
        self._task = self._progress.add_task("events", total=events)
        self._console = console
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
            outcomes = aligned(_OUTCOMES, _outcomes(self._tally), self._console.width)
            self._live.update(Group(outcomes, self._newest(), self._progress))

    def _newest(self) -> RenderableType:
        table = Table(title="最新退回 · newest rejections", expand=True)
        for heading, ratio in (("来自", 1), ("code", 5), ("原因", 8), ("反馈", 6)):
            table.add_column(heading, no_wrap=True, overflow="ellipsis", ratio=ratio)
        for province, code, message, unit in reversed(self._tally.newest):
            table.add_row(Province(province).chinese, code, message, unit)
        return table


_OUTCOMES = (
    Column("方向", "direction"),
    Column("发布", "published", right=True),
    Column("通过", "forwarded", right=True),
    Column("退回", "rejected", right=True),
    Column("重复", "duplicates", right=True),
    Column("无法识别", "dead letters", right=True),
)


def _outcomes(tally: DemoCounts) -> list[list[str]]:
    """Return the cells of a table of both directions, outcome by outcome."""
    counters = (tally.published, tally.forwarded, tally.rejected, tally.duplicates, tally.dead_letters)
    return [
        [f"{province.chinese} → {province.other.chinese}", *(str(counter[province.value]) for counter in counters)]
        for province in Province
    ]


def print_summary(tally: DemoCounts, seconds: float, broker: str) -> None:
    """Print the result on stdout."""
    console = Terminal()
    print_table(_OUTCOMES, _outcomes(tally))
    console.print()
    reasons = [(code, str(count)) for code, count in tally.reasons.most_common()]
    print_table((Column("首要原因", "primary reason"), Column("件数", "count", right=True)), reasons)
    console.print()
    console.print(
        f"{count_of(tally.published.total(), 'event')} published, decided and verified in {seconds:.1f} s, with the start of "
        f"producers and consumers, through {broker}"
    )
    if tally.is_proper:
        console.print(
            "Read back from the topics: every event has exactly one outcome, the expected one. Lost 0, sent twice 0."
        )
    else:
        console.print(
            f"NOT PROPER: lost {tally.lost}, sent twice {tally.doubled}, decided otherwise {len(tally.wrong)}"
        )
