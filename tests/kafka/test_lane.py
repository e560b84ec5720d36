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
from gateway.adapters.log_facts import wait_until_known
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
from gateway.relay import evidence, recovery
from gateway.relay.chain import read_chain
from gateway.relay.committed import read_committed
from gateway.relay.horizon import Horizon
from gateway.relay.lane import Lane
from gateway.relay.observer import Times
from gateway.relay.turn import Turn, take_turn
from tests.kafka.harness import publish, simulate, wait_until_accounted
from tests.patience import PATIENCE_S


class SilentObserver:
    """An observer that does nothing."""

    def committed(self, lane: LaneId, turn: Turn, times: Times) -> None: ...

    def aborted(self, lane: LaneId) -> None: ...

    def fenced(self, lane: LaneId) -> None: ...

    def ended(self, lane: LaneId) -> None: ...


def taken(lane: LaneId, received: int, event_id: str, *, offset: int = 0, channel: str | None = None) -> Turn:
    """The turn of one event, received and shown at ``received`` (milliseconds since the epoch); topics
    without prefix."""
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
            settings.groups[0], lambda: recognition, load_key_ring(settings), SilentObserver(),
        )  # fmt: skip
        consumer.assign([lane.partition])
        try:
            yield lane
        finally:
            await lane.stop(10)


