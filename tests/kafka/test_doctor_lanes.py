"""What doctor finds of the lanes' work, their group and their transactions."""

import asyncio
import json
import time

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import NewPartitions
from aiokafka.structs import OffsetAndMetadata

from gateway.adapters import kafka
from gateway.adapters.access import Role
from gateway.adapters.settings import Settings
from gateway.contract.ledger_entry import InputLog, Previous
from gateway.contract.topics import LANE_WRITER, LaneId, Topics
from gateway.core.province import Province
from gateway.operate.doctor import neighbours, work
from gateway.operate.doctor.checks import CHECKS
from gateway.operate.doctor.command import examine, run_check
from gateway.operate.doctor.result import CheckStatus, Installation
from gateway.operate.topics import apply_topics
from gateway.relay.committed import metadata_of
from gateway.relay.continuity import Links, Standing
from tests.kafka.examined import problems, set_up
from tests.kafka.harness import publish, simulate, wait_until_accounted, workers
from tests.kafka.test_lane import taken
from tests.patience import PATIENCE_S


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
        (held,) = await problems(settings, "topic ends")
        assert held.subject == f"{topic}/1"
        assert held.message.startswith("held.sichuan-publisher's transaction is open from offset 0 on")
        assert f"--topic {topic} --partition 1 --start-offset 0" in held.advice
        # Who may not see the publisher's transactional ids sees the producer's.
        operator = settings.acting_as(Role.OPERATOR)
        operator = operator.model_copy(update={"access": operator.access.model_copy(update={"passwords_dir": None})})
        (held,) = await problems(operator, "topic ends")
        assert held.message.startswith("producer ")
        await producer.abort_transaction()
    deadline = time.monotonic() + PATIENCE_S
    while await problems(settings, "topic ends"):  # until the broker has written the marker
        assert time.monotonic() < deadline


async def test_a_transaction_that_hides_an_outputs_end(admin: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, topics = await set_up(admin, "hiding."), Topics("hiding.")
    monkeypatch.setattr(neighbours, "_LONG_MS", -3_600_000)  # an open transaction is late at once
    effects = {
        topics.ledger: "what follows is hidden; lanes that open wait, and audit, archive and feedback do not see it",
        topics.verification(Province.SICHUAN): "what follows is hidden from its readers, and the archive waits",
        topics.feedback: "what follows is hidden from its readers",
    }
    async with kafka.producer(settings, transactional_id="hiding.somebody") as producer:
        await producer.begin_transaction()
        for topic in effects:
            await producer.send_and_wait(topic, b"x", partition=0)
        # The operator may see it too, whose account runs doctor by day.
        for account in (settings, settings.acting_as(Role.OPERATOR)):
            found = {each.subject: each for each in await problems(account, "topic ends")}
            assert found.keys() == {f"{topic}/0" for topic in effects}
            for topic, effect in effects.items():
                assert found[f"{topic}/0"].message.endswith(f" s: {effect}")
                assert f"--topic {topic} --partition 0 --start-offset 0" in found[f"{topic}/0"].advice
        await producer.abort_transaction()


async def test_the_gateways_own_transaction_is_not_to_be_aborted(
    admin: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, topics = await set_up(admin, "own."), Topics("own.")
    lane = LaneId(Province.SICHUAN, topics.display(Province.SICHUAN), 0).transactional_id
    async with (
        kafka.producer(settings, transactional_id=lane) as producer,
        kafka.producer(settings, transactional_id="own.somebody") as other,
    ):
        for each in (producer, other):
            await each.begin_transaction()
            await each.send_and_wait(topics.ledger, b"x", partition=0)
        (check,) = [each for each in CHECKS if each.name == "topic ends"]
        (fine,) = await run_check(check, Installation(settings))
        assert fine.message == (
            "2 transactions open in the gateway's topics, none silent for a minute; not the gateway's: own.somebody"
        )
        await other.abort_transaction()
        monkeypatch.setattr(neighbours, "_LONG_MS", -3_600_000)  # an open transaction is late at once
        async with asyncio.timeout(PATIENCE_S):  # a broker answers before the partition has the marker
            while len(found := await problems(settings, "topic ends")) > 1:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        (held,) = found
        assert held.message.startswith(f"{lane}'s transaction is open from offset ")
        assert "do not abort it by hand" in held.advice
        assert "kafka-transactions" not in held.advice
        await producer.abort_transaction()


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
        async with asyncio.timeout(PATIENCE_S):  # a broker answers before the partition has the marker
            while (await consumer.end_offsets([partition]))[partition] < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
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
