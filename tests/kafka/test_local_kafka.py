"""The broker that `gateway demo` and the tests start for themselves, on this machine's Java."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from gateway.errors import LocalKafkaError
from gateway.operate.local_kafka import KAFKA_VERSION, LocalKafka, local_kafka
from gateway.operate.local_kafka.jars import kafka_jars
from gateway.operate.local_kafka.java import JavaKafka
from tests.patience import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]
TOPIC = "kept"

# Starts a broker, says where, and holds it for a minute; after a Ctrl-C it still has work for the broker.
HOLDER = """
import asyncio, time
from aiokafka import AIOKafkaProducer
from gateway.operate.local_kafka import local_kafka

async def use(servers):
    producer = AIOKafkaProducer(bootstrap_servers=servers, transactional_id="last work")
    await producer.start()
    await producer.stop()

with local_kafka(prefer="java") as broker:
    try:
        print(broker._pid, broker._dir, flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        asyncio.run(use(broker.bootstrap_servers))
        print("drained", flush=True)
"""


async def write(servers: str, value: bytes, *, topic: str = TOPIC) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        if topic not in await admin.list_topics():
            await admin.create_topics([NewTopic(topic, 1, 1)])
    finally:
        await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=servers, transactional_id="writer")
    await producer.start()
    try:
        async with producer.transaction():
            await producer.send_and_wait(topic, value, partition=0)
    finally:
        await producer.stop()


async def read(servers: str, count: int, *, topic: str = TOPIC) -> list[bytes]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=servers, isolation_level="read_committed", auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, 0)])
        async with asyncio.timeout(20):
            return [(await consumer.getone()).value for _ in range(count)]
    finally:
        await consumer.stop()


def exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_until_gone(pid: int, folder: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and (exists(pid) or folder.exists()):
        time.sleep(0.1)
    assert not exists(pid), "the JVM outlived the process that started it"
    assert not folder.exists(), "the broker's folder was left behind"


def test_port_and_data_stay_through_stop_kill_and_freeze() -> None:
    with local_kafka(prefer="java") as broker:
        servers = broker.bootstrap_servers
        assert servers.startswith("127.0.0.1:")
        assert re.fullmatch(rf"Apache Kafka {re.escape(KAFKA_VERSION)} on Java \d+", broker.description)
        asyncio.run(write(servers, b"before stop"))
        broker.stop()
        with pytest.raises(ConnectionRefusedError), socket.create_connection(address(broker), timeout=1):
            pass
        broker.start()
        asyncio.run(write(servers, b"before kill"))
        broker.kill()
        broker.start()
        broker.freeze()
        with pytest.raises(TimeoutError):
            asyncio.run(asyncio.wait_for(write(servers, b"while frozen", topic="other"), 2))
        broker.thaw()
        assert broker.bootstrap_servers == servers
        assert asyncio.run(read(servers, 2)) == [b"before stop", b"before kill"]


async def test_starts_where_an_event_loop_runs_already() -> None:
    broker = local_kafka(prefer="java")
    with broker:
        await write(broker.bootstrap_servers, b"from the loop")
        assert await read(broker.bootstrap_servers, 1) == [b"from the loop"]


def test_a_given_folder_keeps_its_data_and_log(tmp_path: Path) -> None:
    folder = tmp_path / "kafka"
    for _ in range(2):
        with local_kafka(data_dir=folder) as broker:
            asyncio.run(write(broker.bootstrap_servers, b"kept"))
    with local_kafka(data_dir=folder) as broker:
        assert asyncio.run(read(broker.bootstrap_servers, 2)) == [b"kept", b"kept"]
    assert (folder / "kafka.log").is_file()


def test_a_crashed_broker_can_be_killed_and_restarted() -> None:
    with local_kafka(prefer="java") as broker:
        assert isinstance(broker, JavaKafka)
        os.kill(broker._pid, signal.SIGKILL)
        deadline = time.monotonic() + PATIENCE_S
        while broker._is_alive():  # its process is gone a moment before the guard is: no signal may fail of that
            broker.thaw()
            assert time.monotonic() < deadline
        broker.kill()
        broker.start()
        asyncio.run(write(broker.bootstrap_servers, b"again"))


def test_ends_with_its_parent_even_when_that_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER], cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid, folder = parent.stdout.readline().split()
        assert exists(int(pid))
        parent.kill()
    wait_until_gone(int(pid), Path(folder))


def test_the_broker_outlives_ctrl_c_until_drained() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER], cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as parent:
        assert parent.stdout is not None
        pid, folder = parent.stdout.readline().split()
        os.killpg(parent.pid, signal.SIGINT)  # what a terminal does on Ctrl-C
        assert parent.stdout.readline() == "drained\n"
        assert parent.wait(PATIENCE_S) == 0
    wait_until_gone(int(pid), Path(folder))


def test_without_docker_and_java_installation_is_advised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-engine.sock")
    with pytest.raises(LocalKafkaError) as raised:
        local_kafka()
    assert str(raised.value) == (
        "no Kafka can be started here (no Docker engine answers; no Java runs): install Docker, or Java 17 and Maven."
    )


def test_java_without_maven_names_maven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    java = subprocess.run(["which", "java"], capture_output=True, text=True, check=True).stdout.strip()
    (tmp_path / "java").symlink_to(java)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(LocalKafkaError, match=r"no Maven to fetch Kafka's jars with.*install Java 17 and Maven"):
        local_kafka(prefer="java")


def test_a_failed_start_shows_kafkas_last_words() -> None:
    broker = local_kafka(prefer="java")
    with socket.socket() as squatter:
        squatter.bind(address(broker))
        with pytest.raises(LocalKafkaError, match=r"(?s)ended at .* its last words:.*Address already in use"), broker:
            pass


def test_a_wrong_property_is_reported_at_once() -> None:
    broker = local_kafka(prefer="java", properties={"node.id": "not a number"})
    with pytest.raises(LocalKafkaError, match=r"(?s)could not be formatted.*Invalid value not a number"), broker:
        pass


def test_concurrent_fetchers_fetch_the_jars_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    said: list[str] = []
    fetchers = [threading.Thread(target=kafka_jars, args=(said.append,)) for _ in range(2)]
    for fetcher in fetchers:
        fetcher.start()
    for fetcher in fetchers:
        fetcher.join()
    jars = {path.name for path in (tmp_path / "chuanyu-gateway" / f"kafka-{KAFKA_VERSION}").iterdir()}
    assert f"kafka_2.13-{KAFKA_VERSION}.jar" in jars
    assert [line for line in said if line.startswith("fetching")] == said[:1]
    assert sorted(path.name for path in (tmp_path / "chuanyu-gateway").iterdir()) == [
        f"kafka-{KAFKA_VERSION}",
        f"kafka-{KAFKA_VERSION}.lock",
    ]


def test_one_version_of_kafka_everywhere() -> None:
    assert f"<kafka.version>{KAFKA_VERSION}</kafka.version>" in (ROOT / "config/kafka/pom.xml").read_text()
    assert f"image: apache/kafka:{KAFKA_VERSION}\n" in (ROOT / "docker-compose.yml").read_text()


def address(broker: LocalKafka) -> tuple[str, int]:
    host, _, port = broker.bootstrap_servers.rpartition(":")
    return host, int(port)
