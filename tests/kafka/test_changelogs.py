"""Feedback's changelogs on a broker that makes topics by itself: made right, deleted, restored from a
backup, cut."""

import asyncio
import contextlib
import json
import subprocess
import time
from collections.abc import Iterator

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.structs import ConsumerRecord

from gateway.adapters import kafka
from gateway.adapters.log_facts import wait_until_known
from gateway.adapters.settings import Settings
from gateway.core.province import Province
from gateway.errors import ConfigurationError
from gateway.feedback.prepare import prepare_topics
from gateway.feedback.state import FeedbackTopics, State, read_state
from gateway.operate.doctor.feedback_checks import check_feedback
from gateway.operate.doctor.result import CheckStatus, Installation
from gateway.operate.local_kafka import LocalKafka, local_kafka
from gateway.operate.topics import apply_topics
from tests.kafka.harness import Worker, read_topics
from tests.kafka.relays_work import RelaysWork
from tests.kafka.test_feedback import (
    counts_of,
    day_counts_of,
    expected_cases,
    feedback_workers,
    gateway,
    ledger_counts,
    rejected_events,
)
from tests.patience import PATIENCE_S


@pytest.fixture(scope="module")
def kafka_broker() -> Iterator[LocalKafka]:
    """A broker with Kafka's own defaults for topics that nobody made."""
    with local_kafka(properties={"auto.create.topics.enable": "true", "num.partitions": "1"}, announce=print) as broker:
        yield broker


async def wait_until_counted(settings: Settings, worker: Worker, timeout_s: float = PATIENCE_S) -> State:
    """Wait until the changelogs hold exactly what the topics hold, and no more is being counted again."""
    cases, days = await expected_cases(settings), await ledger_counts(settings)
    deadline = time.monotonic() + timeout_s
    while True:
        with contextlib.suppress(ConfigurationError):  # the worker makes its topics first
            state = await read_state(settings)
            if counts_of(state) == cases and day_counts_of(state) == days and not state.is_counted_again:
                return state
        assert worker.process is not None
        assert worker.process.poll() is None, worker.log.read_text()[-3000:]
        assert time.monotonic() < deadline, worker.log.read_text()[-3000:]
        await asyncio.sleep(0.5)


def end_worker(worker: Worker) -> None:
    """End a worker, in order if it can: how it ends is not what is tested here."""
    try:
        worker.terminate()
    except subprocess.TimeoutExpired:
        worker.kill()


async def write(settings: Settings, work: RelaysWork, count: int, seed: int) -> None:
    await work.write(rejected_events(settings, count, seed), int(time.time() * 1000))


async def delete(settings: Settings, *names: str) -> None:
    async with kafka.admin(settings) as admin:
        await admin.delete_topics(list(names))
        while set(names) & set(await admin.list_topics()):  # noqa: ASYNC110 — the broker does it when it likes
            await asyncio.sleep(0.1)


