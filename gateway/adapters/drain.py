"""The time that a worker has to end in: one deadline for all that it still has to do, and an end that
nothing delays."""

import os
import threading
import time

import structlog

log = structlog.get_logger("gateway.worker")

NOT_DRAINED = 1
"""The exit code of a worker that had to leave something unfinished: a transaction, or the consumer group."""


class Drain:
    """Begins with the first signal; ``limit_s`` later the process ends, whatever it is doing.

    What is left unfinished then is not lost: a transaction that was not committed is done again by whoever
    gets the lane.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._deadline: float | None = None
        self.is_done: bool | None = None
        """Whether all that had to be finished was; None while it is not known."""

    @property
    def remaining_s(self) -> float:
        """Seconds left; the first question begins the time, where no signal has."""
        self.begin()
        assert self._deadline is not None  # noqa: S101 — begin set it
        return max(0.0, self._deadline - time.monotonic())

    @property
    def exit_code(self) -> int:
        """The process's exit code, as far as draining decides it."""
        return 0 if self.is_done or self._deadline is None else NOT_DRAINED

    def begin(self) -> None:
        """Begin the time; a second call does nothing."""
        if self._deadline is not None:
            return
        self._deadline = time.monotonic() + self._limit_s
        # A thread: an event loop that is blocked, or a library that waits for a broker for ever, must not
        # delay it.
        timer = threading.Timer(self._limit_s, self._end)
        timer.daemon = True
        timer.start()

    def _end(self) -> None:
        if self.is_done is None:
            log.error("drain.given_up", after_s=self._limit_s, setting="relay.drain_timeout_s")
        os._exit(self.exit_code)
