"""What can happen to feedback's workers while rejections pour in: killed, frozen. Their counts must be exact
all the same."""

import asyncio
import contextlib
import json
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator

from aiokafka import AIOKafkaConsumer

from gateway.adapters import kafka
from gateway.adapters.settings import Settings
from gateway.feedback.prepare import prepare_topics
from gateway.feedback.problems import observe
from gateway.feedback.state import StateFollower
from tests.faults.stage import Scenario, Stage
from tests.kafka.harness import Worker
from tests.kafka.test_feedback import counts_of, feedback_workers, gateway

_BEYOND_SESSION_S = 7.5
_COUNTED_TIMEOUT_S = 240


class Counting:
    """Two feedback workers, the state that they keep, and a count of our own of what they are to count."""

    def __init__(self, settings: Settings, workers: list[Worker], consumer: AIOKafkaConsumer) -> None:
        self.workers, self._settings, self._consumer = workers, settings, consumer
        self._rejections = settings.topic_names.rejections
        self._expected: Counter[str] = Counter()
        self.follower = StateFollower(settings)

    async def caught_up(self) -> None:
        """Until the tables count all rejections and dead letters that stand there now."""
        await self._count()
        wanted, deadline = self._expected.total(), time.monotonic() + _COUNTED_TIMEOUT_S
        while (counted := counts_of(self.follower.state).total()) < wanted:
            assert time.monotonic() < deadline, f"feedback counts {counted} of {wanted} after {_COUNTED_TIMEOUT_S} s"
            await asyncio.sleep(0.1)

    async def check(self) -> None:
        """Assert that the tables hold exactly what the topics hold, and the ledger's days."""
        await self.caught_up()
        await asyncio.sleep(2)  # what is counted too often would come late
        counted = counts_of(self.follower.state)
        assert counted == self._expected, f"feedback counts {counted.total()}, the topics hold {self._expected.total()}"
        for worker in self.workers:
            assert await asyncio.to_thread(worker.terminate, 60) == 0
        compared = await asyncio.to_thread(
            gateway, self._settings, "feedback", "rebuild", "--dry-run", "--format", "json"
        )
        assert json.loads(compared)["changed"] == 0, compared

    async def _count(self) -> None:
        partitions = self._consumer.assignment()
        ends = await self._consumer.end_offsets(partitions)
        while [each for each, end in ends.items() if await self._consumer.position(each) < end]:
            for records in (await self._consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    observation = observe(record.value, record.headers, self._rejections.get(record.topic))
                    assert observation is not None
                    self._expected.update({problem.case_id for problem in observation.problems})


@contextlib.asynccontextmanager
async def counting(settings: Settings) -> AsyncIterator[Counting]:
    """Feedback at work beside the relay."""
    topics = settings.topic_names
    await prepare_topics(settings)
    partitions = await kafka.partitions_of(settings, [*topics.rejections, topics.deadletter])
    async with kafka.consumer(settings) as consumer:
        consumer.assign(partitions)
        with feedback_workers(settings, 2) as workers:
            beside = Counting(settings, workers, consumer)
            following = asyncio.create_task(beside.follower.run())
            try:
                yield beside
            finally:
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)


async def kill(stage: Stage) -> None:
    """Kill a worker amid counting; it comes back at once, and reads its tables again."""
    worker = stage.beside.workers[stage.turn % 2]
    worker.kill()
    worker.start()


async def freeze(stage: Stage) -> None:
    """SIGSTOP for longer than the session; it wakes without its partitions, with counts in hand."""
    worker = stage.beside.workers[stage.turn % 2]
    worker.signal(signal.SIGSTOP)
    await asyncio.sleep(_BEYOND_SESSION_S)
    worker.signal(signal.SIGCONT)


_MIX = {"reject_share": 0.3, "garbage_share": 0.02}
SCENARIOS = (
    Scenario("feedback: SIGKILL", (kill,), mix=_MIX, beside=counting),
    Scenario("feedback: SIGSTOP 7.5 s", (freeze,), mix=_MIX, beside=counting),
)
