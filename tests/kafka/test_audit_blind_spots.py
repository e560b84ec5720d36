"""What somebody does to the topics so that no count differs: `gateway audit` finds it, and calls nothing
else a finding."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.structs import OffsetAndMetadata
from confluent_kafka.admin import AdminClient

from gateway.adapters import kafka
from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import Settings
from gateway.contract import envelope, ledger_entry
from gateway.contract.display_event import read_event
from gateway.contract.headers import REMEMBERED_HEADER
from gateway.core import decision as decisions
from gateway.core.decision import Decision, decide
from gateway.core.province import Province
from gateway.decide import digest_input
from gateway.operate.topics import apply_topics
from gateway.relay import lane as lanes
from gateway.relay import turn as turns
from tests.kafka.blind_spots import (
    committed_metadata,
    keep_for,
    kinds,
    place,
    rejected,
    rewrite_one,
    work_off,
    working_partition,
)
from tests.kafka.harness import audit, wait_until_accounted, workers
from tests.kafka.one_lane import (
    Notes,
    commit_by_hand,
    delete_before,
    events,
    lane_id,
    publish,
    read,
    recreate_topic,
    until,
    working,
)
from tests.kafka.test_audit import append, only_finding
from tests.kafka.test_redrive import redrive
from tests.kafka.test_trace import trace
from tests.signing import settings_with
from tests.unit.second_batch import second_batch_content, second_batch_event

SICHUAN, CHONGQING = Province.SICHUAN, Province.CHONGQING


async def test_missing_verifications_are_found_though_another_topic_expired(one: Settings, notes: Notes) -> None:
    topics = one.topic_names
    verification, rejection = topics.verification(CHONGQING), topics.rejection(SICHUAN)
    await work_off(one, notes, [*events(0, 5), *rejected(5, 5)], [*events(10, 5), *rejected(15, 5)])
    await keep_for(one, rejection, 1000)
    await delete_before(one, rejection, 3)
    assert audit(one)["ok"] is True
    await rewrite_one(one, verification, lambda records: records.clear())
    result = audit(one, expect=1)
    assert (kinds(result), result["missing"]) == (["missing"] * 10, 10)
    assert [finding["offset"] for finding in result["findings"]] == [*range(5), *range(10, 15)]


async def test_verifications_deleted_before_their_time_are_missed(one: Settings, notes: Notes) -> None:
    verification = one.topic_names.verification(CHONGQING)
    await work_off(one, notes, events(0, 5), events(5, 5))
    await delete_before(one, verification, -1)
    result = audit(one, expect=1)
    assert (set(kinds(result)), result["missing"]) == ({"missing"}, 10)
    # The same, where the topic need not keep them any longer, is no loss.
    await keep_for(one, verification, 1000)
    assert (audit(one, "--prove")["ok"], audit(one)["expired_entries"]) == (True, 2)


async def test_missing_first_ledger_entries_leave_their_records_unaccounted(one: Settings, notes: Notes) -> None:
    topics, topic = one.topic_names, lane_id(one).topic
    await work_off(one, notes, events(0, 5), events(5, 5), events(10, 5))
    second = (await read(one, topics.ledger))[1].offset
    await delete_before(one, topics.ledger, second)
    result = audit(one, expect=1)
    assert (kinds(result), result["unaccounted"], result["gaps"]) == (["unaccounted"] * 6, 10, 0)
    inputs = [finding for finding in result["findings"] if finding["topic"] == topic]
    assert [(finding["offset"], finding["detail"][:16]) for finding in inputs] == [(0, "5 input records ")]
    assert {finding["topic"] for finding in result["findings"]} == {topic, topics.verification(CHONGQING)}
    # A ledger whose beginning expired together with what it spoke of says nothing less than the truth.
    await delete_before(one, topic, 5)
    await delete_before(
        one, topics.verification(CHONGQING), (await read(one, topics.verification(CHONGQING)))[5].offset
    )
    assert audit(one)["ok"] is True


async def test_a_tail_removed_with_the_groups_offset_is_noticed(one: Settings, notes: Notes) -> None:
    topics = one.topic_names
    await work_off(one, notes, events(0, 5), events(5, 5))
    for topic in (topics.verification(CHONGQING), lane_id(one).topic):
        await rewrite_one(one, topic, lambda records: records.__delitem__(slice(5, None)))
    await rewrite_one(one, topics.ledger, lambda records: records.pop())
    result = audit(one, expect=1)  # Kafka forgets a topic's offsets with the topic
    assert sorted(kinds(result)) == ["broken_link", "unaccounted"]
    details = " ".join(finding["detail"] for finding in result["findings"])
    assert "has no offset" in details
    assert "another log stands under the name" in details


async def test_a_chain_whose_end_nothing_vouches_for_is_noticed(one: Settings, notes: Notes) -> None:
    await work_off(one, notes, events(0, 5), events(5, 5))
    admin = AdminClient({"bootstrap.servers": one.bootstrap_servers})
    admin.delete_consumer_groups([one.groups[0]])[one.groups[0]].result()
    assert "has no offset" in only_finding(audit(one, expect=1), "broken_link")["detail"]


async def test_offset_set_by_hand_is_a_broken_link(one: Settings, notes: Notes) -> None:
    await work_off(one, notes, events(0, 5))
    await commit_by_hand(one, 5)
    assert "by hand" in only_finding(audit(one, expect=1), "broken_link")["detail"]
    # The lane's worker commits what the ledger says, and then it does.
    await work_off(one, notes)
    assert audit(one)["ok"] is True


async def test_offsets_committed_without_an_entry_are_gaps(one: Settings, notes: Notes) -> None:
    lane = lane_id(one)
    await work_off(one, notes, events(0, 5))
    await publish(one, events(5, 3))
    assert audit(one)["pending"] == 3
    async with kafka.consumer(one, group_id=one.groups[0]) as consumer:
        partition = working_partition(one)
        consumer.assign([partition])
        metadata = (await committed_metadata(one)) or ""
        await consumer.commit({partition: OffsetAndMetadata(7, metadata)})
    result = audit(one, expect=1)
    assert [(finding["kind"], *place(finding)) for finding in result["findings"]] == [
        ("gap", lane.topic, 5), ("gap", lane.topic, 6),
    ]  # fmt: skip
    assert result["pending"] == 1


async def test_what_an_entry_remembers_is_what_was_written(one: Settings, notes: Notes) -> None:
    ledger = one.topic_names.ledger
    await work_off(one, notes, events(0, 3), events(3, 3))
    before = await read(one, ledger)

    def empty(records: list[Any]) -> None:
        records[0] = replace(records[0], headers=((REMEMBERED_HEADER, b""),))

    await rewrite_one(one, ledger, empty)
    assert place(only_finding(audit(one, expect=1), "altered"))[0] == ledger

    def forge(records: list[Any]) -> None:
        records[0] = replace(records[0], headers=before[1].headers)

    await rewrite_one(one, ledger, forge)
    finding = only_finding(audit(one, expect=1), "altered")
    assert (place(finding)[0], REMEMBERED_HEADER in finding["detail"]) == (ledger, True)


async def test_good_events_rejected_as_invalid_are_wrong_decisions(
    one: Settings, notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has the gateway's key can make a history that is consistent; only deciding again shows it."""
    honest = turns.decide_part

    def refuse(lane: Any, part: Any, signatures: Any, recognition: Any, horizon: Any) -> list[Decision]:
        decisions: list[Decision] = []
        for record, signature in zip(part, signatures, strict=True):
            if record.offset != 1:
                decisions += honest(lane, [record], [signature], recognition, horizon)
                continue
            content = json.loads(record.value)
            content["data"]["certificate"]["type_name"] = None
            reading = read_event(json.dumps(content).encode(), (), key=record.key)
            decisions.append(decide(reading, lane.province, record.timestamp, recognition, digest_input(record.value)))
        return decisions

    monkeypatch.setattr(turns, "decide_part", refuse)
    await work_off(one, notes, events(0, 3))
    assert audit(one)["ok"] is True
    finding = only_finding(audit(one, "--prove", expect=1), "wrong_decision")
    assert (finding["topic"], "input offset 1 " in finding["detail"]) == (one.topic_names.rejection(SICHUAN), True)


