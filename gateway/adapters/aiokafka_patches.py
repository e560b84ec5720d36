"""All that is done to aiokafka: what replaces parts of it, and what reaches into its private names. Nothing else does.

Written for aiokafka 0.14. ``tests/unit/test_library_patches.py`` fails where a release changes what stands here, and where it
makes a patch needless. Importing this changes nothing: ``apply`` does, which ``kafka.make_client`` and ``faust_worker.make_app``
call, so that there is no client without it, in the command and in a program that uses these modules alike.
"""

import asyncio
from typing import Any

import aiokafka.client
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.conn import create_conn
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.producer import sender

SETUP_TIMEOUT_S = 10.0
RECONNECT_BACKOFF_S = 0.25
BUSY_COORDINATOR_S = 0.002
_END_TIMEOUT_S = 3.0


def apply() -> None:
    """Put ``bound_connections`` and ``hasten_transactions`` in force for all clients; a second call does nothing."""
    bound_connections()
    hasten_transactions()


def bound_connections() -> None:
    """Give a connection ``SETUP_TIMEOUT_S`` to be set up, and wait ``RECONNECT_BACKOFF_S`` after one that was not.

    aiokafka gives it as long as a request (a consumer's: 40 s), and a client sets up one at a time: while it waits for a broker
    that has vanished it reaches no other, not even for metadata that say who leads now. Java's clients have settings of their
    own for both times, ``socket.connection.setup.timeout.ms`` (KIP-601) and ``reconnect.backoff.ms`` (KIP-144).

    Goes when aiokafka's clients have such settings.
    """
    aiokafka.client.create_conn = _set_up


async def _set_up(*address: Any, **options: Any) -> Any:
    """Run ``create_conn`` within ``SETUP_TIMEOUT_S``, login included; raise an error ``RECONNECT_BACKOFF_S`` later."""
    try:
        async with asyncio.timeout(SETUP_TIMEOUT_S):
            return await create_conn(*address, **options)
    except Exception:
        await asyncio.sleep(RECONNECT_BACKOFF_S)
        raise


def hasten_transactions() -> None:
    """Ask again after ``BUSY_COORDINATOR_S`` where the coordinator still writes the markers of the transaction before.

    It does so for milliseconds, at the beginning of nearly every transaction, and there aiokafka always sleeps 20 ms, whatever
    ``retry_backoff_ms`` says: that was the tail of the latency.

    Goes when that wait heeds a setting.
    """
    sender.BACKOFF_OVERRIDE = BUSY_COORDINATOR_S


def is_cancelled() -> bool:
    """Tell whether the running task was cancelled; if not, a CancelledError that reaches it was meant for another."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def stop(client: Any) -> None:
    """Stop ``client``, as aiokafka does; a consumer that was waiting for a broker, completely and without an error.

    After an error a consumer's fetch pauses. Where ``stop`` meets one in that pause, the fetch's CancelledError comes out of
    it, as though the caller were cancelled, and the rest of the client goes on.

    Goes when aiokafka's ``Fetcher.close`` suppresses the CancelledError of the tasks that it cancels.
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

    Goes when a producer can be ended without waiting, as Java's by ``close(Duration.ZERO)``.
    """
    producer._closed = True
    running = producer._sender.sender_task
    if running is not None:
        running.cancel()
    # A sender that is cancelled waits for the answers in hand: where there is no connection it has them.
    await producer.client.close()
    if running is not None:
        running.cancel()
        await asyncio.wait([running], timeout=_END_TIMEOUT_S)
        if running.done() and not running.cancelled():
            running.exception()  # already reported to whoever waited for its batches


def read_committed_only(consumer: AIOKafkaConsumer) -> None:
    """Make a consumer that is not started yet read committed records only: for one that Faust has made.

    The client takes over ``_isolation_level`` when it starts; its public way is an argument that Faust does not pass on.

    Goes with ``faust_patches.ReadingThread``, its only caller.
    """
    consumer._isolation_level = "read_committed"


async def try_to_log_in(host: str, port: int, *, timeout_ms: int, **options: Any) -> None:
    """Set up one connection and close it; raise the error that this meets, such as SaslAuthenticationFailed.

    A client that can't log in says no more than that it can't connect: ``AIOKafkaClient.bootstrap`` logs the reason and goes on
    to the next broker.

    Goes when ``start`` raises the reason.
    """
    connection = await create_conn(host, port, request_timeout_ms=timeout_ms, **options)
    connection.close()


def partitions_in(assignment: bytes) -> list[tuple[str, int]]:
    """Return the partitions of a consumer group's member, by DescribeGroups: topic and partition, sorted.

    aiokafka's admin client gives it out as bytes, and decodes it in a module of its own.

    Goes when ``describe_consumer_groups`` decodes it.
    """
    decoded = ConsumerProtocolMemberAssignment.decode(assignment)
    return sorted((topic, partition) for topic, partitions in decoded.assignment for partition in partitions)
