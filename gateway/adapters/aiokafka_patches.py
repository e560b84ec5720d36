"""All that is done to aiokafka: what replaces parts of it, and what reaches into its private names. Nothing
else does.

Written for aiokafka 0.14. ``tests/unit/test_aiokafka_patches.py`` fails where a release changes what stands
here, and where it makes a patch needless. Importing this changes nothing: ``apply`` does, which
``kafka.make_client`` and ``faust_worker.make_app`` call, so that there is no client without it, in the
command and in a program that uses these modules alike.
"""

import asyncio
import contextlib
from collections.abc import Coroutine
from contextvars import ContextVar
from typing import Any

import aiokafka.admin.client
import aiokafka.client
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection, create_conn
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    GroupCoordinatorNotAvailableError,
    GroupIdNotFound,
    KafkaError,
    NotCoordinatorForGroupError,
    for_code,
)
from aiokafka.producer import sender
from aiokafka.protocol.admin import DescribeGroupsRequest
from aiokafka.protocol.commit import OffsetFetchRequest
from aiokafka.protocol.group import LeaveGroupRequest
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.util import create_task

from gateway.adapters import fetch_patches
from gateway.adapters.tasks import end_tasks

SETUP_TIMEOUT_S = 10.0
RECONNECT_BACKOFF_S = 0.25
BUSY_COORDINATOR_S = 0.002
_END_TIMEOUT_S = 3.0


def apply() -> None:
    """Put the patches that are for all clients in force; a second call does nothing."""
    bound_connections()
    close_bootstraps()
    hasten_transactions()
    fail_once()
    create_no_topics()
    hear_coordinators()
    fetch_patches.apply()


def bound_connections() -> None:
    """Give a connection ``SETUP_TIMEOUT_S`` to be set up, and wait ``RECONNECT_BACKOFF_S`` after one that
    was not.

    aiokafka gives it as long as a request (a consumer's: 40 s), and a client sets up one at a time: while it
    waits for a broker that has vanished it reaches no other, not even for metadata that say who leads now.
    Java's clients have settings of their own for both times, ``socket.connection.setup.timeout.ms``
    (KIP-601) and ``reconnect.backoff.ms`` (KIP-144).

    Goes when aiokafka's clients have such settings.
    """
    aiokafka.client.create_conn = _set_up


async def _set_up(*address: Any, **options: Any) -> Any:
    """Run ``create_conn`` within ``SETUP_TIMEOUT_S``, login included; raise an error ``RECONNECT_BACKOFF_S``
    later."""
    try:
        async with asyncio.timeout(SETUP_TIMEOUT_S):
            connection = await create_conn(*address, **options)
    except Exception:
        await asyncio.sleep(RECONNECT_BACKOFF_S)
        raise
    # Tasks that a bootstrap starts have its variable, but their connections belong to a client: on_close
    # says so.
    if (opened := _bootstrapping.get()) is not None and options.get("on_close") is None:
        opened.append(connection)
    return connection


bootstrap = AIOKafkaClient.bootstrap
_bootstrapping: ContextVar[list[AIOKafkaConnection] | None] = ContextVar("_bootstrapping", default=None)


def close_bootstraps() -> None:
    """Close the connection for the first metadata where the wait for them is cancelled.

    A rebalance, or the end of a worker, cancels lanes that connect. aiokafka then leaves that connection,
    which only the waiting function knew, to the garbage collector, and logs "Unclosed AIOKafkaConnection"
    as an error.

    Goes when ``AIOKafkaClient.bootstrap`` closes it whatever ends it.
    """
    AIOKafkaClient.bootstrap = _bootstrap


async def _bootstrap(client: AIOKafkaClient) -> None:
    opened = list[AIOKafkaConnection]()
    token = _bootstrapping.set(opened)
    try:
        await bootstrap(client)
    except BaseException:
        for connection in opened:
            connection.close()
        raise
    finally:
        _bootstrapping.reset(token)


def hasten_transactions() -> None:
    """Ask again after ``BUSY_COORDINATOR_S`` where the coordinator still writes the markers of the
    transaction before.

    It does so for milliseconds, at the beginning of nearly every transaction, and there aiokafka always
    sleeps 20 ms, whatever ``retry_backoff_ms`` says: that was the tail of the latency.

    Goes when that wait heeds a setting.
    """
    sender.BACKOFF_OVERRIDE = BUSY_COORDINATOR_S