async def test_a_lane_stopped_during_recovery_recovers_when_restarted(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings.model_copy(update={"topics": settings.topics.model_copy(update={"partitions": 1})})
    await apply_topics(settings)
    before, seen_by_another = [
        each
        for each in simulate(settings, 100)
        if each.expected is Outcome.FORWARD and each.province is Province.SICHUAN
    ][:2]
    learn, is_learning = evidence.read_chain, asyncio.Event()

    async def learn_and_be_interrupted(*arguments: Any, **options: Any) -> Any:
        if is_learning.is_set():
            return await learn(*arguments, **options)
        is_learning.set()
        return await asyncio.Event().wait()

    async with lane_of(settings, Province.SICHUAN) as lane, lane_of(settings, Province.SICHUAN) as another:
        lane.start()
        await publish(settings, [before])
        await wait_until_accounted(settings, 1)
        await lane.stop(10)
        another.start()
        await publish(settings, [seen_by_another])
        await wait_until_accounted(settings, 2)
        await another.stop(10)

        monkeypatch.setattr(evidence, "read_chain", learn_and_be_interrupted)
        lane.start()
        await asyncio.wait_for(is_learning.wait(), PATIENCE_S)
        await lane.stop(10)  # a rebalance, which gives the lane back to the same worker
        lane.start()
        await publish(settings, [seen_by_another])
        account = await wait_until_accounted(settings, 3)
    account.assert_proper(3)
    assert account.duplicates == 1


async def test_a_lane_that_a_library_cancels_opens_again(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings.model_copy(update={"topics": settings.topics.model_copy(update={"partitions": 1})})
    await apply_topics(settings)
    simulator, now = Simulator(load_recognition(settings.recognition_dir), 1), int(time.time() * 1000)
    event = next(each for each in iter(lambda: simulator.next_event(now), None) if each.province is Province.SICHUAN)
    learn, cancelled = evidence.read_chain, asyncio.Event()

    async def learn_or_be_cancelled(*arguments: Any, **options: Any) -> Any:
        if cancelled.is_set():
            return await learn(*arguments, **options)
        cancelled.set()
        raise asyncio.CancelledError

    monkeypatch.setattr(evidence, "read_chain", learn_or_be_cancelled)
    async with lane_of(settings, Province.SICHUAN) as lane:
        lane.start()
        await asyncio.wait_for(cancelled.wait(), PATIENCE_S)
        await publish(settings, [event])
        await wait_until_accounted(settings, 1)


async def test_recovery_from_ledger_equals_recovery_from_outputs(settings: Settings) -> None:
    settings = settings.model_copy(update={"topics": settings.topics.model_copy(update={"partitions": 1})})
    await apply_topics(settings)
    topics, now = settings.topic_names, int(time.time() * 1000)
    made = [each for each in simulate(settings, 400, seed=7) if each.province is Province.SICHUAN]
    async with lane_of(settings, Province.SICHUAN) as lane:
        lane.start()
        await publish(settings, made)
        await wait_until_accounted(settings, len(made))
        await lane.stop(10)
        known = lane._known
        assert known is not None
        async with asyncio.timeout(PATIENCE_S):  # a broker answers before the group's partition has the marker
            while (  # noqa: ASYNC110
                committed := await read_committed(settings, settings.groups[0], lane.id)
            ) is None or committed.next_offset != known.standing.next_offset:
                await asyncio.sleep(0.05)
        assert committed.previous == known.standing.previous
        assert committed.link is not None
        assert (committed.link.last_input, committed.link.log) == (known.links.newest.last_input, known.standing.log)  # type: ignore[union-attr]
        chain = await read_chain(settings, topics, lane.id, committed)
        assert chain is not None
        assert chain.horizon is not None
        assert chain.reaches_back
        assert chain.has_committed
        assert chain.previous == known.standing.previous
        of_ledger, found = chain.horizon, await recovery.horizon_from_outputs(settings, topics, lane.id)
        of_outputs = found.horizon
        assert found.reaches_back
        assert len(of_ledger) == len(of_outputs) > 100
        readings = [read_event(each.value, each.headers) for each in made if each.expected is Outcome.FORWARD]
        identities = {reading.identity for reading in readings if isinstance(reading, Valid)}
        remembered = [(of_ledger.at(now).get(each, ()), of_outputs.at(now).get(each, ())) for each in identities]
        assert all(len(ledger) == 1 and ledger == outputs for ledger, outputs in remembered)
        assert len(remembered) == len(of_ledger), "something is remembered that was not forwarded"

        # A redrive's entry is the chain's last link and says what it forwarded, but the lane stands where it
        # stood.
        event = taken(lane.id, now, "redriven")
        forwarded = dict(event.outputs[-1].headers)[REMEMBERED_HEADER]
        span = EntrySpan(lane.id, known.standing.log, 0, 0, now, event.span.inputs)
        entry = build_entry(
            span, event.counts, event.outputs[:-1], "sm3:" + "0" * 64, chain.previous, algorithm="sm3",
            remembered=forwarded, redriven=[0],
        )  # fmt: skip
        await send_entry(settings, lane.id, entry, forwarded)
        moved = await read_chain(settings, topics, lane.id, committed)
        assert moved is not None
        assert moved.horizon is not None
        assert moved.last_turn == chain.last_turn
        assert moved.tip == digest("sm3", [entry])
        assert len(moved.horizon) == len(of_ledger) + 1
        assert moved.horizon.at(now).get(identity_of(lane.id, "redriven"), ())

        # One that does not say what it forwarded, or says something else than it did, sends to the outputs.
        for remembered_bytes in (None, forwarded[:-1] + b"x", b""):
            await send_entry(settings, lane.id, entry, remembered_bytes)
            moved = await read_chain(settings, topics, lane.id, None)
            assert moved is not None
            assert not moved.reaches_back


async def test_lagging_lanes_horizon_counts_from_its_last_input(settings: Settings) -> None:
    topics, hour, now = settings.topic_names, 3_600_000, int(time.time() * 1000)
    ours, other = (LaneId(province, topics.display(province), 0) for province in Province)
    written_to = [topics.ledger, topics.verification(Province.SICHUAN), topics.verification(Province.CHONGQING)]
    # Lane, when it received, when that was written, in hours ago; the times of what is written are ours to
    # set here.
    entries = [(ours, 140, 140), (ours, 100, 100), (ours, 60, 10), (other, 0, 0)]
    async with kafka.admin(settings) as admin, kafka.producer(settings) as producer:
        configs = {"message.timestamp.type": "CreateTime"}
        await admin.create_topics([NewTopic(topic, 1, 1, topic_configs=configs) for topic in written_to])
        await wait_until_known(settings, written_to)
        for number, (lane, received, written) in enumerate(entries):
            for output in taken(lane, now - received * hour, f"id-{number}", offset=number).outputs:
                await producer.send_and_wait(
                    settings.topic_prefix + output.topic, output.value, output.key, 0,
                    timestamp_ms=now - written * hour, headers=list(output.headers),
                )  # fmt: skip
    chain = await read_chain(settings, topics, ours, None)
    assert chain is not None
    from_outputs = (await recovery.horizon_from_outputs(settings, topics, ours)).horizon
    # As it was before the third turn, whose entry was written ten hours ago.
    before = (
        await recovery.horizon_from_outputs(settings, topics, ours, at=now - 10 * hour + 1, before=(0, 2))
    ).horizon
    for horizon, expected in (
        (chain.horizon, [False, True, True, False]),
        (from_outputs, [False, True, True, False]),
        (before, [False, True, False, False]),
    ):
        assert horizon is not None
        horizon.at(now - 60 * hour)
        assert [bool(horizon.get(identity_of(ours, f"id-{number}"), ())) for number in range(4)] == expected
