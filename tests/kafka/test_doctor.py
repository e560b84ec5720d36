"""What `gateway doctor` says of a set-up that is as it should be, and of each thing that can be wrong with
one, made for real."""

import asyncio
import json
import re
import time
from pathlib import Path

import pytest
from aiokafka.admin import NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from gateway.adapters import kafka
from gateway.adapters.access import Grant, Kind, Role, needed_grants
from gateway.adapters.kafka_admin import AccessAdmin
from gateway.adapters.log_facts import wait_until_known
from gateway.adapters.settings import Settings, load_settings, packaged_config
from gateway.contract.topics import LANE_WRITER, Topics
from gateway.core.province import Province
from gateway.operate.apply_access import apply_access
from gateway.operate.doctor.checks import CHECKS
from gateway.operate.local_kafka.cluster import LocalCluster
from gateway.operate.topics import apply_topics
from tests.kafka.examined import doctor, problems, set_up
from tests.patience import PATIENCE_S

ROOT = Path(__file__).parents[2]


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
    off, give = map(float, re.findall(r"\d+\.\d+", clock))
    assert off <= give + 0.01  # the same machine's
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
                "topic ends",
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


async def test_an_output_topic_that_takes_less_than_a_record(admin: Settings) -> None:
    settings = await set_up(admin, "small.")
    topic = Topics("small.").verification(Province.SICHUAN)
    good = {"message.timestamp.type": "LogAppendTime", "max.message.bytes": "100000"}
    async with kafka.admin(settings) as client:
        await client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, good)])
    (small,) = await problems(settings, "sizes")
    assert (small.subject, "max.message.bytes is 100000" in small.message) == (topic, True)
    assert "--add-config max.message.bytes=" in small.advice


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
    off, give = map(float, re.findall(r"\d+\.\d+", clock["message"]))
    assert abs(off - 90) <= give + 0.01
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