async def test_a_changed_input_is_found_without_proving(
    one: Settings, notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The entry speaks of bytes that the log does not hold: here the lane was given others than stand
    there."""
    honest = lanes.decide_turn

    def decide_others(lane: Any, records: Any, *others: Any, **options: Any) -> Any:
        given = [
            replace(record, value=record.value.replace(b'"id": "id-4"', b'"id": "id-x"'))
            if record.offset == 4
            else record
            for record in records
        ]
        return honest(lane, given, *others, **options)

    monkeypatch.setattr(lanes, "decide_turn", decide_others)
    await work_off(one, notes, events(0, 3), events(3, 3))
    finding = only_finding(audit(one, expect=1), "unaccounted")
    assert place(finding) == (lane_id(one).topic, 4)


async def test_header_moved_into_another_is_found_without_proving(
    one: Settings, notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same names and values one after the other, yet another record: here the lane was given two headers
    for one."""
    honest, (event,) = lanes.decide_turn, events(0, 1)
    attributes = [(f"ce_{name}", str(value).encode()) for name, value in event.items() if name != "data"]

    def decide_others(lane: Any, records: Any, *others: Any, **options: Any) -> Any:
        given = [replace(each, headers=(*attributes, ("ce_x", b"1"), ("ce_y", b"2"))) for each in records]
        return honest(lane, given, *others, **options)

    monkeypatch.setattr(lanes, "decide_turn", decide_others)
    async with working(one, notes) as lane:
        key, value = event["data"]["holder"]["ref"].encode(), json.dumps(event["data"]).encode()
        await append(one, lane_id(one).topic, 0, key, value, [*attributes, ("ce_x", b"1\nce_y:2")])
        await until(lane, 1)
    finding = only_finding(audit(one, expect=1), "unaccounted")
    assert place(finding) == (lane_id(one).topic, 0)


async def test_recreated_log_is_reported_until_its_epoch_begins(one: Settings, notes: Notes) -> None:
    topic = lane_id(one).topic
    sent = events(0, 5)
    await work_off(one, notes, sent)
    await recreate_topic(one, topic)
    await publish(one, [*sent[3:], *events(5, 3)])
    found = {finding["kind"]: finding for finding in audit(one, expect=1)["findings"]}
    assert found.keys() == {"unaccounted", "broken_link"}  # with a topic Kafka deletes its committed offsets too
    assert (place(found["unaccounted"]), "another log" in found["unaccounted"]["detail"]) == ((topic, -1), True)
    await work_off(one, notes)
    result = audit(one, "--prove")
    assert (result["ok"], result["offsets"], result["outcomes"]) == (True, 10, {"forward": 8, "duplicate": 2})
    assert (result["earlier_log_entries"], result["proved"]) == (1, 5)
    # What an earlier epoch wrote is still checked against its own entries.
    verification = one.topic_names.verification(CHONGQING)
    await rewrite_one(one, verification, lambda records: records.pop(1))
    result = audit(one, expect=1)
    assert (result["digest_mismatches"], kinds(result)) == (1, ["altered"])


async def test_same_offset_in_another_epoch_is_another_event(one: Settings, notes: Notes, tmp_path: Path) -> None:
    """Across epochs the same offset is another event: trace keeps their stories apart, redrive leaves it
    alone."""
    await work_off(one, notes, rejected(0, 2))
    await recreate_topic(one, lane_id(one).topic)
    await publish(one, [*events(2, 1), *rejected(1, 1)])
    await work_off(one, notes)
    (found,) = trace(one, "--at", "sichuan.display/0/0")["occurrences"]
    assert (found["id"], found["outcome"], found["ledger"]["epoch"], len(found["outputs"])) == ("id-2", "forward", 1, 1)
    (found,) = trace(one, "id-1")["occurrences"]
    assert (found["outcome"], found["ledger"]["epoch"], len(found["outputs"])) == ("reject", 1, 1)
    plan = redrive(one, one.recognition_dir, "--all", "--dry-run")
    assert (plan["selected"], plan["expired"], plan["unchanged"]) == (3, 1, 2)


async def test_an_event_forwarded_in_two_partitions_is_doubled(settings: Settings) -> None:
    settings = settings.model_copy(update={"topics": settings.topics.model_copy(update={"partitions": 2})})
    await apply_topics(settings)
    (event, *others) = events(0, 4)
    async with kafka.producer(settings) as producer:
        for partition, sent in enumerate([[event, others[0], others[1]], [others[2], event]]):
            for each in sent:
                key = each["data"]["holder"]["ref"].encode()
                value = json.dumps(each).encode()
                await producer.send_and_wait(lane_id(settings).topic, value, key, partition=partition)
    with workers(settings, 1) as (worker,):
        await wait_until_accounted(settings, 5)
        assert worker.terminate() == 0
    finding = only_finding(audit(settings, expect=1), "doubled")
    assert finding["topic"] == settings.topic_names.verification(CHONGQING)
    assert (finding["partition"], "in partition 0 too" in finding["detail"]) in {(1, True), (0, False)}


async def test_an_event_forwarded_twice_by_one_lane_is_doubled(one: Settings, notes: Notes) -> None:
    forgetful = one.model_copy(update={"duplicates": one.duplicates.model_copy(update={"max_ids": 2})})
    (first, *others) = events(0, 4)
    for each in (first, *others, first):  # each in a turn of its own
        await work_off(forgetful, notes, [each])
    finding = only_finding(audit(one, expect=1), "doubled")
    assert (finding["topic"], finding["partition"]) == (one.topic_names.verification(CHONGQING), 0)
    assert "before in this partition" in finding["detail"]


async def test_records_compacted_away_are_missed(one: Settings, notes: Notes) -> None:
    """Markers and aborted records are holes and no loss; what a cleanup policy removed is missing."""
    topic = lane_id(one).topic
    await work_off(one, notes, events(0, 5))
    async with kafka.producer(one, transactional_id="publisher") as producer:
        for fate in (producer.abort_transaction, producer.commit_transaction):
            await producer.begin_transaction()
            for event in events(5, 2):
                await producer.send(
                    topic, json.dumps(event).encode(), event["data"]["holder"]["ref"].encode(), partition=0
                )
            await producer.flush()
            await fate()
    await work_off(one, notes)
    result = audit(one)
    assert (result["ok"], result["offsets"], result["holes"]) == (True, 7, 3)
    async with kafka.admin(one) as admin:
        configs = {
            "cleanup.policy": "compact", "message.timestamp.type": "LogAppendTime", "segment.ms": "100",
            "min.cleanable.dirty.ratio": "0.0", "max.compaction.lag.ms": "100",
        }  # fmt: skip
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs)])
    async with asyncio.timeout(90):
        while (await read(one, topic))[0].offset < 5:
            await publish(one, events(7, 1))  # a new segment, after which the last one can be cleaned
            await asyncio.sleep(1)
    result = audit(one, expect=1)
    assert (set(kinds(result)), result["missing"] >= 5) == ({"missing"}, True)


