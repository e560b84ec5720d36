"""Editions: what the documents say together, from each day on which that changes."""

import datetime
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic import ValidationError

from gateway.core.digest import canonical, sha256
from gateway.core.recognition.document import Amendment, Batch, CellChange, Row, UnitRule, check_rules
from gateway.errors import RecognitionListError

_DAY = datetime.timedelta(days=1)


class RowRef(NamedTuple):
    """Names a row of the list: the number of its batch, and its own number there. People read ``1/5``."""

    batch: int
    row: int

    def __str__(self) -> str:
        return f"{self.batch}/{self.row}"


@dataclass(frozen=True, slots=True, eq=False)
class ListedRow:
    """A row of a batch as it stands in an edition."""

    batch: int
    row: Row
    rules: dict[str, UnitRule]

    @property
    def ref(self) -> RowRef:
        """What names it."""
        return RowRef(self.batch, self.row.row)


@dataclass(frozen=True, slots=True, eq=False)
class Edition:
    """The rows in force from ``since`` (YYYY-MM-DD, UTC+8) until the next edition, and the digest of all they say."""

    since: str
    rows: tuple[ListedRow, ...]
    digest: str


def compile_editions(
    batches: Iterable[tuple[str, Batch]], amendments: Iterable[tuple[str, Amendment]]
) -> list[Edition]:
    """Compile the editions that follow from the documents, oldest first; before the first one no list is in force.

    Each document comes with its file's name, for messages. Raises RecognitionListError naming file, row and cell.
    """
    batches, amendments = list(batches), sorted(amendments, key=lambda pair: (pair[1].effective_from, pair[0]))
    problems = [*_repeated_batches(batches)]
    by_number = {batch.batch: batch for _, batch in batches}
    for file, amendment in amendments:
        problems += _misfits(file, amendment, by_number)
    problems += _settled_twice(amendments)
    if problems:
        raise RecognitionListError(problems)
    days = sorted(_boundaries([batch for _, batch in batches], [amendment for _, amendment in amendments]))
    editions = []
    for day in days:
        rows: list[ListedRow] = []
        for batch in sorted(by_number.values(), key=lambda each: each.batch):
            rows += _rows_on(day, batch, amendments)
        editions.append(Edition(since=day.isoformat(), rows=tuple(rows), digest=_digest(rows)))
    return editions


def edition_at(editions: Sequence[Edition], date: str) -> Edition | None:
    """Return the edition in force on ``date`` (YYYY-MM-DD, UTC+8); None before the first."""
    position = bisect_right(editions, date, key=lambda edition: edition.since)
    return editions[position - 1] if position else None


def _repeated_batches(batches: list[tuple[str, Batch]]) -> Iterable[str]:
    files: dict[int, str] = {}
    for file, batch in batches:
        if (other := files.setdefault(batch.batch, file)) != file:
            yield f"{file}: batch: {batch.batch} is the number of {other} too"


def _misfits(file: str, amendment: Amendment, batches: dict[int, Batch]) -> Iterable[str]:
    batch = batches.get(amendment.amends)
    if batch is None:
        yield f"{file}: amends: there is no batch {amendment.amends}"
        return
    if amendment.effective_from < batch.effective_from:
        yield f"{file}: effective_from: lies before that of batch {amendment.amends}"
    rows = {row.row: row for row in batch.rows}
    for change in amendment.set:
        place = f"{file}: row {change.row}: {change.cell}"
        if change.row not in rows:
            yield f"{place}: batch {amendment.amends} has no such row"
            continue
        try:
            check_rules(_changed(rows[change.row], change, amendment), batch.rules | amendment.rules)
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]
            yield f"{place}: {'.'.join(str(step) for step in problem['loc'])}: {problem['msg']}"
        except ValueError as error:
            yield f"{place}: {error}"


def _settled_twice(amendments: list[tuple[str, Amendment]]) -> Iterable[str]:
    """Report cells that two changes set from the same day on: which one holds must not depend on a file's name."""
    files: dict[tuple[object, ...], str] = {}
    for file, amendment in amendments:
        for change in amendment.set:
            cell = (amendment.amends, amendment.effective_from, change.row, change.cell)
            if cell in files:
                other = "it twice" if files[cell] == file else f"what {files[cell]} sets too"
                yield f"{file}: row {change.row}: {change.cell}: sets {other}, from {amendment.effective_from} on"
            files.setdefault(cell, file)


def _boundaries(batches: list[Batch], amendments: list[Amendment]) -> set[datetime.date]:
    dated: list[Batch | Amendment | Row] = [*batches, *amendments, *(row for batch in batches for row in batch.rows)]
    first = {item.effective_from for item in dated}
    last = {item.effective_until for item in dated}
    return {day for day in first if day} | {day + _DAY for day in last if day}


def _rows_on(day: datetime.date, batch: Batch, amendments: list[tuple[str, Amendment]]) -> Iterable[ListedRow]:
    in_force = [amendment for _, amendment in amendments if amendment.amends == batch.batch and _covers(amendment, day)]
    rules = dict(batch.rules)
    for amendment in in_force:
        rules |= amendment.rules
    for row in batch.rows:
        since = row.effective_from or batch.effective_from
        until = row.effective_until or batch.effective_until
        if since <= day and (until is None or day <= until):
            yield ListedRow(batch.batch, _amended(row, in_force), rules)


def _covers(amendment: Amendment, day: datetime.date) -> bool:
    return amendment.effective_from <= day and (amendment.effective_until is None or day <= amendment.effective_until)


def _amended(row: Row, amendments: list[Amendment]) -> Row:
    for amendment in amendments:
        for change in amendment.set:
            if change.row == row.row:
                row = _changed(row, change, amendment)
    return row


def _changed(row: Row, change: CellChange, amendment: Amendment) -> Row:
    content: dict[str, Any] = row.model_dump()
    cell: dict[str, Any] = {"provenance": "read", "value": change.value, "document": amendment.document.number}
    if change.aliases is not None:
        cell["aliases"] = change.aliases
    column, _, side = change.cell.partition(".")
    if side:
        content[column][side] = cell
    else:
        content[column] = cell
    return Row.model_validate(content)


def _digest(rows: list[ListedRow]) -> str:
    content = [
        {
            "batch": listed.batch,
            "row": listed.row.model_dump(mode="json"),
            "rules": {name: rule.model_dump(mode="json") for name, rule in sorted(listed.rules.items())},
        }
        for listed in rows
    ]
    return sha256(canonical(content))
