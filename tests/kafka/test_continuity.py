"""What a lane does when its log, its ledger or its group is not as it left them: nothing is silent, nothing
goes out twice."""

import asyncio
import json

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition

from gateway.adapters import kafka
from gateway.adapters.raw_log import describe_offsets
from gateway.adapters.settings import Settings
from gateway.core.province import Province
from gateway.operate.acknowledge import Remark, acknowledge
from gateway.relay import lane as lanes
from gateway.relay.opening import HORIZON_INCOMPLETE
from tests.kafka.one_lane import (
    Notes,
    commit_by_hand,
    delete_before,
    entries,
    events,
    outcomes,
    publish,
    read,
    recreate_topic,
    until,
    verified,
    working,
)


async def test_records_deleted_before_reading_are_entered_as_lost(one: Settings, notes: Notes) -> None:
    topic = one.topic_names.display(Province.SICHUAN)
    await publish(one, events(0, 10))
    async with working(one, notes) as lane:
        await until(lane, 10)
    await publish(one, events(10, 20))
    await delete_before(one, topic, 25)
    async with working(one, notes) as lane:
        await until(lane, 30)
    found = await entries(one)
    lost = [each for each in found if outcomes([each]).get("lost")]
    assert [(each.first_offset, each.last_offset, each.records, each.outputs) for each in lost] == [(10, 24, 0, 0)]
    assert outcomes(found) == {"forward": 15, "lost": 15}
    assert await verified(one) == [f"id-{number}" for number in (*range(10), *range(25, 30))]


async def test_records_deleted_during_fetching_are_entered_as_lost(one: Settings, notes: Notes) -> None:
    topic = one.topic_names.display(Province.SICHUAN)
    async with working(one, notes) as lane:
        await publish(one, events(0, 10))
        await until(lane, 10)
        lane.consumer.pause(lane.partition)
        await asyncio.sleep(1)
        await publish(one, events(10, 20))
        await delete_before(one, topic, 25)
        lane.consumer.resume(lane.partition)
        await until(lane, 30)
    assert outcomes(await entries(one)) == {"forward": 15, "lost": 15}


@pytest.mark.parametrize(("noticed", "duplicates"), [("opening", 5), ("fetching", 5), ("late", 10)])
async def test_another_log_under_the_name_begins_an_epoch(
    one: Settings, notes: Notes, noticed: str, duplicates: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "_LOOK_S", 600.0)
    topic = one.topic_names.display(Province.SICHUAN)
    await publish(one, events(0, 10))
    async with working(one, notes) as lane:
        await until(lane, 10)
        if noticed == "fetching":
            await recreate_topic(one, topic)
            await until(lane, 0)  # its position is beyond the new log's end
            await publish(one, events(5, 15))
            await until(lane, 15)
        elif noticed == "late":
            lane.consumer.pause(lane.partition)
            await recreate_topic(one, topic)
            await publish(one, events(5, 15))
            lane.consumer.resume(lane.partition)
            await until(lane, 15)  # from 10, as if it were the old log; those five are read again
    if noticed == "opening":
        await recreate_topic(one, topic)
        await publish(one, events(5, 15))
    if noticed != "fetching":
        assert "input.log_changed" not in notes.said
        async with working(one, notes) as lane:
            await until(lane, 15)
    assert "input.log_changed" in notes.said
    assert sorted(await verified(one)) == sorted(f"id-{number}" for number in range(20))
    found = await entries(one)
    assert outcomes(found) == {"forward": 20, "duplicate": duplicates}
    assert {each.epoch for each in found} == {0, 1}
    assert len({each.topic_id for each in found}) == 2
    # The next opening finds it in order.
    said = notes.said.count("input.log_changed")
    async with working(one, notes) as lane:
        await until(lane, 15)
    assert notes.said.count("input.log_changed") == said


