"""Requests of Kafka's protocol that aiokafka has no words for: features, transactions; and a probe that is
one of them.

Source: the message definitions of Apache Kafka (ApiVersions v3, DescribeProducers v0, DescribeTransactions
v0, ListTransactions v0).
"""

# mypy: disable-error-code="misc"
# Every class of aiokafka's is Any to mypy, and these are made to be derived from.

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from io import BytesIO
from typing import Any, NamedTuple, cast

from aiokafka import TopicPartition, errors
from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.protocol.api import Request, RequestStruct, Response, ResponseHeader_v0
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.protocol.transaction import AddOffsetsToTxnRequest, EndTxnRequest, InitProducerIdRequest
from aiokafka.protocol.types import CompactArray, CompactString, Int16, Int32, Int64, Schema, TaggedFields

from gateway.adapters import kafka
from gateway.adapters.settings import Settings

_RETRIES, _RETRY_S = 50, 0.1
_TRANSACTION = 1
"""The coordinator's type in FindCoordinator."""
_FINALIZED_FEATURES = 2
"""The tag of that field in ApiVersions' answer."""
_TRANSACTIONAL_ID_NOT_FOUND = 105
_PASSING = (
    errors.ConcurrentTransactions, errors.CoordinatorNotAvailableError, errors.NotCoordinatorError,
    errors.CoordinatorLoadInProgressError, errors.GroupCoordinatorNotAvailableError, errors.GroupLoadInProgressError,
)  # fmt: skip


class _ApiVersionsResponse(Response):
    API_KEY = 18
    API_VERSION = 3
    SCHEMA = Schema(
        ("error_code", Int16),
        ("api_versions", CompactArray(("api_key", Int16), ("low", Int16), ("high", Int16), ("tags", TaggedFields))),
        ("throttle_time_ms", Int32),
        ("tags", TaggedFields),
    )


class _ApiVersionsStruct(RequestStruct):
    API_KEY = 18
    API_VERSION = 3
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _ApiVersionsResponse
    SCHEMA = Schema(("name", CompactString()), ("version", CompactString()), ("tags", TaggedFields))

    def parse_response_header(self, read_buffer: Any) -> ResponseHeader_v0:
        """Parse the old header that its answer has, as it must be readable by a client of any age
        (KIP-511)."""
        return cast("ResponseHeader_v0", ResponseHeader_v0.decode(read_buffer))


class _ApiVersions(Request[_ApiVersionsStruct]):
    API_KEY = 18

    def build(self, request_struct_class: type[_ApiVersionsStruct]) -> _ApiVersionsStruct:
        return request_struct_class("chuanyu-gateway", "0", {})


_Features = CompactArray(("name", CompactString()), ("high", Int16), ("low", Int16), ("tags", TaggedFields))


class _ListTransactionsResponse(Response):
    API_KEY = 66
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        ("unknown_state_filters", CompactArray(CompactString())),
        ("transactions", CompactArray(
            ("transactional_id", CompactString()), ("producer_id", Int64), ("state", CompactString()),
            ("tags", TaggedFields),
        )),
        ("tags", TaggedFields),
    )  # fmt: skip


class _ListTransactionsStruct(RequestStruct):
    API_KEY = 66
    API_VERSION = 0
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _ListTransactionsResponse
    SCHEMA = Schema(
        ("states", CompactArray(CompactString())), ("producer_ids", CompactArray(Int64)), ("tags", TaggedFields)
    )


class _ListTransactions(Request[_ListTransactionsStruct]):
    API_KEY = 66

    def __init__(self, producer_ids: Iterable[int] = ()) -> None:
        self._producer_ids = list(producer_ids)

    def build(self, request_struct_class: type[_ListTransactionsStruct]) -> _ListTransactionsStruct:
        return request_struct_class([], self._producer_ids, {})


class _DescribeTransactionsResponse(Response):
    API_KEY = 65
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("transactions", CompactArray(
            ("error_code", Int16), ("transactional_id", CompactString()), ("state", CompactString()),
            ("timeout_ms", Int32), ("start_time_ms", Int64), ("producer_id", Int64), ("producer_epoch", Int16),
            ("topics", CompactArray(
                ("topic", CompactString()), ("partitions", CompactArray(Int32)), ("tags", TaggedFields)
            )),
            ("tags", TaggedFields),
        )),
        ("tags", TaggedFields),
    )  # fmt: skip


class _DescribeTransactionsStruct(RequestStruct):
    API_KEY = 65
    API_VERSION = 0
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _DescribeTransactionsResponse
    SCHEMA = Schema(("transactional_ids", CompactArray(CompactString())), ("tags", TaggedFields))


class _DescribeTransactions(Request[_DescribeTransactionsStruct]):
    API_KEY = 65

    def __init__(self, transactional_ids: list[str]) -> None:
        self._ids = transactional_ids

    def build(self, request_struct_class: type[_DescribeTransactionsStruct]) -> _DescribeTransactionsStruct:
        return request_struct_class(self._ids, {})


