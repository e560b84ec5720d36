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
from gateway.adapters.settings import Settings, packaged_config
from gateway.adapters.signatures import load_key_ring
from gateway.contract.display_event import read_event
from gateway.contract.headers import REMEMBERED_HEADER
from gateway.contract.ledger_entry import EntrySpan, build_entry
from gateway.contract.outputs import digest
from gateway.contract.topics import LaneId, Topics
from gateway.core.decision import Outcome
from gateway.core.event import Identity, Valid
from gateway.core.province import Province
from gateway.core.times import format_instant
from gateway.operate.examples import display_event
from gateway.operate.simulate import Simulator
from gateway.operate.topics import apply_topics
from gateway.relay import lane as lane_module
from gateway.relay import recovery
from gateway.relay.horizon import Horizon
from gateway.relay.lane import Lane, Times
from gateway.relay.turn import Turn, take_turn
from tests.kafka.harness import publish, wait_until_accounted


class Nobody:
    """Is told, and tells nobody."""

    def committed(self, lane: LaneId, turn: Turn, times: Times) -> None: ...

    def aborted(self, lane: LaneId) -> None: ...

    def fenced(self, lane: LaneId) -> None: ...


def taken(lane: LaneId, received: int, event_id: str, *, offset: int = 0, channel: str | None = None) -> Turn:
    """The turn of one event, received and shown at ``received`` (milliseconds since the epoch); topics without prefix."""
    event = display_event(lane.province) | {"id": event_id, "time": format_instant(received * 1000)}
    event["data"]["display"]["channel"] = channel or event["data"]["display"]["channel"]
    record = SimpleNamespace(
        offset=offset, timestamp=received, key=event["data"]["holder"]["ref"].encode(), value=json.dumps(event).encode(),
        headers=(),
    )  # fmt: skip
    recognition = load_recognition(packaged_config() / "recognition")
    return take_turn(lane, [record], recognition, Horizon(3_600_000, 10), None, topics=Topics(), algorithm="sm3")


def identity_of(lane: LaneId, event_id: str) -> Identity:
    """The identity of an event that ``taken`` takes."""
    return Identity(lane.province.source, event_id, display_event(lane.province)["data"]["holder"]["ref"])


async def send_entry(settings: Settings, lane: LaneId, entry: bytes, remembered: bytes | None) -> None:
    """Write a ledger entry for ``lane`` by hand."""
    headers = [] if remembered is None else [(REMEMBERED_HEADER, remembered)]
    async with kafka.producer(settings) as producer:
        await producer.send_and_wait(
            settings.topic_names.ledger, entry, str(lane).encode(), partition=0, headers=headers
        )


