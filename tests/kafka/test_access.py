"""Who may do what, on a real broker that denies by default: each principal does its own work, and nothing
else."""

import asyncio
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    for_code,
)

from gateway.adapters import aiokafka_patches, kafka
from gateway.adapters.access import Grant, Kind, Role, needed_grants
from gateway.adapters.certificates import CA, certificate_ends
from gateway.adapters.kafka_admin import AccessAdmin
from gateway.adapters.setting_groups import KafkaSettings
from gateway.adapters.settings import Settings, load_settings, packaged_config
from gateway.contract.topics import Topics
from gateway.core.province import Province
from gateway.errors import BrokerUnreachableError, ConfigurationError, GatewayError
from gateway.operate import demo
from gateway.operate.apply_access import apply_access, plan_access
from gateway.operate.local_kafka import local_kafka
from gateway.operate.local_kafka.users import as_admin
from gateway.operate.secret_files import make_passwords
from gateway.operate.topics import apply_topics
from tests.kafka.harness import Worker, publish, simulate, wait_until_accounted
from tests.patience import PATIENCE_S


async def write(settings: Settings, topic: str, **options: Any) -> None:
    async with kafka.producer(settings, **options) as producer:
        await asyncio.wait_for(producer.send_and_wait(topic, b"{}", partition=0), PATIENCE_S)


async def read(settings: Settings, topic: str, group: str | None = None) -> None:
    async with kafka.consumer(settings, group_id=group, fetch_max_wait_ms=200) as consumer:
        (partition, *_) = await kafka.partitions_of(settings, [topic])
        consumer.assign([partition])
        async with asyncio.timeout(PATIENCE_S):
            while consumer.highwater(partition) is None:  # until a fetch was answered: one that is refused raises
                await consumer.getmany(timeout_ms=200)
        if group:
            await consumer.committed(partition)


async def allowed(work: Awaitable[None]) -> bool:
    try:
        await work
    except ConfigurationError:  # refused as a client started
        return False
    except (TopicAuthorizationFailedError, GroupAuthorizationFailedError, TransactionalIdAuthorizationFailed):
        return False
    return True


@pytest.mark.parametrize("province", list(Province))
async def test_provinces_may_only_write_events_and_read_answers(admin: Settings, province: Province) -> None:
    topics, own = Topics(), admin.acting_as(Role.of(province))
    writable = {topic for topic in topics.all if await allowed(write(own, topic))}
    readable = {topic for topic in topics.all if await allowed(read(own, topic))}
    assert writable == {topics.display(province)}
    assert readable == {topics.verification(province), topics.rejection(province)}
    assert await allowed(read(own, topics.rejection(province), group=f"{province}-platform"))
    assert not await allowed(read(own, topics.rejection(province), group=f"{province.other}-platform"))
    assert await allowed(write(own, topics.display(province), enable_idempotence=True))


async def test_gateway_cannot_write_events_or_alter_the_cluster(admin: Settings) -> None:
    gateway, topics = admin.acting_as(Role.GATEWAY), Topics()
    writable = {topic for topic in topics.all if await allowed(write(gateway, topic))}
    assert writable == set(topics.all) - set(topics.displays)
    async with kafka.admin(gateway) as client:
        made = await client.create_topics([NewTopic("elsewhere", 1, 1)])
        assert for_code(made.topic_errors[0][1]) in {TopicAuthorizationFailedError, ClusterAuthorizationFailedError}
        gone = await client.delete_topics([topics.ledger])
        assert for_code(gone.topic_error_codes[0][1]) is TopicAuthorizationFailedError
    with pytest.raises(GatewayError, match="did not let gateway set"):
        await apply_access(gateway)


