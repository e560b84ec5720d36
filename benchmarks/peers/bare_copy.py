"""The limit for this client: aiokafka lanes that copy input to output in transactions and do nothing
else."""

import asyncio
from collections.abc import Callable, Iterable, Sequence

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import ConsumerRecord

from benchmarks.peers.task import Task
from gateway.adapters import kafka
from gateway.adapters.settings import Settings, load_settings
from gateway.relay.transaction import MAX_BATCH_BYTES

FETCH_BYTES = 4_194_304  # as the gateway's

Written = tuple[bytes | None, bytes, list[tuple[str, bytes]]]
"""Key, value and headers of an output."""
Work = Callable[[Sequence[ConsumerRecord]], Iterable[Written]]
"""The inputs of a transaction → its outputs."""


def copied(records: Sequence[ConsumerRecord]) -> Iterable[Written]:
    return ((record.key, record.value, list(record.headers)) for record in records)


async def main(work: Work = copied) -> None:
    task, settings = Task(), load_settings()
    partitions = await share(task, settings)
    options = {"group_id": task.group_id, "max_partition_fetch_bytes": FETCH_BYTES}
    async with kafka.consumer(settings, **options) as consumer:
        consumer.assign(partitions)
        await asyncio.gather(*(lane(consumer, partition, settings, task, work) for partition in partitions))


async def share(task: Task, settings: Settings) -> list[TopicPartition]:
    """The input partitions of this worker: every n-th, with no group protocol in the way."""
    return (await kafka.partitions_of(settings, list(task.topics.displays)))[task.worker :: task.workers]


async def lane(
    consumer: AIOKafkaConsumer, partition: TopicPartition, settings: Settings, task: Task, work: Work
) -> None:
    output = task.outputs[partition.topic]
    options = {
        "transactional_id": f"{task.group_id}-{partition.topic}-{partition.partition}",
        "max_batch_size": MAX_BATCH_BYTES,
    }
    async with kafka.producer(settings, **options) as producer:
        while True:
            polled = await consumer.getmany(partition, timeout_ms=250, max_records=settings.relay.max_records)
            if records := polled.get(partition):
                offset = records[-1].offset + 1
                await write(producer, output, partition, work(records), offset, task.group_id)


async def write(
    producer: AIOKafkaProducer,
    output: str,
    partition: TopicPartition,
    outputs: Iterable[Written],
    offset: int,
    group: str,
) -> None:
    async with producer.transaction():
        futures = []
        batch = producer.create_batch()
        for key, value, headers in outputs:
            while batch.append(key=key, value=value, timestamp=None, headers=headers) is None:
                futures.append(await producer.send_batch(batch, output, partition=partition.partition))
                batch = producer.create_batch()
        futures.append(await producer.send_batch(batch, output, partition=partition.partition))
        await producer.send_offsets_to_transaction({partition: offset}, group)
        await asyncio.gather(*futures)


if __name__ == "__main__":
    asyncio.run(main())