async def described(settings: Settings, name: str) -> tuple[int, str]:
    """Return a topic's partitions, and its cleanup policy."""
    async with kafka.admin(settings) as admin:
        (topic,) = await admin.describe_topics([name])
        (response,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
        (resource,) = response.resources
        return len(topic["partitions"]), next(entry[1] for entry in resource[4] if entry[0] == "cleanup.policy")


async def problems_of(settings: Settings) -> list[str]:
    """Return what the doctor says is wrong with feedback."""
    found = await check_feedback(Installation(settings))
    return [each.message for each in found if each.status is CheckStatus.PROBLEM]


def test_looking_for_topics_makes_none(settings: Settings) -> None:
    names = FeedbackTopics(settings)
    for arguments, code in ((("feedback", "list"), 78), (("audit",), 78), (("tail", "gateway.ledger"), 78)):
        gateway(settings, *arguments, expect=code)
    asyncio.run(apply_topics(settings))
    assert "gateway feedback run" in gateway(settings, "feedback", "list", expect=78)

    async def found() -> set[str]:
        async with kafka.admin(settings) as admin:
            return {name for name in await admin.list_topics() if name.startswith(settings.topic_prefix)}

    assert not asyncio.run(found()) & set(names.changelogs)


async def test_changelogs_that_the_broker_made_are_corrected(settings: Settings) -> None:
    names = FeedbackTopics(settings)
    await apply_topics(settings)
    async with kafka.admin(settings) as admin:
        await admin.create_topics([NewTopic(name, 1, 1) for name in names.changelogs])
    with feedback_workers(settings, 1) as (worker,):
        await write(settings, RelaysWork(settings), 200, seed=1)
        await wait_until_counted(settings, worker)
        assert len(worker.events("changelog.corrected")) == 4
    for name in names.changelogs:
        assert await described(settings, name) == (4, "compact")


async def test_changelogs_deleted_between_runs_are_reported_and_recounted(settings: Settings) -> None:
    names, work = FeedbackTopics(settings), RelaysWork(settings)
    await apply_topics(settings)
    with feedback_workers(settings, 1) as (worker,):
        await write(settings, work, 300, seed=2)
        before = await wait_until_counted(settings, worker)
        end_worker(worker)
        assert not worker.events("changelog.lost")
        worker.start()  # with whole changelogs nothing is said
        await write(settings, work, 50, seed=3)
        before = await wait_until_counted(settings, worker)
        end_worker(worker)
        assert not worker.events("changelog.lost") + worker.events("changelog.behind")
        assert await problems_of(settings) == []
        await delete(settings, *names.changelogs)
        assert await problems_of(settings) == ["it is gone, and records are committed as counted"] * 2
        assert "start a worker" in gateway(settings, "feedback", "list", expect=78)
        await prepare_topics(settings)
        assert {message.partition(":")[0] for message in await problems_of(settings)} == {
            "it does not say up to where it counts"
        }
        worker.start()
        await write(settings, work, 100, seed=4)
        after = await wait_until_counted(settings, worker)
        assert counts_of(after).total() > counts_of(before).total()
        lost = worker.events("changelog.lost")
        assert {line["table"] for line in lost} == {"shares", "days"}
        assert all(line["level"] == "error" and "counted again" in str(line["hint"]) for line in lost)
        worker.wait_for("source.counted_again")
        assert await problems_of(settings) == []
        end_worker(worker)
    assert json.loads(gateway(settings, "feedback", "rebuild", "--dry-run", "--format", "json"))["changed"] == 0


async def test_changelogs_deleted_under_a_worker_are_written_again(settings: Settings) -> None:
    names, work = FeedbackTopics(settings), RelaysWork(settings)
    await apply_topics(settings)
    with feedback_workers(settings, 1) as (worker,):
        await write(settings, work, 300, seed=5)
        await wait_until_counted(settings, worker)
        # The records are no longer there to be counted again: only the worker knows of them.
        counted = counts_of(await read_state(settings))
        await delete_records(settings, settings.topic_names.rejections)
        await delete(settings, *names.changelogs)
        worker.wait_for("changelog.lost")
        deadline = time.monotonic() + PATIENCE_S
        while True:
            await prepare_topics(settings)
            state = await read_state(settings)
            if counts_of(state) == counted:
                break
            assert time.monotonic() < deadline, worker.log.read_text()[-3000:]
            await asyncio.sleep(0.5)
        assert worker.process is not None
        assert worker.process.poll() is None
        for name in names.changelogs:
            assert await described(settings, name) == (4, "compact")


async def delete_records(settings: Settings, names: list[str]) -> None:
    partitions = await kafka.partitions_of(settings, list(names))
    async with kafka.admin(settings) as admin, kafka.consumer(settings) as consumer:
        ends = await consumer.end_offsets(partitions)
        await admin.delete_records({each: RecordsToDelete(end) for each, end in ends.items()})


async def test_restored_changelogs_are_behind_and_catch_up(settings: Settings) -> None:
    names, work = FeedbackTopics(settings), RelaysWork(settings)
    await apply_topics(settings)
    with feedback_workers(settings, 1) as (worker,):
        await write(settings, work, 300, seed=6)
        await wait_until_counted(settings, worker)
        end_worker(worker)
        backup: list[ConsumerRecord] = [each async for each in read_topics(settings, names.changelogs)]
        worker.start()
        await write(settings, work, 300, seed=7)
        await wait_until_counted(settings, worker)
        end_worker(worker)
        await delete(settings, *names.changelogs)
        await prepare_topics(settings)
        async with kafka.producer(settings) as producer:
            for each in backup:
                await producer.send(each.topic, key=each.key, value=each.value, partition=each.partition)
        assert {message.partition(":")[0] for message in await problems_of(settings)} == {
            "it is behind what is committed as counted"
        }
        worker.start()
        await wait_until_counted(settings, worker)
        assert worker.events("changelog.behind")
        assert not worker.events("changelog.lost")


async def test_a_changelog_whose_beginning_went_is_noticed(settings: Settings) -> None:
    names, work = FeedbackTopics(settings), RelaysWork(settings)
    await apply_topics(settings)
    with feedback_workers(settings, 1) as (worker,):
        await write(settings, work, 300, seed=8)
        await wait_until_counted(settings, worker)
        await write(settings, work, 20, seed=9)
        await wait_until_counted(settings, worker)
        end_worker(worker)
        partition = TopicPartition(names.shares, 0)
        async with kafka.admin(settings) as admin, kafka.consumer(settings) as consumer:
            end = (await consumer.end_offsets([partition]))[partition]
            policy = {"cleanup.policy": "compact,delete"}  # as somebody may have set it, who found them too large
            await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, names.shares, policy)])
            await admin.delete_records({partition: RecordsToDelete(end - 3)})
        worker.start()
        await wait_until_counted(settings, worker)
        assert await described(settings, names.shares) == (4, "compact")
        (lost,) = worker.events("changelog.lost")
        assert (lost["table"], lost["partition"]) == ("shares", 0)


