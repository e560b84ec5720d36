"""A partition that cannot be read to its end: the commands go on with the rest, name the place, and do not
exit with 0.

What is damaged in a record is read around; here the consumer itself raises in the middle of a fetch.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import CorruptRecordException

from gateway.adapters import kafka
from gateway.adapters.fetch_patches import PartitionRecords
from gateway.adapters.settings import Settings
from gateway.adapters.topic_reader import Span, UnreadablePartitionError, read_spans
from gateway.core.province import Province
from gateway.operate.audit.lane_audit import Scope
from gateway.operate.audit.lanes import audit
from gateway.operate.redrive.command import Selection, run_redrive
from gateway.operate.replay.command import Question, run_replay
from gateway.operate.tail import Filter, tail
from gateway.operate.topics import apply_topics
from gateway.operate.trace.query import Query
from gateway.operate.trace.search import trace
from tests.kafka.harness import publish, simulate, wait_until_accounted, with_short_sessions, workers

_EVENTS = 120


@pytest.fixture
def worked_off(settings: Settings) -> Settings:
    settings = with_short_sessions(settings)

    async def work_off() -> None:
        await apply_topics(settings)
        with workers(settings, 1) as (worker,):
            await publish(settings, simulate(settings, _EVENTS, seed=7))
            await wait_until_accounted(settings, _EVENTS)
            assert worker.terminate() == 0

    asyncio.run(work_off())
    return settings


async def read(settings: Settings, topic: str) -> dict[TopicPartition, list[Any]]:
    """Every committed record of a topic, by partition."""
    found: dict[TopicPartition, list[Any]] = {}
    partitions = await kafka.partitions_of(settings, [topic])
    async with kafka.consumer(settings) as consumer:
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        async for partition, records in read_spans(consumer, {each: Span(0, 0, ends[each]) for each in partitions}):
            found.setdefault(partition, []).extend(records)
    return found


def damage(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, topic: str
) -> tuple[Any, dict[TopicPartition, list[Any]]]:
    """Make a record in the middle of the topic's fullest partition one that cannot be read; return it, and
    all records."""
    records = asyncio.run(read(settings, topic))
    fullest = max(records.values(), key=len)
    bad = fullest[len(fullest) // 2]

    read_fetch = PartitionRecords._read

    def fail_there(fetch: Any) -> Any:
        for record in read_fetch(fetch):
            if (record.topic, record.partition, record.offset) == (bad.topic, bad.partition, bad.offset):
                raise CorruptRecordException("张三 13800138000")
            yield record

    monkeypatch.setattr(PartitionRecords, "_read", fail_there)
    return bad, records


def place(record: Any) -> dict[str, Any]:
    return {"topic": record.topic, "partition": record.partition, "offset": record.offset}


def test_what_can_be_read_comes_before_the_error(worked_off: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """No record before the damage, and none of another partition, is passed over."""
    topic = worked_off.topic_names.display(Province.SICHUAN)
    bad, records = damage(monkeypatch, worked_off, topic)
    found: dict[TopicPartition, list[int]] = {each: [] for each in records}

    async def read_all() -> None:
        async with kafka.consumer(worked_off) as consumer:
            consumer.assign(list(records))
            ends = await consumer.end_offsets(list(records))
            async for partition, batch in read_spans(consumer, {each: Span(0, 0, ends[each]) for each in records}):
                found[partition] += [record.offset for record in batch]

    with pytest.raises(UnreadablePartitionError) as raised:
        asyncio.run(read_all())
    assert raised.value.as_dict() == {**place(bad), "why": "CorruptRecordException"}
    for partition, whole in records.items():
        is_damaged = partition == (bad.topic, bad.partition)
        assert found[partition] == [r.offset for r in whole if not is_damaged or r.offset < bad.offset]


def test_audit_goes_on(
    worked_off: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bad, records = damage(monkeypatch, worked_off, worked_off.topic_names.display(Province.SICHUAN))
    code, reports = audit(worked_off, Scope(), "json")
    said = capsys.readouterr()
    summary = json.loads(said.out)
    assert code == 1
    assert summary["ok"] is False
    assert summary["unreadable"] == 1
    (finding,) = [each for each in summary["findings"] if each["kind"] == "unreadable"]
    assert {name: finding[name] for name in ("topic", "partition", "offset")} == place(bad)
    assert f"{bad.topic}/{bad.partition} from offset {bad.offset} on" in said.err
    assert "13800138000" not in said.err + said.out
    whole = [report for report in reports if report.unread is None]
    assert len(whole) == len(reports) - 1
    assert not any(report.findings.counts for report in whole)
    assert sum(report.records for report in whole) == _EVENTS - len(records[TopicPartition(bad.topic, bad.partition)])


def test_trace_goes_on(
    worked_off: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The event behind the damage is not found, any other is; either way the answer is said to be
    incomplete."""
    bad, records = damage(monkeypatch, worked_off, worked_off.topic_names.display(Province.SICHUAN))
    other = next(each[0] for partition, each in records.items() if partition != (bad.topic, bad.partition))
    before = records[TopicPartition(bad.topic, bad.partition)][0]
    for record in (other, before):
        event_id = json.loads(record.value)["id"]
        story, code = trace(worked_off, Query(event_id), None)
        assert code == 1
        assert place(record) in [
            {name: each["input"][name] for name in ("topic", "partition", "offset")} for each in story["occurrences"]
        ]
        assert story["searched"]["unread"] == [{**place(bad), "why": "it cannot be read (CorruptRecordException)"}]
    assert f"{bad.topic}/{bad.partition} from offset {bad.offset} on" in capsys.readouterr().err


