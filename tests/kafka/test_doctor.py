"""What `gateway doctor` says of a set-up that is as it should be, and of each thing that can be wrong with
one, made for real."""

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.structs import OffsetAndMetadata

from gateway.adapters import kafka
from gateway.adapters.access import Grant, Kind, Role, needed_grants
from gateway.adapters.kafka_admin import AccessAdmin
from gateway.adapters.log_facts import wait_until_known
from gateway.adapters.settings import Settings, load_settings, packaged_config
from gateway.contract.ledger_entry import InputLog, Previous
from gateway.contract.topics import LANE_WRITER, LaneId, Topics
from gateway.core.province import Province
from gateway.operate.apply_access import apply_access
from gateway.operate.doctor import neighbours, work
from gateway.operate.doctor.checks import CHECKS
from gateway.operate.doctor.command import examine, run_check
from gateway.operate.doctor.result import CheckResult, CheckStatus, Installation
from gateway.operate.local_kafka.cluster import LocalCluster
from gateway.operate.topics import apply_topics
from gateway.relay.committed import metadata_of
from gateway.relay.continuity import Links, Standing
from tests.kafka.harness import publish, simulate, wait_until_accounted, workers
from tests.kafka.test_lane import taken
from tests.patience import PATIENCE_S

ROOT = Path(__file__).parents[2]


