"""``gateway audit`` on a real broker: what a rogue writer does to the topics is found and named."""

import asyncio
import json
import math
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from prometheus_client.parser import text_string_to_metric_families

from gateway.adapters import kafka
from gateway.adapters.settings import Settings, load_settings
from gateway.contract.outputs import digest
from gateway.contract.topics import Topics
from gateway.core.decision import Outcome
from gateway.core.province import Province
from gateway.operate.local_kafka.broker import free_ports
from gateway.operate.topics import apply_topics
from tests.kafka.harness import (
    Worker,
    audit,
    publish,
    read_topics,
    simulate,
    wait_until_accounted,
    with_short_sessions,
    workers,
)
from tests.patience import PATIENCE_S
from tests.ports import free_port

EVENTS = 4000
TOPICS = Topics()
Change = Callable[[list[Any]], None]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return with_short_sessions(settings)


@pytest.fixture
def worked_off(settings: Settings) -> Settings:
    """Topics in which the gateway has done its work, and stopped."""

    async def work_off() -> None:
        await apply_topics(settings)
        records = simulate(settings, EVENTS, seed=11)
        with workers(settings, 1) as (worker,):
            await publish(settings, records)
            await wait_until_accounted(settings, EVENTS)
            assert worker.terminate() == 0

    asyncio.run(work_off())
    return settings


async def append(settings: Settings, topic: str, partition: int, key: bytes | None, value: bytes, headers: Any) -> int:
    """Append a record as a rogue writer does; return the offset."""
    async with kafka.producer(settings) as producer:
        sent = await producer.send_and_wait(topic, value=value, key=key, headers=list(headers), partition=partition)
        return int(sent.offset)


async def rewrite(settings: Settings, topic: str, partition: int, change: Change) -> list[Any]:
    """Rewrite the topic with the records of one partition changed; return them as they were."""
    partitions: dict[int, list[Any]] = {number: [] for number in range(settings.topics.partitions)}
    async for record in read_topics(settings, [topic]):
        partitions[record.partition].append(record)
    before = list(partitions[partition])
    change(partitions[partition])
    async with kafka.admin(settings) as admin:
        await admin.delete_topics([topic])
        deadline = time.monotonic() + PATIENCE_S
        while topic in await admin.list_topics():
            assert time.monotonic() < deadline
            await asyncio.sleep(0.1)
        await admin.create_topics([NewTopic(topic, settings.topics.partitions, 1)])
    async with kafka.producer(settings) as producer:
        for records in partitions.values():
            for record in records:
                await producer.send(
                    topic, value=record.value, key=record.key, headers=list(record.headers), partition=record.partition
                )
    return before


def altered(record: Any, old: bytes, new: bytes) -> Any:
    assert old in record.value
    return type(record)(**{**vars_of(record), "value": record.value.replace(old, new, 1)})


def vars_of(record: Any) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__dataclass_fields__}


def only_finding(result: dict[str, Any], kind: str) -> dict[str, Any]:
    assert [finding["kind"] for finding in result["findings"]] == [kind], result["findings"]
    return dict(result["findings"][0])


def test_untouched_topics_are_as_they_should_be(worked_off: Settings, tmp_path: Path) -> None:
    settings = worked_off
    records = simulate(settings, EVENTS, seed=11)
    result = audit(settings, "--prove", "--export", str(tmp_path / "statement.json"), "--signed-by", "值班员")
    assert result["ok"] is True
    assert (result["offsets"], result["proved"], result["unprovable"]) == (EVENTS, EVENTS, {})
    assert [result[name] for name in ("gaps", "overlaps", "broken_links", "digest_mismatches", "pending")] == [0] * 5
    for outcome in Outcome:
        assert result["outcomes"].get(outcome.value, 0) == sum(each.expected is outcome for each in records)
    asyncio.run(publish(settings, simulate(settings, 50, seed=12)))
    later = audit(settings)
    assert (later["ok"], later["offsets"], later["pending"]) == (True, EVENTS, 50)
    # The statement holds on the same topics, and no longer once a copy differs or the statement was edited.
    statement = tmp_path / "statement.json"
    checked = audit(settings, "--statement", str(statement))
    assert (checked["ok"], checked["records"], checked["absent"]) == (
        True,
        result["outputs"] - result["outcomes"]["dead_letter"],
        [],
    )
    assert "值班员" in statement.with_suffix(".md").read_text(encoding="utf-8")
    topic = settings.topic_names.verification(Province.SICHUAN)
    asyncio.run(
        rewrite(settings, topic, 1, lambda records: records.__setitem__(7, altered(records[7], b'"row":', b'"row":1')))
    )
    differs = audit(settings, "--statement", str(statement), expect=1)
    finding = differs["findings"][0]
    assert (finding["kind"], finding["topic"], finding["partition"]) == ("altered", topic, 1)
    edited = json.loads(statement.read_text(encoding="utf-8"))
    edited["lanes"][0]["records"] += 1
    statement.write_text(json.dumps(edited), encoding="utf-8")
    assert "changed after it was made" in audit(settings, "--statement", str(statement), expect=2)["stderr"]