async def test_a_repetition_is_known_though_the_ledger_is_cut(one: Settings, notes: Notes) -> None:
    sent = events(0, 30)
    async with working(one, notes) as lane:
        for start in range(0, 30, 10):
            await publish(one, sent[start : start + 10])
            await until(lane, start + 10)
    ends = [record.offset for record in await read(one, one.topic_names.ledger)]
    await delete_before(one, one.topic_names.ledger, ends[-1])
    await publish(one, sent)
    async with working(one, notes) as lane:
        await until(lane, 60)
    assert await verified(one) == [event["id"] for event in sent]

    await delete_before(one, one.topic_names.ledger, -1)  # all of it
    await publish(one, sent)
    async with working(one, notes) as lane:
        await until(lane, 90)
    assert "ledger.discontinued" in notes.said
    assert await verified(one) == [event["id"] for event in sent]


async def test_outputs_tell_what_neither_ledger_nor_group_has(one: Settings, notes: Notes) -> None:
    sent = events(0, 20)
    await publish(one, sent[:10])
    async with working(one, notes) as lane:
        await until(lane, 10)
    await delete_before(one, one.topic_names.ledger, -1)
    await commit_by_hand(one, 0)
    await publish(one, sent[10:])
    async with working(one, notes) as lane:
        await until(lane, 20)
    assert "ledger.discontinued" in notes.said
    await publish(one, sent)
    async with working(one, notes) as lane:
        await until(lane, 40)
    assert await verified(one) == [event["id"] for event in sent]
    first = (await entries(one))[0]
    assert first.previous is None
    assert not first.is_first


@pytest.mark.parametrize(("gone", "again"), [("everything", 20), ("ledger and outputs", 20), ("the older half", 10)])
async def test_lane_waits_without_ledger_and_outputs(one: Settings, notes: Notes, gone: str, again: int) -> None:
    """``again``: how many are forwarded a second time once somebody has taken note that they may be."""
    sent, topics = events(0, 20), one.topic_names
    ledger, verification = topics.ledger, topics.verification(Province.CHONGQING)
    async with working(one, notes) as lane:
        for start in (0, 10):
            await publish(one, sent[start : start + 10])
            await until(lane, start + 10)
    if gone == "everything":
        await delete_before(one, ledger, -1)
        await delete_before(one, verification, -1)
        await commit_by_hand(one, 0)
    else:
        if gone == "ledger and outputs":
            await recreate_topic(one, ledger)
        else:
            await delete_before(one, ledger, max(record.offset for record in await read(one, ledger)))
        await recreate_topic(one, verification)
    await publish(one, sent)
    async with working(one, notes) as lane:
        async with asyncio.timeout(30):
            while lane.progress.cause != HORIZON_INCOMPLETE:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        assert "horizon.incomplete" in notes.said
        assert await verified(one) == []
        remark = Remark("值班室", "the readers know of it")
        done = await asyncio.to_thread(
            acknowledge, one, "sichuan.display-0", None, remark, confirmed=True, output="json"
        )
        assert done == 0
        await until(lane, 40)
    assert len(await verified(one)) == again


async def test_a_lane_waits_for_what_a_neighbours_transaction_hides(one: Settings, notes: Notes) -> None:
    sent = events(0, 10)
    ledger = one.topic_names.ledger
    async with working(one, notes) as lane:
        await until(lane, 0)
        neighbour: AIOKafkaProducer
        async with kafka.producer(one, transactional_id="neighbour", transaction_timeout_ms=60_000) as neighbour:
            await neighbour.begin_transaction()
            await neighbour.send_and_wait(ledger, b"x", b"neighbour", partition=0)
            await publish(one, sent)
            await until(lane, 10)
            await lane.stop(10)
            await publish(one, sent)
            lane._known = None  # as another worker opens it
            lane.start()
            async with asyncio.timeout(30):
                while lane.progress.cause != "ledger_hidden":  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            assert not lane.is_open
            await neighbour.abort_transaction()
            await until(lane, 20)
    assert "lane.waiting" in notes.said
    assert await verified(one) == [event["id"] for event in sent]


@pytest.mark.parametrize("offset", [0, 5, 10, 1000])
async def test_an_offset_set_by_hand_is_overruled_and_said(one: Settings, notes: Notes, offset: int) -> None:
    sent = events(0, 10)
    await publish(one, sent)
    async with working(one, notes) as lane:
        await until(lane, 10)
    await commit_by_hand(one, offset)
    await publish(one, events(10, 5))
    async with working(one, notes) as lane:
        await until(lane, 15)
    assert "lane.overruled" in notes.said
    assert await verified(one) == [f"id-{number}" for number in range(15)]
    assert outcomes(await entries(one)) == {"forward": 15}