def fail_once() -> None:
    """Let a producer's sender fail once where two of its requests fail together.

    It ends with the error of one, which every batch and the transaction then have. The other's is nobody's:
    asyncio would log "Task exception was never retrieved" as an error.

    Goes when ``Sender._sender_routine`` awaits all its tasks, whatever ends it.
    """
    sender.create_task = _create_task


def _create_task(work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    task: asyncio.Task[Any] = create_task(work)
    task.add_done_callback(_retrieve_error)
    return task


def _retrieve_error(ended: asyncio.Future[Any]) -> None:
    """Look at the error of what has ended, if it has one: asyncio logs those that nobody has looked at."""
    if not ended.cancelled():
        ended.exception()


def create_no_topics() -> None:
    """Ask what there is of a topic without having it made, where the broker makes topics that are asked for.

    A broker with ``auto.create.topics.enable`` would make them with its own number of partitions and its own
    retention: so did feedback's changelogs come to be with one partition. Java's consumer has
    ``allow.auto.create.topics`` for it (KIP-487 for producers); aiokafka's clients and its admin always
    allow it.

    Goes when aiokafka's clients have such a setting.
    """
    aiokafka.client.MetadataRequest = _LookOnly
    aiokafka.admin.client.MetadataRequest = _LookOnly


class _LookOnly(MetadataRequest):  # type: ignore[misc]  # Any to mypy, as all of aiokafka's
    """The request for metadata, which makes no topic."""

    def __init__(self, topics: list[str] | None = None) -> None:
        super().__init__(topics, allow_auto_topic_creation=False)


def hear_coordinators() -> None:
    """Raise what a coordinator says of a whole group.

    One that still loads it after a start, or no longer has it, answers with an error in place of what the
    group has committed, or of who is in it. aiokafka looks at the partitions' errors alone, of which there
    are none then: a group that is merely not loaded yet had committed nothing, and had no workers.

    Goes when ``list_consumer_group_offsets``, the consumer's coordinator and ``describe_consumer_groups``
    look at these errors, and the first of them raises a partition's as what it is.
    """
    AIOKafkaAdminClient._send_request = _send_as_admin
    GroupCoordinator._send_req = _send_as_member


send_as_admin = AIOKafkaAdminClient._send_request
send_as_member = GroupCoordinator._send_req


async def _send_as_admin(admin: AIOKafkaAdminClient, *request: Any) -> Any:
    response = await send_as_admin(admin, *request)
    if error := _error_of_group(response) or _error_of_partition(response):
        raise error
    return response


async def _send_as_member(coordinator: GroupCoordinator, request: Any) -> Any:
    response = await send_as_member(coordinator, request)
    if error := _error_of_group(response):
        if isinstance(error, NotCoordinatorForGroupError | GroupCoordinatorNotAvailableError):
            coordinator.coordinator_dead()  # to be looked for anew
        if error.retriable or isinstance(error, GroupAuthorizationFailedError):
            raise error
        # With an error of which it does not know that it passes, the task ends that asks, until the next
        # rebalance.
        raise GroupCoordinatorNotAvailableError(type(error).__name__)
    return response


def _error_of_group(response: Any) -> KafkaError | None:
    """Return the error of a group in the answer to OffsetFetch or DescribeGroups; None where there is
    none."""
    codes = []
    if response.API_KEY == OffsetFetchRequest.API_KEY:
        codes = [getattr(response, "error_code", 0)]  # which version 2 brought
    elif response.API_KEY == DescribeGroupsRequest.API_KEY:
        codes = [code for code, *_ in response.groups if code != GroupIdNotFound.errno]  # which nobody is in
    code = next(filter(None, codes), 0)
    return for_code(code)("of the group as a whole") if code else None


def _error_of_partition(response: Any) -> KafkaError | None:
    """Return the error of a partition in the answer to OffsetFetch; None where there is none.

    aiokafka's admin raises the group's in its place, which is that there is no error. Its consumers look at
    the right one.
    """
    topics = response.topics if response.API_KEY == OffsetFetchRequest.API_KEY else []
    code = next((code for _, partitions in topics for *_, code in partitions if code), 0)
    return for_code(code)("of a partition") if code else None


def is_cancelled() -> bool:
    """Tell whether the running task was cancelled; if not, a CancelledError that reaches it was meant for
    another."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def stop(client: Any) -> None:
    """Stop ``client``, as aiokafka does; a consumer that was waiting for a broker, completely and without an
    error.

    After an error a consumer's fetch pauses. Where ``stop`` meets one in that pause, the fetch's
    CancelledError comes out of it, as though the caller were cancelled, and the rest of the client goes on.

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


def member_id_of(consumer: AIOKafkaConsumer) -> str:
    """Return under which id the group knows ``consumer``; empty before it has joined.

    Goes when aiokafka's consumers have ``group_metadata``, as Java's do.
    """
    return str(consumer._coordinator.member_id)


async def leave_group(consumer: AIOKafkaConsumer) -> None:
    """Leave the consumer group at once, amid a rebalance too; the listener's callback that is running is
    cancelled.

    aiokafka's ``stop`` first waits until the rebalance is over, which takes as long as its slowest member;
    and the broker, which answers one request of a connection after the other, would not hear of the leaving
    on the one that waits to join.

    Goes when ``AIOKafkaConsumer.stop`` leaves without waiting to join.
    """
    coordinator = consumer._coordinator
    if not hasattr(coordinator, "_coordination_task"):  # it was never started, or is in no group
        return
    # One cancelling alone can be lost: where the callback has just ended, aiokafka is ending the heartbeat.
    await end_tasks(coordinator._coordination_task)
    await coordinator._stop_heartbeat_task()
    node, member = coordinator.coordinator_id, coordinator.member_id
    coordinator.reset_generation()  # so that ``stop`` does not leave once more
    if node is None or not member:
        return
    # Where it cannot be told, the broker finds out by the session's timeout, as of a member that was killed.
    with contextlib.suppress(KafkaError):
        await consumer._client.send(node, LeaveGroupRequest(coordinator.group_id, member))


async def cut_off(producer: AIOKafkaProducer) -> None:
    """End ``producer`` at once, whatever it has in hand; nothing of it goes on.

    A transaction that is open stays so until the next InitProducerId, or until its timeout. aiokafka's
    ``stop`` waits for the answer to every batch: where a broker has vanished none comes, and a ``stop`` that
    is cancelled leaves a sender that tries for ever, and a client that reads metadata for ever.

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
        if running.done():
            _retrieve_error(running)  # already reported to whoever waited for its batches
    _retrieve_errors(producer)


def _retrieve_errors(producer: AIOKafkaProducer) -> None:
    """Retrieve a failed sender's errors from futures that nobody waits for: asyncio would log each as an
    error."""
    accumulator, manager = producer._message_accumulator, producer._txn_manager
    batches = [*accumulator._pending_batches, *(each for queued in accumulator._batches.values() for each in queued)]
    futures = [future for batch in batches for future in (batch.future, batch._drain_waiter)]
    for future in (*futures, *([manager._transaction_waiter] if manager is not None else ())):
        if future is not None and future.done():
            _retrieve_error(future)


def report_missing(consumer: AIOKafkaConsumer) -> None:
    """Make ``consumer`` give out a ``MissingRecords`` where the log has a hole: offsets that were compacted
    away.

    Otherwise a consumer goes on behind it without a word. What lies before the log's start is another
    matter: there the fetch fails.

    Goes with ``fetch_patches``.
    """
    for owner in (consumer, consumer._fetcher):
        if owner is not None:  # it has no fetcher before it is started
            owner._check_crcs = fetch_patches.REPORT_MISSING


def read_committed_only(consumer: AIOKafkaConsumer) -> None:
    """Make a consumer that is not started yet read committed records only: for one that Faust has made.

    The client takes over ``_isolation_level`` when it starts; its public way is an argument that Faust does
    not pass on.

    Goes with ``faust_patches.ReadingThread``, its only caller.
    """
    consumer._isolation_level = "read_committed"


async def try_to_log_in(host: str, port: int, *, timeout_ms: int, **options: Any) -> None:
    """Set up one connection and close it; raise the error that this meets, such as SaslAuthenticationFailed.

    A client that can't log in says no more than that it can't connect: ``AIOKafkaClient.bootstrap`` logs the
    reason and goes on to the next broker.

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


def topics_in(metadata: bytes) -> list[str]:
    """Return the topics that a consumer group's member subscribes to, by DescribeGroups, sorted.

    Goes with ``partitions_in``.
    """
    return sorted(ConsumerProtocolMemberMetadata.decode(metadata).subscription)
