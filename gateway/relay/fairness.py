"""Fairness between lanes: those that are full of garbage must not keep their neighbours waiting.

Lanes share one event loop, and a turn decides its records in one go. Garbage can cost many times what an
ordinary event does (what a withheld dead letter might name is searched in several encodings; a rejection
names up to a hundred fields). So a turn of garbage is short, and no two of them are beside each other in a
worker.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from gateway.core.decision import Outcome
from gateway.core.reasons import Code
from gateway.relay.turn import Turn

GARBAGE_TURN_S = 0.01
"""For so long a turn of garbage may hold the event loop: a fraction of a full turn of ordinary events."""
FIRST_LIMIT = 100
"""Records of a lane's first turn, before it is known what they are; a full turn of the costliest garbage
takes a second."""
_MOST_WAIT_S = 1.0


def next_limit(limit: int, turn: Turn, deciding_s: float, most: int) -> int:
    """Return the limit of the lane's next turn, after ``turn`` of up to ``limit`` records took
    ``deciding_s``.

    Twice as many as before up to ``most``; after a turn of garbage for the greater part, as many as fit into
    GARBAGE_TURN_S.
    """
    if not is_garbage(turn):
        return min(limit * 2, most)
    fitting = int(sum(turn.counts.values()) * GARBAGE_TURN_S / max(deciding_s, 1e-6))
    return max(1, min(fitting, limit * 2, most))


def is_garbage(turn: Turn) -> bool:
    """Tell whether the greater part of ``turn`` was no event that could be read and keeps the schema."""
    records = garbage = 0
    for facets, count in turn.counts.items():
        records += count
        if facets.outcome == Outcome.DEAD_LETTER or facets.reason == Code.INVALID_EVENT:
            garbage += count
    return 2 * garbage > records


class Gate:
    """Lets the lanes of a worker take turns of garbage one after the other, however many lanes are full of
    it."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def passing(self, *, garbage: bool) -> AsyncIterator[None]:
        """Guard a turn: one of ``garbage`` waits for another such one to end, unless that takes strangely
        long."""
        entered = False
        if garbage:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_MOST_WAIT_S):  # one lane's trouble with the broker is not the others'
                    entered = await self._lock.acquire()
        try:
            yield
        finally:
            if entered:
                self._lock.release()