def test_statement_covers_empty_topics_and_reports_absent_ones(settings: Settings, tmp_path: Path) -> None:
    asyncio.run(apply_topics(settings))
    statement = tmp_path / "statement.json"
    assert audit(settings, "--export", str(statement))["ok"] is True
    checked = audit(settings, "--statement", str(statement))
    assert (checked["ok"], checked["records"], checked["absent"], len(checked["topics"])) == (True, 0, [], 4)
    elsewhere = settings.model_copy(update={"topic_prefix": "not-there."})
    checked = audit(elsewhere, "--statement", str(statement), expect=1)
    assert (checked["ok"], checked["topics"], len(checked["absent"])) == (False, [], 4)


def test_altered_output_is_named(worked_off: Settings) -> None:
    topic = worked_off.topic_names.verification(Province.CHONGQING)
    change: Change = lambda records: records.__setitem__(20, altered(records[20], b'"batch":1', b'"batch":2'))  # noqa: E731
    asyncio.run(rewrite(worked_off, topic, 2, change))
    result = audit(worked_off, expect=1)
    finding = only_finding(result, "altered")
    assert (finding["topic"], finding["partition"], finding["offset"]) == (topic, 2, 20)
    assert (result["ok"], result["digest_mismatches"]) == (False, 1)


def test_missing_output_is_named_by_its_input(worked_off: Settings) -> None:
    topic = worked_off.topic_names.rejection(Province.SICHUAN)
    gone: list[Any] = []
    asyncio.run(rewrite(worked_off, topic, 0, lambda records: gone.append(records.pop(3))))
    result = audit(worked_off, expect=1)
    finding = only_finding(result, "missing")
    origin = dict(gone[0].headers)["chuanyu-origin"].decode().split("/")
    assert [finding["topic"], str(finding["partition"]), str(finding["offset"])] == origin
    assert topic in finding["detail"]


def test_doubled_foreign_and_forged_outputs_are_named(worked_off: Settings) -> None:
    topics = worked_off.topic_names
    topic = topics.verification(Province.SICHUAN)

    async def write() -> dict[str, int]:
        first, *_ = [record async for record in read_topics(worked_off, [topic]) if record.partition == 3]
        lane = f"{topics.display(Province.CHONGQING)}/3/"
        beyond = [("chuanyu-origin", f"{lane}999999".encode())]
        return {
            "doubled": await append(worked_off, topic, 3, first.key, first.value, first.headers),
            "without origin": await append(worked_off, topic, 3, first.key, first.value, []),
            "beyond": await append(worked_off, topic, 3, first.key, first.value, beyond),
            "dead letter": await append(worked_off, topics.deadletter, 1, None, b"{}", []),
        }

    offsets = asyncio.run(write())
    result = audit(worked_off, expect=1)
    found = {(each["kind"], each["topic"], each["partition"], each["offset"]) for each in result["findings"]}
    assert found == {
        ("doubled", topic, 3, offsets["doubled"]),
        ("foreign", topic, 3, offsets["without origin"]),
        ("foreign", topic, 3, offsets["beyond"]),
        ("foreign", topics.deadletter, 1, offsets["dead letter"]),
    }
    assert (result["digest_mismatches"], result["doubled"], result["foreign"]) == (0, 1, 3)