async def test_a_later_edition_of_the_list_is_no_finding(
    one: Settings, notes: Notes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificates = [
        second_batch_event(SICHUAN, row) | {"id": f"later-{row}", "time": events(0, 1)[0]["time"]} for row in (1, 5)
    ]
    await work_off(one, notes, [*events(0, 3), *certificates])
    folder = tmp_path / "recognition"
    folder.mkdir()
    for file in one.recognition_dir.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    batch = second_batch_content() | {"effective_from": "2099-01-01"}
    batch["document"] |= {"signed": "2026-10-20"}
    (folder / "batch-2.yaml").write_text(yaml.safe_dump(batch, allow_unicode=True), encoding="utf-8")
    assert load_recognition(folder).digest != load_recognition(one.recognition_dir).digest
    monkeypatch.setenv("GATEWAY_RECOGNITION", str(folder))
    result = audit(one, "--prove")
    assert (result["ok"], result["proved"], result["unprovable"]) == (True, 3, {"other list edition": 2})


async def test_an_engine_upgrade_is_no_finding(one: Settings, notes: Notes, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (decisions, envelope, ledger_entry):
        monkeypatch.setattr(module, "ENGINE_VERSION", "0.0.1")
    topic = lane_id(one).topic
    await append(one, topic, 0, b"k", b"garbage", [])
    await work_off(one, notes, [*events(0, 2), *rejected(2, 1), *events(0, 1)])
    result = audit(one, "--prove")
    assert (result["ok"], result["outcomes"]["dead_letter"]) == (True, 1)
    assert (result["proved"], result["unprovable"]) == (1, {"engine version": 4})


async def test_signatures_that_are_asked_for_later_are_no_finding(one: Settings, notes: Notes, tmp_path: Path) -> None:
    await work_off(one, notes, events(0, 3))
    signatures = settings_with(tmp_path, "required").signatures
    later = one.model_copy(update={"signatures": signatures})
    result = audit(later, "--prove")
    assert (result["ok"], result["unprovable"]) == (True, {"signatures were asked for in another way": 3})
