"""What a lane does after an error: says what it was, and how long to pause before the lane opens again."""

import time
from collections.abc import Awaitable, Callable

from aiokafka.errors import InvalidProducerIdMapping, ProducerFenced

from gateway.adapters.logs import describe_error
from gateway.contract.topics import LaneId
from gateway.relay.observer import Observer
from gateway.relay.progress import Progress

_FIRST_BACKOFF_S, _LAST_BACKOFF_S = 0.1, 5.0
_FIRST_INTERVAL_S, _LAST_INTERVAL_S = 1.0, 60.0
"""Between two lines about the same error of a lane."""

IsBrokerDown = Callable[[BaseException], Awaitable[bool]]
"""Tells whether an error is the whole worker's: its broker does not answer, and the worker says so."""


class Retries:
    """One lane's pauses, in seconds: longer each time, until it gets on.

    ``log`` writes a line of the lane's; ``session_s`` is the group's session timeout.
    """

    def __init__(
        self, lane: LaneId, progress: Progress, observer: Observer, log: Callable[..., None], session_s: float,
        is_broker_down: IsBrokerDown, clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._lane, self._progress, self._observer, self._log = lane, progress, observer, log
        self._session_s, self._is_broker_down, self._clock = session_s, is_broker_down, clock
        self._said: dict[str, str] | None = None
        self._due_s = self._interval_s = 0.0
        self._backoff_s = _FIRST_BACKOFF_S

    def got_on(self) -> None:
        """Note that a turn was committed."""
        self._backoff_s, self._said = _FIRST_BACKOFF_S, None
        self._progress.got_on()

    async def pause_after(self, error: BaseException) -> float:
        """Note and log that the lane closes for ``error``; return how many seconds it pauses."""
        self._progress.failed(error)
        if isinstance(error, ProducerFenced):
            # Another worker owns the partition, or did. It is not to be fenced back: if the lane is lost
            # the rebalance says so within a session; if it is still ours after that, we open again.
            self._log("lane.fenced", level="warning")
            self._observer.fenced(self._lane)
            return self._session_s
        if isinstance(error, InvalidProducerIdMapping):
            # No trouble: the broker forgets who has written nothing for a week
            # (transactional.id.expiration.ms). Opening again finds out whether another worker has had
            # the lane meanwhile.
            self._log("lane.forgotten")
            return _FIRST_BACKOFF_S
        pause_s = self._backoff_s
        self._backoff_s = min(pause_s * 2, _LAST_BACKOFF_S)
        if not await self._is_broker_down(error):
            self._say(describe_error(error), pause_s)
        return pause_s

    def _say(self, described: dict[str, str], pause_s: float) -> None:
        """Log the error; the same one again at growing intervals, as it is tried again every few seconds."""
        now = self._clock()
        if described != self._said:
            self._said, self._due_s, self._interval_s = described, now, _FIRST_INTERVAL_S
        if now < self._due_s:
            return
        self._log("lane.failed", level="error", retry_in_s=pause_s, **described)
        self._due_s = now + self._interval_s
        self._interval_s = min(2 * self._interval_s, _LAST_INTERVAL_S)