def test_removed_ledger_entry_breaks_chain_and_leaves_gaps(worked_off: Settings) -> None:
    ledger = worked_off.topic_names.ledger
    gone: list[Any] = []

    def remove_second_of_a_lane(records: list[Any]) -> None:
        lane = [record for record in records if record.key == records[0].key]
        gone.append(lane[1])
        records.remove(lane[1])

    asyncio.run(rewrite(worked_off, ledger, 0, remove_second_of_a_lane))
    result = audit(worked_off, expect=1)
    entry = json.loads(gone[0].value)["data"]
    assert (result["broken_links"], result["gaps"]) == (1, entry["records"])
    gaps = [each["offset"] for each in result["findings"] if each["kind"] == "gap"]
    assert gaps == list(range(entry["first_offset"], entry["last_offset"] + 1))


@pytest.mark.parametrize("which", [1, -1])
def test_altering_any_ledger_entry_breaks_the_chain(worked_off: Settings, which: int) -> None:
    ledger = worked_off.topic_names.ledger

    def change(records: list[Any]) -> None:
        lane = [index for index, record in enumerate(records) if record.key == records[0].key]
        records[lane[which]] = altered(records[lane[which]], b'"engine_version":"', b'"engine_version":"9')

    asyncio.run(rewrite(worked_off, ledger, 0, change))
    result = audit(worked_off, expect=1)
    assert (result["ok"], result["broken_links"], result["gaps"]) == (False, 1, 0)


def test_forged_and_doubled_ledger_entries_are_named(worked_off: Settings) -> None:
    ledger = worked_off.topic_names.ledger

    async def write() -> set[int]:
        entries = [record async for record in read_topics(worked_off, [ledger]) if record.partition == 2]
        first, last = entries[0], [record for record in entries if record.key == entries[0].key][-1]
        doubled = await append(worked_off, ledger, 2, first.key, first.value, first.headers)
        forged = first.value.replace(b'"records":', b'"records":7')
        foreign = await append(worked_off, ledger, 2, b"somebody", forged, [])
        # Whoever can write there can also make an entry that follows; what it speaks of is not there.
        content = json.loads(last.value)
        end = content["data"]["last_offset"]
        content["data"] |= {"previous": digest("sm3", [last.value]), "first_offset": end + 1, "last_offset": end + 5}
        content["data"] |= {"records": 5, "outputs_digest": "md0:00"}
        linked = await append(worked_off, ledger, 2, last.key, json.dumps(content).encode(), [])
        return {doubled, foreign, linked}

    offsets = asyncio.run(write())
    result = audit(worked_off, expect=1)
    assert {each["offset"] for each in result["findings"] if each["topic"] == ledger} == offsets
    assert (result["foreign"], result["broken_links"], result["digest_mismatches"]) == (2, 0, 1)


def test_holes_of_transactions_and_expired_records_are_no_loss(settings: Settings) -> None:
    async def work_off() -> int:
        await apply_topics(settings)
        topics, records = settings.topic_names, simulate(settings, 900, seed=13)
        async with kafka.producer(settings, transactional_id=settings.topic_prefix + "publisher") as producer:
            for start in range(0, 900, 100):
                await producer.begin_transaction()
                for record in records[start : start + 100]:
                    await producer.send(
                        topics.display(record.province), value=record.value, key=record.key, headers=record.headers
                    )
                await (producer.abort_transaction() if start % 300 == 0 else producer.commit_transaction())
        with workers(settings, 1) as (worker,):
            await wait_until_accounted(settings, 600)
            assert worker.terminate() == 0
        return 600

    records = asyncio.run(work_off())
    result = audit(settings, "--prove")
    assert (result["ok"], result["offsets"], result["gaps"]) == (True, records, 0)
    assert result["holes"] > 0

    async def remove(*, expired: bool) -> None:
        topics = settings.topic_names
        names = [topics.verification(Province.SICHUAN), topics.display(Province.SICHUAN)]
        async with kafka.admin(settings) as admin:
            if expired:
                configs = {"retention.ms": "1000", "message.timestamp.type": "LogAppendTime"}
                await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, configs) for name in names])
            else:
                await admin.delete_records(
                    {TopicPartition(name, 0): RecordsToDelete(before_offset=20) for name in names}
                )

    asyncio.run(remove(expired=False))
    removed = audit(settings, expect=1)
    assert {each["kind"] for each in removed["findings"]} == {"missing"}  # outputs that were to be kept for a week
    asyncio.run(remove(expired=True))
    expired = audit(settings, "--prove")
    assert (expired["ok"], expired["expired_entries"] > 0) == (True, True)
    assert expired["unprovable"]["the output has expired"] > 0


