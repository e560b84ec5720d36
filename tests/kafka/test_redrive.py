"""``gateway redrive`` on a real broker: once, linked, on the ledger, and without going round in circles."""

import datetime
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from gateway.adapters import kafka
from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import Settings
from gateway.contract.dead_letter import DEADLETTER_TYPE
from gateway.contract.rejection import REJECTED_TYPE
from gateway.contract.topics import LaneId
from gateway.contract.verification import VERIFIED_TYPE
from gateway.core.province import Province
from gateway.errors import GatewayError
from gateway.operate.redrive.lane_redrive import LaneRedrive
from gateway.operate.simulate import Simulated
from gateway.operate.topics import apply_topics
from tests.kafka.harness import (
    audit,
    publish,
    read_topics,
    simulate,
    wait_until_accounted,
    with_short_sessions,
    workers,
)
from tests.kafka.row6 import CHINA, amendment, copy_of_the_list, row_6_event
from tests.kafka.test_audit import rewrite
from tests.kafka.test_trace import permit
from tests.patience import PATIENCE_S
from tests.signing import settings_signing


def redrive(settings: Settings, folder: Path, *options: str, expect: int = 0) -> dict[str, Any]:
    environment = os.environ | settings.as_environment() | {"GATEWAY_RECOGNITION": str(folder)}
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "redrive", "--format", "json", *options],
        env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == expect, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return json.loads(done.stdout) if done.stdout else {"stderr": done.stderr}


async def ends(settings: Settings) -> int:
    return len([record async for record in read_topics(settings, settings.topic_names.all)])


async def test_rejected_events_go_through_once_under_the_amended_list(settings: Settings, tmp_path: Path) -> None:
    folder = copy_of_the_list(tmp_path)
    # The gateway signs, and the audits below ask for it: of redriven records and their entries too.
    settings = settings_signing(with_short_sessions(settings), tmp_path, "ed25519")
    await apply_topics(settings)
    now = datetime.datetime.now(CHINA)
    others = simulate(settings, 500, seed=21)
    resolved = [row_6_event(number, now) for number in range(40)]
    too_early = [row_6_event(number, now - datetime.timedelta(days=1)) for number in range(40, 60)]
    wrong_channel = [row_6_event(number, now) for number in range(60, 70)]
    wrong_channel = [
        each._replace(value=each.value.replace("天府通办".encode(), "微信".encode())) for each in wrong_channel
    ]
    reused = [each._replace(value=each.value.replace("张*".encode(), "李*".encode())) for each in resolved[:3]]
    with workers(settings, 1) as (worker,):
        await publish(settings, [*others, *resolved, *too_early, *wrong_channel, *reused])
        await wait_until_accounted(settings, 573)
        assert worker.terminate() == 0
    chosen = (
        "--reason",
        "LIST_ROW_UNRESOLVED",
        "--row",
        "1/6",
        "--id",
        *" --id ".join(f"row6-{n}" for n in range(70)).split(),
    )
    unchanged = redrive(settings, folder, *chosen)
    assert (unchanged["selected"], unchanged["unchanged"], unchanged["written"]) == (73, 73, 0)
    (folder / "amendment-1.yaml").write_text(amendment(now.date()), encoding="utf-8")
    before = await ends(settings)
    plan = redrive(settings, folder, *chosen, "--dry-run")
    expected = {"forward": 40, "unchanged": 20, "reject": 13}
    assert {name: plan[name] for name in expected} == expected
    assert (plan["dry_run"], plan["reasons"], await ends(settings)) == (
        True, {"CHANNEL_NOT_RECOGNISED": 10, "ID_REUSED": 3}, before,
    )  # fmt: skip
    done = redrive(settings, folder, *chosen)
    assert ({name: done[name] for name in expected}, done["written"]) == (expected, 53)
    again = redrive(settings, folder, *chosen)
    assert (again["forward"], again["reject"], again["written"]) == (0, 0, 0)
    await assert_linked(settings)
    result = audit(settings, "--prove")
    assert (result["ok"], result["offsets"], result["redriven"], result["unsigned"]) == (True, 573, 53, 0)
    # The relay goes on where it was, and knows that these events were forwarded.
    with workers(settings, 1) as (worker,):
        await publish(settings, resolved)
        account = await wait_until_accounted(settings, 573 + 40 + 53)
        assert worker.terminate() == 0
    assert account.duplicates == sum(each.expected.value == "duplicate" for each in others) + 40
    assert audit(settings)["ok"] is True