def doctor(settings: Settings, *options: str, program: tuple[str, ...] = ("-m", "gateway"), **environment: str) -> Any:
    """The exit code, and the findings."""
    folder = settings.access.passwords_dir
    done = subprocess.run(
        [sys.executable, *program, "doctor", "--format", "json", *options],
        env=os.environ | settings.as_environment() | {
            "PYTHONPATH": str(ROOT), "GATEWAY_TOPICS__PARTITIONS": str(settings.topics.partitions),
            "GATEWAY_ACCESS__PASSWORDS_DIR": str(folder) if folder else "",
        } | environment,
        capture_output=True, text=True, check=False, timeout=PATIENCE_S,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


async def problems(settings: Settings, *checks: str) -> list[CheckResult]:
    """The problems that these checks find, each with something to do about it."""
    found = [
        finding
        for check in CHECKS if check.name in checks
        for finding in await run_check(check, Installation(settings)) if finding.status is CheckStatus.PROBLEM
    ]  # fmt: skip
    assert all(finding.advice for finding in found)
    return found


async def set_up(admin: Settings, prefix: str) -> Settings:
    settings = admin.model_copy(update={"topic_prefix": prefix})
    await apply_topics(settings)
    await apply_access(settings)
    return settings


async def test_doctor_passes_a_complete_setup_and_writes_nothing(admin: Settings) -> None:
    settings = await set_up(admin, "fine.")
    code, findings = await asyncio.to_thread(doctor, settings)
    assert [each for each in findings if each["status"] == "problem"] == []
    assert code == 0
    assert {each["check"] for each in findings} == {check.name for check in CHECKS}
    access = {each["subject"]: each["status"] for each in findings if each["check"] == "access"}
    assert access == {"admin": "unchecked", **dict.fromkeys(Role, "fine")}
    assert [each["subject"] for each in findings if each["status"] == "unchecked"] == ["admin", "place"]
    (clock,) = [each["message"] for each in findings if each["check"] == "clock"]
    assert "0.0" in clock  # the same machine's
    partitions = await kafka.partitions_of(settings, list(Topics("fine.").all))
    async with kafka.consumer(settings) as consumer:
        assert set((await consumer.end_offsets(partitions)).values()) == {0}


async def test_missing_topics_are_one_problem_with_its_command(admin: Settings) -> None:
    settings = admin.model_copy(update={"topic_prefix": "none."})
    code, findings = await asyncio.to_thread(doctor, settings)
    (found,) = [each for each in findings if each["status"] == "problem"]
    assert (code, found["check"], found["message"]) == (1, "topics", "there are none yet")
    assert "`gateway topics apply`" in found["advice"]
    assert {each["check"] for each in findings} == {check.name for check in CHECKS}
    hidden = {each["check"] for each in findings if each["message"] == "there are no topics yet"}
    assert hidden == {check.name for check in CHECKS if check.needs_topics}
    async with kafka.admin(settings) as client:
        name = settings.topic_names.display(Province.SICHUAN)
        await client.create_topics([NewTopic(name, 2, 1, topic_configs=kafka.WHOLE_LOG)])
        await wait_until_known(settings, [name])
    await apply_access(settings)
    code, findings = await asyncio.to_thread(doctor, settings)
    assert [each["check"] for each in findings if each["status"] == "problem"] == ["topics"]
    assert {each["check"] for each in findings if each["message"] == "topics are missing"} >= {"lag", "lost", "keys"}


@pytest.mark.parametrize(
    ("role", "unseen"),
    [
        (Role.GATEWAY, {"times", "retention", "sizes", "access", "grants", "archive"}),
        (Role.OPERATOR, {"access", "clock", "archive"}),
        (
            Role.SICHUAN,
            {
                "topics",
                "times",
                "retention",
                "sizes",
                "access",
                "grants",
                "clock",
                "archive",
                "transactions",
                "input end",
                "keys",
                "neighbours",
                "lists",
                "lag",
                "lost",
                "feedback",
            },
        ),
    ],
)
async def test_what_a_principal_may_not_see_is_unchecked(admin: Settings, role: Role, unseen: set[str]) -> None:
    own = (await set_up(admin, "seen.")).acting_as(role)
    own = own.model_copy(update={"access": own.access.model_copy(update={"passwords_dir": None})})
    code, findings = await asyncio.to_thread(doctor, own)
    assert [each for each in findings if each["status"] == "problem"] == []
    assert code == 0
    assert {each["check"] for each in findings if each["status"] == "unchecked"} == unseen
    assert ("access", role, "fine") in {(each["check"], each["subject"], each["status"]) for each in findings}


async def test_wrong_topics_are_problems(admin: Settings) -> None:
    settings, topics = admin.model_copy(update={"topic_prefix": "wrong."}), Topics("wrong.")
    sichuan, chongqing = Province
    configs = {
        topics.display(sichuan): {"message.timestamp.type": "CreateTime"},
        topics.verification(sichuan): {"retention.ms": "3600000"},
        topics.verification(chongqing): {"retention.ms": "-1", "retention.bytes": "1000000"},
        topics.rejection(sichuan): {"cleanup.policy": "compact"},
        topics.ledger: {"retention.ms": "400000000"},
    }
    made = [
        NewTopic(name, 3 if name == topics.feedback else 2, 1,
                 topic_configs={"message.timestamp.type": "LogAppendTime", **configs.get(name, {})})
        for name in topics.all if name != topics.deadletter
    ]  # fmt: skip
    async with kafka.admin(settings) as client:
        await client.create_topics(made)
        await wait_until_known(settings, [topic.name for topic in made])
    found = {each.subject: each for each in await problems(settings, "topics")}
    assert found.keys() == {topics.deadletter, topics.feedback}
    assert found[topics.deadletter].message == "there is no such topic"
    assert found[topics.feedback].message == "has 3 partitions, needs 2"
    (time_finding,) = await problems(settings, "times")
    assert (time_finding.subject, time_finding.message) == (
        topics.display(sichuan), "message.timestamp.type is CreateTime",
    )  # fmt: skip
    kept = {each.subject: each.message for each in await problems(settings, "retention")}
    assert kept.keys() == configs.keys() - {topics.display(sichuan)}
    assert "kept for 1.0 h, and ids are to be remembered for 72.1 h" in kept[topics.verification(sichuan)]
    assert "retention.bytes is 1000000" in kept[topics.verification(chongqing)]
    assert "cleanup.policy is compact" in kept[topics.rejection(sichuan)]
    assert "shorter than what it accounts for" in kept[topics.ledger]


async def test_a_grant_that_is_missing_and_one_too_much(admin: Settings) -> None:
    settings = admin.model_copy(update={"topic_prefix": "granted."})
    await apply_topics(settings)
    lacking = Grant(Role.GATEWAY, Kind.TOPIC, Topics("granted.").ledger, "WRITE")
    much = [
        Grant(Role.SICHUAN, Kind.TOPIC, Topics("granted.").rejection(Province.CHONGQING), "READ"),
        Grant(Role.OPERATOR, Kind.TRANSACTIONAL_ID, f"granted.{LANE_WRITER}", "WRITE", prefixed=True),
        Grant(Role.OPERATOR, Kind.TRANSACTIONAL_ID, "granted.chuanyu-", "WRITE", prefixed=True),
    ]
    grants = [each for each in needed_grants(settings) if each != lacking]
    await asyncio.to_thread(AccessAdmin(settings).add_grants, [*grants, *much])
    deadline = time.monotonic() + PATIENCE_S
    while len(found := {(each.subject, each.message) for each in await problems(settings, "access")}) != 4:
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.2)
    assert found == {
        ("gateway", "may not write topic granted.gateway.ledger"),
        ("sichuan", "may describe, read topic granted.chongqing.rejection, and must not"),
        ("operator", "may write transactional id granted.gateway.lane-doctor, and must not"),
        ("operator", "may write transactional id granted.chuanyu-feedback-doctor, and must not"),
    }
    listed = {(each.subject, each.message.partition(":")[0]) for each in await problems(settings, "grants")}
    asked_for, not_asked_for = "is not granted", "is granted what the contract does not ask for"
    assert listed == {("gateway", asked_for), ("sichuan", not_asked_for), ("operator", not_asked_for)}


