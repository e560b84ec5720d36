"""Displays of a day that passed and that were refused, by row and area, each counted once. Pure."""

from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

from gateway.core.decision import Outcome
from gateway.core.recognition import RowRef
from gateway.feedback.days import REDRIVEN, Day


@dataclass(frozen=True, slots=True)
class Flow:
    """Displays (亮证): how many, how many recognised (通过) and refused (退回). Repetitions are none."""

    recognised: int = 0
    refused: int = 0

    @property
    def shown(self) -> int:
        """All of them."""
        return self.recognised + self.refused

    def __add__(self, other: "Flow") -> "Flow":
        return Flow(self.recognised + other.recognised, self.refused + other.refused)


class Cell(NamedTuple):
    """What displays are counted by: the row of the list, None where none applies; and the area, "" where it
    is not known."""

    row: RowRef | None
    area: str


def flows_of(day: Day) -> dict[Cell, Flow]:
    """Return the displays of ``day``; each is in one cell, so that whatever cells are put together add up.

    A display that was refused and then passed by a redrive is recognised, and refused no longer. It may have
    been refused under no row (the list had none then), or with no place read: where its own cell has no
    refusal left, that is looked for under no row of its area, then under another row, then at no place.
    What had been a dead letter was refused nowhere.
    """
    recognised, refused, redriven = Counter[Cell](), Counter[Cell](), Counter[Cell]()
    of_outcome = {Outcome.FORWARD.value: recognised, Outcome.REJECT.value: refused, REDRIVEN: redriven}
    for place, count in day.places.items():
        if (counts := of_outcome.get(place.outcome)) is not None:
            counts[Cell(place.row, place.area)] += count
    for find in (_same, _under_no_row, _in_same_area, _without_place):
        for cell in redriven:
            for other in [each for each in refused if find(cell, each)]:
                taken = min(redriven[cell], refused[other])
                redriven[cell] -= taken
                refused[other] -= taken
                recognised[cell] += taken
    recognised.update(redriven)
    return {cell: Flow(recognised[cell], refused[cell]) for cell in recognised.keys() | refused.keys()}


def _same(cell: Cell, other: Cell) -> bool:
    return cell == other


def _under_no_row(cell: Cell, other: Cell) -> bool:
    return other == (None, cell.area)


def _in_same_area(cell: Cell, other: Cell) -> bool:
    return cell.area == other.area


def _without_place(_: Cell, other: Cell) -> bool:
    return not other.area
