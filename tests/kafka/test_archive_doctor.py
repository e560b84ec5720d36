"""What `gateway doctor` says of an archive: none, another machine's, one that waits, one that is behind."""

import asyncio
import time
from pathlib import Path

import pytest

from gateway.adapters import hidden_ends, kafka
from gateway.adapters.settings import Settings
from gateway.operate.archive import standing
from gateway.operate.archive.follow import run_archive
from gateway.operate.doctor import archive_check
from gateway.operate.doctor.archive_check import check_archive
from gateway.operate.doctor.result import CheckResult, CheckStatus, Installation
from tests.kafka.blind_spots import work_off
from tests.kafka.one_lane import Notes, delete_before, events, lane_id, read
from tests.patience import PATIENCE_S


async def said(settings: Settings, place: Path | None) -> CheckResult:
    named = settings.archive.model_copy(update={"place": None if place is None else str(place)})
    (only,) = await check_archive(Installation(settings.model_copy(update={"archive": named})))
    assert only.advice or only.status is CheckStatus.FINE
    return only


async def test_how_far_the_archive_is(
    one: Settings, notes: Notes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lane = str(lane_id(one))
    nowhere = await said(one, None)
    assert (nowhere.status, "archive.place names none" in nowhere.message) == (CheckStatus.UNCHECKED, True)
    elsewhere = await said(one, tmp_path / "elsewhere")
    assert (elsewhere.status, "is no folder here" in elsewhere.message) == (CheckStatus.UNCHECKED, True)
    assert "nothing waits; it holds no segment" in (await said(one, tmp_path)).message
    await work_off(one, notes, events(0, 2))
    waits = await said(one, tmp_path)
    assert (waits.status, f"{lane} is not archived since" in waits.message) == (CheckStatus.FINE, True)
    # Nobody archives: first a segment is overdue, then it is late for the topics.
    monkeypatch.setattr(archive_check, "_SLACK_S", -one.archive.segment_minutes * 60)
    late = await said(one, tmp_path)
    assert (late.status, "a segment is due after 6.0 h" in late.message) == (CheckStatus.PROBLEM, True)
    monkeypatch.setattr(standing, "BEHIND", 0.0)
    behind = await said(one, tmp_path)
    assert (behind.status, "the topics keep records for 168 h" in behind.message) == (CheckStatus.PROBLEM, True)
    assert await asyncio.to_thread(run_archive, one, str(tmp_path), once=True, output="json") == 0
    done = await said(one, tmp_path)
    assert (done.status, "nothing waits; its newest segment is of" in done.message) == (CheckStatus.FINE, True)
    assert f"{time.gmtime().tm_year}-" in done.message
    # What comes then waits again, in the lane that it came to.
    await work_off(one, notes, events(10, 1))
    assert f"{lane} is not archived since" in (await said(one, tmp_path)).message
    # Retention passes it by.
    await delete_before(one, one.topic_names.ledger, (await read(one, one.topic_names.ledger))[-1].offset + 1)
    lost = await said(one, tmp_path)
    assert (lost.status, f"entries of {lane} were removed" in lost.message) == (CheckStatus.PROBLEM, True)


async def test_a_hidden_ledger_is_not_called_archived(
    one: Settings, notes: Notes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hidden_ends, "SETTLE_S", 0.5)
    async with kafka.producer(one, transactional_id=f"{one.topic_prefix}somebody") as producer:
        await producer.begin_transaction()
        await producer.send_and_wait(one.topic_names.ledger, b"x", partition=0)
        hidden = await said(one, tmp_path)
        assert (hidden.status, hidden.subject) == (CheckStatus.PROBLEM, f"{one.topic_names.ledger}/0")
        await producer.abort_transaction()
    monkeypatch.setattr(hidden_ends, "SETTLE_S", PATIENCE_S)  # the marker may come later than the answer
    assert "nothing waits" in (await said(one, tmp_path)).message
