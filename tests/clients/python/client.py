"""CloudEvents by the Python SDK, through confluent-kafka or kafka-python; see tests/clients/README.md.

client.py CLIENT publish BOOTSTRAP FILE
client.py CLIENT read BOOTSTRAP ENDS
"""

import json
import sys
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import confluent_kafka
import kafka
from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka_event, to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent

WRITE = {"structured": to_structured_event, "binary": to_binary_event}


def message(order: dict[str, Any]) -> KafkaMessage:
    attributes = dict(order["event"])
    data = attributes.pop("data")
    attributes["time"] = datetime.fromisoformat(attributes["time"])
    if order["data"] == "bytes":
        data = json.dumps(data, ensure_ascii=False).encode()
    return WRITE[order["mode"]](CloudEvent(attributes, data), key_mapper=lambda _: order["key"])


def by_codec(orders: list[dict[str, Any]]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    for codec in dict.fromkeys(order["codec"] for order in orders):
        yield codec, [order for order in orders if order["codec"] == codec]


def publish_confluent(bootstrap: str, orders: list[dict[str, Any]]) -> None:
    for codec, some in by_codec(orders):
        failed = []
        producer = confluent_kafka.Producer(
            {
                "bootstrap.servers": bootstrap,
                "compression.type": codec,
                "partitioner": "murmur2_random",
                "enable.idempotence": True,
            }
        )
        for order in some:
            sent = message(order)
            producer.produce(
                order["topic"], sent.value, sent.key, headers=sent.headers,
                on_delivery=lambda error, _, failed=failed: failed.append(error) if error else None,
            )  # fmt: skip
        if producer.flush(60) or failed:
            sys.exit(f"not acknowledged: {failed or 'in 60 s'}")


def publish_kafka_python(bootstrap: str, orders: list[dict[str, Any]]) -> None:
    for codec, some in by_codec(orders):
        producer = kafka.KafkaProducer(
            bootstrap_servers=bootstrap, compression_type=None if codec == "none" else codec, acks="all", linger_ms=5
        )
        futures = []
        for order in some:
            sent = message(order)
            key = sent.key.encode() if isinstance(sent.key, str) else sent.key
            futures.append(producer.send(order["topic"], sent.value, key, headers=list(sent.headers.items())))
        for future in futures:
            future.get(60)
        producer.close()


def read_confluent(bootstrap: str, ends: dict[tuple[str, int], int]) -> Iterator[tuple[Any, ...]]:
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "none", "isolation.level": "read_committed"}
    )
    consumer.assign([confluent_kafka.TopicPartition(*each, confluent_kafka.OFFSET_BEGINNING) for each in ends])
    while True:
        record = consumer.poll(1)
        if record is None:
            continue
        if record.error():
            sys.exit(str(record.error()))
        place = record.topic(), record.partition(), record.offset()
        yield *place, record.headers(), record.key(), record.value()


def read_kafka_python(bootstrap: str, ends: dict[tuple[str, int], int]) -> Iterator[tuple[Any, ...]]:
    consumer = kafka.KafkaConsumer(bootstrap_servers=bootstrap, isolation_level="read_committed")
    partitions = [kafka.TopicPartition(*each) for each in ends]
    consumer.assign(partitions)
    consumer.seek_to_beginning(*partitions)
    for record in consumer:
        yield record.topic, record.partition, record.offset, record.headers, record.key, record.value


def read(records: Iterator[tuple[Any, ...]], ends: dict[tuple[str, int], int]) -> Iterator[dict[str, Any]]:
    """Every record up to each partition's end, as the SDK reads it."""
    open_ends = set(ends)
    for topic, partition, offset, headers, key, value in records:
        if offset <= ends[topic, partition]:
            line = {"topic": topic, "partition": partition, "offset": offset}
            try:
                event = from_kafka_event(KafkaMessage(dict(headers or ()), key, value))
                time = event.get_time()
                line |= {
                    "id": event.get_id(), "source": event.get_source(), "type": event.get_type(),
                    "subject": event.get_subject(), "time": time and time.isoformat(),
                    "traceparent": event.get_extension("traceparent"), "data": event.get_data(),
                }  # fmt: skip
            except Exception as error:  # noqa: BLE001 - whatever the SDK raises is the finding
                line["error"] = repr(error)
            yield line
        if offset >= ends[topic, partition]:
            open_ends.discard((topic, partition))
            if not open_ends:
                return


def main(client: str, command: str, bootstrap: str, argument: str) -> None:
    if command == "publish":
        with open(argument, encoding="utf-8") as file:
            orders = [json.loads(line) for line in file]
        {"confluent-kafka": publish_confluent, "kafka-python": publish_kafka_python}[client](bootstrap, orders)
        return
    ends = {(topic, int(n)): last for topic, lasts in json.loads(argument).items() for n, last in lasts.items()}
    records = {"confluent-kafka": read_confluent, "kafka-python": read_kafka_python}[client](bootstrap, ends)
    for line in read(records, ends):
        print(json.dumps(line, ensure_ascii=False))


if __name__ == "__main__":
    main(*sys.argv[1:])