async def test_foreign_transactional_ids_and_hanging_transactions_are_problems(
    admin: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = await set_up(admin, "busy.")
    monkeypatch.setattr(work, "_LATE_MS", -3_600_000)  # an open transaction is late at once
    lane = LaneId(Province.SICHUAN, Topics("busy.").display(Province.SICHUAN), 0).transactional_id
    stray = f"busy.{LANE_WRITER}stray"
    for name in (stray, lane):
        producer = AIOKafkaProducer(**kafka.client_options(settings), transactional_id=name)
        await producer.start()
        try:
            async with producer.transaction():
                await producer.send_and_wait(Topics("busy.").ledger, b"{}", partition=0)
                found = {each.subject: each.message for each in await problems(settings, "transactions")}
                assert ("no lane has this transactional id" if "stray" in name else "has been open for") in found[name]
        finally:
            await producer.stop()
    assert [each.subject for each in await problems(settings, "transactions")] == [stray]


async def test_waiting_events_and_events_removed_undecided_are_problems(admin: Settings) -> None:
    settings = await set_up(admin, "late.")
    await publish(settings, simulate(settings, 40, seed=5))
    (waiting,) = await problems(settings, "lag")
    assert (waiting.subject, waiting.message) == (
        "late.chuanyu-gateway",
        "40 offsets behind, and no workers are running",
    )
    partition = TopicPartition(Topics("late.").display(Province.SICHUAN), 0)
    async with kafka.consumer(settings, group_id="late.chuanyu-gateway") as consumer:
        consumer.assign([partition])
        await consumer.commit({partition: 1})
    async with kafka.admin(settings) as client:
        from aiokafka.admin import RecordsToDelete

        await client.delete_records({partition: RecordsToDelete(before_offset=-1)})
    lost = [each for each in await problems(settings, "lag") if "removed" in each.message]
    assert [each.message for each in lost] == ["late.sichuan.display/0: records were removed before they were read"]
    async with kafka.consumer(settings, group_id="late.chuanyu-gateway") as consumer:
        consumer.assign([partition])
        await consumer.commit({partition: 1000})
    beyond = [each for each in await problems(settings, "lag") if "beyond the end" in each.message]
    assert [each.subject for each in beyond] == ["late.chuanyu-gateway"]


async def test_an_output_topic_that_takes_less_than_a_record(admin: Settings) -> None:
    settings = await set_up(admin, "small.")
    topic = Topics("small.").verification(Province.SICHUAN)
    good = {"message.timestamp.type": "LogAppendTime", "max.message.bytes": "100000"}
    async with kafka.admin(settings) as client:
        await client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, good)])
    (small,) = await problems(settings, "sizes")
    assert (small.subject, "max.message.bytes is 100000" in small.message) == (topic, True)
    assert "--add-config max.message.bytes=" in small.advice


