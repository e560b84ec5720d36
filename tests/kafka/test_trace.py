"""``gateway trace`` on a real broker: the whole story of one event, and nothing personal in it."""

import asyncio
import datetime
import json
import os
import subprocess
import sys
from typing import Any

import pytest

from gateway.adapters import kafka
from gateway.adapters.settings import Settings
from gateway.core.province import Province
from gateway.operate.simulate import Simulated
from gateway.operate.topics import apply_topics
from tests.kafka.harness import publish, read_topics, simulate, wait_until_accounted, with_short_sessions, workers
from tests.kafka.row6 import CHINA, row_6_event
from tests.patience import PATIENCE_S

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


def changed(record: Simulated, old: str, new: str) -> Simulated:
    assert old.encode() in record.value
    return record._replace(value=record.value.replace(old.encode(), new.encode()))


def permit(number: int, event_id: str) -> Simulated:
    """A transport permit that is recognised, of a made-up holder."""
    record = row_6_event(number, datetime.datetime.now(CHINA), id=event_id)
    return changed(changed(record, "从业资格证", "道路运输证"), "06-2", "05-2")


@pytest.fixture
def worked_off(settings: Settings) -> Settings:
    """Topics with one event of each fate among others; the last one came after the worker had stopped."""
    settings = with_short_sessions(settings)

    async def work_off() -> None:
        await apply_topics(settings)
        first = permit(1, "forwarded")
        records = [
            *simulate(settings, 300, seed=41),
            first, row_6_event(2, datetime.datetime.now(CHINA), id="编号“2”"), first, changed(first, "张*", "李*"),
            Simulated(Province.SICHUAN, b"k", b"garbage", [], first.expected, ()),
        ]  # fmt: skip
        with workers(settings, 1) as (worker,):
            await publish(settings, records[:-2])
            await asyncio.sleep(0.05)  # so that the times at which they are received tell them apart
            await publish(settings, records[-2:])
            await wait_until_accounted(settings, len(records))
            assert worker.terminate() == 0
        await publish(settings, [permit(3, "late")])

    asyncio.run(work_off())
    return settings


def trace(settings: Settings, *options: str, expect: int = 0, output: str = "json") -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "trace", "--format", output, *options],
        env=os.environ | settings.as_environment(), capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert done.returncode == expect, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "sm3:00000000" not in done.stdout + done.stderr  # the holders' references
    assert "张*" not in done.stdout + done.stderr
    return json.loads(done.stdout) if output == "json" and done.stdout else done.stdout + done.stderr


def test_each_fate_has_its_story(worked_off: Settings) -> None:
    topics = worked_off.topic_names
    story = trace(worked_off, "forwarded")
    first, repeated, reused = story["occurrences"]
    assert [each["outcome"] for each in story["occurrences"]] == ["forward", "duplicate", "reject"]
    assert [each["proved"] for each in story["occurrences"]] == ["yes", "yes", "yes"]
    assert (first["batch"], first["row"], first["outputs"][0]["topic"]) == (
        1,
        5,
        topics.verification(Province.CHONGQING),
    )
    assert [(check["dimension"], check["result"]) for check in first["checks"]] == [
        (name, "match") for name in ("certificate", "issuer", "channel", "scenario", "scope")
    ]
    assert first["ledger"]["first_offset"] <= first["input"]["offset"] <= first["ledger"]["last_offset"]
    place = first["input"]
    assert repeated["duplicate_of"] == f"{place['topic']}/{place['partition']}/{place['offset']}"
    assert (repeated["outputs"], [reason["code"] for reason in reused["reasons"]]) == ([], ["ID_REUSED"])
    (alone,) = trace(worked_off, "forwarded", "--since", reused["input"]["received"])["occurrences"]
    assert alone["proved"] == "no: what was forwarded before under its id is not within what was searched"
    assert story["searched"]["records"] == 306

    (rejected,) = trace(worked_off, "编号“2”")["occurrences"]
    assert rejected["reasons"][0]["code"] == "LIST_ROW_UNRESOLVED"
    assert rejected["checks"][4]["result"] == "unresolved"
    (late,) = trace(worked_off, "late")["occurrences"]
    assert (late["outcome"], late["ledger"]) == ("pending", None)
    assert {each["id"] for each in trace(worked_off, "--trace-id", TRACE_ID)["occurrences"]} == {
        "forwarded",
        "编号“2”",
        "late",
    }


