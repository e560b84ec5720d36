"""Statements of the topics against an archive, and of an archive against the topics, on a real broker."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from gateway.adapters.settings import Settings
from gateway.core.province import Province
from gateway.core.times import china_date
from gateway.operate.archive.expire import expire
from gateway.operate.archive.follow import run_archive
from gateway.operate.audit import account
from gateway.operate.audit.command import run_audit
from tests.archives import gateway
from tests.kafka.blind_spots import forge_redrive, rejected, rewrite_one, work_off
from tests.kafka.harness import audit
from tests.kafka.one_lane import Notes, delete_before, events, read
from tests.kafka.test_audit import append

DAY_S = 86_400


async def archive(settings: Settings, folder: Path, *, days_later: int = 0, expect: int = 0) -> None:
    """Archive all that is there, as on a later day."""
    run = asyncio.to_thread(
        run_archive, settings, str(folder), once=True, output="json", clock=lambda: time.time() + days_later * DAY_S
    )
    assert await run == expect


async def of_archive(settings: Settings, folder: Path, *options: str, expect: int = 0) -> dict[str, Any]:
    return await asyncio.to_thread(gateway, settings, "audit", "--archive", str(folder), *options, expect=expect)


async def test_topics_and_archive_state_the_same(one: Settings, notes: Notes, tmp_path: Path) -> None:
    ours, theirs, folder = tmp_path / "topics.json", tmp_path / "archive.json", tmp_path / "archive"
    await work_off(one, notes, [*events(0, 3), *rejected(3, 3)], events(10, 2))
    await forge_redrive(one, 3, forward=True)
    await archive(one, folder)
    assert audit(one, "--export", str(ours))["ok"] is True
    assert (await of_archive(one, folder, "--export", str(theirs)))["ok"] is True
    checked = await of_archive(one, folder, "--statement", str(ours))
    assert (checked["ok"], checked["findings"], checked["archive"]["not_compared"]) == (True, [], [])
    assert checked["records"] == 3 + 3 + 2 + 1
    there = audit(one, "--statement", str(theirs))
    assert (there["ok"], there["findings"], there["records"]) == (True, [], 3 + 3 + 2 + 1)
    # What comes after the statement is newer for either: displays and redrives.
    await work_off(one, notes, events(20, 2))
    await forge_redrive(one, 4, forward=True)
    await archive(one, folder)
    assert (await of_archive(one, folder, "--statement", str(ours)))["ok"] is True
    there = audit(one, "--statement", str(theirs))
    assert (there["ok"], there["newer"]) == (True, 3)


async def test_a_record_too_many_or_too_few_is_found(one: Settings, notes: Notes, tmp_path: Path) -> None:
    theirs, folder, topics = tmp_path / "archive.json", tmp_path / "archive", one.topic_names
    verification = topics.verification(Province.CHONGQING)
    await work_off(one, notes, [*events(0, 3), *rejected(3, 1)], events(10, 2))
    await archive(one, folder)
    await of_archive(one, folder, "--export", str(theirs))
    record = (await read(one, verification))[0]
    await append(one, topics.rejection(Province.SICHUAN), 0, record.key, record.value, record.headers)
    (finding,) = audit(one, "--statement", str(theirs), expect=1)["findings"]
    assert (finding["kind"], finding["topic"]) == ("doubled", topics.rejection(Province.SICHUAN))
    await rewrite_one(one, verification, lambda records: records.pop(1))
    kinds = {(each["kind"], each["topic"]) for each in audit(one, "--statement", str(theirs), expect=1)["findings"]}
    assert ("missing", verification) in kinds


async def test_what_either_no_longer_has_is_no_difference(
    one: Settings, notes: Notes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The archive's first records had gone from their topic; then its day expires."""
    ours, theirs, folder = tmp_path / "topics.json", tmp_path / "archive.json", tmp_path / "archive"
    verification = one.topic_names.verification(Province.CHONGQING)
    await work_off(one, notes, events(0, 3), [*events(10, 3), *rejected(15, 2)])
    audit(one, "--export", str(ours))
    await delete_before(one, verification, 1)
    await archive(one, folder, expect=1)
    checked = await of_archive(one, folder, "--statement", str(ours))
    assert (checked["ok"], checked["findings"]) == (True, [])
    assert {each["topic"] for each in checked["archive"]["not_compared"]} == {"chongqing.verification"}
    await of_archive(one, folder, "--export", str(theirs), expect=1)
    there = audit(one, "--statement", str(theirs))
    assert (there["ok"], there["findings"], there["not_stated"]) == (True, [], 2)
    # A day that is over is closed, and expires; the rest can still be compared.
    await archive(one, folder, days_later=2)
    await work_off(one, notes, events(20, 2))
    await archive(one, folder, days_later=2)
    monkeypatch.setattr(account, "RECORDS_A_BLOCK", 1)
    await asyncio.to_thread(
        run_audit,
        one,
        since=None,
        until=None,
        prove=0,
        export=ours,
        signed_by=None,
        statement=None,
        every=None,
        output="json",
    )
    tomorrow = china_date(round((time.time() + DAY_S) * 1e6))
    assert expire(one, str(folder), tomorrow, dry_run=False, confirmed=True, output="json") == 0
    checked = await of_archive(one, folder, "--statement", str(ours))
    assert (checked["ok"], checked["findings"]) == (True, [])
    assert {each["why"] for each in checked["archive"]["not_compared"]} == {"removed by `gateway archive expire`"}
    assert checked["records"] == 1  # the other one's block begins with inputs of the day that has expired
