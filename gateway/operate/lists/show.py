"""``gateway list``: the recognition list for people and for programs, with what is unresolved."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from gateway.adapters.list_files import load_recognition
from gateway.core.province import Province
from gateway.core.recognition import Provenance, Recognition
from gateway.core.recognition.document import Cell, Sides
from gateway.core.recognition.editions import ListedRow
from gateway.core.times import is_date
from gateway.errors import UsageError
from gateway.operate.rows import require_rows

_MARK = {Provenance.READ: "", Provenance.INFERRED: "〔推断〕", Provenance.MISSING: "〔缺失〕"}


def show_list(recognition: Recognition, date: str, row: str | None, output: Literal["text", "json"]) -> int:
    """Print the rows in force on ``date`` (YYYY-MM-DD, UTC+8); returns the exit code. Raises UsageError."""
    if not is_date(date):
        raise UsageError(f"--date: {date} is no calendar date, YYYY-MM-DD")
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
            sys.stdout.write(json.dumps(content, ensure_ascii=False) + "\n")
        return 0
    console = Console()
    console.print(_table(rows, date))
    unresolved = [listed.ref for listed in rows if listed.row.unresolved()]
    console.print(f"{len(rows)} rows in force on {date}; list digest {edition.digest}", highlight=False, soft_wrap=True)
    if unresolved:
        numbers = ", ".join(map(str, unresolved))
        console.print(
            f"Rows with cells marked 〔推断〕 inferred or 〔缺失〕 missing let no event through by them: {numbers}",
            soft_wrap=True,
        )
    return 0


def _table(rows: list[ListedRow], date: str) -> Table:
    table = Table(title=f"亮证互认实施清单 · {date}", show_lines=True)
    for heading in ("#", "电子证照名称", "签发单位", "亮证渠道", "应用场景", "川渝通办事项", "试点范围"):
        table.add_column(heading, overflow="fold")
    for listed in rows:
        row = listed.row
        scenarios = [f"{each.code} {each.text}" for each in row.scenarios.value or ()]
        table.add_row(
            str(listed.ref),
            _mark(row.certificate, [row.certificate.value or ""]),
            _sides(row.issuers),
            _mark(row.channels, row.channels.value or ()),
            _mark(row.scenarios, scenarios, "\n"),
            _mark(row.matters, row.matters.value or (), "\n") or "—",
            _sides(row.scope),
        )
    return table


def _sides(sides: Sides[Any]) -> str:
    parts = []
    for province in Province:
        cell = sides.of(province)
        value = cell.value or ()
        words = [value.text] if hasattr(value, "text") else value
        parts.append(f"{province.chinese}：{_mark(cell, words)}")
    return "\n".join(parts)


def _mark(cell: Cell[Any], words: Iterable[str], separator: str = "、") -> str:
    return separator.join(words) + _MARK[cell.provenance]


def validate_list(folder: Path, output: Literal["text", "json"]) -> int:
    """Load the list and say what is in it; returns the exit code. Raises RecognitionListError with every mistake."""
    recognition = load_recognition(folder)
    console = Console(stderr=True)
    for edition in recognition.editions:
        cells = sum(len(listed.row.unresolved()) for listed in edition.rows)
        if output == "json":
            told = {
                "since": edition.since,
                "rows": len(edition.rows),
                "unresolved_cells": cells,
                "digest": edition.digest,
            }
            sys.stdout.write(json.dumps(told) + "\n")
            continue
        console.print(
            f"{folder}: valid; from {edition.since}: {len(edition.rows)} rows, {cells} unresolved cells, {edition.digest}",
            highlight=False, soft_wrap=True,
        )  # fmt: skip
    return 0
