"""What stops a lane, and where that is reported: its log, an ended task, an output topic without its
partition, a foreign transaction."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from aiokafka.admin import NewPartitions
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from gateway.adapters import kafka
from gateway.adapters.access import needed_grants
from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import Settings
from gateway.core.province import Province
from gateway.errors import ConfigurationError
from gateway.operate.apply_access import apply_access
from gateway.operate.simulate import Simulated, Simulator
from gateway.operate.topics import apply_topics
from gateway.relay.health import find_failure
from tests.kafka.harness import Worker, audit, publish, wait_until_accounted
from tests.kafka.test_lane import lane_of
from tests.kafka.test_metrics import readiness, scrape, until
from tests.patience import PATIENCE_S
from tests.ports import free_port


def events_of(settings: Settings, province: Province, count: int) -> list[Simulated]:
    simulator, now = Simulator(load_recognition(settings.recognition_dir), 3), int(time.time() * 1000)
    found: list[Simulated] = []
    while len(found) < count:
        event = simulator.next_event(now)
        found += [event] if event.province is province else []
    return found


def with_partitions(settings: Settings, partitions: int) -> Settings:
    return settings.model_copy(update={"topics": settings.topics.model_copy(update={"partitions": partitions})})


def health(port: int) -> tuple[int, dict[str, Any]]:
    return readiness(port, "healthz")


class PipedWorker(Worker):
    """A worker whose log goes to a pipe."""

    def start(self) -> Worker:
        command = [sys.executable, *self.program, *self._command]
        self.process = subprocess.Popen(command, env=self._environment, stderr=subprocess.PIPE)
        return self


@contextmanager
def worker_on(settings: Settings, port: int, kind: type[Worker] = Worker) -> Iterator[Worker]:
    worker = kind(settings, GATEWAY_WEB__ENABLED="true", GATEWAY_WEB__PORT=str(port))
    try:
        yield worker.start()
    finally:
        worker.discard()


async def test_lanes_go_on_when_nobody_reads_their_log(settings: Settings) -> None:
    settings = with_partitions(settings, 2)
    await apply_topics(settings)
    port, events = free_port(), events_of(settings, Province.SICHUAN, 40)
    with worker_on(settings, port, kind=PipedWorker) as worker:
        assert worker.process is not None
        assert worker.process.stderr is not None
        await asyncio.to_thread(until, port, readiness, lambda answer: answer[0] == 200)
        worker.process.stderr.close()
        await publish(settings, events[:20])
        await wait_until_accounted(settings, 20)
        await publish(settings, events[20:])
        (await wait_until_accounted(settings, 40)).assert_proper(40)
        assert health(port) == (200, {"status": "ok"})
        assert scrape(port)["gateway_log_lines_lost_total",] >= 2
        assert worker.terminate() == 0


async def test_a_lane_whose_task_was_cancelled_restarts(settings: Settings) -> None:
    settings = with_partitions(settings, 1)
    await apply_topics(settings)
    async with lane_of(settings, Province.SICHUAN) as lane:
        lane.start()
        await publish(settings, events_of(settings, Province.SICHUAN, 1))
        await wait_until_accounted(settings, 1)
        (task,) = [each for each in asyncio.all_tasks() if each.get_name() == f"lane {lane.id}"]
        task.cancel()
        await asyncio.wait([task])
        assert lane.has_ended
        assert find_failure([lane], broker_answers=True) == f"lane {lane.id} has ended (CancelledError)"
        await publish(settings, events_of(settings, Province.SICHUAN, 1))
        await wait_until_accounted(settings, 2)
        assert find_failure([lane], broker_answers=True) is None


async def test_a_missing_output_partition_stops_only_its_lanes(settings: Settings) -> None:
    settings = with_partitions(settings, 2)
    await apply_topics(settings)
    topics, port = settings.topic_names, free_port()
    async with kafka.admin(settings) as admin:
        await admin.create_partitions({topics.display(Province.SICHUAN): NewPartitions(3)})
    events = events_of(settings, Province.SICHUAN, 60)
    with worker_on(settings, port) as worker:
        await asyncio.to_thread(worker.wait_for, "lane.opened", 4)
        (differ,) = worker.events("topics.differ")
        assert f"{topics.display(Province.SICHUAN)} 3" in str(differ["partitions"])
        lane = f"{topics.display(Province.SICHUAN)}-2"
        _, answer = until(port, readiness, lambda answer: answer[1]["lanes"].get(lane, {}).get("state") == "waiting")
        assert answer["lanes"][lane]["cause"] == "MissingPartitionError"
        assert not answer["lanes_open"]
        assert {name: each["state"] for name, each in answer["lanes"].items() if name != lane} == {
            f"{topic}-{partition}": "open" for topic in topics.displays for partition in (0, 1)
        }
        samples = scrape(port)
        assert samples["gateway_lanes", "waiting"] == 1
        assert samples["gateway_lane_stalled_seconds", "MissingPartitionError", "2", "sichuan"] > 0
        await publish(settings, events)
        (waits,) = audit(settings, expect=1)["findings"]
        assert (waits["kind"], waits["partition"]) == ("unreadable", 2)
        assert "give every topic the same number of partitions" in waits["detail"]
        async with kafka.admin(settings) as admin:
            missing = {name: NewPartitions(3) for name in topics.all if name != topics.display(Province.SICHUAN)}
            await admin.create_partitions(missing)
        (await wait_until_accounted(settings, len(events))).assert_proper(len(events))
        until(port, readiness, lambda answer: answer[0] == 200 and len(answer[1]["lanes"]) == 6)


async def test_an_open_foreign_transaction_is_named_as_cause(settings: Settings) -> None:
    settings = with_partitions(settings, 1)
    await apply_topics(settings)
    topic, port = settings.topic_names.display(Province.SICHUAN), free_port()
    (event,) = events_of(settings, Province.SICHUAN, 1)
    with worker_on(settings, port) as worker:
        await asyncio.to_thread(worker.wait_for, "lane.opened", 2)
        async with kafka.producer(settings, transactional_id=f"{settings.topic_prefix}open") as producer:
            await producer.begin_transaction()
            await producer.send_and_wait(topic, event.value, event.key, 0)
            cause = ("gateway_lane_stalled_seconds", "OpenTransaction", "0", "sichuan")
            until(port, scrape, lambda samples: samples.get(cause, 0) > 2)
            until(port, readiness, lambda answer: answer[0] == 200)  # for a minute that is a publisher's good right
            await producer.commit_transaction()
        await wait_until_accounted(settings, 1)
        until(port, scrape, lambda samples: samples.get(("gateway_lane_stalled_seconds", "", "0", "sichuan"), 9) < 2)


@pytest.mark.parametrize("config", [{"cleanup.policy": "compact"}, {"message.timestamp.type": "CreateTime"}])
async def test_wrong_input_topic_configuration_refuses_the_start(settings: Settings, config: dict[str, str]) -> None:
    settings = with_partitions(settings, 1)
    await apply_topics(settings)
    topic, ((setting, value),) = settings.topic_names.display(Province.CHONGQING), config.items()
    good = {"message.timestamp.type": "LogAppendTime", "cleanup.policy": "delete"}
    async with kafka.admin(settings) as admin:
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, good | config)])
    with worker_on(settings, free_port()) as worker:
        assert worker.process is not None
        assert await asyncio.to_thread(worker.process.wait, PATIENCE_S) == ConfigurationError.exit_code
        said = worker.log.read_text(encoding="utf-8")
    assert f"{topic}: {setting} is {value}, and must be {good[setting]}" in said
    assert f"--add-config {setting}={good[setting]}" in said


async def test_the_gateway_principal_notices_a_compacted_input(admin: Settings) -> None:
    settings = admin.model_copy(update={"topic_prefix": "compacted."})
    await apply_topics(settings)
    await apply_access(settings)
    topic = settings.topic_names.display(Province.CHONGQING)
    async with kafka.admin(settings) as broker:
        assert await kafka.change_topic_config(broker, topic, {"cleanup.policy": "compact"}) is None
    with worker_on(settings.acting_as("gateway"), free_port()) as worker:
        assert worker.process is not None
        assert await asyncio.to_thread(worker.process.wait, PATIENCE_S) == ConfigurationError.exit_code
        assert f"{topic}: cleanup.policy is compact" in worker.log.read_text(encoding="utf-8")


async def test_a_worker_without_describe_configs_warns_and_works(
    admin: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = admin.model_copy(update={"topic_prefix": "unseen."})
    await apply_topics(settings)
    fewer = [
        each for each in needed_grants(settings) if each.operation != "DESCRIBE_CONFIGS"
    ]  # granted by somebody else
    monkeypatch.setattr("gateway.operate.apply_access.needed_grants", lambda _: fewer)
    await apply_access(settings)
    with worker_on(settings.acting_as("gateway"), free_port()) as worker:
        await asyncio.to_thread(worker.wait_for, "lane.opened", 4)
        assert len(worker.events("topics.unchecked")) == 1