async def test_a_stranger_in_the_group_and_another_gateways_group(admin: Settings) -> None:
    settings, topics = await set_up(admin, "others."), Topics("others.")
    assert await problems(settings, "neighbours") == []
    partition = TopicPartition(topics.display(Province.SICHUAN), 0)
    ours = metadata_of(Standing(0, Previous("sm3:" + "0" * 64, 1), InputLog("id", 0)), Links(), None, 0)
    async with kafka.consumer(settings, group_id="others.second") as other:
        other.assign([partition])
        await other.commit({partition: OffsetAndMetadata(0, ours)})
    async with kafka.consumer(settings, group_id="others.reader") as reader:
        reader.assign([partition])
        await reader.commit({partition: 0})
    displays, group = list(topics.displays), settings.groups[0]
    async with kafka.consumer(settings, *displays[:1], group_id=group, client_id="somebody"):
        found = {each.subject: each.message for each in await problems(settings, "neighbours")}
        assert found.keys() == {group, "others.second"}
        assert found[group].startswith("somebody at ")
        assert f"{partition.topic}/0" in found["others.second"]
        lag = [
            each for check in CHECKS if check.name == "lag" for each in await run_check(check, Installation(settings))
        ]
        assert [each.message for each in lag if each.subject == group] == ["no workers running, and nothing waits"]


