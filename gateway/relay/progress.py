"""How a lane stands: whether it gets on, and if not, why and since when."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

STUCK_S = 60.0
"""For so long a lane may have something to do and get nowhere before it counts as stuck."""
_FRESH_S = 15.0
"""For so long the end of a log holds that the last answer to a fetch gave; one is asked for twice a
second."""


class LaneState(StrEnum):
    """What a lane is doing."""

    OPENING = "opening"
    OPEN = "open"
    WAITING = "waiting"
    """It failed, and tries again; or has been open and got nowhere for a minute."""


@dataclass(slots=True)
class Progress:
    """How a lane stands, by what it reports here. ``clock`` in seconds.

    A lane that failed is ``WAITING`` until it gets on, however often it opens again: it commits a turn, or
    reaches the end of its log and so has nothing to do. ``cause`` is the class of the last error since then,
    or what else it waits for; empty where it waits for nothing.
    """

    clock: Callable[[], float] = time.monotonic
    _is_open: bool = False
    _waits_for: str = ""
    _error: str = ""
    _reading: str = ""
    _got_on: float = 0.0

    def __post_init__(self) -> None:
        self._got_on = self.clock()

    @property
    def stalled_s(self) -> float:
        """How long ago the lane last got on; since its start, where it never did."""
        return self.clock() - self._got_on

    @property
    def state(self) -> LaneState:
        """What the lane is doing."""
        if self._error or self._waits_for:
            return LaneState.WAITING
        if not self._is_open:
            return LaneState.OPENING
        return LaneState.WAITING if self.stalled_s >= STUCK_S else LaneState.OPEN

    @property
    def cause(self) -> str:
        """Why the lane does not get on: one of a few words, or an error's class; empty where it does."""
        return self._waits_for or self._error or ("Opening" if not self._is_open else self._reading)

    def start(self) -> None:
        """Note that the lane begins, or begins again after a rebalance, which ends no trouble."""
        self._is_open, self._waits_for, self._reading = False, "", ""
        if not self._error:
            self._got_on = self.clock()

    def opened(self) -> None:
        """Note that the lane takes turns."""
        self._is_open, self._waits_for = True, ""

    def waits(self, cause: str) -> None:
        """Note that the lane cannot open yet, for a ``cause`` of docs/opening.md."""
        self._waits_for = cause

    def failed(self, error: BaseException) -> None:
        """Note that the lane closes for ``error``."""
        self._is_open, self._waits_for, self._error = False, "", type(error).__name__

    def got_on(self) -> None:
        """Note that a turn was committed, or that there is nothing to do."""
        self._error, self._reading, self._got_on = "", "", self.clock()

    def found_nothing(self, position: int, stable: int | None, end: int | None, age_s: float | None) -> None:
        """Note that there was nothing to read at ``position``.

        ``stable`` is the last stable offset and ``end`` the log's end, as a fetch found them ``age_s``
        seconds ago; None where none was answered yet.
        """
        if stable is None or end is None or age_s is None or age_s > _FRESH_S:
            self._reading = "NothingFetched"
        elif position >= end:
            self.got_on()
        elif position >= stable:
            self._reading = "OpenTransaction"
        else:
            self._reading = "NothingFetched"
