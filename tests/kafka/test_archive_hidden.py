"""``gateway archive`` while somebody's transaction hides an output topic's end, or the ledger's: it is
waited for, said, and no day is closed."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from gateway.adapters import hidden_ends, kafka
from gateway.adapters.settings import Settings
from gateway.core.province import Province
from gateway.operate.archive.archiver import Archiver
from gateway.operate.archive.layout import closings_of
from gateway.operate.archive.store import open_store
from tests.kafka.blind_spots import work_off
from tests.kafka.one_lane import Notes, events, lane_id, publish, until, wait_for_markers, working
from tests.kafka.test_archive import archive, assert_same_as_topics, manifests, midnight_after
from tests.patience import PATIENCE_S


async def test_an_open_transaction_is_waited_for(
    one: Settings, notes: Notes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hidden_ends, "SETTLE_S", 0.5)
    await work_off(one, notes, events(0, 2))
    verification = one.topic_names.verification(Province.CHONGQING)
    async with kafka.producer(one, transactional_id=f"{one.topic_prefix}somebody") as producer:
        await producer.begin_transaction()
        await producer.send_and_wait(verification, b"x", partition=0)
        await work_off(one, notes, events(10, 2))
        await asyncio.to_thread(archive, one, tmp_path, expect=1)
        assert [each.entries for _, each in manifests(tmp_path)] == [1]
        assert [each.lost for _, each in manifests(tmp_path)] == [[]]
        await producer.abort_transaction()
    monkeypatch.setattr(hidden_ends, "SETTLE_S", PATIENCE_S)  # the marker may come later than the answer
    await asyncio.to_thread(archive, one, tmp_path)
    await asyncio.to_thread(assert_same_as_topics, one, tmp_path)


async def hide_ledger(settings: Settings, notes: Notes, producer: AIOKafkaProducer, *, first: int) -> None:
    """Leave a transaction of ``producer`` open on the ledger, behind which the lane works a turn off."""
    async with working(settings, notes) as lane:
        await until(lane, first)
        await producer.begin_transaction()
        await producer.send_and_wait(settings.topic_names.ledger, b"x", partition=0)
        await publish(settings, events(10, 2))
        await until(lane, first + 2)


async def test_a_hidden_ledger_closes_no_day(
    one: Settings, notes: Notes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    monkeypatch.setattr(hidden_ends, "SETTLE_S", 0.5)
    store, ledger = open_store(str(tmp_path)), f"{one.topic_names.ledger}/0"
    await work_off(one, notes, events(0, 2))
    later = midnight_after(time.time()) + 600
    async with kafka.producer(one, transactional_id=f"{one.topic_prefix}somebody") as producer:
        await hide_ledger(one, notes, producer, first=2)
        capfd.readouterr()
        await asyncio.to_thread(archive, one, tmp_path, expect=1)
        shown = capfd.readouterr()
        done = json.loads(shown.out)
        assert (done["waiting"], done["lost"], done["entries"]) == ([ledger], 0, 1)
        lines = [json.loads(line) for line in shown.err.splitlines() if '"archive.lane_waiting"' in line]
        assert {line["waits_for"] for line in lines} == {ledger}
        # Its day is over, and more of it may come.
        archiver = Archiver.prepared(one, store, later)
        states = await archiver.run_pass(later, everything=False)
        assert states[str(lane_id(one))].open_since == round(later * 1000)  # so that its age grows
        assert list(closings_of(store)) == []
        await producer.abort_transaction()
    await wait_for_markers(one)
    states = await archiver.run_pass(later, everything=False)
    assert {each.waits_for for each in states.values()} == {None}
    assert [each.entries for _, each in manifests(tmp_path)] == [1, 1]
    assert len(list(closings_of(store))) == 1
    await asyncio.to_thread(assert_same_as_topics, one, tmp_path)


async def test_the_last_turns_marker_is_waited_for(
    one: Settings, notes: Notes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hidden_ends, "SETTLE_S", PATIENCE_S)
    await work_off(one, notes, events(0, 2))
    async with kafka.producer(one, transactional_id=f"{one.topic_prefix}somebody") as producer:
        await hide_ledger(one, notes, producer, first=2)
        archiving = asyncio.create_task(asyncio.to_thread(archive, one, tmp_path))
        await asyncio.sleep(2)
        await producer.abort_transaction()
        await archiving
    await asyncio.to_thread(assert_same_as_topics, one, tmp_path)
