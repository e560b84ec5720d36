"""The local broker's other way: the official image, started by testcontainers."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from docker.errors import NotFound

from gateway.adapters import kafka
from gateway.adapters.access import Role
from gateway.adapters.settings import load_settings
from gateway.errors import ConfigurationError
from gateway.operate.apply_access import apply_access
from gateway.operate.local_kafka import KAFKA_VERSION, local_kafka
from gateway.operate.local_kafka import docker as docker_module
from gateway.operate.local_kafka.users import as_admin
from gateway.operate.secret_files import make_passwords
from gateway.operate.topics import apply_topics
from tests.patience import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]

HOLDER = """
import time
from gateway.operate.local_kafka import local_kafka
with local_kafka(prefer="docker") as broker:
    print(broker._container.id, flush=True)
    time.sleep(60)
"""


async def round_trip(servers: str, topic: str) -> None:
    """A transactional record goes in, and a consumer of committed records gets it."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, 1)])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=servers, transactional_id="round-trip")
    await producer.start()
    async with producer.transaction():
        await producer.send_and_wait(topic, b"committed", partition=0)
    await producer.stop()
    await read(servers, topic)


async def read(servers: str, topic: str) -> None:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=servers, isolation_level="read_committed", auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, 0)])
        record = await asyncio.wait_for(consumer.getone(), 20)
    finally:
        await consumer.stop()
    assert record.value == b"committed"
    assert record.timestamp_type == 1  # LogAppendTime: config/kafka/broker.properties is in force


def test_auto_prefers_docker_and_keeps_port_and_data(engine: Any) -> None:
    with local_kafka() as broker:
        servers = broker.bootstrap_servers
        assert broker.description == f"apache/kafka:{KAFKA_VERSION} in Docker"
        asyncio.run(round_trip(servers, "first"))
        broker.stop()
        broker.start()
        asyncio.run(read(servers, "first"))
        broker.kill()
        broker.start()
        broker.freeze()
        with pytest.raises(TimeoutError):
            asyncio.run(asyncio.wait_for(round_trip(servers, "while-frozen"), 2))
        broker.thaw()
        asyncio.run(read(servers, "first"))
        container_id = broker._container.id
        published = engine.containers.get(container_id).ports.values()
        assert {binding["HostIp"] for bindings in published for binding in bindings or ()} == {"127.0.0.1"}
    with pytest.raises(NotFound):
        engine.containers.get(container_id)


def test_a_secured_docker_broker_admits_only_its_admin(engine: Any, tmp_path: Path) -> None:
    make_passwords(tmp_path)
    with local_kafka(prefer="docker", passwords_dir=tmp_path) as broker:
        admin = as_admin(load_settings(bootstrap_servers=broker.bootstrap_servers), tmp_path)
        asyncio.run(apply_topics(admin))
        asyncio.run(apply_access(admin))
        with pytest.raises(ConfigurationError, match="does not allow sichuan"):
            asyncio.run(kafka.partitions_of(admin.acting_as(Role.SICHUAN), ["gateway.ledger"]))
        command = engine.containers.get(broker._container.id).top()["Processes"]
        assert (tmp_path / "admin").read_text() not in str(command)


def test_the_container_ends_when_its_parent_is_killed(engine: Any) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER], cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        container_id = parent.stdout.readline().strip()
        assert engine.containers.get(container_id).status == "running"
        parent.kill()
    deadline = time.monotonic() + PATIENCE_S
    while engine.api.containers(all=True, filters={"id": container_id}):
        assert time.monotonic() < deadline, "the container outlived the process that started it"
        time.sleep(0.2)


@pytest.mark.usefixtures("engine")
def test_java_takes_over_when_docker_cannot_pull(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker_module, "KAFKA_VERSION", "0.0.0-none")
    monkeypatch.setattr(docker_module, "_IMAGE", "apache/kafka:0.0.0-none")
    said: list[str] = []
    broker = local_kafka(announce=said.append)
    assert broker.description.startswith(f"Apache Kafka {KAFKA_VERSION} on Java")
    assert said == ["pulling apache/kafka:0.0.0-none, once"]
