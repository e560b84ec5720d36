"""So that a flood of rejections cannot fill the log: a budget of lines for each kind, and a count of what
was withheld."""

import time
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple


class LineKind(NamedTuple):
    """What lines are budgeted by: the event name, the province that published, and the reason or error
    code."""

    event: str
    province: str
    code: str


class LogBudget:
    """Admits ``burst`` lines of a kind at once, and ``per_s`` a second after that; counts the others.

    Nothing is lost by it: every rejection is in its topic and on the ledger, whatever the log says.
    """

    def __init__(self, per_s: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_s, self._burst, self._clock = per_s, burst, clock
        self._left: dict[LineKind, tuple[float, float]] = {}
        self._withheld: Counter[LineKind] = Counter()

    def admits(self, kind: LineKind) -> bool:
        """Tell whether one more line of ``kind`` may be written now; if not, it is counted."""
        now = self._clock()
        left, since = self._left.get(kind, (float(self._burst), now))
        left = min(float(self._burst), left + (now - since) * self._per_s)
        if left < 1:
            self._left[kind] = left, now
            self._withheld[kind] += 1
            return False
        self._left[kind] = left - 1, now
        return True

    def take_withheld(self) -> Counter[LineKind]:
        """Return how many lines of each kind were withheld since the last call."""
        withheld, self._withheld = self._withheld, Counter()
        return withheld
