"""A lane's turn that comes to nothing, without Kafka: what it decided is decided again as if for the first
time."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from gateway.adapters.partitioning import partition_of
from gateway.adapters.settings import load_settings
from gateway.adapters.signatures import NO_SIGNATURES
from gateway.contract.ledger_entry import UNKNOWN_LOG
from gateway.contract.topics import LaneId
from gateway.relay import lane as lane_module
from gateway.relay.continuity import Links, Standing
from gateway.relay.horizon import Horizon
from gateway.relay.lane import Lane
from gateway.relay.observer import Times
from gateway.relay.opening import Known
from gateway.relay.turn import Turn
from tests.unit.test_turn import HOUR, LANE, LIST, TOPICS, displays, outcomes_of

RECORDS = displays({}, {})
PARTITIONS = 12


class Counting:
    """An observer that remembers turns and counts what came to nothing."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self.abortions = 0

    def committed(self, lane: LaneId, turn: Turn, times: Times) -> None:
        self.turns.append(turn)

    def aborted(self, lane: LaneId) -> None:
        self.abortions += 1

    def fenced(self, lane: LaneId) -> None: ...

    def ended(self, lane: LaneId) -> None: ...


async def _poll(*_: object, **__: object) -> dict[object, object]:
    return {Lane.partition.fget(SimpleNamespace(id=LANE)): RECORDS}  # type: ignore[attr-defined]


def open_lane(observer: Counting) -> Lane:
    consumer = SimpleNamespace(getmany=_poll, partitions_for_topic=lambda _: set(range(PARTITIONS)))
    lane = Lane(LANE, consumer, load_settings(), TOPICS, "group", lambda: LIST, NO_SIGNATURES, observer)
    lane._known, lane._limit = Known(Standing(100, None, UNKNOWN_LOG), Links(), Horizon(72 * HOUR, 100)), 100
    lane._looked_at = time.monotonic()
    lane._producer = cast("Any", object())
    return lane


@pytest.mark.parametrize("place", ["decide_turn", "close_turn", "send_in_transaction"])
@pytest.mark.parametrize("error", [RuntimeError, KafkaError, MessageSizeTooLargeError, asyncio.CancelledError])
async def test_a_turn_that_comes_to_nothing_leaves_nothing_pending(
    monkeypatch: pytest.MonkeyPatch, place: str, error: type[BaseException]
) -> None:
    observer = Counting()
    lane = open_lane(observer)
    whole = getattr(lane_module, place)

    async def commit(*_: object) -> None: ...

    def fail_late(*arguments: Any, **options: Any) -> None:
        if place == "decide_turn":
            whole(*arguments, **options)  # it has decided everything, and remembers it
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(lane_module, "send_in_transaction", commit)
        patch.setattr(lane_module, place, fail_late)
        with pytest.raises((error, lane_module._RefusedError)):
            await lane._turn()
    assert lane._known is not None
    assert lane._known.horizon.pending == b""
    assert observer.abortions == 1

    monkeypatch.setattr(lane_module, "send_in_transaction", commit)
    lane._give_up_on_next = False
    assert await lane._turn()
    (turn,) = observer.turns
    assert outcomes_of(turn) == {"forward": 2}
    assert lane.remembered_ids == 2


async def test_committed_turn_names_its_misplaced_records(monkeypatch: pytest.MonkeyPatch) -> None:
    async def commit(*_: object) -> None: ...

    monkeypatch.setattr(lane_module, "send_in_transaction", commit)
    observer = Counting()
    assert await open_lane(observer)._turn()
    (turn,) = observer.turns
    belongs = partition_of(RECORDS[0].key or b"", PARTITIONS)
    assert belongs != LANE.partition
    assert turn.misplaced == (2, RECORDS[0].offset, belongs)


def test_a_lane_has_one_writer() -> None:
    assert LANE.transactional_id == "x.gateway.lane-sichuan-3"
