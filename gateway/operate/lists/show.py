"""``gateway list``: the recognition list for people and for programs, with what is unresolved."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from rich.cells import cell_len
from rich.table import Table

from gateway.adapters.console import Terminal, several_lines
from gateway.adapters.list_files import load_recognition, other_files
from gateway.adapters.terminal import write_json
from gateway.core.province import Province
from gateway.core.recognition import Provenance, Recognition
from gateway.core.recognition.document import Cell, Sides
from gateway.core.recognition.editions import Edition, ListedRow
from gateway.core.times import is_date
from gateway.core.words import count_of
from gateway.errors import UsageError
from gateway.operate.rows import require_rows

_TABLE_WIDTH = 140
_HEADINGS = ("电子证照名称", "签发单位", "亮证渠道", "应用场景", "川渝通办事项", "试点范围")
_MARK = {Provenance.READ: "", Provenance.INFERRED: "〔推断〕", Provenance.MISSING: "〔缺失〕"}


def show_list(recognition: Recognition, date: str, row: str | None, output: Literal["text", "json"]) -> int:
    """Print the rows in force on ``date`` (YYYY-MM-DD, UTC+8); returns the exit code. Raises UsageError."""
    if not is_date(date):
        raise UsageError(f"--date: '{date}' is not a date (YYYY-MM-DD)")
    edition = recognition.edition_on(date)
    wanted = require_rows("--row", recognition, row) if row is not None else None
    rows = [each for each in edition.rows if wanted is None or each.ref in wanted]
    if wanted is not None and not rows:
        raise UsageError(f"--row: no row {row} is in force on {date}")
    if output == "json":
        for listed in rows:
            content = {
                "batch": listed.batch,
                **listed.row.model_dump(mode="json"),
                "unresolved": listed.row.unresolved(),
            }
            write_json(content)
        return 0
    console = Terminal(wrap=True)
    # A table of seven columns takes its room; where there is less, and in a pipe, each row is a paragraph.
    if console.is_terminal and console.width >= _TABLE_WIDTH:
        console.print(_table(rows, date))
    else:
        for line in _paragraphs(rows, date):
            console.print(line, soft_wrap=not console.is_terminal)
    unresolved = [listed.ref for listed in rows if listed.row.unresolved()]
    console.print(
        f"{_count(rows, edition)} in force on {date}; list digest {recognition.digest}, "
        f"edition of {edition.since} with digest {edition.digest}", soft_wrap=True,
    )  # fmt: skip
    if unresolved:
        numbers = ", ".join(map(str, unresolved))
        console.print(
            f"Rows with cells marked 〔推断〕 inferred or 〔缺失〕 missing let no event through by them: {numbers}",
            soft_wrap=True,
        )
    return 0


def _count(rows: list[ListedRow], edition: Edition) -> str:
    total = count_of(len(edition.rows), "row")
    return total if len(rows) == len(edition.rows) else f"{len(rows)} of {total}"


def _table(rows: list[ListedRow], date: str) -> Table:
    table = Table(title=_title(date), show_lines=True)
    for heading in ("#", *_HEADINGS):
        table.add_column(heading, overflow="fold")
    for listed in rows:
        table.add_row(str(listed.ref), *map(several_lines, _cells(listed)))
    return table


def _paragraphs(rows: list[ListedRow], date: str) -> Iterable[str]:
    """Yield the lines of the rows, each cell on lines of its own under its heading."""
    yield _title(date)
    for listed in rows:
        name, *others = _cells(listed)
        yield ""
        yield f"{listed.ref}  {'、'.join(name)}"
        for heading, cell in zip(_HEADINGS[1:], others, strict=True):
            first, *more = cell
            yield f"  {heading}  {first}"
            yield from (f"  {' ' * cell_len(heading)}  {line}" for line in more)


def _title(date: str) -> str:
    return f"亮证互认实施清单 · {date}"


def _cells(listed: ListedRow) -> list[list[str]]:
    """Return the row's cells, each as its lines."""
    row = listed.row
    scenarios = [f"{each.code} {each.text}" for each in row.scenarios.value or ()]
    return [
        [_mark(row.certificate, [row.certificate.value or ""])],
        _sides(row.issuers),
        [_mark(row.channels, row.channels.value or ())],
        _mark_last(row.scenarios, scenarios),
        _mark_last(row.matters, row.matters.value or ([] if row.matters.provenance is Provenance.MISSING else ["—"])),
        _sides(row.scope),
    ]


def _sides(sides: Sides[Any]) -> list[str]:
    parts = []
    for province in Province:
        cell = sides.of(province)
        value = cell.value or ()
        words = [value.text] if hasattr(value, "text") else value
        parts.append(f"{province.chinese}：{_mark(cell, words)}")
    return parts


def _mark(cell: Cell[Any], words: Iterable[str]) -> str:
    return "、".join(words) + _MARK[cell.provenance]


def _mark_last(cell: Cell[Any], words: Iterable[str]) -> list[str]:
    """Return the words, one per line, the last one with the mark; none where there is nothing to show."""
    *first, last = [*words] or [""]
    lines = [*first, last + _MARK[cell.provenance]]
    return lines if any(lines) else []


def validate_list(folder: Path, output: Literal["text", "json"]) -> int:
    """Load the list and say what is in it; returns the exit code. Raises RecognitionListError with every
    mistake."""
    recognition = load_recognition(folder)
    console = Terminal(err=True)
    for edition in recognition.editions:
        cells = sum(len(listed.row.unresolved()) for listed in edition.rows)
        if output == "json":
            about = {
                "since": edition.since,
                "rows": len(edition.rows),
                "unresolved_cells": cells,
                "digest": edition.digest,
                "list_digest": recognition.digest,
            }
            write_json(about)
            continue
        console.print(
            f"{folder}: valid; from {edition.since}: {count_of(len(edition.rows), 'row')}, "
            f"{count_of(cells, 'unresolved cell')}, "
            f"edition digest {edition.digest}"
        )
    if output == "text":
        console.print(f"{folder}: list digest {recognition.digest}")
    if others := other_files(folder):
        console.print(f"{folder}: not read, as list files end with .yaml: {', '.join(others)}")
    return 0