async def test_topics_that_stay_are_named(admin: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    gateway = admin.acting_as(Role.GATEWAY).model_copy(update={"topic_prefix": "demo-1."})
    await asyncio.to_thread(demo._delete_topics, gateway)
    said = capsys.readouterr().err
    assert "these topics could not be deleted: demo-1.chongqing.display (TopicAuthorizationFailedError), " in said
    assert "they begin with demo-1." in said


async def test_a_group_that_is_denied_is_not_empty(admin: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    group = admin.groups[0]
    async with kafka.admin(admin) as client:
        coordinator = await client.find_coordinator(group)
    for principal in (admin.acting_as(Role.of(Province.SICHUAN)), admin.acting_as(Role.of(Province.CHONGQING))):
        async with kafka.admin(principal) as client:
            for ask in (
                client.list_consumer_group_offsets(group, coordinator),
                client.describe_consumer_groups([group], coordinator),
            ):
                with pytest.raises(GroupAuthorizationFailedError):
                    await ask
            # As a broker says it: an error of the group, and no partition that could have one.
            with monkeypatch.context() as unpatched:
                unpatched.setattr(AIOKafkaAdminClient, "_send_request", aiokafka_patches.send_as_admin)
                assert await client.list_consumer_group_offsets(group, coordinator) == {}


async def test_an_operator_reads_everything_and_writes_nothing(admin: Settings) -> None:
    operator, topics = admin.acting_as(Role.OPERATOR), Topics()
    assert {topic for topic in topics.all if await allowed(read(operator, topic))} == set(topics.all)
    assert {topic for topic in topics.all if await allowed(write(operator, topic))} == set()


async def test_who_does_not_log_in_gets_nothing(admin: Settings) -> None:
    anonymous = admin.model_copy(update={"kafka": KafkaSettings()})
    with pytest.raises(BrokerUnreachableError):
        await asyncio.wait_for(read(anonymous, Topics().feedback), PATIENCE_S)


def run(settings: Settings, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "gateway", *arguments],
        env=os.environ | settings.as_environment() | environment, capture_output=True, text=True, check=False,
        timeout=PATIENCE_S,
    )  # fmt: skip


@pytest.mark.parametrize("command", [("run",), ("tail", "gateway.feedback", "--limit", "1"), ("topics", "plan")])
def test_a_wrong_password_names_the_principal_and_not_itself(
    admin: Settings, tmp_path: Path, command: tuple[str, ...]
) -> None:
    wrong = tmp_path / "gateway"
    wrong.write_text(secret := secrets.token_urlsafe(9))
    changed = admin.acting_as(Role.GATEWAY).kafka.model_copy(update={"password_file": wrong})
    done = run(admin.model_copy(update={"kafka": changed}), *command)
    assert done.returncode == 78, done.stderr
    assert "does not let gateway log in by SCRAM-SHA-512" in done.stderr
    assert secret not in done.stdout + done.stderr


def test_what_a_principal_may_not_do_is_said(admin: Settings) -> None:
    done = run(admin.acting_as(Role.SICHUAN), "tail", "chongqing.rejection", "--limit", "1", "--timeout", "5")
    assert done.returncode == 78, done.stderr
    assert "does not allow sichuan" in done.stderr


async def test_the_whole_way_works_under_these_grants(admin: Settings) -> None:
    admin = admin.model_copy(update={"topic_prefix": "whole-way."})
    await apply_topics(admin)
    await apply_access(admin)
    records = simulate(admin, 400, seed=5)
    worker = Worker(admin.acting_as(Role.GATEWAY), "run").start()
    feedback = Worker(admin.acting_as(Role.GATEWAY), "feedback", "run").start()
    try:
        for province in Province:
            its = [record for record in records if record.province is province]
            await publish(admin.acting_as(Role.of(province)), its)
        account = await wait_until_accounted(admin.acting_as(Role.OPERATOR), len(records))
        account.assert_proper(len(records))
        feedback.wait_for("feedback.announced")
        audited = await asyncio.to_thread(run, admin.acting_as(Role.OPERATOR), "audit", "--prove")
        assert audited.returncode == 0, audited.stderr
        # It may not see how long topics keep their records: the settings say it.
        for command in (("restore", "--dry-run"), ("acknowledge",)):
            done = await asyncio.to_thread(run, admin.acting_as(Role.GATEWAY), *command)
            assert done.returncode == 0, done.stderr
        assert worker.terminate() == 0
        assert feedback.terminate() == 0
    finally:
        for each in (worker, feedback):
            if each.process is not None and each.process.poll() is None:
                each.kill()
    assert not [line for each in (worker, feedback) for line in each.lines() if line.get("level") == "error"]


async def test_access_plan_lists_missing_and_excess_grants(admin: Settings) -> None:
    other = admin.model_copy(update={"topic_prefix": "planned."})

    async def plan() -> dict[str, set[Grant]]:
        found: dict[str, set[Grant]] = {}
        for each in await plan_access(other) or []:
            found.setdefault(each.action, set()).add(each.grant)
        return found

    before = await plan()
    assert before.keys() == {"grant", "unchanged"}  # the cluster's grants are for all prefixes
    assert {grant for grant in needed_grants(other) if grant.kind is Kind.TOPIC} <= before["grant"]
    await apply_access(other)
    assert set(await plan()) == {"unchanged"}
    much = Grant(Role.SICHUAN, Kind.TOPIC, "planned.gateway.", "WRITE", prefixed=True)
    await asyncio.to_thread(AccessAdmin(admin).add_grants, [much])
    assert (await plan())["surplus"] == {much}


def test_a_broker_without_an_authorizer_says_so(settings: Settings) -> None:
    done = run(settings, "topics", "apply")
    assert done.returncode == 0, done.stderr
    assert "no authorizer" in done.stderr


def certify(folder: Path) -> None:
    script = packaged_config() / "kafka" / "development-ca.sh"
    subprocess.run(["sh", script, folder], check=True, capture_output=True)


async def test_with_a_certificate_every_listener_speaks_tls(tmp_path: Path) -> None:
    make_passwords(tmp_path)
    certify(tmp_path)
    with local_kafka(prefer="java", passwords_dir=tmp_path) as broker:
        admin = as_admin(load_settings(bootstrap_servers=broker.bootstrap_servers), tmp_path)
        assert admin.kafka.security_protocol == "SASL_SSL"
        await apply_topics(admin)
        await apply_access(admin)
        sichuan = admin.acting_as(Role.SICHUAN)
        await write(sichuan, Topics().display(Province.SICHUAN))
        assert not await allowed(read(sichuan, Topics().ledger))
        stranger = tmp_path / "stranger"
        certify(stranger)
        for changed in ({"ca_file": stranger / "ca.pem"}, {"security_protocol": "SASL_PLAINTEXT"}):
            other = sichuan.model_copy(update={"kafka": sichuan.kafka.model_copy(update=changed)})
            with pytest.raises(BrokerUnreachableError):
                await asyncio.wait_for(kafka.partitions_of(other, [Topics().ledger]), PATIENCE_S)

        # When the certificates end, for /metrics: the broker's, and that of the CA; of a broker that is not
        # believed nothing.
        days = {name: (end - time.time()) / 86400 for name, end in (await certificate_ends(sichuan)).items()}
        assert days == {admin.bootstrap_servers: pytest.approx(365, abs=1), CA: pytest.approx(730, abs=1)}
        strange = sichuan.model_copy(
            update={"kafka": sichuan.kafka.model_copy(update={"ca_file": stranger / "ca.pem"})}
        )
        assert (await certificate_ends(strange)).keys() == {CA}
        assert await certificate_ends(load_settings(bootstrap_servers=broker.bootstrap_servers)) == {}