def test_a_period_is_audited_by_itself(worked_off: Settings) -> None:
    settings = worked_off
    boundary = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 1))
    time.sleep(1.1)

    async def second_half() -> None:
        records = simulate(settings, 1000, seed=14)
        with workers(settings, 1):
            await publish(settings, [*records, *simulate(settings, 100, seed=11)])
            await wait_until_accounted(settings, EVENTS + 1100)

    asyncio.run(second_half())
    whole = audit(settings, "--prove")
    assert (whole["ok"], whole["offsets"]) == (True, EVENTS + 1100)
    later = audit(settings, "--since", boundary, "--prove")
    assert (later["ok"], later["offsets"], later["proved"]) == (True, 1100, 1100)
    earlier = audit(settings, "--until", boundary, "--sample", "0.2")
    assert (earlier["ok"], earlier["offsets"]) == (True, EVENTS)
    assert 0 < earlier["proved"] < EVENTS


def test_options_that_do_not_go_together_are_said(settings: Settings, tmp_path: Path) -> None:
    assert "--signed-by" in audit(settings, "--signed-by", "x", expect=2)["stderr"]
    assert "--since" in audit(settings, "--since", "yesterday", expect=2)["stderr"]
    assert "cannot be read" in audit(settings, "--statement", str(tmp_path / "none.json"), expect=2)["stderr"]


def test_metrics_show_what_the_last_audit_found(worked_off: Settings) -> None:
    port = free_port()
    web = {"GATEWAY_WEB__ENABLED": "true", "GATEWAY_WEB__PORT": str(port)}
    began = time.time()
    watching = Worker(worked_off, "audit", "--every", "1", "--format", "json", **web).start()
    try:
        watching.wait_for("audit.passed")
        found = scrape(port)
        assert (found["gateway_audit_ok"], found["gateway_audit_offsets"]) == (1, EVENTS)
        assert began < found["gateway_audit_due_timestamp_seconds"] < time.time() + 2

        asyncio.run(append(worked_off, worked_off.topic_names.verification(Province.SICHUAN), 0, b"k", b"{}", []))
        watching.wait_for("audit.failed")
        assert {line["offsets"] for line in watching.lines() if "ok" in line} == {EVENTS}
        found = scrape(port)
        assert found["gateway_audit_ok"] == 0
        assert {kind: found[f"gateway_audit_findings{{kind={kind}}}"] for kind in ("foreign", "gap")} == {
            "foreign": 1, "gap": 0,
        }  # fmt: skip
        assert watching.terminate() == 0
    finally:
        watching.discard()


def test_metrics_show_no_result_when_audits_cannot_run() -> None:
    port, nobody = free_ports(2)
    settings = load_settings(bootstrap_servers=f"127.0.0.1:{nobody}")
    web = {"GATEWAY_WEB__ENABLED": "true", "GATEWAY_WEB__PORT": str(port)}
    watching = Worker(settings, "audit", "--every", "1", **web).start()
    try:
        watching.wait_for("audit.not_done")
        (line, *_) = watching.events("audit.not_done")
        assert line["exit_code"] == 69
        assert "cannot reach Kafka" in str(line["why"])
        found = scrape(port)
        assert math.isnan(found["gateway_audit_ok"])
        assert found["gateway_audit_errors_total"] >= 1
        second = Worker(settings, "audit", "--every", "1", **web).start()
        assert second.process is not None
        assert second.process.wait(PATIENCE_S) == 78
        assert f"nothing can listen at 127.0.0.1:{port}" in second.log.read_text()
        second.discard()
        assert watching.terminate() == 0
    finally:
        watching.discard()


def scrape(port: int) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE_S) as answer:
        return {
            sample.name + "".join(f"{{{name}={value}}}" for name, value in sample.labels.items()): sample.value
            for family in text_string_to_metric_families(answer.read().decode())
            for sample in family.samples
        }
