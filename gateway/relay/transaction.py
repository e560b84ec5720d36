"""One Kafka transaction: outputs in batches, input offset, commit; anything less ends without a trace."""

import asyncio
from collections.abc import Mapping, Sequence

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import MessageSizeTooLargeError, ProducerFenced, RecordListTooLargeError
from aiokafka.structs import OffsetAndMetadata

from gateway.contract.outputs import Output

REFUSED = (MessageSizeTooLargeError, RecordListTooLargeError)
"""How the broker says that a record, or a batch, is larger than its topic takes."""

MAX_BATCH_BYTES = 900_000
"""Under the broker's default ``message.max.bytes``; where a topic takes less, the lane halves its turns."""


async def send_in_transaction(
    producer: AIOKafkaProducer, outputs: Sequence[Output], partition: int,
    offsets: Mapping[TopicPartition, OffsetAndMetadata], group_id: str,
) -> None:  # fmt: skip
    """Write ``outputs`` to ``partition`` of their topics and commit ``offsets`` (which may be none), all or nothing.

    Raises what aiokafka raises; then nothing was committed, or (an error of the commit itself) it is not known. The
    producer is not to be used again after an error: its sequence numbers may have a hole.
    """
    await producer.begin_transaction()
    acknowledgements: list[asyncio.Future[object]] = []
    by_topic: dict[str, list[Output]] = {}
    for output in outputs:
        by_topic.setdefault(output.topic, []).append(output)
    for topic, records in by_topic.items():
        acknowledgements += await _send(producer, topic, partition, records)
    if offsets:
        await producer.send_offsets_to_transaction(dict(offsets), group_id)
    # A failed batch does not fail aiokafka's transaction: committing without asking would lose it.
    results = await asyncio.gather(*acknowledgements, return_exceptions=True)
    errors = [result for result in results if isinstance(result, BaseException)]
    for error in sorted(errors, key=lambda each: not isinstance(each, ProducerFenced)):
        raise error
    await producer.commit_transaction()


async def _send(
    producer: AIOKafkaProducer, topic: str, partition: int, records: Sequence[Output]
) -> list[asyncio.Future[object]]:
    """Submit ``records`` in as few batches as possible; the futures tell what the broker said of each."""
    futures = []
    batch = producer.create_batch()
    for record in records:
        headers = list(record.headers)
        while batch.append(key=record.key, value=record.value, timestamp=None, headers=headers) is None:
            futures.append(await producer.send_batch(batch, topic, partition=partition))
            batch = producer.create_batch()
    futures.append(await producer.send_batch(batch, topic, partition=partition))
    return futures
