"""What random steps find seldom or never: a lane against losses in a certain order (``LaneModel``)."""

from collections.abc import Callable
from unittest import mock

import pytest

from gateway.relay import opening
from gateway.relay.committed import Committed
from gateway.relay.continuity import LogState
from gateway.relay.evidence import GroupNotLoadedError
from tests.unit.test_opening_model import LaneModel


def one_each(model: LaneModel, *events: int, looks: bool = True) -> None:
    """Publish them, and let the lane decide each in a turn of its own."""
    for event in events:
        model.publish([event])
        model.step(1, looks=looks)


def all_but_outputs_lost_after_a_turn(model: LaneModel) -> None:
    """What the next turn writes looks like a lane's beginning."""
    one_each(model, 0)
    model.another_worker()
    model.cut_ledger(1)
    model.reset_offsets(None)
    one_each(model, 1)
    model.another_worker()
    model.publish([0, 1])


def all_but_outputs_lost_and_log_expired_beyond(model: LaneModel) -> None:
    one_each(model, 0)
    model.another_worker()
    model.cut_ledger(1)
    model.reset_offsets(None)
    model.expire(1)
    one_each(model, 1)
    model.another_worker()
    model.publish([0])


def all_but_outputs_lost_and_an_offset_set_beyond(model: LaneModel) -> None:
    model.publish([0, 0, 0])
    model.step(1)
    model.another_worker()
    model.cut_ledger(1)
    model.reset_offsets(2)
    one_each(model, 1)
    model.another_worker()
    model.publish([0])


def lose_tail(model: LaneModel) -> None:
    one_each(model, 0, 1)
    model.another_worker()
    model.lose_the_ledgers_tail(1)


def tail_and_offset_lost(model: LaneModel) -> None:
    lose_tail(model)
    model.reset_offsets(None)


def tail_and_offset_lost_and_log_expired_beyond(model: LaneModel) -> None:
    tail_and_offset_lost(model)
    model.publish([2, 3])
    model.world.start = 3


def tail_lost_and_log_made_anew(model: LaneModel) -> None:
    """The event of the lost entry comes again."""
    lose_tail(model)
    model.recreate_log(0.5)
    model.publish([2, 1])


def tail_lost_and_log_cut_back(model: LaneModel) -> None:
    lose_tail(model)
    model.cut_back(0.5)
    model.publish([2, 1])


def markers_passed_then_cut_back(model: LaneModel) -> None:
    """The log had two, then one, and records from there on; the lane stood at two."""
    model.abort()
    model.abort()
    model.step(1)
    model.cut_back(0.5)
    model.publish([0, 0])
    model.step(1, looks=False)


def markers_passed_then_cut_back_and_another_worker(model: LaneModel) -> None:
    model.abort()
    model.abort()
    model.step(1)
    model.step(1)
    model.cut_back(0.5)
    model.publish([0, 1])
    model.step(1, looks=False)
    model.another_worker()


def markers_passed_then_made_anew(model: LaneModel) -> None:
    model.abort()
    model.step(1)
    model.recreate_log(0.6)
    model.publish([0, 0])
    model.step(1, looks=False)


def begun_by_hand_then_made_anew(model: LaneModel) -> None:
    """No turn of the first log is there to tell it from the second, whose own prove themselves."""
    model.publish([0])
    model.reset_offsets(1)
    model.step(1)
    model.recreate_log(0.5)
    model.publish([1, 2, 3])
    model.step(1, looks=False)


def lost_then_made_anew(model: LaneModel) -> None:
    model.publish([0])
    model.step(0)
    model.expire(1)
    model.another_worker()
    model.step(1)
    kept = model.world.offset
    model.recreate_log(0)
    model.world.offset = kept
    model.publish([1, 2, 3])
    model.step(1, looks=False)


CASES: tuple[Callable[[LaneModel], None], ...] = (
    all_but_outputs_lost_after_a_turn, all_but_outputs_lost_and_log_expired_beyond,
    all_but_outputs_lost_and_an_offset_set_beyond, tail_and_offset_lost, tail_and_offset_lost_and_log_expired_beyond,
    tail_lost_and_log_made_anew, tail_lost_and_log_cut_back, markers_passed_then_cut_back,
    markers_passed_then_cut_back_and_another_worker, markers_passed_then_made_anew, begun_by_hand_then_made_anew,
    lost_then_made_anew,
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_nothing_is_swallowed_or_doubled(case: Callable[[LaneModel], None]) -> None:
    model = LaneModel()
    model.begin()
    case(model)
    model.teardown()


@pytest.mark.parametrize("new", [4, 5, 6])
@pytest.mark.parametrize("cut", [1, 2, 3])
def test_a_log_cut_before_the_last_look_is_known(cut: int, new: int) -> None:
    """It has grown beyond the lane's position by ``new`` turns before another worker opens it."""
    model = LaneModel()
    model.begin()
    one_each(model, *range(12))
    model.step(1)
    model.cut_back(cut / 12)
    model.publish([100 + number for number in range(cut)])
    one_each(model, *(200 + number for number in range(new)), looks=False)
    model.another_worker()
    model.teardown()


def test_what_a_look_waits_for_the_lane_does_not() -> None:
    model = LaneModel()
    model.begin()
    one_each(model, 0, 1)
    lane, world = model.lane, model.world
    assert lane is not None
    assert lane._known is not None
    # While it looks, the records expire, and the partition has no leader for a moment.
    states = iter([LogState("id-0", 0, 2, 0), None, LogState("id-0", 2, 2, 0)])
    world.start = 2
    with (
        mock.patch.object(world, "log", mock.AsyncMock(side_effect=states)),
        mock.patch.object(opening, "_AGAIN_S", 0.0),
    ):
        assert model.loop.run_until_complete(lane._is_continuous(lane._known))
    assert next(states, None) is None
    assert lane.progress.cause != "input_without_leader"
    model.teardown()


def test_a_group_that_is_not_loaded_is_waited_for() -> None:
    """Its only offset is where the lane began: taken for none, what expired since would be lost in
    silence."""
    model = LaneModel()
    model.begin()
    model.step(0)
    model.another_worker()
    model.publish([0, 1])
    model.expire(1)
    committed, refusals = model.world.committed, [GroupNotLoadedError(), GroupNotLoadedError()]

    async def loads_later() -> Committed | None:
        if refusals:
            raise refusals.pop()
        return await committed()

    with mock.patch.object(model.world, "committed", loads_later):
        model.step(1)
    assert refusals == []
    assert model.lane is not None
    assert model.lane.progress.cause == "group_not_loaded"
    model.teardown()