async def test_gateways_in_different_groups_fence_each_other(one: Settings, notes: Notes) -> None:
    other = Notes()
    async with working(one, notes) as ours:
        await publish(one, events(0, 10))
        await until(ours, 10)
        async with working(one, other, group_id=one.groups[0] + "-another") as theirs:
            await until(theirs, 10)
            for start in range(10, 60, 10):
                await publish(one, events(start, 10))
                await asyncio.sleep(1)
            async with asyncio.timeout(60):
                while len(await verified(one)) < 60:  # noqa: ASYNC110
                    await asyncio.sleep(0.5)
    assert notes.fences + other.fences >= 1
    assert sorted(await verified(one)) == sorted(f"id-{number}" for number in range(60))


async def test_a_tail_of_aborted_records_is_committed_past(one: Settings, notes: Notes) -> None:
    topic = one.topic_names.display(Province.SICHUAN)
    await publish(one, events(0, 3))
    async with working(one, notes) as lane:
        await until(lane, 3)
        async with kafka.producer(one, transactional_id="publisher") as producer:
            await producer.begin_transaction()
            for event in events(3, 2):
                await producer.send(topic, json.dumps(event).encode(), b"k", partition=0)
            await producer.flush()
            await producer.abort_transaction()
        await until(lane, 6)  # two records and the marker
        assert lane.lag == 0
        turns = len(notes.turns)
    async with working(one, notes) as lane:
        await until(lane, 6)
    assert len(notes.turns) == turns, "nothing was decided, and nothing is said twice"
    assert not {"lane.overruled", "input.log_changed", "ledger.discontinued"} & set(notes.said)


async def test_the_first_position_is_committed_before_any_record(one: Settings, notes: Notes) -> None:
    topic = one.topic_names.display(Province.SICHUAN)
    async with working(one, notes) as lane:
        await until(lane, 0)
    # What comes after that is the gateway's to account for, even if it is never seen.
    await publish(one, events(0, 10))
    await delete_before(one, topic, 10)
    async with working(one, notes) as lane:
        await until(lane, 10)
    assert outcomes(await entries(one)) == {"lost": 10}


async def test_what_compaction_took_is_lost_by_name(one: Settings, notes: Notes) -> None:
    topic = one.topic_names.display(Province.SICHUAN)
    configs = {"cleanup.policy": "compact", "segment.ms": "100", "min.cleanable.dirty.ratio": "0.01"}
    await recreate_topic(one, topic, configs)
    await publish(one, events(0, 20))  # one holder's, so that only the last is kept
    partition, published = TopicPartition(topic, 0), 20
    async with asyncio.timeout(120):
        while [each.kind async for each in describe_offsets(one, partition, 0, 0)] != ["missing"]:
            await asyncio.sleep(1)
            await publish(one, events(published, 1))  # a new segment, after which the last one can be cleaned
            published += 1
    async with working(one, notes) as lane:
        await until(lane, published)
    found = await entries(one)
    counts = outcomes(found)
    assert counts["lost"] + counts["forward"] == published
    assert counts["forward"] == len(await verified(one))
    assert counts["lost"] >= 19
    assert all(each.records == 0 for each in found if outcomes([each]).get("lost"))


async def test_another_ledger_under_a_working_lane_is_reported(one: Settings, notes: Notes) -> None:
    sent = events(0, 10)
    async with working(one, notes) as lane:
        await publish(one, sent)
        await until(lane, 10)
        await recreate_topic(one, one.topic_names.ledger)
        lane._looked_at = 0  # half a minute later
        await publish(one, [*sent, *events(10, 5)])
        await until(lane, 25)
        async with asyncio.timeout(30):
            while "ledger.discontinued" not in notes.said:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        await publish(one, events(15, 5))
        await until(lane, 30)
        assert notes.said.count("ledger.discontinued") == 1
    # What a worker that starts then has to know is in the outputs.
    await publish(one, sent)
    async with working(one, notes) as lane:
        await until(lane, 40)
    assert await verified(one) == [f"id-{number}" for number in range(20)]
