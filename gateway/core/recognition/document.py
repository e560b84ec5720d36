"""The published list as it stands in its files: batches, amendments, rows, cells and where each cell comes
from."""

import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Generic, Literal, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from gateway.core.names import normalise, normalise_certificate
from gateway.core.province import Province
from gateway.core.times import is_date


def _require_date(value: object) -> object:
    """Refuse what pydantic would also take for a date: numbers as seconds, times of day, other spellings."""
    if isinstance(value, str) and not is_date(value):
        raise ValueError(f"{value} is not a date (YYYY-MM-DD)")
    if not isinstance(value, str | datetime.date) or isinstance(value, datetime.datetime):
        raise ValueError("not a date (YYYY-MM-DD)")  # noqa: TRY004 — pydantic reports a ValueError only
    return value


Day = Annotated[datetime.date, BeforeValidator(_require_date)]
Number = Annotated[int, Field(strict=True, ge=1)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=500, strip_whitespace=True)]
T = TypeVar("T")


class Provenance(StrEnum):
    """How a cell's value is known. Only ``read`` lets an event through."""

    READ = "read"  # stands in the document
    INFERRED = "inferred"  # likely, but the document's own words are damaged
    MISSING = "missing"  # lost


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Cell(_Closed, Generic[T]):
    """One cell of the table: its value, and where that comes from."""

    provenance: Provenance
    value: T | None = None
    note: Text | None = Field(None, description="Why the cell is not read, or a remark on its reading.")
    document: Text | None = Field(None, description="Number of the amendment that set the cell.")

    @model_validator(mode="after")
    def _value_fits_provenance(self) -> Self:
        if (self.provenance is Provenance.MISSING) != (self.value is None):
            raise ValueError("a missing cell has no value, a read or inferred one has")
        return self

    @property
    def resolved(self) -> bool:
        """Whether a check may rely on this cell."""
        return self.provenance is Provenance.READ


class CertificateCell(Cell[Text]):
    """The certificate's name (电子证照名称), and words it is commonly shortened to."""

    aliases: tuple[Text, ...] = ()


class Sides(_Closed, Generic[T]):
    """A column that is split in two: Sichuan's part and Chongqing's."""

    sichuan: Cell[T]
    chongqing: Cell[T]

    def of(self, province: Province) -> Cell[T]:
        """Return the part of ``province``."""
        return self.sichuan if province is Province.SICHUAN else self.chongqing


class Scenario(_Closed):
    """One scenario (应用场景) of a row's cell."""

    code: Annotated[str, StringConstraints(pattern=r"^[0-9]{2}-[1-9][0-9]*$")]
    text: Text
    aliases: tuple[Text, ...] = ()


class Scope(_Closed):
    """One side's pilot scope (试点范围): the whole province or city, named units, or a rule over unit
    names."""

    text: Text = Field(description="The cell's own words.")
    whole: Literal[True] | None = None
    units: tuple[Text, ...] | None = Field(None, min_length=1)
    rule: Text | None = Field(None, description="Name of a rule of the same file.")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if sum(kind is not None for kind in (self.whole, self.units, self.rule)) != 1:
            raise ValueError("a scope is exactly one of whole: true, units: […], rule: name")
        return self


class UnitRule(_Closed):
    """Which units a scope like 各级公证机构 means: by what their names contain and how they end."""

    description: Text
    contains: tuple[Text, ...] = Field((), description="All of these stand in the name.")
    ends_with: tuple[Text, ...] = Field(min_length=1, description="The name ends with one of these.")

    def admits(self, unit: str) -> bool:
        """Tell whether the unit of this name is meant."""
        name = normalise(unit)
        return all(part in name for part in self.contains) and name.endswith(self.ends_with)


