"""The limit for this client: aiokafka lanes that copy input to output in transactions and do nothing else."""

import asyncio
from collections.abc import Sequence

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import ConsumerRecord

from benchmarks.faust_agent import OUTPUTS
from gateway.adapters import kafka
from gateway.adapters.settings import Settings, load_settings
from gateway.adapters.topics import Topics
from gateway.relay.transaction import MAX_BATCH_BYTES


async def main() -> None:
    settings = load_settings()
    topics = Topics(settings.topic_prefix)
    partitions = await kafka.partitions_of(settings, list(topics.displays))
    group_id = settings.topic_prefix + "bare"
    async with kafka.consumer(settings, group_id=group_id, auto_offset_reset="earliest") as consumer:
        consumer.assign(partitions)
        await asyncio.gather(*(lane(consumer, partition, settings, group_id) for partition in partitions))


async def lane(consumer: AIOKafkaConsumer, partition: TopicPartition, settings: Settings, group_id: str) -> None:
    topics = Topics(settings.topic_prefix)
    output = OUTPUTS(topics)[partition.topic]
    options = {
        "transactional_id": f"{group_id}-{partition.topic}-{partition.partition}",
        "max_batch_size": MAX_BATCH_BYTES,
    }
    async with kafka.producer(settings, **options) as producer:
        while True:
            records = (await consumer.getmany(partition, timeout_ms=250, max_records=settings.relay.max_records)).get(
                partition
            )
            if records:
                await copy(producer, output, partition, records, group_id)


async def copy(
    producer: AIOKafkaProducer, output: str, partition: TopicPartition, records: Sequence[ConsumerRecord], group_id: str
) -> None:
    async with producer.transaction():
        futures = []
        batch = producer.create_batch()
        for record in records:
            while (
                batch.append(key=record.key, value=record.value, timestamp=None, headers=list(record.headers)) is None
            ):
                futures.append(await producer.send_batch(batch, output, partition=partition.partition))
                batch = producer.create_batch()
        futures.append(await producer.send_batch(batch, output, partition=partition.partition))
        await producer.send_offsets_to_transaction({partition: records[-1].offset + 1}, group_id)
        await asyncio.gather(*futures)


if __name__ == "__main__":
    asyncio.run(main())
