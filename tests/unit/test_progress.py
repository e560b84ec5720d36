"""How a lane stands, without Kafka: what counts as getting on, and what a worker's health makes of it."""

from dataclasses import dataclass, field

import pytest

from gateway.contract.topics import LaneId
from gateway.core.province import Province
from gateway.relay.health import HOPELESS_S, describe_lane, find_failure
from gateway.relay.observer import CarefulObserver
from gateway.relay.progress import STUCK_S, LaneState, Progress

LANE = LaneId(Province.SICHUAN, "sichuan.display", 0)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class OneLane:
    progress: Progress
    id: LaneId = LANE
    has_ended: bool = field(default=False)


def progress_of(clock: Clock) -> Progress:
    progress = Progress(clock)
    progress.start()
    return progress


def test_a_failed_lane_waits_until_it_makes_progress() -> None:
    clock = Clock()
    progress = progress_of(clock)
    assert (progress.state, progress.cause) == (LaneState.OPENING, "Opening")
    progress.opened()
    assert (progress.state, progress.cause) == (LaneState.OPEN, "")
    for _ in range(3):
        clock.now += 5
        progress.failed(TimeoutError())
        progress.opened()
        assert (progress.state, progress.cause) == (LaneState.WAITING, "TimeoutError")
    progress.start()  # a rebalance, which gives the lane back to the same worker
    assert (progress.state, progress.cause, progress.stalled_s) == (LaneState.WAITING, "TimeoutError", 15)
    assert describe_lane(progress).keys() == {"state", "cause", "since"}
    progress.opened()
    progress.got_on()
    assert (progress.state, progress.cause, progress.stalled_s) == (LaneState.OPEN, "", 0)
    assert describe_lane(progress) == {"state": "open"}


@pytest.mark.parametrize(
    ("found", "cause"),
    [
        ((7, 10, 12, 0.3), "NothingFetched"),  # there are records, and none comes
        ((10, 10, 12, 0.3), "OpenTransaction"),  # what comes next is somebody's open transaction
        ((12, 12, 12, 40.0), "NothingFetched"),  # nobody has said for long where the log ends
        ((12, None, None, None), "NothingFetched"),
        ((12, 12, 12, 0.3), ""),
    ],
)
def test_lane_with_lag_is_stuck_after_a_minute(
    found: tuple[int, int | None, int | None, float | None], cause: str
) -> None:
    clock = Clock()
    progress = progress_of(clock)
    progress.opened()
    for _ in range(int(STUCK_S) + 1):
        clock.now += 1
        progress.found_nothing(*found)
        if progress.stalled_s < STUCK_S:
            assert progress.state is LaneState.OPEN  # for a moment that is how it is with every lane
    assert (progress.state, progress.cause) == (LaneState.WAITING if cause else LaneState.OPEN, cause)
    progress.got_on()
    assert progress.state is LaneState.OPEN


def test_workers_fail_when_a_lane_ends_or_all_stall() -> None:
    clock = Clock()
    lanes = [OneLane(progress_of(clock)) for _ in range(2)]
    for lane in lanes:
        lane.progress.opened()
        lane.progress.failed(TimeoutError())
    clock.now += HOPELESS_S
    assert find_failure([], broker_answers=True) is None
    assert find_failure(lanes, broker_answers=False) is None
    why = find_failure(lanes, broker_answers=True)
    assert why == "none of 2 lanes has got on for up to 300 s (TimeoutError)"
    lanes[1].progress.got_on()
    assert find_failure(lanes, broker_answers=True) is None
    lanes[0].has_ended = True
    assert find_failure(lanes, broker_answers=False) == "lane sichuan.display-0 has ended (TimeoutError)"


def test_an_observer_that_raises_ends_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    class Raising:
        def _raise(self, *_: object) -> None:
            raise RuntimeError("holds a name")

        committed = aborted = fenced = ended = _raise

    observer = CarefulObserver(Raising())
    observer.aborted(LANE)
    observer.fenced(LANE)
    observer.ended(LANE)
    said = capsys.readouterr().out
    assert said.count("observer.failed") == 3
    assert "holds a name" not in said
