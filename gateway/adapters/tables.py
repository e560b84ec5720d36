"""Tables for people: aligned without lines on a terminal, where the least important columns give way; in a
pipe, TSV."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from gateway.adapters.console import Terminal
from gateway.adapters.terminal import say, write_cells
from gateway.core.visible import visible

_GAP = 2


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its heading in Chinese and English.

    ``drop`` says which go first where there is no room, the highest number first; 0 stays. ``least`` is the
    width down to which its cells may be cut; None: they stay whole.
    """

    zh: str
    en: str
    drop: int = 0
    least: int | None = None
    right: bool = False

    def width(self, cells: Sequence[str]) -> int:
        """Return how many terminal columns it needs at least."""
        whole = max(map(cell_len, (self.zh, self.en, *cells)))
        return whole if self.least is None else min(whole, max(self.least, cell_len(self.zh), cell_len(self.en)))


def print_table(columns: Sequence[Column], rows: Sequence[Sequence[str]], console: Terminal | None = None) -> None:
    """Print ``rows`` on stdout, a heading before them; each row has a cell for each column."""
    console = console or Terminal()
    if not console.is_terminal:
        for line in ([f"{column.zh} {column.en}".strip() for column in columns], *rows):
            write_cells(line)
        return
    shown = [tuple(map(visible, row)) for row in rows]
    kept = columns_that_fit(columns, shown, console.width)
    Terminal(wrap=True).print(
        aligned([columns[index] for index in kept], [[row[index] for index in kept] for row in shown], console.width)
    )
    if hidden := [f"{column.zh} {column.en}" for index, column in enumerate(columns) if index not in kept]:
        say(f"未显示的列 columns that need a wider terminal: {'、'.join(hidden)}", err=True)


def aligned(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> Table:
    """Return a table without lines, of ``width`` at most; cells that may be cut are, where there is no
    room."""
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
    cells = [[row[index] for row in rows] for index in range(len(columns))]
    spare = width - sum(column.width(each) + _GAP for column, each in zip(columns, cells, strict=True)) + _GAP
    for column, each in zip(columns, cells, strict=True):
        more = max(0, min(spare, max(map(cell_len, each), default=0) - column.width(each)))
        spare -= more
        table.add_column(
            Text(f"{column.zh}\n{column.en}".strip()),
            justify="right" if column.right else "left",
            no_wrap=True,
            overflow="ellipsis",
            width=column.width(each) + more,
        )
    for row in rows:
        table.add_row(*row)
    return table


def columns_that_fit(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """Return the indexes of the columns that fit into ``width``, at least those that never give way."""
    widths = [column.width([row[index] for row in rows]) for index, column in enumerate(columns)]
    kept = list(range(len(columns)))
    while sum(widths[index] + _GAP for index in kept) - _GAP > width:
        droppable = [index for index in kept if columns[index].drop]
        if not droppable:
            break
        kept.remove(max(droppable, key=lambda index: columns[index].drop))
    return kept
