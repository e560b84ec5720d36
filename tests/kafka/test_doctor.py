"""What `gateway doctor` says of a set-up that is as it should be, and of each thing that can be wrong with one, made for real."""

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
from aiokafka.admin import NewTopic

from gateway.adapters import kafka
from gateway.adapters.access import Grant, Kind, Role, needed_grants
from gateway.adapters.kafka_admin import AccessAdmin
from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import Settings, load_settings, packaged_config
from gateway.contract.topics import Topics
from gateway.core.province import Province
from gateway.operate.apply_access import apply_access
from gateway.operate.doctor import work
from gateway.operate.doctor.checks import CHECKS
from gateway.operate.doctor.command import examine, look
from gateway.operate.doctor.result import CheckResult, Installation, Status
from gateway.operate.local_kafka.cluster import LocalCluster
from gateway.operate.simulate import Simulator
from gateway.operate.topics import apply_topics
from tests.kafka.harness import publish, workers

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
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


async def problems(settings: Settings, *checks: str) -> list[CheckResult]:
    """The problems that these checks find, each with something to do about it."""
    found = [
        finding
        for check in CHECKS if check.name in checks
        for finding in await look(check, Installation(settings)) if finding.status is Status.PROBLEM
    ]  # fmt: skip
    assert all(finding.advice for finding in found)
    return found


async def set_up(admin: Settings, prefix: str) -> Settings:
    settings = admin.model_copy(update={"topic_prefix": prefix})
    await apply_topics(settings)
    await apply_access(settings)
    return settings


async def test_a_set_up_as_applied_is_fine_and_nothing_is_left_in_its_topics(admin: Settings) -> None:
    settings = await set_up(admin, "fine.")
    code, findings = await asyncio.to_thread(doctor, settings)
    assert [each for each in findings if each["status"] == "problem"] == []
    assert code == 0
    assert {each["check"] for each in findings} == {check.name for check in CHECKS}
    access = {each["subject"]: each["status"] for each in findings if each["check"] == "access"}
    assert access == {"admin": "unchecked", **dict.fromkeys(Role, "fine")}
    assert [each["subject"] for each in findings if each["status"] == "unchecked"] == ["admin"]
    (clock,) = [each["message"] for each in findings if each["check"] == "clock"]
    assert "0.0" in clock  # the same machine's
    partitions = await kafka.partitions_of(settings, list(Topics("fine.").all))
    async with kafka.consumer(settings) as consumer:
        assert set((await consumer.end_offsets(partitions)).values()) == {0}


@pytest.mark.parametrize(
    ("role", "unseen"),
    [
        (Role.GATEWAY, {"times", "retention", "access", "grants"}),
        (Role.OPERATOR, {"access", "clock"}),
        (Role.SICHUAN, {"topics", "times", "retention", "access", "grants", "clock", "transactions", "lag"}),
    ],
)
async def test_what_a_principal_may_not_see_is_said_and_is_no_problem(
    admin: Settings, role: Role, unseen: set[str]
) -> None:
    own = (await set_up(admin, "seen.")).acting_as(role)
    own = own.model_copy(update={"access": own.access.model_copy(update={"passwords_dir": None})})
    code, findings = await asyncio.to_thread(doctor, own)
    assert [each for each in findings if each["status"] == "problem"] == []
    assert code == 0
    assert {each["check"] for each in findings if each["status"] == "unchecked"} == unseen
    assert ("access", role, "fine") in {(each["check"], each["subject"], each["status"]) for each in findings}


async def test_topics_that_do_not_fit(admin: Settings) -> None:
    settings, topics = admin.model_copy(update={"topic_prefix": "misfit."}), Topics("misfit.")
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
        await kafka.wait_until_led(client, [topic.name for topic in made])
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
        Grant(Role.OPERATOR, Kind.TRANSACTIONAL_ID, "granted.chuanyu-", "WRITE", prefixed=True),
    ]
    grants = [each for each in needed_grants(settings) if each != lacking]
    await asyncio.to_thread(AccessAdmin(settings).add_grants, [*grants, *much])
    deadline = time.monotonic() + 30
    while len(found := {(each.subject, each.message) for each in await problems(settings, "access")}) != 4:
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.2)
    assert found == {
        ("gateway", "may not write topic granted.gateway.ledger"),
        ("sichuan", "may describe, read topic granted.chongqing.rejection, and must not"),
        ("operator", "may write transactional id granted.chuanyu-gateway-doctor, and must not"),
        ("operator", "may write transactional id granted.chuanyu-feedback-doctor, and must not"),
    }
    listed = {(each.subject, each.message.partition(":")[0]) for each in await problems(settings, "grants")}
    asked_for, not_asked_for = "is not granted", "is granted what the contract does not ask for"
    assert listed == {("gateway", asked_for), ("sichuan", not_asked_for), ("operator", not_asked_for)}


async def test_transactional_ids_that_are_not_ours_and_transactions_that_hang(
    admin: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = await set_up(admin, "busy.")
    monkeypatch.setattr(work, "_LATE_MS", -3_600_000)  # an open transaction is late at once
    lane = "busy.chuanyu-gateway-busy.sichuan.display-0"
    for name in ("busy.chuanyu-gateway-stray", lane):
        producer = AIOKafkaProducer(**kafka.client_options(settings), transactional_id=name)
        await producer.start()
        try:
            async with producer.transaction():
                await producer.send_and_wait(Topics("busy.").ledger, b"{}", partition=0)
                found = {each.subject: each.message for each in await problems(settings, "transactions")}
                assert ("no lane has this transactional id" if "stray" in name else "has been open for") in found[name]
        finally:
            await producer.stop()
    assert [each.subject for each in await problems(settings, "transactions")] == ["busy.chuanyu-gateway-stray"]


async def test_events_that_nobody_decides_and_events_that_went_before_they_were_decided(admin: Settings) -> None:
    settings = await set_up(admin, "late.")
    simulator = Simulator(load_recognition(settings.recognition_dir), 5)
    await publish(settings, [simulator.next_event(int(time.time() * 1000)) for _ in range(40)])
    (waiting,) = await problems(settings, "lag")
    assert (waiting.subject, waiting.message) == ("late.chuanyu-gateway", "40 offsets wait, and no worker runs")
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


async def test_a_worker_that_has_decided_all_is_fine(settings: Settings) -> None:
    await apply_topics(settings)
    with workers(settings, 1) as (worker,):
        worker.wait_for("lane.opened", 8)
        found = [(check.name, finding) async for check, finding in examine(Installation(settings))]
    assert [finding for _, finding in found if finding.status is Status.PROBLEM] == []
    messages = {name: finding.message for name, finding in found}
    assert messages["transactions"].startswith("8 lanes have been opened")
    assert any(f"{settings.groups[0]}" == finding.subject and "1 workers, 0 offsets" in finding.message
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
        assert await problems(settings, "broker", "topics", "clock") == []
        cluster.nodes[3].kill()
        deadline = time.monotonic() + 60
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


def test_a_broker_that_is_not_there_or_does_not_let_us_in(admin: Settings, tmp_path: Path) -> None:
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