async def test_a_transaction_that_holds_the_inputs_end(admin: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, topics = await set_up(admin, "held."), Topics("held.")
    monkeypatch.setattr(neighbours, "_LONG_MS", -3_600_000)  # an open transaction is late at once
    topic = topics.display(Province.SICHUAN)
    async with kafka.producer(settings, transactional_id="held.sichuan-publisher") as producer:
        await producer.begin_transaction()
        await producer.send_and_wait(topic, b"{}", partition=1)
        (held,) = await problems(settings, "input end")
        assert held.subject == f"{topic}/1"
        assert held.message.startswith("held.sichuan-publisher's transaction is open from offset 0 on")
        assert f"--topic {topic} --partition 1 --start-offset 0" in held.advice
        # Who may not see the publisher's transactional ids sees the producer's.
        operator = settings.acting_as(Role.OPERATOR)
        operator = operator.model_copy(update={"access": operator.access.model_copy(update={"passwords_dir": None})})
        (held,) = await problems(operator, "input end")
        assert held.message.startswith("producer ")
        await producer.abort_transaction()
    deadline = time.monotonic() + PATIENCE_S
    while await problems(settings, "input end"):  # until the broker has written the marker
        assert time.monotonic() < deadline


async def test_lanes_that_decide_by_two_lists_at_a_time(admin: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, topics = await set_up(admin, "lists."), Topics("lists.")
    lanes = [LaneId(province, topics.display(province), 0) for province in Province]
    turns = [taken(lane, int(time.time() * 1000), f"id-{lane}") for lane in lanes]
    entries = [turn.outputs[-1].value for turn in turns]
    digest = json.loads(entries[0])["data"]["list_digest"]
    other = digest[:-8] + "00000000"
    async with kafka.producer(settings) as producer:
        for _ in range(2):
            for entry, list_digest in zip(entries, (digest, other), strict=True):
                value = entry.replace(digest.encode(), list_digest.encode())
                await producer.send_and_wait(topics.ledger, value, partition=0)
                await asyncio.sleep(0.05)
    assert await problems(settings, "lists") == []  # not for long enough to tell from an edit that is just being loaded
    monkeypatch.setattr(neighbours, "_LONG_MS", 10)
    (found,) = await problems(settings, "lists")
    assert f"{digest} by {lanes[0]}" in found.message
    assert f"{other} by {lanes[1]}" in found.message


async def test_a_lane_that_commits_nothing_though_an_event_waits(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings.model_copy(update={"topics": settings.topics.model_copy(update={"partitions": 1})})
    await apply_topics(settings)
    monkeypatch.setattr(work, "_LATE_MS", 0)
    monkeypatch.setattr(work, "_LOOKING_S", 1.0)
    topic = settings.topic_names.display(Province.CHONGQING)
    async with kafka.admin(settings) as client:
        await client.create_partitions({topic: NewPartitions(2)})
    with workers(settings, 1) as (worker,):
        worker.wait_for("lane.failed")
        async with kafka.producer(settings) as producer:
            for partition in (0, 1):
                await producer.send_and_wait(topic, b"no event", partition=partition)
        await wait_until_accounted(settings, 1)
        (stuck,) = await problems(settings, "lag")
    assert stuck.subject == f"{topic}/1"
    assert "its lane commits nothing" in stuck.message


async def test_markers_at_the_end_are_not_behind(settings: Settings) -> None:
    await apply_topics(settings)
    partition = TopicPartition(settings.topic_names.rejection(Province.SICHUAN), 0)
    async with kafka.producer(settings, transactional_id="writer") as producer, producer.transaction():
        await producer.send_and_wait(partition.topic, b"{}", partition=0)
    said = []
    async with kafka.consumer(settings) as consumer:
        for done in (0, 1):
            group = work._Group(1, {partition: done})
            said += await work._standing(consumer, "readers", group, group.committed)
    assert [each.message for each in said] == ["1 worker, 2 offsets behind", "1 worker, and nothing waits"]


async def test_a_worker_that_has_decided_all_is_fine(settings: Settings) -> None:
    await apply_topics(settings)
    with workers(settings, 1) as (worker,):
        worker.wait_for("lane.opened", 8)
        found = [(check.name, finding) async for check, finding in examine(Installation(settings))]
    assert [finding for _, finding in found if finding.status is CheckStatus.PROBLEM] == []
    messages = {name: finding.message for name, finding in found}
    assert messages["transactions"].startswith("opened: 8 lanes")
    assert any(f"{settings.groups[0]}" == finding.subject and finding.message == "1 worker, and nothing waits"
               for _, finding in found)  # fmt: skip
    assert [(name, finding.message) for name, finding in found if "no authorizer" in finding.message] == [
        ("access", "this broker has no authorizer: whoever reaches it may read and write everything")
    ]


async def test_a_broker_of_a_cluster_that_is_down() -> None:
    with LocalCluster(announce=print) as cluster:
        shipped = load_settings(packaged_config() / "gateway.yaml", bootstrap_servers=cluster.bootstrap_servers)
        changed = shipped.topics.model_copy(update={"partitions": 1, "replication_factor": 3})
        settings = shipped.model_copy(update={"topics": changed})
        await apply_topics(settings)
        for _ in range(10):  # whichever broker is asked
            assert await problems(settings, "broker", "topics", "clock") == []
        cluster.nodes[3].kill()
        deadline = time.monotonic() + PATIENCE_S
        behind = {"partitions [0] have fewer copies in step than they should have"}
        # For a moment the cluster still names the broker.
        while (found := {each.message for each in await problems(settings, "topics")}) != behind:
            assert time.monotonic() < deadline, found
            await asyncio.sleep(0.5)


async def test_a_clock_that_is_wrong(admin: Settings) -> None:
    settings, wrapped = await set_up(admin, "clock."), (str(ROOT / "tests" / "faults" / "wrapped_worker.py"),)
    code, findings = await asyncio.to_thread(
        doctor, settings, program=wrapped, FAULT_CLOCK_S="90", FAULT_CLOCK_FROM_START="1"
    )
    assert code == 1
    (clock,) = [each for each in findings if each["status"] == "problem"]
    assert clock["check"] == "clock"
    assert clock["message"].startswith(("the broker's is 89.", "the broker's is 90."))
    assert " s behind this machine's" in clock["message"]
    assert "NTP" in clock["advice"]


def test_unreachable_broker_and_refused_login_are_reported(admin: Settings, tmp_path: Path) -> None:
    code, findings = doctor(admin, "--bootstrap-servers", "127.0.0.1:1")
    assert code == 69
    assert [each["check"] for each in findings if each["status"] == "problem"] == ["broker"]
    assert {each["check"] for each in findings if each["status"] == "unchecked"} == {
        check.name for check in CHECKS if check.needs_broker
    } - {"broker"}
    wrong = tmp_path / "wrong"
    wrong.write_text("not it")
    changed = admin.model_copy(update={"kafka": admin.kafka.model_copy(update={"password_file": wrong})})
    code, findings = doctor(changed)
    assert code == 78
    (refused,) = [each for each in findings if each["status"] == "problem"]
    assert "does not let admin log in" in refused["message"]
    assert "not it" not in json.dumps(findings)
