"""`gateway publish` on a real broker: what became of each line is known and said, and it can be run
again."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from confluent_kafka import Producer

from gateway.adapters import kafka
from gateway.adapters.settings import Settings
from gateway.core.province import Province
from gateway.operate.examples import display_event
from gateway.operate.local_kafka import LocalKafka
from gateway.operate.publish import delivery, publish
from gateway.operate.topics import apply_topics
from tests.kafka.test_commands import ROOT, gateway
from tests.patience import PATIENCE_S
from tests.unit.test_partitioning import COUNTS, JAVA, holder


def event(number: int, length: int = 0) -> bytes:
    """An event of its own holder; ``length`` characters more make it longer."""
    made = display_event(Province.SICHUAN) | {"id": f"e{number}", "note": "x" * length}
    made["data"]["holder"]["ref"] = f"sm3:{number:064x}"
    return json.dumps(made, ensure_ascii=False).encode()


async def all_ids_in(settings: Settings, topic: str) -> list[str]:
    """The ids in all partitions."""
    return [each for partition in await ids_in(settings, topic) for each in partition]


async def ids_in(settings: Settings, topic: str) -> list[list[str]]:
    """The ids in each partition, in order."""
    partitions = await kafka.partitions_of(settings, [topic])
    async with kafka.consumer(settings) as consumer:
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        found: dict[int, list[str]] = {partition.partition: [] for partition in partitions}
        left = sum(ends.values())
        while left > 0:
            for partition, messages in (await consumer.getmany(timeout_ms=500)).items():
                found[partition.partition] += [json.loads(message.value)["id"] for message in messages]
                left -= len(messages)
    return list(found.values())


async def limit_topic(settings: Settings, topic: str, max_bytes: int) -> None:
    configs = {"max.message.bytes": str(max_bytes), "message.timestamp.type": "LogAppendTime"}
    async with kafka.admin(settings) as admin:
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs)])


async def test_publish_and_librdkafka_put_keys_where_java_does(settings: Settings, tmp_path: Path) -> None:
    await apply_topics(settings)
    topic = settings.topic_names.display(Province.SICHUAN)
    expected = {key: partitions[COUNTS.index(4)] for key, partitions in JAVA if key}
    producer = Producer({"bootstrap.servers": settings.bootstrap_servers, "partitioner": "murmur2_random"})
    for key in expected:
        producer.produce(topic, b"{}", key)
    assert producer.flush(60) == 0
    lines = []
    for number in range(9):
        made = display_event(Province.SICHUAN) | {"id": f"e{number}"}
        made["data"]["holder"]["ref"] = holder(number).decode()
        lines.append(json.dumps(made).encode())
    (tmp_path / "e.ndjson").write_bytes(b"\n".join(lines))
    done = await asyncio.to_thread(gateway, settings, "publish", str(tmp_path / "e.ndjson"), "--province", "sichuan")
    assert done.returncode == 0
    found: dict[bytes, list[int]] = {}
    partitions = await kafka.partitions_of(settings, [topic])
    async with kafka.consumer(settings) as consumer:
        consumer.assign(partitions)
        left = sum((await consumer.end_offsets(partitions)).values())
        assert left == len(expected) + 9
        while left > 0:
            for messages in (await consumer.getmany(timeout_ms=500)).values():
                for message in messages:
                    found.setdefault(message.key, []).append(message.partition)
                    left -= 1
    assert {key: set(where) for key, where in found.items()} == {key: {where} for key, where in expected.items()}
    assert all(len(found[holder(number)]) == 2 for number in range(9))


async def test_lines_refused_by_the_broker_stop_no_others(settings: Settings, tmp_path: Path) -> None:
    await apply_topics(settings)
    topic = settings.topic_names.display(Province.SICHUAN)
    await limit_topic(settings, topic, 3000)  # less than a batch of a few good events takes
    lengths = [4000 if number in {7, 30} else 0 for number in range(40)]
    (tmp_path / "e.ndjson").write_bytes(b"\n".join(event(number, more) for number, more in enumerate(lengths)))
    done = await asyncio.to_thread(gateway, settings, "publish", str(tmp_path / "e.ndjson"), "--province", "sichuan")
    said = done.stderr.decode()
    assert done.returncode == 1, said
    assert f"{tmp_path}/e.ndjson:8: event: 消息过大，Kafka 不予接收" in said
    assert f"{tmp_path}/e.ndjson:31: event: " in said
    assert f"38 events sent to {topic}" in said
    assert "2 lines were refused by the broker" in said
    sent = await ids_in(settings, topic)
    assert sorted(each for partition in sent for each in partition) == sorted(
        f"e{number}" for number in range(40) if number not in {7, 30}
    )
    for partition in sent:  # a holder's events stay in order
        assert partition == sorted(partition, key=lambda name: int(name[1:]))


async def test_lines_too_large_to_produce_stop_no_others(settings: Settings, tmp_path: Path) -> None:
    await apply_topics(settings)
    lines = [event(0), event(1, 1_200_000), event(2), event(3, 300_000)]
    (tmp_path / "e.ndjson").write_bytes(b"\n".join(lines))
    by_default = await asyncio.to_thread(
        gateway, settings, "publish", str(tmp_path / "e.ndjson"), "--province", "sichuan", "--format", "json"
    )
    *problems, counts = map(json.loads, by_default.stdout.splitlines())
    assert [(each["line"], each["problems"][0]["code"]) for each in problems] == [(2, "TOO_LARGE"), (4, "TOO_LARGE")]
    assert (counts["sent"], counts["refused"], by_default.returncode) == (2, 2, 1)
    options = ("--province", "sichuan", "--invalid", "send", "--format", "json")
    all_of_it = await asyncio.to_thread(gateway, settings, "publish", str(tmp_path / "e.ndjson"), *options)
    *problems, counts = map(json.loads, all_of_it.stdout.splitlines())
    assert [each["line"] for each in problems if each["problems"][0]["code"] == "REFUSED_BY_BROKER"] == [2]
    assert (counts["sent"], counts["refused_by_broker"], all_of_it.returncode) == (3, 1, 1)


async def test_lines_without_an_event_are_not_sent_by_default(settings: Settings, tmp_path: Path) -> None:
    await apply_topics(settings)
    topic = settings.topic_names.display(Province.SICHUAN)
    array = b"[" + event(0) + b",\n" + event(1) + b"\n]"  # its last event is a line by itself
    (tmp_path / "array.json").write_bytes(array)
    (tmp_path / "e.ndjson").write_bytes(b"\xef\xbb\xbf" + event(2) + b"\nno event\n{}\n" + event(3))
    files = [str(tmp_path / name) for name in ("array.json", "e.ndjson")]
    done = await asyncio.to_thread(gateway, settings, "publish", *files, "--province", "sichuan")
    assert done.returncode == 1
    assert "2 events sent" in done.stderr.decode()
    assert sorted(await all_ids_in(settings, topic)) == ["e2", "e3"]


@pytest.mark.parametrize("fault", ["cut", "silent"])
async def test_broker_that_goes_leaves_no_line_without_a_fate(
    fault: str, own_broker: LocalKafka, settings: Settings, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    direct = settings.model_copy(update={"bootstrap_servers": own_broker.bootstrap_servers})
    await apply_topics(direct)
    topic = direct.topic_names.display(Province.SICHUAN)
    monkeypatch.setattr(delivery, "_TIMEOUT_S", 3.0)
    monkeypatch.setattr(delivery, "_WAITING_IS_SAID_S", 1.0)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    publishing = asyncio.create_task(publish(direct, [str(pipe)], Province.SICHUAN, output="json"))
    writer = await asyncio.to_thread(pipe.open, "wb", 0)
    for number in range(20):
        writer.write(event(number) + b"\n")
    while len(await all_ids_in(direct, topic)) < 20:
        assert not publishing.done()
    (own_broker.kill if fault == "cut" else own_broker.freeze)()
    for number in range(20, 30):
        writer.write(event(number) + b"\n")
    writer.close()
    with pytest.raises(Exception, match="Kafka"):
        await asyncio.wait_for(publishing, PATIENCE_S)
    output = capsys.readouterr()
    counts = json.loads(output.out.splitlines()[-1])
    assert counts["sent"] == 20
    assert counts["unacknowledged"] == [f"{pipe}:21-30"]
    assert "Publish the same lines again" in output.err


def test_interrupted_command_says_what_the_broker_has(settings: Settings) -> None:
    gateway(settings, "topics", "apply")
    environment = os.environ | {
        "PYTHONPATH": str(ROOT), "GATEWAY_CONFIG": str(settings.file),
        "GATEWAY_BOOTSTRAP_SERVERS": settings.bootstrap_servers, "GATEWAY_TOPIC_PREFIX": settings.topic_prefix,
    }  # fmt: skip
    command = [sys.executable, "-m", "gateway", "publish", "-", "--province", "sichuan"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(event(0) + b"\n" + event(1) + b"\n")
        process.stdin.flush()
        deadline = time.monotonic() + PATIENCE_S
        while len(asyncio.run(all_ids_in(settings, settings.topic_names.display(Province.SICHUAN)))) < 2:
            assert time.monotonic() < deadline
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 130
        assert b"2 events sent to " in process.stderr.read()
