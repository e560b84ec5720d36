"""What two recognition lists differ in: editions, rows, cells, and the words that are accepted or no longer.
Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gateway.core.names import normalise, normalise_certificate
from gateway.core.province import Province
from gateway.core.recognition import Edition, Recognition, Row, RowRef
from gateway.core.recognition.document import Cell, UnitRule
from gateway.core.recognition.editions import ListedRow

CELLS: dict[str, tuple[str, str]] = {
    "certificate": ("电子证照名称", "certificate"),
    "issuers.sichuan": ("签发单位·四川", "issuers, Sichuan"),
    "issuers.chongqing": ("签发单位·重庆", "issuers, Chongqing"),
    "channels": ("亮证渠道", "channels"),
    "scenarios": ("应用场景", "scenarios"),
    "matters": ("涉及“川渝通办”事项", "matters"),
    "scope.sichuan": ("试点范围·四川", "pilot area, Sichuan"),
    "scope.chongqing": ("试点范围·重庆", "pilot area, Chongqing"),
    "effective_from": ("生效日期", "effective from"),
    "effective_until": ("失效日期", "effective until"),
}
"""A row's cells and its own dates, by the names that the files give them: in Chinese, in English."""

_WHOLE = ("whole",)
"""What the area of a whole province or city is compared as."""


class EditionChange(NamedTuple):
    """A day from which on the two lists are not the same: the digests of what begins there, None where
    nothing does."""

    since: str
    before: str | None
    after: str | None


class RuleChange(NamedTuple):
    """A rule over unit names (such as 公证机构) that differs in a batch; None where there is none."""

    batch: int
    name: str
    before: UnitRule | None
    after: UnitRule | None


class CellChange(NamedTuple):
    """A cell, or a date of the row's own, before and after; None for a row that is not there."""

    name: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class RowChange:
    """A row that differs.

    ``gains`` and ``loses``: by cell, the words accepted only after, or only before; a cell that is not read
    accepts none. ``opens`` and ``closes``: the issuing provinces whose certificates can pass by this row
    only after, or only before.
    """

    ref: RowRef
    certificate: str | None
    kind: str  # added | removed | changed
    cells: tuple[CellChange, ...]
    gains: dict[str, tuple[str, ...]] = field(default_factory=dict)
    loses: dict[str, tuple[str, ...]] = field(default_factory=dict)
    opens: tuple[Province, ...] = ()
    closes: tuple[Province, ...] = ()


@dataclass(frozen=True, slots=True)
class ListChanges:
    """What two lists differ in: over all time, and on ``date`` (YYYY-MM-DD, UTC+8), ``before`` and ``after``
    being digests."""

    date: str
    before: str
    after: str
    editions: tuple[EditionChange, ...]
    rules: tuple[RuleChange, ...]
    rows: tuple[RowChange, ...]

    @property
    def are_equal(self) -> bool:
        """Whether the lists say the same on every day."""
        return not self.editions


def compare(before: Recognition, after: Recognition, date: str) -> ListChanges:
    """Return what ``after`` says otherwise than ``before``: which editions, and, cell by cell, those in
    force on ``date``."""
    old, new = before.edition_on(date), after.edition_on(date)
    return ListChanges(
        date, old.digest, new.digest, tuple(_compare_editions(before.editions, after.editions)),
        tuple(_compare_rules(old, new)), tuple(_compare_rows(old, new)),
    )  # fmt: skip


def _compare_editions(before: Iterable[Edition], after: Iterable[Edition]) -> Iterable[EditionChange]:
    old, new = ({edition.since: edition.digest for edition in editions} for editions in (before, after))
    for since in sorted(old.keys() | new.keys()):
        if old.get(since) != new.get(since):
            yield EditionChange(since, old.get(since), new.get(since))


def _compare_rules(before: Edition, after: Edition) -> Iterable[RuleChange]:
    old, new = (
        {(row.batch, name): rule for row in edition.rows for name, rule in row.rules.items()}
        for edition in (before, after)
    )
    for key in sorted(old.keys() | new.keys()):
        if old.get(key) != new.get(key):
            yield RuleChange(*key, old.get(key), new.get(key))


def _compare_rows(before: Edition, after: Edition) -> Iterable[RowChange]:
    old, new = ({each.ref: each for each in edition.rows} for edition in (before, after))
    for key in sorted(old.keys() | new.keys()):
        change = compare_rows(old.get(key), new.get(key))
        if change is not None:
            yield change


def compare_rows(before: ListedRow | None, after: ListedRow | None) -> RowChange | None:
    """Return how one row has changed; None where it has not. One of the two may be missing."""
    listed = after or before
    old, new = before.row if before else None, after.row if after else None
    cells = [CellChange(name, _cell(old, name), _cell(new, name)) for name in CELLS]
    changed = tuple(cell for cell in cells if cell.before != cell.after)
    if listed is None or not changed:
        return None
    kind = "changed" if old and new else "added" if new else "removed"
    passed, passes = _passing(old), _passing(new)
    return RowChange(
        listed.ref, listed.row.certificate.value, kind, changed,
        gains=_more(new, old), loses=_more(old, new),
        opens=tuple(each for each in passes if each not in passed),
        closes=tuple(each for each in passed if each not in passes),
    )  # fmt: skip


def _cell(row: Row | None, name: str) -> dict[str, Any] | None:
    """Return the cell's content as plain values, without what is not set."""
    if row is None:
        return None
    if name in Row.CELLS:
        content = row.cell(name).model_dump(mode="json", exclude_none=True)
    else:
        date = getattr(row, name)
        content = {"value": date.isoformat()} if date else {}
    return content or None


def _passing(row: Row | None) -> tuple[Province, ...]:
    """Return the provinces whose certificates can pass by ``row``: those for which all cells that are needed
    are resolved."""
    return tuple(
        province for province in Province if row and all(row.cell(name).resolved for name in _needed(province))
    )


def _needed(province: Province) -> tuple[str, ...]:
    return ("certificate", f"issuers.{province.value}", "channels", "scenarios", f"scope.{province.other.value}")


def _more(row: Row | None, other: Row | None) -> dict[str, tuple[str, ...]]:
    """Return, by cell, the words that ``row`` accepts and ``other`` does not."""
    result = {}
    for name in Row.CELLS:
        accepted, known = (_accepted(name, each.cell(name)) if each else {} for each in (row, other))
        if _WHOLE in known:
            continue  # whatever its place is within it
        if more := tuple(words for key, words in accepted.items() if key not in known):
            result[name] = more
    return result


def _accepted(name: str, cell: Cell[Any]) -> Mapping[object, str]:
    """Return the words that a cell accepts, by what they are compared as; none where it is not resolved."""
    value: Any = cell.value if cell.resolved else None
    if value is None:
        return {}
    if name == "certificate":
        return {normalise_certificate(word): word for word in (value, *getattr(cell, "aliases", ()))}
    if name == "scenarios":
        return {
            (each.code, normalise(word)): f"{each.code} {word}" for each in value for word in (each.text, *each.aliases)
        }
    if name.startswith("scope."):
        units = value.units or ()
        # The words for a whole province may change without its area changing.
        return (
            {normalise(unit): unit for unit in units}
            if units
            else {("rule", value.rule) if value.rule else _WHOLE: value.text}
        )
    return {normalise(word): word for word in value}
