"""One lane in this process, on a real broker, stopped where a rebalance may stop it."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka.producer.sender import AddPartitionsToTxnHandler

from gateway.adapters import kafka
from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import Settings
from gateway.adapters.signatures import load_key_ring
from gateway.adapters.topics import Topics
from gateway.core.decision import Outcome
from gateway.core.province import Province
from gateway.operate.simulate import Simulator
from gateway.operate.topics import apply_topics
from gateway.relay import lane as lane_module
from gateway.relay.lane import Lane, Times
from gateway.relay.turn import LaneId, Turn
from tests.kafka.harness import publish, wait_until_accounted


class Nobody:
    """Is told, and tells nobody."""

    def committed(self, lane: LaneId, turn: Turn, times: Times) -> None: ...

    def aborted(self, lane: LaneId) -> None: ...

    def fenced(self, lane: LaneId) -> None: ...


@contextlib.asynccontextmanager
async def lane_of(settings: Settings, province: Province) -> AsyncIterator[Lane]:
    """The lane of the province's first partition, not started yet; stopped at the end."""
    topics, recognition = Topics(settings.topic_prefix), load_recognition(settings.recognition_dir)
    async with kafka.consumer(settings) as consumer:
        lane = Lane(
            LaneId(province, topics.display(province), 0), consumer, settings, topics,
            settings.groups[0], lambda: recognition, load_key_ring(settings), Nobody(),
        )  # fmt: skip
        consumer.assign([lane.partition])
        try:
            yield lane
        finally:
            await lane.stop(10)


async def test_a_lane_stopped_while_it_learns_what_another_did_learns_it_when_it_starts_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings.model_copy(update={"topics": settings.topics.model_copy(update={"partitions": 1})})
    await apply_topics(settings)
    simulator = Simulator(load_recognition(settings.recognition_dir), 1)
    now = int(time.time() * 1000)
    made = (simulator.next_event(now) for _ in range(100))
    before, seen_by_another = [
        each for each in made if each.expected is Outcome.FORWARD and each.province is Province.SICHUAN
    ][:2]
    learn, is_learning = lane_module.relearn_horizon, asyncio.Event()

    async def learn_and_be_interrupted(*arguments: Any) -> Any:
        if is_learning.is_set():
            return await learn(*arguments)
        is_learning.set()
        return await asyncio.Event().wait()

    async with lane_of(settings, Province.SICHUAN) as lane, lane_of(settings, Province.SICHUAN) as another:
        lane.start()
        await publish(settings, [before])
        await wait_until_accounted(settings, 1, 60)
        await lane.stop(10)
        another.start()
        await publish(settings, [seen_by_another])
        await wait_until_accounted(settings, 2, 60)
        await another.stop(10)

        monkeypatch.setattr(lane_module, "relearn_horizon", learn_and_be_interrupted)
        lane.start()
        await asyncio.wait_for(is_learning.wait(), 60)
        await lane.stop(10)  # a rebalance, which gives the lane back to the same worker
        lane.start()
        await publish(settings, [seen_by_another])
        account = await wait_until_accounted(settings, 3, 60)
    account.assert_proper(3)
    assert account.duplicates == 1


def test_the_wait_for_the_transaction_before_is_one_that_aiokafka_heeds() -> None:
    """An update that takes the name away would bring the 20 ms back without a word."""
    heeded = AddPartitionsToTxnHandler.handle_response
    assert "BACKOFF_OVERRIDE" in heeded.__code__.co_names
    assert heeded.__globals__["BACKOFF_OVERRIDE"] < 0.02
