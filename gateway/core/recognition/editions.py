"""Editions: what the documents say together, from each day on which that changes."""

import datetime
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic import ValidationError

from gateway.core.digest import canonical, sha256
from gateway.core.mistakes import words_of
from gateway.core.recognition.document import Amendment, Batch, CellChange, Row, Source, UnitRule, check_rules
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
    """The rows in force from ``since`` (YYYY-MM-DD, UTC+8) until the next edition, and the digest of all
    they say.

    ``documents`` are those that they follow from: batches, then amendments.
    """

    since: str
    rows: tuple[ListedRow, ...]
    digest: str
    documents: tuple[Source, ...] = ()


def compile_editions(
    batches: Iterable[tuple[str, Batch]], amendments: Iterable[tuple[str, Amendment]]
) -> list[Edition]:
    """Compile the editions that follow from the documents, oldest first; before the first one no list is in
    force.

    Each document comes with its file's name, for messages. Raises RecognitionListError naming file, row and
    cell.
    """
    batches, amendments = list(batches), sorted(amendments, key=lambda pair: (pair[1].effective_from, pair[0]))
    problems = [*_repeated_batches(batches)]
    by_number = {batch.batch: batch for _, batch in batches}
    for file, amendment in amendments:
        problems += _conflicts(file, amendment, by_number, amendments)
    problems += _contradictions(amendments)
    if problems:
        raise RecognitionListError(problems)
    days = sorted(_boundaries([batch for _, batch in batches], [amendment for _, amendment in amendments]))
    editions = []
    for day in days:
        rows: list[ListedRow] = []
        for batch in sorted(by_number.values(), key=lambda each: each.batch):
            rows += _rows_on(day, batch, [each for _, each in amendments if each.amends == batch.batch])
        in_use = {listed.batch for listed in rows}
        documents = [batch.document for batch in by_number.values() if batch.batch in in_use]
        documents += [each.document for _, each in amendments if each.amends in in_use and _covers(each, day)]
        editions.append(Edition(day.isoformat(), tuple(rows), _digest(rows), tuple(documents)))
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


def _conflicts(
    file: str, amendment: Amendment, batches: dict[int, Batch], amendments: list[tuple[str, Amendment]]
) -> Iterable[str]:
    number = amendment.amends
    batch = batches.get(number)
    if batch is None:
        yield f"{file}: amends: there is no batch {number}"
        return
    if amendment.effective_from < batch.effective_from:
        yield f"{file}: effective_from: lies before that of batch {number}"
    rules, where = batch.rules | amendment.rules, f"in this file or in batch {number}"
    rows = {row.row: row for row in batch.rows}
    for row in amendment.add:
        place = f"{file}: row {row.row}"
        if row.row in rows:
            yield f"{place}: add: batch {number} has this row already; change its cells by `set`"
        if row.effective_from and row.effective_from < amendment.effective_from:
            yield f"{place}: effective_from: lies before that of the amendment that adds it"
        yield from (f"{place}: {problem}" for problem in _rule_problems(row, rules, where))
    added: dict[int, tuple[str, datetime.date]] = {}
    for other_file, other in amendments:
        for row in other.add if other.amends == number else ():
            rows.setdefault(row.row, row)
            added.setdefault(row.row, (other_file, other.effective_from))
    for change in amendment.set:
        place = f"{file}: row {change.row}: {change.cell}"
        if change.row not in rows:
            yield f"{place}: batch {number} has no such row; to add one, write it under `add`"
            continue
        adding_file, since = added.get(change.row, (file, amendment.effective_from))
        if since > amendment.effective_from:
            yield f"{place}: {adding_file} adds the row from {since} on only"
            continue
        try:
            row = _changed(rows[change.row], change, amendment)
        except ValidationError as error:
            yield from (f"{place}: {problem}" for problem in _sentences(error))
        else:
            yield from (f"{place}: {problem}" for problem in _rule_problems(row, rules, where))


def _rule_problems(row: Row, rules: dict[str, UnitRule], where: str) -> Iterable[str]:
    try:
        check_rules(row, rules, where)
    except ValueError as error:
        yield str(error)


def _sentences(error: ValidationError) -> Iterable[str]:
    for problem in error.errors(include_url=False):
        cell = ".".join(str(step) for step in problem["loc"])
        yield ": ".join(part for part in (cell, words_of(problem)) if part)


def _contradictions(amendments: list[tuple[str, Amendment]]) -> Iterable[str]:
    """Report what two amendments say from the same day on: which one holds must not depend on a file's
    name."""
    cells: dict[tuple[object, ...], str] = {}
    rows: dict[tuple[int, int], str] = {}
    rules: dict[tuple[object, ...], tuple[str, UnitRule]] = {}
    for file, amendment in amendments:
        batch, day = amendment.amends, amendment.effective_from
        for row in amendment.add:
            if other := rows.get((batch, row.row)):
                yield f"{file}: row {row.row}: add: {other} adds this row too; change its cells by `set`"
            rows.setdefault((batch, row.row), file)
            cells |= {(batch, day, row.row, name): file for name in Row.CELLS}
    for file, amendment in amendments:
        batch, day = amendment.amends, amendment.effective_from
        for change in amendment.set:
            cell = (batch, day, change.row, change.cell)
            if cell in cells:
                other = "it twice" if cells[cell] == file else f"what {cells[cell]} sets too"
                yield f"{file}: row {change.row}: {change.cell}: sets {other}, from {day} on"
            cells.setdefault(cell, file)
        for name, rule in amendment.rules.items():
            known_file, known = rules.setdefault((batch, day, name), (file, rule))
            if known != rule:
                yield f"{file}: rules: {name}: {known_file} defines it in another way, from {day} on too"


def _boundaries(batches: list[Batch], amendments: list[Amendment]) -> set[datetime.date]:
    added = [row for amendment in amendments for row in amendment.add]
    dated: list[Batch | Amendment | Row] = [*batches, *amendments, *added]
    dated += [row for batch in batches for row in batch.rows]
    first = {item.effective_from for item in dated}
    last = {item.effective_until for item in dated}
    # There is no day after 9999-12-31, which stands for no end.
    return {day for day in first if day} | {day + _DAY for day in last if day and day < datetime.date.max}


def _rows_on(day: datetime.date, batch: Batch, amendments: list[Amendment]) -> Iterable[ListedRow]:
    in_force = [amendment for amendment in amendments if _covers(amendment, day)]
    rules = dict(batch.rules)
    for amendment in in_force:
        rules |= amendment.rules
    rows: list[tuple[Row, Batch | Amendment]] = [(row, batch) for row in batch.rows]
    rows += [(_added(row, amendment), amendment) for amendment in in_force for row in amendment.add]
    for row, document in sorted(rows, key=lambda pair: pair[0].row):
        since = row.effective_from or document.effective_from
        until = row.effective_until or document.effective_until
        if since <= day and (until is None or day <= until):
            yield ListedRow(batch.batch, _amended(row, in_force), rules)


def _added(row: Row, amendment: Amendment) -> Row:
    """Return the row with the amendment's document named in each cell, as where a cell is set."""
    content: dict[str, Any] = row.model_dump()
    for name in Row.CELLS:
        column, _, side = name.partition(".")
        cell = content[column][side] if side else content[column]
        cell["document"] = cell["document"] or amendment.document.number
    return Row.model_validate(content)


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