async def test_a_recreated_source_adds_to_earlier_counts(settings: Settings) -> None:
    topics, work = settings.topic_names, RelaysWork(settings)
    sources = [*topics.rejections, topics.deadletter, topics.ledger]
    await apply_topics(settings)
    with feedback_workers(settings, 1) as (worker,):
        await write(settings, work, 300, seed=10)
        before = await wait_until_counted(settings, worker)
        end_worker(worker)
        await delete(settings, *sources)
        await apply_topics(settings)
        await write(settings, work, 500, seed=11)  # more than before: the offsets alone say nothing
        worker.start()
        expected = counts_of(before) + await expected_cases(settings)
        days = day_counts_of(before) + await ledger_counts(settings)
        deadline = time.monotonic() + PATIENCE_S
        while counts_of(state := await read_state(settings)) != expected or day_counts_of(state) != days:
            assert time.monotonic() < deadline, worker.log.read_text()[-3000:]
            await asyncio.sleep(0.5)
        worker.wait_for("source.another_log")
        assert {str(line["topic"]) for line in worker.events("source.another_log")} == set(sources)
        end_worker(worker)
        worker.start()  # and the next time nothing is said
        worker.wait_for("announcer.leads", count=3)
        assert len(worker.events("source.another_log")) == len({
            (line["topic"], line["partition"]) for line in worker.events("source.another_log")
        })  # fmt: skip
        assert counts_of(await read_state(settings)) == expected


async def grow(settings: Settings, *names: str) -> None:
    async with kafka.admin(settings) as admin:
        await admin.create_partitions(dict.fromkeys(names, NewPartitions(5)))
        await wait_until_known(settings, names, at_least=5)


async def test_topics_may_grow_one_by_one(settings: Settings) -> None:
    """Workers that run, and one that starts meanwhile, wait until all have grown; then all is counted,
    once."""
    await apply_topics(settings)
    topics, work = settings.topic_names, RelaysWork(settings)
    at_first = {topics.ledger, topics.rejection(Province.SICHUAN)}
    await write(settings, work, 400, seed=31)
    with feedback_workers(settings, 2) as (first, second), feedback_workers(settings, 1) as (newcomer,):
        newcomer.kill()
        await wait_until_counted(settings, first)
        await grow(settings, *at_first)
        newcomer.start()
        for worker in (newcomer, first, second):
            await asyncio.to_thread(worker.wait_for, "table.waiting")
        (differ,) = newcomer.events("topics.differ")
        assert f"{topics.ledger} 5" in str(differ["partitions"])
        assert f"{topics.deadletter} 4" in str(newcomer.events("table.waiting")[-1]["why"])
        await grow(settings, *(name for name in topics.all if name not in at_first))
        work.grow(5)
        await write(settings, work, 400, seed=32)
        await wait_until_counted(settings, newcomer)
        for worker in (newcomer, first, second):
            assert worker.process is not None
            assert worker.process.poll() is None
            lost = "changelog.lost", "changelog.behind", "feedback.task_failed", "record.not_counted"
            assert [name for name in lost if worker.events(name)] == []


async def test_a_running_worker_writes_to_partitions_just_added(settings: Settings) -> None:
    """Its producer has looked at the changelogs a moment ago, and would not look again for some time."""
    await apply_topics(settings)
    work = RelaysWork(settings)
    with feedback_workers(settings, 1) as (worker,):
        await write(settings, work, 200, seed=41)
        await wait_until_counted(settings, worker)
        await grow(settings, *settings.topic_names.all)
        work.grow(5)
        await write(settings, work, 200, seed=42)
        await wait_until_counted(settings, worker)
        assert worker.process is not None
        assert worker.process.poll() is None
        assert not worker.events("worker.crashed")
