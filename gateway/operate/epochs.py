"""The epochs of a lane: of which of them the log that stands there now still holds the inputs."""

from dataclasses import dataclass, field

NOWHERE = 2**63
"""Beyond every offset."""


@dataclass(slots=True)
class Epochs:
    """Where each epoch of a lane begins, by its entries; what came before that is still the log of the one
    before it."""

    _begins: dict[int, int] = field(default_factory=dict)

    def note(self, epoch: int, first_offset: int) -> None:
        """Take note of a turn's entry."""
        self._begins[epoch] = min(self._begins.get(epoch, first_offset), first_offset)

    def end_of(self, epoch: int) -> int:
        """Return the offset from which on the log is no longer the one that ``epoch`` speaks of."""
        return min((begin for later, begin in self._begins.items() if later > epoch), default=NOWHERE)