def test_tail_goes_on(
    worked_off: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bad, records = damage(monkeypatch, worked_off, worked_off.topic_names.display(Province.SICHUAN))
    code = asyncio.run(
        tail(
            worked_off, ["sichuan.display"], Filter(), from_beginning=True, limit=None, timeout_s=20, output="text",
        )
    )  # fmt: skip
    said = capsys.readouterr()
    expected = {
        f"{r.topic}/{r.partition}/{r.offset}"
        for each in records.values()
        for r in each
        if (r.topic, r.partition) != (bad.topic, bad.partition) or r.offset < bad.offset
    }
    assert {line.partition("  ")[0] for line in said.out.splitlines()} == expected
    assert f"{bad.topic}/{bad.partition} from offset {bad.offset} on" in said.err
    assert code == 1


def test_replay_goes_on(
    worked_off: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bad, records = damage(monkeypatch, worked_off, worked_off.topic_names.display(Province.SICHUAN))
    behind = [r for r in records[TopicPartition(bad.topic, bad.partition)] if r.offset >= bad.offset]
    folder = worked_off.recognition_dir
    assert run_replay(worked_off, Question(folder, folder), "json", None) == 1
    said = capsys.readouterr()
    result = json.loads(said.out)
    assert result["events"] == _EVENTS - len(behind)
    assert result["unread"] == [{**place(bad), "why": "it cannot be read (CorruptRecordException)"}]
    assert f"{bad.topic}/{bad.partition} from offset {bad.offset} on" in said.err


def test_redrive_leaves_the_lane_out(
    worked_off: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a lane whose forwards are not known whole nothing is put through again; the others are."""
    everything = Selection(everything=True)
    assert run_redrive(worked_off, everything, dry_run=True, confirmed=False, output="json") == 0
    whole = json.loads(capsys.readouterr().out)
    bad, _ = damage(monkeypatch, worked_off, worked_off.topic_names.rejection(Province.SICHUAN))
    assert run_redrive(worked_off, everything, dry_run=True, confirmed=False, output="json") == 1
    said = capsys.readouterr()
    result = json.loads(said.out)
    assert result["unread"] == [{**place(bad), "why": "it cannot be read (CorruptRecordException)"}]
    assert 0 < result["selected"] < whole["selected"]
    assert f"{bad.topic}/{bad.partition} from offset {bad.offset} on" in said.err


def test_a_lane_that_raises_what_nobody_foresaw(
    worked_off: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """It ends with 70 and no value on the screen, and the other lanes are answered for."""

    def fail(*_: Any) -> None:
        raise KeyError("张三 13800138000")

    monkeypatch.setattr("gateway.operate.trace.search._may_be", fail)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    story, code = trace(worked_off, Query("nowhere"), None)
    said = capsys.readouterr()
    assert code == 70
    assert {each["why"].partition(" at ")[0] for each in story["searched"]["unread"]} == {"internal error: KeyError"}
    (file,) = tmp_path.iterdir()
    assert str(file) in said.err
    assert "_find_inputs" in file.read_text()
    assert "13800138000" not in said.err + file.read_text()
