"""Says in the log that a broker is waited for, at growing intervals, and when that is over."""

import time
from collections.abc import Callable
from typing import Any

from gateway.adapters.settings import Settings
from gateway.adapters.topic_reader import UnreadablePartitionError
from gateway.errors import ConfigurationError

_LAST_INTERVAL_S = 60.0


class WaitingLog:
    """One kind of waiting, which ``log`` has two events for: ``waiting``, a warning, and ``resumed``.

    It is tried again as often as before; a line says so at once and after 1, 2, 4 … seconds, then once a
    minute. One more says when it is over.
    """

    def __init__(
        self, log: Any, waiting: str, resumed: str, settings: Settings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._log, self._waiting, self._resumed, self._clock = log, waiting, resumed, clock
        self._broker = settings.bootstrap_servers
        self._began = self._due = self._interval = 0.0
        self._details: dict[str, Any] = {}

    def note(self, error: BaseException, **details: Any) -> None:
        """Log that ``error`` is waited out, if a line is due; an error of a setting or a topic in its own
        words."""
        now = self._clock()
        if not self._interval:
            self._began, self._due, self._interval = now, now, 1.0
        self._details = details
        if now < self._due:
            return
        why = {"why": str(error)} if isinstance(error, ConfigurationError | UnreadablePartitionError) else {}
        self._log.warning(
            self._waiting,
            broker=self._broker,
            error=type(error).__name__,
            waited_s=round(now - self._began),
            next_line_in_s=round(self._interval),
            **why,
            **details,
        )
        self._due, self._interval = now + self._interval, min(self._interval * 2, _LAST_INTERVAL_S)

    def over(self) -> None:
        """Log that it is over, if it was said that it had begun."""
        if self._interval:
            waited_s = round(self._clock() - self._began)
            self._log.info(self._resumed, broker=self._broker, waited_s=waited_s, **self._details)
            self._interval = 0.0
