"""How aiokafka's clients end while a broker is away; there its own ``stop`` waits for ever, or cancels whoever called it."""

import asyncio
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

_END_TIMEOUT_S = 3.0


def is_cancelled() -> bool:
    """Whether the running task was told to end; where not, a CancelledError that reaches it was meant for another."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def stop(client: Any) -> None:
    """Stop ``client``, as aiokafka does; a consumer that was waiting for a broker, completely and without an error.

    After an error a consumer's fetch pauses. Where ``stop`` meets one in that pause, the fetch's CancelledError comes out of
    it, as though the caller were cancelled, and the rest of the client goes on.
    """
    try:
        await client.stop()
    except asyncio.CancelledError:
        if isinstance(client, AIOKafkaConsumer):
            for fetch in client._fetcher._pending_tasks:
                fetch.cancel()
            await client._client.close()
        if is_cancelled():
            raise


async def cut_off(producer: AIOKafkaProducer) -> None:
    """End ``producer`` at once, whatever it has in hand; nothing of it goes on.

    A transaction that is open stays so until the next InitProducerId, or until its timeout. aiokafka's ``stop`` waits for the
    answer to every batch: where a broker has vanished none comes, and a ``stop`` that is cancelled leaves a sender that
    tries for ever, and a client that reads metadata for ever.
    """
    producer._closed = True  # there is no public way to end one without waiting
    sender = producer._sender.sender_task
    if sender is not None:
        sender.cancel()
    # A sender that is cancelled waits for the answers in hand: where there is no connection it has them.
    await producer.client.close()
    if sender is not None:
        sender.cancel()
        await asyncio.wait([sender], timeout=_END_TIMEOUT_S)
        if sender.done() and not sender.cancelled():
            sender.exception()  # told already, to whoever waited for its batches