async def assert_linked(settings: Settings) -> None:
    """Each redriven record names its input, its ledger entry and the rejection that it supersedes."""
    topics = settings.topic_names
    records, entries, redriven = {}, {}, []
    async for record in read_topics(settings, topics.all):
        headers = dict(record.headers)
        records[f"{record.topic}/{record.partition}/{record.offset}"] = record
        if record.topic == topics.ledger:
            entry = json.loads(record.value)
            if entry["data"]["redriven"] is not None:
                entries[entry["id"]] = entry["data"]
                assert record.key.decode() == f"{entry['data']['topic']}-{record.partition}"
        elif "chuanyu-redrive" in headers:
            redriven.append(record)
    assert len(redriven) == sum(entry["records"] for entry in entries.values()) == 53
    for record in redriven:
        headers = {name: value.decode() for name, value in record.headers}
        superseded = records[headers["chuanyu-supersedes"]]
        assert dict(superseded.headers)["chuanyu-origin"].decode() == headers["chuanyu-origin"]
        assert int(headers["chuanyu-origin"].rsplit("/", 1)[1]) in entries[headers["chuanyu-redrive"]]["redriven"]
        now, then = json.loads(record.value), json.loads(superseded.value)
        assert (now["data"]["event"], then["type"]) == (then["data"]["event"], REJECTED_TYPE)
        assert record.key == superseded.key
        if record.topic == topics.verification(Province.CHONGQING):
            assert (now["type"], now["data"]["list"]["batch"], now["data"]["list"]["row"]) == (VERIFIED_TYPE, 1, 6)


async def test_dead_letter_redriven_beside_a_worker_forwards_once(settings: Settings, tmp_path: Path) -> None:
    """The broker refused it; it is redriven while the worker runs, and published again: it is a duplicate
    then."""
    folder = copy_of_the_list(tmp_path)
    await apply_topics(settings)
    small, large = permit(1, "small"), with_note(permit(2, "large"), "x" * 30_000)
    await take_messages_of(settings, 20_000)
    with workers(settings, 1) as (worker,):
        await publish(settings, [large, small])
        account = await wait_until_accounted(settings, 2)
        assert (account.outcome_count(VERIFIED_TYPE), account.outcome_count(DEADLETTER_TYPE)) == (1, 1)
        await take_messages_of(settings, 1_000_000)
        chosen = ("--reason", "REFUSED_BY_BROKER")
        plan = redrive(settings, folder, *chosen, "--dry-run")
        assert (plan["forward"], plan["written"]) == (1, 0)
        assert not worker.events("lane.fenced")
        done = redrive(settings, folder, *chosen)
        assert (done["forward"], done["written"]) == (1, 1)
        assert redrive(settings, folder, *chosen)["selected"] == 0
        other = with_note(permit(2, "large"), "other content")
        await publish(settings, [large, small, other])
        account = await wait_until_accounted(settings, 2 + 1 + 3)
        assert len(worker.events("lane.fenced")) == 1
        # It goes on as before.
        await publish(settings, [large, permit(3, "next")])
        account = await wait_until_accounted(settings, 2 + 1 + 3 + 2)
        assert worker.terminate() == 0
    assert (account.outcome_count(VERIFIED_TYPE), account.duplicates) == (3, 3)
    rejections = [each for outputs in account.outputs.values() for each in outputs if each["type"] == REJECTED_TYPE]
    assert [[reason["code"] for reason in each["data"]["reasons"]] for each in rejections] == [["ID_REUSED"]]
    result = audit(settings, "--prove")
    assert (result["ok"], result["offsets"], result["redriven"]) == (True, 7, 1)
    assert (result["proved"], result["unprovable"]) == (6, {"refused by the broker": 1})


