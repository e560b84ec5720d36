"""How large a lane's next turn may be: ordinary events have full turns, garbage has short ones, and each
recovers."""

import asyncio

import pytest

from gateway.contract.facets import Facets
from gateway.contract.ledger_entry import UNKNOWN_LOG, EntrySpan
from gateway.relay import fairness
from gateway.relay.fairness import GARBAGE_TURN_S, Gate, next_limit
from gateway.relay.turn import Turn
from tests.patience import PATIENCE_S
from tests.unit.test_turn import LANE


def turn_of(**counts: int) -> Turn:
    """Counts by outcome; ``invalid`` are rejections of events that break the schema."""
    made = {}
    for name, count in counts.items():
        outcome, reason = ("reject", "INVALID_EVENT") if name == "invalid" else (name, None)
        made[Facets(outcome, None, None, None, None, None, reason)] = count
    return Turn(EntrySpan(LANE, UNKNOWN_LOG, 0, 0, 0), made, (), (), "")


@pytest.mark.parametrize(
    "counts", [{"forward": 1000}, {"reject": 1000}, {"duplicate": 1000}, {"forward": 600, "dead_letter": 400}]
)
def test_ordinary_turns_double_up_to_the_maximum(counts: dict[str, int]) -> None:
    assert next_limit(200, turn_of(**counts), 5.0, 1000) == 400
    assert next_limit(1000, turn_of(**counts), 5.0, 1000) == 1000


@pytest.mark.parametrize("counts", [{"dead_letter": 1000}, {"invalid": 1000}, {"dead_letter": 501, "forward": 499}])
def test_garbage_has_turns_of_a_bounded_time(counts: dict[str, int]) -> None:
    limit, each_s = 1000, 0.0004
    for _ in range(3):
        share = {name: max(1, count * limit // 1000) for name, count in counts.items()}
        limit = next_limit(limit, turn_of(**share), each_s * sum(share.values()), 1000)
    assert limit == pytest.approx(GARBAGE_TURN_S / each_s, abs=1)


def test_turns_shrink_to_one_for_garbage_and_recover() -> None:
    limit = next_limit(1000, turn_of(dead_letter=16), 0.4, 1000)
    assert limit == 1 == next_limit(1, turn_of(invalid=1), 3.0, 1000)
    for _ in range(10):
        limit = next_limit(limit, turn_of(forward=limit), 0.1, 1000)
    assert limit == 1000
    assert next_limit(1, turn_of(dead_letter=1), 0.0, 1000) == 2


async def test_only_one_garbage_turn_runs_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fairness, "_MOST_WAIT_S", PATIENCE_S)
    gate, inside, most = Gate(), 0, 0

    async def take_turns(*, garbage: bool) -> None:
        nonlocal inside, most
        for _ in range(5):
            async with gate.passing(garbage=garbage):
                inside += garbage
                most = max(most, inside)
                await asyncio.sleep(0.001)
                inside -= garbage

    await asyncio.gather(*(take_turns(garbage=True) for _ in range(6)))
    assert most == 1
    async with gate.passing(garbage=True):
        await take_turns(garbage=False)


async def test_stuck_lane_does_not_block_garbage_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fairness, "_MOST_WAIT_S", 0.01)
    gate = Gate()
    async with gate.passing(garbage=True):
        async with gate.passing(garbage=True):
            pass
        with pytest.raises(TimeoutError):  # who gave up waiting does not let others in
            await asyncio.wait_for(gate._lock.acquire(), 0.01)
    with pytest.raises(RuntimeError):
        async with gate.passing(garbage=True):
            raise RuntimeError
    await asyncio.wait_for(gate._lock.acquire(), 1)