class _DescribeProducersResponse(Response):
    API_KEY = 61
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("topics", CompactArray(
            ("name", CompactString()),
            ("partitions", CompactArray(
                ("partition", Int32), ("error_code", Int16), ("error_message", CompactString()),
                ("producers", CompactArray(
                    ("producer_id", Int64), ("producer_epoch", Int32), ("last_sequence", Int32), ("last_timestamp", Int64),
                    ("coordinator_epoch", Int32), ("current_txn_start_offset", Int64), ("tags", TaggedFields),
                )),
                ("tags", TaggedFields),
            )),
            ("tags", TaggedFields),
        )),
        ("tags", TaggedFields),
    )  # fmt: skip


class _DescribeProducersStruct(RequestStruct):
    API_KEY = 61
    API_VERSION = 0
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _DescribeProducersResponse
    SCHEMA = Schema(
        ("topics", CompactArray(
            ("name", CompactString()), ("partitions", CompactArray(Int32)), ("tags", TaggedFields)
        )),
        ("tags", TaggedFields),
    )  # fmt: skip


class _DescribeProducers(Request[_DescribeProducersStruct]):
    API_KEY = 61

    def __init__(self, partitions: Mapping[str, list[int]]) -> None:
        self._partitions = partitions

    def build(self, request_struct_class: type[_DescribeProducersStruct]) -> _DescribeProducersStruct:
        return request_struct_class([(topic, numbers, {}) for topic, numbers in self._partitions.items()], {})


class Offered(NamedTuple):
    """What a broker offers: API keys with their lowest and highest version, and the cluster's feature
    levels."""

    apis: dict[int, tuple[int, int]]
    features: dict[str, int]


class Transaction(NamedTuple):
    """A transactional id that the cluster knows; ``started`` in milliseconds by its coordinator's clock."""

    transactional_id: str
    state: str
    timeout_ms: int
    started: int


class OpenTransaction(NamedTuple):
    """A transaction that is open in a partition from ``offset`` on; no reader of committed records passes
    that offset.

    ``last_write`` is the time of its producer's last record there (milliseconds since the epoch);
    ``transactional_id`` is None where the principal may not see it.
    """

    topic: str
    partition: int
    offset: int
    producer_id: int
    last_write: int
    transactional_id: str | None


class ClockReading(NamedTuple):
    """By how much the broker's clock is ahead of ours, give or take ``give_ms``; both in milliseconds."""

    ahead_ms: int
    give_ms: int


@asynccontextmanager
async def raw_client(settings: Settings) -> AsyncIterator[AIOKafkaClient]:
    """Make a client that sends single requests. Raises GatewayError where it is not let in, or told of no
    brokers."""
    async with kafka.admin(settings):  # says in our words why not
        client = kafka.make_client(AIOKafkaClient, settings)
    try:
        await client.bootstrap()
        if not broker_ids(client):
            raise kafka.unreachable(settings, errors.NoBrokersAvailable())
        yield client
    finally:
        await client.close()


def broker_ids(client: AIOKafkaClient) -> list[int]:
    """Return the brokers that the cluster names."""
    return sorted(each.nodeId for each in client.cluster.brokers())


async def offered(client: AIOKafkaClient, broker: int) -> Offered:
    """Return what the broker offers."""
    answer = await client.send(broker, _ApiVersions())
    features = {}
    if content := answer.tags.get(_FINALIZED_FEATURES):
        features = {name: high for name, high, *_ in _Features.decode(BytesIO(content)) or ()}
    return Offered({key: (low, high) for key, low, high, _ in answer.api_versions}, features)


async def find_transactions(client: AIOKafkaClient, prefixes: Iterable[str]) -> list[Transaction]:
    """Return the transactional ids with these prefixes that the principal may see."""
    found, wanted = [], tuple(prefixes)
    for broker in broker_ids(client):
        answer = await client.send(broker, _ListTransactions())
        _check(answer.error_code)
        ids = [name for name, *_ in answer.transactions if name.startswith(wanted)]
        if ids:
            found += await _describe(client, broker, ids)
    return sorted(found)