async def test_rejected_event_published_again_after_amendment_is_forwarded(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, folder = with_short_sessions(settings), copy_of_the_list(tmp_path)
    monkeypatch.setenv("GATEWAY_RECOGNITION", str(folder))
    await apply_topics(settings)
    now = datetime.datetime.now(CHINA)
    events = [row_6_event(number, now) for number in range(5)]
    corrected = [row_6_event(number, now - datetime.timedelta(seconds=1)) for number in range(5)]
    with workers(settings, 1) as (worker,):
        await publish(settings, [*events, *events])
        account = await wait_until_accounted(settings, 10)
        assert account.outcome_count(REJECTED_TYPE) == 10
        assert worker.terminate() == 0
    (folder / "amendment-1.yaml").write_text(amendment(now.date()), encoding="utf-8")
    with workers(settings, 1) as (worker,):
        await publish(settings, [*corrected, *corrected])
        account = await wait_until_accounted(settings, 20)
        assert (account.outcome_count(VERIFIED_TYPE), account.duplicates) == (5, 5)
        assert worker.terminate() == 0
    # What was forwarded in another form meanwhile is not forwarded once more by a redrive.
    done = redrive(settings, folder, "--row", "6")
    assert (done["selected"], done["forward"], done["reasons"]) == (10, 0, {"ID_REUSED": 10})
    result = audit(settings, "--prove")
    assert (result["ok"], result["proved"], result["unprovable"]) == (True, 10, {"other list edition": 10})
    # Its entry is the last one of its lane's chain: what the group committed vouches for it.
    gone = await remove_last_redrive(settings)
    result = audit(settings, expect=1)
    assert (result["broken_links"], result["foreign"], result["gaps"]) == (1, gone["outputs"], 0)


async def remove_last_redrive(settings: Settings) -> dict[str, Any]:
    """Take a redrive's entry that is its lane's last one out of the ledger; returns its data."""
    ledger, last = settings.topic_names.ledger, dict[bytes, Any]()
    async for record in read_topics(settings, [ledger]):
        last[record.key] = record
    record = next(each for each in last.values() if json.loads(each.value)["data"]["redriven"] is not None)
    await rewrite(settings, ledger, record.partition, lambda records: records.pop(record_index(records, record)))
    return dict(json.loads(record.value)["data"])


def record_index(records: list[Any], wanted: Any) -> int:
    return next(index for index, record in enumerate(records) if record.value == wanted.value)


def with_note(record: Simulated, note: str) -> Simulated:
    """The event with an extension attribute more."""
    return record._replace(value=json.dumps(json.loads(record.value) | {"note": note}, ensure_ascii=False).encode())


async def take_messages_of(settings: Settings, size: int) -> None:
    """Let the verification topics take messages of ``size`` bytes."""
    configs = {"max.message.bytes": str(size), "message.timestamp.type": "LogAppendTime"}
    async with kafka.admin(settings) as admin:
        for province in Province:
            topic = settings.topic_names.verification(province)
            await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs)])


async def test_redrive_takes_over_a_lost_lane_again(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, folder = with_short_sessions(settings), copy_of_the_list(tmp_path)
    await apply_topics(settings)
    now, topics = datetime.datetime.now(CHINA), settings.topic_names
    events = [row_6_event(number, now) for number in range(60)]
    with workers(settings, 1) as (worker,):
        await publish(settings, events)
        await wait_until_accounted(settings, len(events))
        assert worker.terminate() == 0
    (folder / "amendment-1.yaml").write_text(amendment(now.date()), encoding="utf-8")
    lanes = [LaneId(Province.SICHUAN, topics.display(Province.SICHUAN), partition) for partition in range(2)]
    rivals, sends, send = [2], [], LaneRedrive._send

    async def send_beside_a_rival(self: LaneRedrive, changes: Any) -> None:
        sends.append(len(changes))
        if len(sends) in rivals:
            await fence(settings, self.lane)
        await send(self, changes)

    monkeypatch.setattr("gateway.operate.redrive.lane_redrive._MOST_IN_A_TRANSACTION", 4)
    monkeypatch.setattr(LaneRedrive, "_send", send_beside_a_rival)
    recognition, results = load_recognition(folder), []
    done = await LaneRedrive(settings, lanes[0], recognition, lambda _: True, results.append).run(write=True)
    places = {each.candidate.place for each in results}
    assert done == len(results) == len(places) == sum(sends) - sends[1] > 4
    assert {each.result for each in results} == {"forward"}
    # Where that does not end, it is said, and what was written stands.
    rivals, sends = list(range(1, 100)), []
    with pytest.raises(GatewayError, match="was taken back 5 times, after 0 events were redriven"):
        await LaneRedrive(settings, lanes[1], recognition, lambda _: True, results.append).run(write=True)
    assert (len(sends), len(results)) == (5, done)
    result = audit(settings)
    assert (result["ok"], result["redriven"]) == (True, done)


async def fence(settings: Settings, lane: LaneId) -> None:
    """Open the lane as its worker would."""
    async with kafka.producer(settings, transactional_id=lane.transactional_id) as producer:
        await producer.begin_transaction()
        await producer.abort_transaction()


def test_somebody_has_to_say_which(settings: Settings, tmp_path: Path) -> None:
    assert "--all" in redrive(settings, copy_of_the_list(tmp_path), expect=2)["stderr"]
    assert "no row 99" in redrive(settings, copy_of_the_list(tmp_path / "2"), "--row", "99", expect=2)["stderr"]
