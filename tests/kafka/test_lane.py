"""One lane in this process, on a real broker, stopped where a rebalance may stop it."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.admin import NewTopic

from gateway.adapters import kafka
from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import Settings
from gateway.adapters.signatures import load_key_ring
from gateway.adapters.topics import Topics
from gateway.core.decision import Outcome
from gateway.core.province import Province
from gateway.core.reading import Identity, read_event
from gateway.operate.examples import display_event
from gateway.operate.simulate import Simulator
from gateway.operate.topics import apply_topics
from gateway.relay import lane as lane_module
from gateway.relay import relearn
from gateway.relay.horizon import Horizon
from gateway.relay.lane import Lane, Times
from gateway.relay.turn import LaneId, Turn, take_turn
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


async def test_a_lane_that_a_library_cancels_opens_again(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings.model_copy(update={"topics": settings.topics.model_copy(update={"partitions": 1})})
    await apply_topics(settings)
    simulator, now = Simulator(load_recognition(settings.recognition_dir), 1), int(time.time() * 1000)
    event = next(each for each in iter(lambda: simulator.next_event(now), None) if each.province is Province.SICHUAN)
    learn, cancelled = lane_module.relearn_horizon, asyncio.Event()

    async def learn_or_be_cancelled(*arguments: Any) -> Any:
        if cancelled.is_set():
            return await learn(*arguments)
        cancelled.set()
        raise asyncio.CancelledError

    monkeypatch.setattr(lane_module, "relearn_horizon", learn_or_be_cancelled)
    async with lane_of(settings, Province.SICHUAN) as lane:
        lane.start()
        await asyncio.wait_for(cancelled.wait(), 60)
        await publish(settings, [event])
        await wait_until_accounted(settings, 1, 60)


async def test_a_lane_learns_from_its_ledger_what_its_outputs_say(settings: Settings) -> None:
    settings = settings.model_copy(update={"topics": settings.topics.model_copy(update={"partitions": 1})})
    await apply_topics(settings)
    topics, simulator = Topics(settings.topic_prefix), Simulator(load_recognition(settings.recognition_dir), 7)
    now = int(time.time() * 1000)
    made = [each for each in (simulator.next_event(now) for _ in range(400)) if each.province is Province.SICHUAN]
    async with lane_of(settings, Province.SICHUAN) as lane:
        lane.start()
        await publish(settings, made)
        await wait_until_accounted(settings, len(made), 60)
        await lane.stop(10)
        of_ledger = await relearn.horizon_from_ledger(settings, topics, lane.id)
        of_outputs = await relearn.horizon_from_outputs(settings, topics, lane.id)
        assert of_ledger is not None
        assert len(of_ledger) == len(of_outputs) > 100
        events = [each for each in made if each.expected in {Outcome.FORWARD, Outcome.REJECT}]
        identities = {read_event(each.value, each.headers).identity for each in events}
        known = [(of_ledger.at(now).get(each, ()), of_outputs.at(now).get(each, ())) for each in identities]
        # Verifications and rejections are read side by side: of several contents of an id, any may come first.
        assert all(set(ledger) == set(outputs) for ledger, outputs in known)
        assert sum(map(bool, (ledger for ledger, _ in known))) > 100

        # An entry that does not say what was remembered, as an earlier gateway wrote it: then the outputs do.
        async with kafka.producer(settings) as producer:
            await producer.send_and_wait(topics.ledger, b"{}", str(lane.id).encode(), partition=0)
        assert await relearn.horizon_from_ledger(settings, topics, lane.id) is None
        assert len(await relearn.relearn_horizon(settings, topics, lane.id)) == len(of_outputs)


async def test_the_horizon_of_a_lane_that_is_behind_begins_at_its_own_last_input(settings: Settings) -> None:
    topics, hour, now = Topics(settings.topic_prefix), 3_600_000, int(time.time() * 1000)
    ours, other = (LaneId(province, topics.display(province), 0) for province in Province)
    recognition = load_recognition(settings.recognition_dir)
    # Lane, when it received, when its entry was written, in hours ago; the ledger's times are ours to set here.
    entries = [(ours, 140, 140), (ours, 100, 100), (ours, 60, 10), (other, 0, 0)]
    async with kafka.admin(settings) as admin, kafka.producer(settings) as producer:
        await admin.create_topics([NewTopic(topics.ledger, 1, 1)])
        await kafka.wait_until_led(admin, [topics.ledger])
        for number, (lane, received, written) in enumerate(entries):
            event = display_event(lane.province) | {"id": f"id-{number}"}
            record = SimpleNamespace(
                offset=number, timestamp=now - received * hour, key=None, value=json.dumps(event).encode(), headers=()
            )
            turn = take_turn(
                lane, [record], recognition, Horizon(hour, 10), None, topics=topics, algorithm="sm3",
            )  # fmt: skip
            entry = turn.outputs[-1]
            await producer.send_and_wait(
                entry.topic, entry.value, entry.key, 0, timestamp_ms=now - written * hour, headers=list(entry.headers)
            )
    horizon = await relearn.horizon_from_ledger(settings, topics, ours)
    assert horizon is not None
    horizon.at(now - 60 * hour)
    source = f"urn:chuanyu:{ours.province}"
    known = [bool(horizon.get(Identity(source, f"id-{number}"), ())) for number in range(4)]
    assert known == [False, True, True, False]
