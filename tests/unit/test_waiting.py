"""What the log says while a broker is down."""

import asyncio
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from aiokafka.errors import KafkaConnectionError
from structlog.testing import capture_logs

from gateway.adapters.settings import Settings
from gateway.adapters.waiting import WaitingLog
from gateway.contract.topics import LaneId
from gateway.core.province import Province
from gateway.errors import ConfigurationError, MissingPartitionError
from gateway.relay.broker_watch import BrokerWatch
from gateway.relay.progress import Progress
from gateway.relay.retries import Retries
from tests.unit.test_opening_model import SilentObserver

SETTINGS = Settings(bootstrap_servers="kafka:9092")
LANE = LaneId(Province.SICHUAN, "sichuan.display", 3)


class Lines:
    """A log of its own clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self.said: list[tuple[float, str, dict[str, Any]]] = []

    def warning(self, event: str, **details: Any) -> None:
        self.said.append((self.now, event, details))

    info = warning

    def waiting(self) -> WaitingLog:
        return WaitingLog(self, "x.waiting", "x.resumed", SETTINGS, lambda: self.now)


def test_waiting_is_said_at_growing_intervals() -> None:
    """Tried every second for two minutes, it is said eight times; then once that it is over."""
    lines = Lines()
    waiting = lines.waiting()
    waiting.over()
    while lines.now <= 130:
        waiting.note(OSError("a value"), table="days")
        lines.now += 1
    assert [at for at, _, _ in lines.said] == [0, 1, 3, 7, 15, 31, 63, 123]
    assert lines.said[3][1:] == ("x.waiting", {
        "broker": "kafka:9092", "error": "OSError", "waited_s": 7, "next_line_in_s": 8, "table": "days",
    })  # fmt: skip
    waiting.over()
    waiting.over()
    assert lines.said[8:] == [(131, "x.resumed", {"broker": "kafka:9092", "waited_s": 131, "table": "days"})]
    waiting.note(OSError())
    assert (lines.said[-1][0], lines.said[-1][2]["waited_s"]) == (131, 0)


def test_what_is_wrong_with_topics_is_said_in_words() -> None:
    lines = Lines()
    lines.waiting().note(ConfigurationError("the topics differ"))
    assert lines.said[0][2]["why"] == "the topics differ"


class Broker:
    """What a worker asks, and how it answers."""

    def __init__(self) -> None:
        self.is_up, self.asked = True, 0

    async def end_offsets(self, _: Any) -> dict[Any, Any]:
        self.asked += 1
        await asyncio.sleep(0)
        if not self.is_up:
            raise KafkaConnectionError
        return {}


def retries_of(watch: BrokerWatch, clock: Callable[[], float] = time.monotonic) -> Retries:
    def say(event: str, level: str = "info", **details: Any) -> None:
        getattr(structlog.get_logger(), level)(event, **details)

    return Retries(LANE, Progress(), SilentObserver(), say, 6, watch.is_down, clock)


async def test_a_broker_that_is_down_is_one_lines_matter() -> None:
    broker, watch = Broker(), BrokerWatch(SETTINGS)
    watch.use(SimpleNamespace(end_offsets=broker.end_offsets))
    lanes = [retries_of(watch) for _ in range(12)]
    with capture_logs() as said:
        await watch._ask()
        broker.is_up, broker.asked = False, 0
        pauses = await asyncio.gather(*(lane.pause_after(KafkaConnectionError()) for lane in lanes))
        assert set(pauses) == {0.1}
        assert broker.asked <= 2
        assert await lanes[0].pause_after(TimeoutError()) == 0.2
        broker.is_up = True
        await watch._ask()
    assert [line["event"] for line in said] == ["relay.waiting", "relay.resumed"]


@pytest.mark.parametrize(
    ("error", "is_up"),
    [(TimeoutError(), True), (MissingPartitionError("an output lacks it"), False), (KeyError(), False)],
)
async def test_a_fault_of_one_lane_has_its_line(error: Exception, is_up: bool) -> None:
    broker, watch = Broker(), BrokerWatch(SETTINGS)
    watch.use(SimpleNamespace(end_offsets=broker.end_offsets))
    await watch._ask()
    broker.is_up = is_up
    with capture_logs() as said:
        await retries_of(watch).pause_after(error)
    (line,) = said
    assert (line["event"], line["error.type"]) == ("lane.failed", type(error).__name__)


async def test_the_same_fault_is_said_at_growing_intervals() -> None:
    now = 0.0
    retries = retries_of(BrokerWatch(SETTINGS), lambda: now)
    lacking, said_at = MissingPartitionError("an output lacks it"), []
    with capture_logs() as said:
        for second in range(0, 301, 5):
            now, before = float(second), len(said)
            await retries.pause_after(lacking)
            if len(said) > before:
                said_at.append(second)
        assert said_at == [0, 5, 10, 15, 25, 45, 80, 140, 200, 260]
        await retries.pause_after(KeyError())
        await retries.pause_after(lacking)
        retries.got_on()
        await retries.pause_after(lacking)
    assert [line["error.type"] for line in said[-3:]] == ["KeyError", *["MissingPartitionError"] * 2]


async def test_a_worker_that_stops_says_nothing_of_its_broker() -> None:
    broker, watch = Broker(), BrokerWatch(SETTINGS)
    broker.is_up = False
    watch.use(SimpleNamespace(end_offsets=broker.end_offsets))
    with capture_logs() as said:
        asking = asyncio.create_task(watch._ask())
        await asyncio.sleep(0)
        watch.use(None)
        await asking
        await watch._ask()
    assert said == []
    assert broker.asked == 1