class Row(_Closed):
    """One row of the table, 1-based as printed; its dates are the document's unless it has its own."""

    row: Annotated[Number, Field(le=9999)]
    certificate: CertificateCell
    issuers: Sides[tuple[Text, ...]]
    channels: Cell[tuple[Text, ...]]
    scenarios: Cell[tuple[Scenario, ...]]
    matters: Cell[tuple[Text, ...]]
    scope: Sides[Scope]
    effective_from: Day | None = None
    effective_until: Day | None = None

    CELLS: ClassVar[tuple[str, ...]] = (
        "certificate", "issuers.sichuan", "issuers.chongqing", "channels", "scenarios", "matters",
        "scope.sichuan", "scope.chongqing",
    )  # fmt: skip

    @model_validator(mode="after")
    def _scenarios_are_consistent(self) -> Self:
        owners: dict[str, str] = {}
        for position, scenario in enumerate(self.scenarios.value or (), start=1):
            if scenario.code != f"{self.row:02d}-{position}":
                raise ValueError(f"scenarios: code {scenario.code} stands where {self.row:02d}-{position} belongs")
            for words in (scenario.text, *scenario.aliases):
                if owners.setdefault(normalise(words), scenario.code) != scenario.code:
                    raise ValueError(f"scenarios: {words} names two scenarios of the row")
        return self

    @model_validator(mode="after")
    def _dates_in_order(self) -> Self:
        require_order(self.effective_from, self.effective_until)
        return self

    def cell(self, name: str) -> Cell[Any]:
        """Return the cell called ``name``, one of ``CELLS``."""
        column, _, side = name.partition(".")
        part = getattr(self, column)
        return part.of(Province(side)) if side else part  # type: ignore[no-any-return]

    def unresolved(self) -> list[str]:
        """Return the names of the cells that no check may rely on."""
        return [name for name in self.CELLS if not self.cell(name).resolved]

    def names(self) -> set[str]:
        """Return the certificate's name and aliases as they are compared; empty where the name is lost."""
        words = (self.certificate.value, *self.certificate.aliases) if self.certificate.value else ()
        return {normalise_certificate(word) for word in words}


class Source(_Closed):
    """The published document that a file was read from."""

    number: Text
    title: Text
    issued_by: tuple[Text, ...] = Field(min_length=1)
    signed: Day
    published: Day | None = None


class _InForce(_Closed):
    document: Source
    effective_from: Day
    effective_until: Day | None = None
    rules: dict[Text, UnitRule] = {}

    @model_validator(mode="after")
    def _dates_in_order(self) -> Self:
        require_order(self.effective_from, self.effective_until)
        return self


class Batch(_InForce):
    """A published list (清单): its rows."""

    batch: Number
    rows: tuple[Row, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _rows_are_consistent(self) -> Self:
        require_rising("rows", self.rows)
        for row in self.rows:
            try:
                check_rules(row, self.rules, "in this file")
            except ValueError as error:
                raise ValueError(f"row {row.row}: {error}") from None
        return self


class CellChange(_Closed):
    """One cell that an amendment resolves or changes; the value is written as in a batch."""

    row: Number
    cell: Literal[
        "certificate", "issuers.sichuan", "issuers.chongqing", "channels", "scenarios", "matters",
        "scope.sichuan", "scope.chongqing",
    ]  # fmt: skip
    value: Any
    aliases: tuple[Text, ...] | None = None


class Amendment(_InForce):
    """A document that changes cells of a batch or adds rows to it from a date on; the batch's file is never
    edited."""

    amends: Annotated[Number, Field(description="Number of the batch.")]
    set: tuple[CellChange, ...] = ()
    add: tuple[Row, ...] = Field((), description="Rows that the document adds, written as in a batch.")

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if not self.set and not self.add:
            raise ValueError("changes nothing: give it `set` with cells, or `add` with rows")
        require_rising("add", self.add)
        return self


def require_order(first: datetime.date | None, last: datetime.date | None) -> None:
    """Raise ValueError where the last day lies before the first."""
    if first and last and last < first:
        raise ValueError("effective_until lies before effective_from")


def require_rising(name: str, rows: tuple[Row, ...]) -> None:
    """Raise ValueError where the rows' numbers do not rise."""
    numbers = [row.row for row in rows]
    if numbers != sorted({*numbers}):
        raise ValueError(f"{name}: the numbers must rise, each once")


def check_rules(row: Row, rules: dict[str, UnitRule], where: str) -> None:
    """Raise ValueError where a scope of ``row`` names a rule that is not in ``rules``; ``where`` says whose
    rules those are."""
    for province in Province:
        scope = row.scope.of(province).value
        if scope and scope.rule and scope.rule not in rules:
            raise ValueError(f"scope.{province.value}: no rule is called {scope.rule} {where}")