async def find_open_transactions(client: AIOKafkaClient, partitions: Iterable[TopicPartition]) -> list[OpenTransaction]:
    """Return the transactions that are open in these partitions, whoever's they are. Raises KafkaError, of
    one without a leader too."""
    wanted = sorted(partitions)
    await client.set_topics([each.topic for each in wanted])
    led: dict[int, dict[str, list[int]]] = {}
    for each in wanted:
        leader = client.cluster.leader_for_partition(each)
        if leader is None or leader < 0:
            raise errors.LeaderNotAvailableError(f"{each.topic}/{each.partition}")
        led.setdefault(leader, {}).setdefault(each.topic, []).append(each.partition)
    found = []
    for leader, its in led.items():
        answer = await client.send(leader, _DescribeProducers(its))
        for topic, described, _ in answer.topics:
            for partition, code, _, producers, _ in described:
                _check(code)
                for producer_id, _, _, last_write, _, offset, _ in producers:
                    if offset >= 0:
                        found.append(OpenTransaction(topic, partition, offset, producer_id, last_write, None))
    names = await _names_of(client, {each.producer_id for each in found}) if found else {}
    return sorted(each._replace(transactional_id=names.get(each.producer_id)) for each in found)


async def _names_of(client: AIOKafkaClient, producer_ids: set[int]) -> dict[int, str]:
    names: dict[int, str] = {}
    for broker in broker_ids(client):
        answer = await client.send(broker, _ListTransactions(producer_ids))
        _check(answer.error_code)
        names |= {producer_id: name for name, producer_id, *_ in answer.transactions}
    return names


async def all_transactional_ids(client: AIOKafkaClient) -> list[str]:
    """Return every transactional id that the principal may see."""
    found = set()
    for broker in broker_ids(client):
        answer = await client.send(broker, _ListTransactions())
        _check(answer.error_code)
        found |= {str(name) for name, *_ in answer.transactions}
    return sorted(found)


async def may_open_transactions(client: AIOKafkaClient, transactional_id: str, timeout_ms: int) -> bool:
    """Tell whether the principal may begin transactions under this id. It is fenced: use one that nobody
    else has."""
    try:
        await _init(client, await _coordinator(client, transactional_id), transactional_id, timeout_ms)
    except errors.TransactionalIdAuthorizationFailed:
        return False
    return True


async def read_clock(client: AIOKafkaClient, transactional_id: str, group_id: str, timeout_ms: int) -> ClockReading:
    """Compare the broker's clock with ours, by a transaction that is aborted and touches no topic of ours.

    A coordinator notes when a transaction began. This one begins with the group's offsets, of which it then
    writes none. ``transactional_id`` is fenced: use one that nobody else has. Raises KafkaError, for want of
    a grant too.
    """
    coordinator = await _coordinator(client, transactional_id)
    identity = await _init(client, coordinator, transactional_id, timeout_ms)

    async def begin() -> ClockReading:
        before = time.time()
        answer = await _send(client, coordinator, AddOffsetsToTxnRequest(transactional_id, *identity, group_id))
        after = time.time()
        _check(answer.error_code)
        (begun,) = await _describe(client, coordinator, [transactional_id])
        return ClockReading(round(begun.started - (before + after) * 500), round((after - before) * 500) + 1)

    async def end() -> None:
        answer = await _send(client, coordinator, EndTxnRequest(transactional_id, *identity, transaction_result=False))
        _check(answer.error_code)

    try:
        return cast("ClockReading", await _retry_while_pending(begin))
    finally:
        with contextlib.suppress(errors.InvalidTxnState):  # it did not even begin
            await _retry_while_pending(end)


async def _coordinator(client: AIOKafkaClient, transactional_id: str) -> int:
    async def find() -> int:
        answer = await client.send(client.get_random_node(), FindCoordinatorRequest(transactional_id, _TRANSACTION))
        _check(answer.error_code)
        return int(answer.coordinator_id)

    return int(await _retry_while_pending(find))


async def _init(client: AIOKafkaClient, coordinator: int, transactional_id: str, timeout_ms: int) -> tuple[int, int]:
    async def init() -> tuple[int, int]:
        answer = await _send(client, coordinator, InitProducerIdRequest(transactional_id, timeout_ms))
        _check(answer.error_code)
        return int(answer.producer_id), int(answer.producer_epoch)

    return cast("tuple[int, int]", await _retry_while_pending(init))


async def _describe(client: AIOKafkaClient, broker: int, ids: list[str]) -> list[Transaction]:
    answer = await _send(client, broker, _DescribeTransactions(ids))
    found = []
    for code, name, state, timeout_ms, started, *_ in answer.transactions:
        if code != _TRANSACTIONAL_ID_NOT_FOUND:
            _check(code)
            found.append(Transaction(name, state, timeout_ms, started))
    return found


async def _send(client: AIOKafkaClient, broker: int, request: Any) -> Any:
    return await client.send(broker, request, group=ConnectionGroup.COORDINATION)


async def _retry_while_pending(work: Any) -> Any:
    """Repeat a request while Kafka answers "not yet", as it does of transactions and coordinators for
    moments."""
    for attempt in range(_RETRIES):
        try:
            return await work()
        except _PASSING:
            if attempt == _RETRIES - 1:
                raise
            await asyncio.sleep(_RETRY_S)
    raise AssertionError


def _check(code: int) -> None:
    if code:
        raise errors.for_code(code)