@contextlib.asynccontextmanager
async def lane_of(settings: Settings, province: Province) -> AsyncIterator[Lane]:
    """The lane of the province's first partition, not started yet; stopped at the end."""
    topics, recognition = settings.topic_names, load_recognition(settings.recognition_dir)
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
    topics, simulator = settings.topic_names, Simulator(load_recognition(settings.recognition_dir), 7)
    now = int(time.time() * 1000)
    made = [each for each in (simulator.next_event(now) for _ in range(400)) if each.province is Province.SICHUAN]
    async with lane_of(settings, Province.SICHUAN) as lane:
        lane.start()
        await publish(settings, made)
        await wait_until_accounted(settings, len(made), 60)
        await lane.stop(10)
        position = await recovery.position_from_ledger(settings, topics, lane.id)
        assert position is not None
        assert position == lane._position
        of_ledger = await recovery.horizon_from_ledger(settings, topics, lane.id)
        of_outputs = await recovery.horizon_from_outputs(settings, topics, lane.id)
        assert of_ledger is not None
        assert len(of_ledger) == len(of_outputs) > 100
        readings = [read_event(each.value, each.headers) for each in made if each.expected is Outcome.FORWARD]
        identities = {reading.identity for reading in readings if isinstance(reading, Valid)}
        known = [(of_ledger.at(now).get(each, ()), of_outputs.at(now).get(each, ())) for each in identities]
        assert all(len(ledger) == 1 and ledger == outputs for ledger, outputs in known)
        assert len(known) == len(of_ledger), "something is remembered that was not forwarded"

        # A redrive's entry is the chain's last link and says what it forwarded, but the lane stands where it stood.
        redriven, turns_entry = taken(lane.id, now, "redriven"), taken(lane.id, now, "rejected", channel="微信小程序")
        forwarded = dict(redriven.outputs[-1].headers)[REMEMBERED_HEADER]
        span = EntrySpan(lane.id.province, lane.id.topic, 0, 0, 0, 1, now)
        entry = build_entry(
            span, redriven.counts, 1, "sm3:" + "0" * 64, "sm3:" + "0" * 64, position.previous, redriven=[0]
        )
        await send_entry(settings, lane.id, entry, forwarded)
        moved = await recovery.position_from_ledger(settings, topics, lane.id)
        assert moved == recovery.Position(position.next_offset, digest(settings.ledger.digest, [entry]))
        learnt = await recovery.horizon_from_ledger(settings, topics, lane.id)
        assert learnt is not None
        assert len(learnt) == len(of_ledger) + 1
        assert learnt.at(now).get(identity_of(lane.id, "redriven"), ())

        # An entry without the header says enough where nothing was forwarded; where something was, the outputs are asked.
        await send_entry(settings, lane.id, turns_entry.outputs[-1].value, None)
        learnt = await recovery.horizon_from_ledger(settings, topics, lane.id)
        assert learnt is not None
        assert len(learnt) == len(of_ledger) + 1
        await send_entry(settings, lane.id, redriven.outputs[-1].value, None)
        assert await recovery.horizon_from_ledger(settings, topics, lane.id) is None
        assert len(await recovery.relearn_horizon(settings, topics, lane.id)) == len(of_outputs)


async def test_the_horizon_of_a_lane_that_is_behind_begins_at_its_own_last_input(settings: Settings) -> None:
    topics, hour, now = settings.topic_names, 3_600_000, int(time.time() * 1000)
    ours, other = (LaneId(province, topics.display(province), 0) for province in Province)
    written_to = [topics.ledger, topics.verification(Province.SICHUAN), topics.verification(Province.CHONGQING)]
    # Lane, when it received, when that was written, in hours ago; the times of what is written are ours to set here.
    entries = [(ours, 140, 140), (ours, 100, 100), (ours, 60, 10), (other, 0, 0)]
    async with kafka.admin(settings) as admin, kafka.producer(settings) as producer:
        configs = {"message.timestamp.type": "CreateTime"}
        await admin.create_topics([NewTopic(topic, 1, 1, topic_configs=configs) for topic in written_to])
        await kafka.wait_until_led(admin, written_to)
        for number, (lane, received, written) in enumerate(entries):
            for output in taken(lane, now - received * hour, f"id-{number}", offset=number).outputs:
                await producer.send_and_wait(
                    settings.topic_prefix + output.topic, output.value, output.key, 0,
                    timestamp_ms=now - written * hour, headers=list(output.headers),
                )  # fmt: skip
    from_ledger = await recovery.horizon_from_ledger(settings, topics, ours)
    from_outputs = await recovery.horizon_from_outputs(settings, topics, ours)
    # As it was before the third turn, whose entry was written ten hours ago.
    before = await recovery.horizon_from_outputs(settings, topics, ours, at=now - 10 * hour + 1, before=2)
    for horizon, expected in (
        (from_ledger, [False, True, True, False]),
        (from_outputs, [False, True, True, False]),
        (before, [False, True, False, False]),
    ):
        assert horizon is not None
        horizon.at(now - 60 * hour)
        assert [bool(horizon.get(identity_of(ours, f"id-{number}"), ())) for number in range(4)] == expected