def test_where_to_look_can_be_narrowed(worked_off: Settings) -> None:
    key = f"sm3:{1:064x}"
    by_key = trace(worked_off, "forwarded", "--key", key)
    assert len(by_key["occurrences"]) == 3
    assert by_key["searched"]["partitions"] == [by_key["occurrences"][0]["input"]["partition"]]
    assert trace(worked_off, "forwarded", "--province", "chongqing", expect=1)["occurrences"] == []
    assert trace(worked_off, "forwarded", "--until", "2026-01-01T00:00:00Z", expect=1)["occurrences"] == []
    assert "there is no such partition" in trace(worked_off, "forwarded", "--partition", "9", expect=2)


def test_what_has_no_id_is_traced_by_its_place(worked_off: Settings) -> None:
    async def dead_letter() -> str:
        topic = worked_off.topic_names.deadletter
        letters = [json.loads(record.value)["data"] async for record in read_topics(worked_off, [topic])]
        origin = next(data["origin"] for data in letters if data["size"] == len(b"garbage"))
        return f"{origin['topic'].removeprefix(worked_off.topic_prefix)}/{origin['partition']}/{origin['offset']}"

    (occurrence,) = trace(worked_off, "--at", asyncio.run(dead_letter()))["occurrences"]
    assert (occurrence["id"], occurrence["outcome"], occurrence["error"]["code"]) == (None, "dead_letter", "NOT_JSON")
    assert (occurrence["outputs"][0]["kind"], occurrence["proved"]) == ("dead_letter", "yes")
    assert trace(worked_off, "--at", "sichuan.display/0/999999", expect=1)["occurrences"] == []


def test_people_read_it_too(worked_off: Settings) -> None:
    text = trace(worked_off, "编号“2”", output="text")
    assert "退回 rejected" in text
    assert "怎么办 to do     请两个协调中心会同签发单位确认该单元格内容" in text
    assert "LIST_ROW_UNRESOLVED" in text
    assert "待确认 unresolved  试点范围 scope" in text
    assert "不限时间 whatever its time" in trace(worked_off, "nobody", output="text", expect=1)
    received, shown = text.splitlines()[1:3]  # the values stand in one column
    assert received.index(worked_off.topic_names.display(Province.SICHUAN)) == shown.index("20")
    assert "--trace-id" in trace(worked_off, output="text", expect=2)
    assert "--at" in trace(worked_off, "--at", "gateway.ledger/0/0", output="text", expect=2)


def test_an_input_that_is_gone_has_its_story(worked_off: Settings) -> None:
    """The topic is recreated, and other events stand where it stood."""
    topics = worked_off.topic_names
    display = topics.display(Province.SICHUAN)
    before = trace(worked_off, "forwarded")["occurrences"]

    async def recreate() -> None:
        accounted = sum(
            [json.loads(each.value)["data"]["records"] async for each in read_topics(worked_off, [topics.ledger])]
        )
        sent = [each async for each in read_topics(worked_off, [display]) if b'"forwarded"' in each.value]
        async with kafka.admin(worked_off) as admin:
            await admin.delete_topics([display])
            async with asyncio.timeout(30):
                while display in await admin.list_topics():  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
        await apply_topics(worked_off)
        again = permit(1, "x")._replace(key=sent[0].key, value=sent[0].value)
        with workers(worked_off, 1) as (worker,):
            worker.wait_for("input.log_changed")
            await publish(worked_off, [permit(1, "another"), again])
            await wait_until_accounted(worked_off, accounted + 2)
            assert worker.terminate() == 0

    asyncio.run(recreate())
    forwarded, rejected, again = trace(worked_off, "forwarded")["occurrences"]
    assert [each["input"]["is_kept"] for each in (forwarded, rejected, again)] == [False, False, True]
    assert [each["outcome"] for each in (forwarded, rejected, again)] == ["forward", "reject", "duplicate"]
    same = ("outputs", "ledger", "reasons", "row")
    for now, then in ((forwarded, before[0]), (rejected, before[2])):
        assert {name: now[name] for name in same} == {name: then[name] for name in same}
        assert now["proved"] == "not proved: the input record is no longer in its topic"
    assert "no longer in its topic" in trace(worked_off, "编号“2”", output="text")
    trace(worked_off, "never", expect=1)
