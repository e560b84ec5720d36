"""Where a fault is played: topics, workers, traffic that does not stop for it, and the account at the
end."""

import asyncio
import secrets
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol

from gateway.adapters.settings import Settings, load_settings, packaged_config
from gateway.operate.topics import apply_topics
from tests.faults.traffic import Traffic, Watch, flowing
from tests.faults.verdict import judge
from tests.kafka.harness import Worker, with_short_sessions

_RECOVERY_TIMEOUT_S = 90
_DRAIN_S = 25
"""What the broker is slow in amid faults is no worker's fault."""
_DRAIN_TIMEOUT_S = 30
_WORKERS = 2


class Guest(Protocol):
    """What works beside the relay and must come through as well."""

    async def caught_up(self) -> None:
        """Wait until it has done all that there was to do at the call."""

    async def check(self) -> None:
        """Assert, once traffic has stopped, that it did all of it, and nothing twice."""


@dataclass
class Stage:
    """What a fault may lay its hands on. ``ground`` is what lies under it: a broker and its proxy, a
    cluster."""

    settings: Settings
    workers: list[Worker]
    new_worker: Callable[[], Worker]
    environment: dict[str, str]
    ground: Any = None
    beside: Any = None
    turn: int = 0
    """How many faults there were before this one."""
    traffic: Traffic = field(init=False)
    watch: Watch = field(init=False)

    async def recovered(self) -> float:
        """Return the seconds until an event sent now into each lane has come out of it, and the guest has
        caught up."""
        began = time.monotonic()
        origins = await self.traffic.probe(self.settings.topics.partitions)
        await self.watch.wait_for(origins, _RECOVERY_TIMEOUT_S)
        if self.beside is not None:
            await self.beside.caught_up()
        return time.monotonic() - began

    async def wait_for(self, worker: Worker, event: str, count: int = 1) -> None:
        """Wait until the worker's log has ``count`` lines of this event name."""
        await asyncio.to_thread(worker.wait_for, event, count)


Fault = Callable[[Stage], Awaitable[None]]
"""Makes one fault and ends it: when it returns, all is as it was, and the gateway is to recover."""


@dataclass(frozen=True)
class Scenario:
    """A fault by name (or several, which take turns), and the workers that suffer it."""

    name: str
    faults: tuple[Fault, ...]
    worker: type[Worker] = Worker
    environment: dict[str, str] = field(default_factory=dict)
    mix: dict[str, Any] = field(default_factory=dict)
    """The simulator's shares, where not its own."""
    times: int | None = None
    """How often it can happen; None: as often as you like."""
    beside: Callable[[Settings], AbstractAsyncContextManager[Guest | None]] = lambda _: nullcontext()


@dataclass(frozen=True)
class Row:
    """What came of a scenario; seconds are from a fault's end until every lane works."""

    fault: str
    times: int
    events: int
    lost: int
    doubled: int
    median_s: float
    worst_s: float

    def assert_nothing_amiss(self) -> None:
        """Assert that no event was lost and none was doubled."""
        assert (self.lost, self.doubled) == (0, 0), self


async def play(
    scenario: Scenario, settings: Settings, *, ground: Any = None, times: int = 1, rate: int = 400, seed: int = 1,
    events: int = 0,
) -> Row:  # fmt: skip
    """Let ``times`` faults happen amid ``rate`` events a second, or more until there are ``events``; see
    what came of them."""
    settings = with_short_sessions(settings)
    environment = {"GATEWAY_RELAY__DRAIN_TIMEOUT_S": str(_DRAIN_S), **scenario.environment}
    await apply_topics(settings)
    recoveries, workers = list[float](), list[Worker]()
    async with AsyncExitStack() as stack:

        def new_worker() -> Worker:
            worker = scenario.worker(settings, **environment)
            workers.append(worker)
            stack.callback(worker.discard)
            return worker.start()

        stage = Stage(settings, [new_worker() for _ in range(_WORKERS)], new_worker, environment, ground)
        await asyncio.gather(*(stage.wait_for(worker, "group.assigned") for worker in stage.workers))
        stage.traffic, stage.watch = await stack.enter_async_context(flowing(settings, rate, seed, scenario.mix))
        stage.beside = await stack.enter_async_context(scenario.beside(settings))
        await stage.recovered()
        while stage.turn < times or (stage.traffic.count < events and scenario.times is None):
            await scenario.faults[stage.turn % len(scenario.faults)](stage)
            recoveries.append(await stage.recovered())
            stage.turn += 1
        while stage.traffic.count < events:  # noqa: ASYNC110 — a scenario with a number of times of its own has its events all the same
            await asyncio.sleep(0.2)
        verdict = await judge(settings, await stage.traffic.stop())
        if verdict.lost or verdict.doubled:
            _print_stories(workers)
        if stage.beside is not None:
            await stage.beside.check()
        for worker in stage.workers:
            assert await asyncio.to_thread(worker.terminate, _DRAIN_TIMEOUT_S) == 0, worker.log.read_text()[-3000:]
    return Row(
        scenario.name, len(recoveries), verdict.events, verdict.lost, verdict.doubled,
        statistics.median(recoveries), max(recoveries),
    )  # fmt: skip


def _print_stories(workers: Sequence[Worker]) -> None:
    """Print what pytest is to show of a failure: what became of each worker's lanes, guests' too."""
    for number, worker in enumerate(workers):
        for line in worker.lines():
            if str(line.get("event")).startswith(("lane.", "group.", "turn.", "horizon.", "output.")):
                print(f"worker {number}: {line}")


def small_settings() -> Settings:
    """The shipped settings with 4 partitions and topics of their own."""
    shipped = load_settings(packaged_config() / "gateway.yaml", topic_prefix=f"test-{secrets.token_hex(4)}.")
    return shipped.model_copy(update={"topics": shipped.topics.model_copy(update={"partitions": 4})})
