"""One Kafka transaction: outputs in batches, input offset, commit; anything less ends without a trace."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import (
    InvalidProducerIdMapping,
    KafkaError,
    MessageSizeTooLargeError,
    ProducerFenced,
    RecordListTooLargeError,
)
from aiokafka.structs import OffsetAndMetadata

from gateway.adapters.batch_patches import ReadyBatch
from gateway.contract.outputs import Output

REFUSED = (MessageSizeTooLargeError, RecordListTooLargeError)
"""How the broker says that a record, or a batch, is larger than its topic takes."""

_REPLACED = (ProducerFenced, InvalidProducerIdMapping)
"""How the broker says that the producer is not its id's any more: another took it over, or it wrote nothing
for too long."""

MAX_BATCH_BYTES = 900_000
"""Under the broker's default ``message.max.bytes``; where a topic takes less, the lane halves its turns."""

_LAST_WORD_S = 1.0
"""After an error, how long to wait for what the broker says of the batches in hand: it may name the
cause."""


async def send_in_transaction(
    producer: AIOKafkaProducer, outputs: Sequence[Output], partition: int,
    offsets: Mapping[TopicPartition, OffsetAndMetadata], group_id: str, batches: Sequence[tuple[str, Any]] = (),
) -> None:  # fmt: skip
    """Write ``batches``, each to its topic, then ``outputs``, all to ``partition``, and commit ``offsets``
    (which may be none), all or nothing.

    Raises what aiokafka raises: ProducerFenced wherever another producer has taken the id over,
    InvalidProducerIdMapping where the broker has forgotten the id; then nothing was committed, or (an error
    of the commit itself) it is not known. The producer is not to be used again after an error: its sequence
    numbers may have a hole.
    """
    await producer.begin_transaction()
    acknowledgements: list[asyncio.Future[object]] = []
    by_topic: dict[str, list[Output]] = {}
    for output in outputs:
        by_topic.setdefault(output.topic, []).append(output)
    try:
        for topic, batch in batches:
            acknowledgements.append(await producer.send_batch(ReadyBatch(batch), topic, partition=partition))
        for topic, records in by_topic.items():
            await _send(producer, topic, partition, records, acknowledgements)
        if offsets:
            await producer.send_offsets_to_transaction(dict(offsets), group_id)
        # A failed batch does not fail aiokafka's transaction: committing without asking would lose it.
        # All of them, as the last may be the one that says that the producer was fenced.
        await asyncio.gather(*acknowledgements, return_exceptions=True)
        await asyncio.gather(*acknowledgements)
        await producer.commit_transaction()
    except Exception as error:
        # A producer that was fenced says so to the batches in hand; whoever sends the next one gets
        # IllegalOperation.
        if not isinstance(error, ProducerFenced):
            if acknowledgements:
                await asyncio.wait(acknowledgements, timeout=_LAST_WORD_S)
            for failure in map(_reason_of, (error, *_failures(acknowledgements))):
                if failure is not error and isinstance(failure, _REPLACED):
                    raise failure from None if failure is error.__cause__ else error
        raise
    finally:
        _failures(acknowledgements)


async def _send(
    producer: AIOKafkaProducer, topic: str, partition: int, records: Sequence[Output],
    acknowledgements: list[asyncio.Future[object]],
) -> None:  # fmt: skip
    """Submit ``records`` in as few batches as possible; adds to ``acknowledgements`` what tells the broker's
    answer to each."""
    batch = producer.create_batch()
    for record in records:
        headers = list(record.headers)
        while batch.append(key=record.key, value=record.value, timestamp=None, headers=headers) is None:
            acknowledgements.append(await producer.send_batch(batch, topic, partition=partition))
            batch = producer.create_batch()
    acknowledgements.append(await producer.send_batch(batch, topic, partition=partition))


def _reason_of(error: BaseException) -> BaseException:
    """Return what the broker said: aiokafka's sender wraps most of it in an error that says nothing."""
    return error.__cause__ if type(error) is KafkaError and error.__cause__ is not None else error


def _failures(acknowledgements: Sequence[asyncio.Future[object]]) -> list[BaseException]:
    """Return the errors of those that have one by now; asyncio would report each that nobody has looked
    at."""
    known = [each.exception() for each in acknowledgements if each.done() and not each.cancelled()]
    return [error for error in known if error is not None]
