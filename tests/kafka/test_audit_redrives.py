"""What the audit sees of redrives: those that were removed, and those that nobody made."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.adapters.settings import Settings
from gateway.contract.headers import REDRIVE_HEADER
from gateway.core.province import Province
from tests.kafka.blind_spots import forge_redrive, is_redriven, kinds, place, rejected, rewrite_one, work_off
from tests.kafka.harness import audit
from tests.kafka.one_lane import (
    Notes,
    events,
    read,
)
from tests.kafka.test_audit import append, only_finding

SICHUAN, CHONGQING = Province.SICHUAN, Province.CHONGQING


@pytest.mark.parametrize("which", ["last", "all"])
async def test_redrives_removed_with_their_outputs_are_missed(
    one: Settings, notes: Notes, which: str, tmp_path: Path
) -> None:
    topics = one.topic_names
    await work_off(one, notes, [*rejected(0, 4), *events(4, 2)])
    for offset in (0, 1):
        await forge_redrive(one, offset, forward=True)
    assert (audit(one)["ok"], audit(one)["redriven"]) == (True, 2)
    first = 1 if which == "last" else 0

    def remove(records: list[Any]) -> None:
        redriven = [record for record in records if b'"redriven":[' in record.value or is_redriven(record)]
        for record in redriven[first:]:
            records.remove(record)

    await rewrite_one(one, topics.verification(CHONGQING), remove)
    await rewrite_one(one, topics.ledger, remove)
    result = audit(one, expect=1)
    assert (kinds(result), result["redriven"]) == (["broken_link"], first)


async def test_a_forwarded_input_that_is_redriven_is_doubled(one: Settings, notes: Notes) -> None:
    verification = one.topic_names.verification(CHONGQING)
    await work_off(one, notes, events(0, 3), events(3, 2))
    await forge_redrive(one, 1, forward=True)
    records = await read(one, verification)
    finding = only_finding(audit(one, expect=1), "doubled")
    assert place(finding) == (verification, records[-1].offset)
    assert "was forwarded already" in finding["detail"]


async def test_a_forged_redrive_has_no_entry_in_any_period(one: Settings, notes: Notes) -> None:
    verification = one.topic_names.verification(CHONGQING)
    await work_off(one, notes, events(0, 3))
    record = (await read(one, verification))[0]
    headers = [*record.headers, (REDRIVE_HEADER, b"0" * 32)]
    offset = await append(one, verification, 0, record.key, record.value, headers)
    assert place(only_finding(audit(one, expect=1), "foreign")) == (verification, offset)


async def test_a_statement_knows_redrives_and_empty_partitions(one: Settings, notes: Notes, tmp_path: Path) -> None:
    topics, statement = one.topic_names, tmp_path / "statement.json"
    verification = topics.verification(CHONGQING)
    await work_off(one, notes, [*events(0, 3), *rejected(3, 2)])
    await forge_redrive(one, 3, forward=True)
    assert audit(one, "--export", str(statement))["ok"] is True
    checked = audit(one, "--statement", str(statement))
    assert (checked["ok"], checked["records"], checked["newer"]) == (True, 3 + 2 + 1, 0)
    # What comes after it is newer; a later redrive of one of its events too.
    await work_off(one, notes, events(5, 2))
    await forge_redrive(one, 4, forward=True)
    checked = audit(one, "--statement", str(statement))
    assert (checked["ok"], checked["newer"]) == (True, 3)

    def forge(records: list[Any]) -> None:
        headers = tuple((name, b"f" * 32 if name == REDRIVE_HEADER else value) for name, value in records[3].headers)
        records.insert(1, replace(records[3], headers=headers))

    await rewrite_one(one, verification, forge)
    finding = audit(one, "--statement", str(statement), expect=1)["findings"][0]
    assert (finding["kind"], *place(finding)) == ("foreign", verification, 1)
    await rewrite_one(one, verification, lambda records: records.pop(1))
    assert audit(one, "--statement", str(statement))["ok"] is True
    await rewrite_one(one, verification, lambda records: records.pop(3))
    finding = audit(one, "--statement", str(statement), expect=1)["findings"][0]
    assert (finding["kind"], finding["topic"]) == ("missing", verification)


async def test_record_in_a_partition_stated_empty_is_foreign(one: Settings, notes: Notes, tmp_path: Path) -> None:
    topics, statement = one.topic_names, tmp_path / "statement.json"
    await work_off(one, notes, events(0, 3))
    assert audit(one, "--export", str(statement))["ok"] is True
    record = (await read(one, topics.verification(CHONGQING)))[0]
    offset = await append(one, topics.rejection(SICHUAN), 0, record.key, record.value, record.headers)
    finding = only_finding(audit(one, "--statement", str(statement), expect=1), "foreign")
    assert place(finding) == (topics.rejection(SICHUAN), offset)
