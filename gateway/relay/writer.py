"""The one writer of a lane: a transactional producer, whose start ends whoever wrote for the lane before."""

import asyncio

from aiokafka import AIOKafkaProducer

from gateway.adapters import kafka
from gateway.adapters.aiokafka_patches import cut_off
from gateway.adapters.settings import Settings
from gateway.contract.outputs import destinations_of
from gateway.contract.topics import LaneId
from gateway.errors import MissingPartitionError
from gateway.relay.transaction import MAX_BATCH_BYTES

# A coordinator that is busy with the transaction before is so for milliseconds: aiokafka's 100 were the tail
# of the latency.
_RETRY_BACKOFF_MS = 10
# (For the markers of the transaction before, the commonest case, see aiokafka_patches.)


async def start_writer(settings: Settings, lane: LaneId) -> AIOKafkaProducer:
    """Start the producer of ``lane``: the former one's transaction is ended, and whatever it still tries is
    refused.

    Raises what aiokafka raises, TimeoutError, and MissingPartitionError where an output topic lacks the
    lane's partition.
    """
    timeout_ms = settings.relay.transaction_timeout_ms
    producer: AIOKafkaProducer = kafka.make_client(
        AIOKafkaProducer,
        settings,
        transactional_id=lane.transactional_id,
        transaction_timeout_ms=timeout_ms,
        max_batch_size=MAX_BATCH_BYTES,
        retry_backoff_ms=_RETRY_BACKOFF_MS,
        # A broker that has vanished does not answer: there has to be time to ask another one.
        request_timeout_ms=max(1_000, timeout_ms // 3),
    )
    try:
        async with asyncio.timeout(timeout_ms / 1000):
            await producer.start()
            # begin_transaction waits for InitProducerId, which ends what the last owner had pending and
            # fences it.
            await producer.begin_transaction()
            await producer.abort_transaction()
            await _require_outputs(settings, lane, producer)
    except BaseException:
        await cut_off(producer)
        raise
    return producer


async def _require_outputs(settings: Settings, lane: LaneId, producer: AIOKafkaProducer) -> None:
    """See that an output can keep its input's partition: where partitions were added to the input alone,
    there is none."""
    topics = settings.topic_names
    written = (*destinations_of(lane, topics).values(), topics.ledger)
    lacking = [topic for topic in written if lane.partition not in (await producer.partitions_for(topic) or ())]
    if lacking:
        raise MissingPartitionError(
            f"{lane.topic} has a partition {lane.partition}, and {', '.join(lacking)} has none: "
            "give every topic the same number of partitions; until then its events wait."
        )
