"""What is notified of a lane's turns."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import structlog

from gateway.adapters.logs import PARTITION, TOPIC, describe_error
from gateway.contract.topics import LaneId
from gateway.relay.turn import Turn

log = structlog.get_logger("gateway.relay")


class Times(NamedTuple):
    """How long a turn took, in seconds: to decide and build all its records, and to write and commit
    them."""

    deciding: float
    committing: float


class Observer(Protocol):
    """Is notified of what becomes of a lane's turns: log and metrics."""

    def committed(self, lane: LaneId, turn: Turn, times: Times) -> None:
        """Note that ``turn`` is committed: it will not be taken back. Of lost offsets too."""

    def aborted(self, lane: LaneId) -> None:
        """Note that a transaction was aborted."""

    def fenced(self, lane: LaneId) -> None:
        """Note that another worker has opened this lane."""

    def ended(self, lane: LaneId) -> None:
        """Note that the lane's task has ended by itself, and is started again."""


class CarefulObserver:
    """An observer that passes all on to ``inner``, and whose errors end here: what is committed is
    committed, seen or not."""

    def __init__(self, inner: Observer) -> None:
        self._inner = inner

    def committed(self, lane: LaneId, turn: Turn, times: Times) -> None:
        """See Observer."""
        self._notify(lane, self._inner.committed, lane, turn, times)

    def aborted(self, lane: LaneId) -> None:
        """See Observer."""
        self._notify(lane, self._inner.aborted, lane)

    def fenced(self, lane: LaneId) -> None:
        """See Observer."""
        self._notify(lane, self._inner.fenced, lane)

    def ended(self, lane: LaneId) -> None:
        """See Observer."""
        self._notify(lane, self._inner.ended, lane)

    def _notify(self, lane: LaneId, note: Callable[..., None], *what: Any) -> None:
        try:
            note(*what)
        except Exception as error:  # noqa: BLE001 — a lane has its work to do, whoever watches it
            place = {TOPIC: lane.topic, PARTITION: lane.partition}
            log.error("observer.failed", noting=note.__name__, **describe_error(error), **place)  # noqa: TRY400
