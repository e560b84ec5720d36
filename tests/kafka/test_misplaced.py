"""Two clients whose partitioners differ publish the same events: nothing is lost, and everything that
watches says so."""

import asyncio
import json
from collections import Counter
from typing import Any

from confluent_kafka import Message, Producer

from gateway.adapters import kafka
from gateway.adapters.partitioning import partition_of
from gateway.adapters.settings import Settings
from gateway.core.province import Province
from gateway.operate.topics import apply_topics
from tests.kafka.examined import doctor, problems
from tests.kafka.harness import audit, wait_until_accounted, workers
from tests.kafka.one_lane import events, lane_id
from tests.kafka.test_metrics import readiness, scrape, until
from tests.ports import free_port

PARTITIONS = 12


def of_24_holders() -> list[dict[str, Any]]:
    made = [json.loads(json.dumps(event)) for event in events(0, 24)]
    for number, event in enumerate(made):
        event["data"]["holder"]["ref"] = f"sm3:{number * 7919:064x}"
    return made


def publish_by_librdkafka(settings: Settings, topic: str, made: list[dict[str, Any]]) -> list[tuple[bytes, int]]:
    """Publish as its default is (CRC32); return each key, and the partition where it came to be."""
    delivered: list[tuple[bytes, int]] = []

    def note(error: object, message: Message) -> None:
        assert error is None
        delivered.append((message.key(), message.partition()))

    producer = Producer({"bootstrap.servers": settings.bootstrap_servers, "acks": "all"})
    for event in made:
        producer.produce(topic, json.dumps(event), event["data"]["holder"]["ref"], on_delivery=note)
    assert producer.flush(30) == 0
    return delivered


async def publish_by_aiokafka(settings: Settings, topic: str, made: list[dict[str, Any]]) -> None:
    async with kafka.producer(settings) as producer:
        for event in made:
            await producer.send_and_wait(topic, json.dumps(event).encode(), event["data"]["holder"]["ref"].encode())


async def test_records_of_another_partitioner_are_counted_logged_and_named(settings: Settings) -> None:
    settings = settings.model_copy(update={"topics": settings.topics.model_copy(update={"partitions": PARTITIONS})})
    await apply_topics(settings)
    topic, made, port = lane_id(settings).topic, of_24_holders(), free_port()
    await publish_by_aiokafka(settings, topic, made)
    assert await problems(settings, "keys") == []
    delivered = await asyncio.to_thread(publish_by_librdkafka, settings, topic, made)
    assert len(delivered) == 24
    misplaced = Counter(partition for key, partition in delivered if partition != partition_of(key, PARTITIONS))
    assert misplaced.total() > 12  # of the two, one in twelve agrees by chance
    web = {"GATEWAY_WEB__ENABLED": "true", "GATEWAY_WEB__PORT": str(port)}
    with workers(settings, 1, **web) as (worker,):
        account = await wait_until_accounted(settings, 48)
        assert account.duplicates == 24 - misplaced.total()
        samples = await asyncio.to_thread(until, port, scrape, lambda found: found.get(("gateway_lanes", "open")) == 24)
        counted = {
            int(labels[0]): value for (name, *labels), value in samples.items()
            if name == "gateway_misplaced_records_total" and labels[1] == Province.SICHUAN
        }  # fmt: skip
        assert counted == {partition: misplaced[partition] for partition in range(PARTITIONS)}
        await asyncio.to_thread(until, port, readiness, lambda answer: answer[0] == 200)
        code, findings = await asyncio.to_thread(doctor, settings)
        assert worker.terminate() == 0
        logged, text = worker.events("records.misplaced"), worker.log.read_text(encoding="utf-8")
    lines = {line["messaging.destination.partition.id"]: line for line in logged}
    assert len(lines) == len(logged)
    assert {partition: line["count"] for partition, line in lines.items()} == dict(misplaced)
    for partition, line in lines.items():
        assert line["belongs_in"] != partition
        assert line["messaging.destination.name"] == topic
    assert not [key for key, _ in delivered if key.decode() in text]

    assert code == 1
    (found,) = [each for each in findings if each["check"] == "keys" and each["status"] == "problem"]
    assert found["subject"] == topic
    assert f"of the newest 48 records of the last day {misplaced.total()} are in a partition" in found["message"]
    assert "partitioner=murmur2_random" in found["advice"]

    result = await asyncio.to_thread(lambda: audit(settings, expect=1))
    doubled = [each for each in result["findings"] if each["kind"] == "doubled"]
    assert len(doubled) == misplaced.total()
    assert {each["kind"] for each in result["findings"]} == {"doubled"}
