"""What a broker says of a partition's log: the topic's id, the first offset kept, where committed records
end, where it ends, where a leader's epoch ended in it. And whether all brokers know of a topic yet.

Source: the message definitions of Apache Kafka (Metadata v12, OffsetForLeaderEpoch v3).
"""

# mypy: disable-error-code="misc"
# Every class of aiokafka's is Any to mypy, and these are made to be derived from.

import asyncio
import base64
from collections.abc import Sequence
from io import BytesIO
from typing import Any, NamedTuple

from aiokafka import TopicPartition, errors
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.offset import OffsetRequest
from aiokafka.protocol.types import (
    AbstractType,
    Array,
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    String,
    TaggedFields,
)

from gateway.adapters.kafka_requests import broker_ids, raw_client
from gateway.adapters.settings import Settings

_UNCOMMITTED, _COMMITTED = 0, 1
_EARLIEST, _LATEST = -2, -1
_NO_ID = bytes(16)
_CONSUMER, _ANY_EPOCH = -1, -1
_CREATION_TIMEOUT_S, _ANSWER_TIMEOUT_S = 30, 5
_HAS_NO_LEADER_NOW = {
    errors.NotLeaderForPartitionError.errno, errors.UnknownTopicOrPartitionError.errno,
    errors.LeaderNotAvailableError.errno,  # a new leader's, which does not know yet where committed records end
}  # fmt: skip


class _Uuid(AbstractType[bytes]):
    """Sixteen bytes (KIP-516)."""

    @classmethod
    def encode(cls, value: bytes) -> bytes:
        return value

    @classmethod
    def decode(cls, data: BytesIO) -> bytes:
        return data.read(16)


class _MetadataResponse(Response):
    API_KEY = 3
    API_VERSION = 12
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("brokers", CompactArray(
            ("node_id", Int32), ("host", CompactString()), ("port", Int32), ("rack", CompactString()),
            ("tags", TaggedFields),
        )),
        ("cluster_id", CompactString()),
        ("controller_id", Int32),
        ("topics", CompactArray(
            ("error_code", Int16), ("name", CompactString()), ("topic_id", _Uuid), ("is_internal", Boolean),
            ("partitions", CompactArray(
                ("error_code", Int16), ("partition", Int32), ("leader", Int32), ("leader_epoch", Int32),
                ("replicas", CompactArray(Int32)), ("isr", CompactArray(Int32)), ("offline", CompactArray(Int32)),
                ("tags", TaggedFields),
            )),
            ("operations", Int32), ("tags", TaggedFields),
        )),
        ("tags", TaggedFields),
    )  # fmt: skip


class _MetadataStruct(RequestStruct):
    API_KEY = 3
    API_VERSION = 12
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _MetadataResponse
    SCHEMA = Schema(
        ("topics", CompactArray(("topic_id", _Uuid), ("name", CompactString()), ("tags", TaggedFields))),
        ("allow_auto_topic_creation", Boolean),
        ("include_operations", Boolean),
        ("tags", TaggedFields),
    )


class _Metadata(Request[_MetadataStruct]):
    API_KEY = 3

    def __init__(self, topics: Sequence[str]) -> None:
        self._topics = topics

    def build(self, request_struct_class: type[_MetadataStruct]) -> _MetadataStruct:
        return request_struct_class([(_NO_ID, topic, {}) for topic in self._topics], False, False, {})


class _EpochEndResponse(Response):
    API_KEY = 23
    API_VERSION = 3
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("topics", Array(
            ("topic", String()),
            ("partitions", Array(
                ("error_code", Int16), ("partition", Int32), ("leader_epoch", Int32), ("end_offset", Int64),
            )),
        )),
    )  # fmt: skip


class _EpochEndStruct(RequestStruct):
    API_KEY = 23
    API_VERSION = 3
    RESPONSE_TYPE = _EpochEndResponse
    SCHEMA = Schema(
        ("replica_id", Int32),
        ("topics", Array(
            ("topic", String()),
            ("partitions", Array(("partition", Int32), ("current_leader_epoch", Int32), ("leader_epoch", Int32))),
        )),
    )  # fmt: skip


class _EpochEnd(Request[_EpochEndStruct]):
    API_KEY = 23

    def __init__(self, partition: TopicPartition, leader_epoch: int) -> None:
        self._partition, self._leader_epoch = partition, leader_epoch

    def build(self, request_struct_class: type[_EpochEndStruct]) -> _EpochEndStruct:
        wanted = (self._partition.partition, _ANY_EPOCH, self._leader_epoch)
        return request_struct_class(_CONSUMER, [(self._partition.topic, [wanted])])


class LogFacts(NamedTuple):
    """A partition's log: ``committed_end`` is the last stable offset, ``end`` the high watermark; all
    exclusive but ``start``.

    ``topic_id`` as Kafka's tools print it; ``leader_epoch`` counts the changes of the partition's
    ``leader``.
    """

    topic_id: str | None
    start: int
    committed_end: int
    end: int
    leader: int
    leader_epoch: int


async def describe_logs(client: AIOKafkaClient, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, LogFacts]:
    """Describe the logs of ``partitions``; one that does not exist, or has no leader now, is left out.
    Raises KafkaError."""
    topics = sorted({partition.topic for partition in partitions})
    answer = await client.send(client.get_random_node(), _Metadata(topics))
    ids, leaders = dict[str, str | None](), dict[TopicPartition, int]()
    leader_epochs = dict[TopicPartition, int]()
    for code, name, topic_id, _internal, found, *_tags in answer.topics:
        if code:
            continue
        ids[name] = None if topic_id == _NO_ID else base64.urlsafe_b64encode(topic_id).decode().rstrip("=")
        for error, number, leader, leader_epoch, *_others in found:
            if not error:
                partition = TopicPartition(name, number)
                leaders[partition], leader_epochs[partition] = leader, leader_epoch
    wanted = [each for each in partitions if leaders.get(each, -1) >= 0]
    starts = await _list_offsets(client, wanted, leaders, _EARLIEST, _UNCOMMITTED)
    committed = await _list_offsets(client, wanted, leaders, _LATEST, _COMMITTED)
    ends = await _list_offsets(client, wanted, leaders, _LATEST, _UNCOMMITTED)
    return {
        each: LogFacts(ids[each.topic], starts[each], committed[each], ends[each], leaders[each], leader_epochs[each])
        for each in wanted
        if each in starts and each in committed and each in ends
    }


async def find_epoch_end(client: AIOKafkaClient, partition: TopicPartition, leader: int, leader_epoch: int) -> int:
    """Return the offset at which the records end that the leader of ``leader_epoch`` took, or one before
    (KIP-320); -1 where the log has none of them. Raises KafkaError."""
    answer = await client.send(leader, _EpochEnd(partition, leader_epoch))
    ((_, ((code, _, _, end),)),) = answer.topics
    if code:
        raise errors.for_code(code)
    return int(end)


async def wait_until_known(settings: Settings, topics: Sequence[str], *, at_least: int = 1) -> None:
    """Wait until every broker names a leader of each partition of ``topics``, of ``at_least`` so many each.

    A moment after a topic's creation some brokers say that there is none. One that does not answer within
    5 s is not waited for. Raises TimeoutError after half a minute.
    """
    async with raw_client(settings) as client, asyncio.timeout(_CREATION_TIMEOUT_S):
        for broker in broker_ids(client):
            while True:
                if await _is_known(client, broker, topics, at_least):
                    break
                await asyncio.sleep(0.1)


async def _is_known(client: AIOKafkaClient, broker: int, topics: Sequence[str], at_least: int) -> bool:
    try:
        async with asyncio.timeout(_ANSWER_TIMEOUT_S):
            answer = await client.send(broker, _Metadata(topics))
    except (errors.KafkaError, TimeoutError):
        return True
    return all(
        not code and len(found) >= at_least and not any(error or leader < 0 for error, _, leader, *_ in found)
        for code, _, _, _, found, *_ in answer.topics
    )


async def _list_offsets(
    client: AIOKafkaClient, partitions: Sequence[TopicPartition], leaders: dict[TopicPartition, int], time: int,
    isolation: int,
) -> dict[TopicPartition, int]:  # fmt: skip
    found = {}
    for leader in sorted({leaders[each] for each in partitions}):
        by_topic: dict[str, list[tuple[int, int]]] = {}
        for each in partitions:
            if leaders[each] == leader:
                by_topic.setdefault(each.topic, []).append((each.partition, time))
        request: Any = OffsetRequest(-1, isolation, list(by_topic.items()))
        answer = await client.send(leader, request)
        for topic, offsets in answer.topics:
            for number, code, _, offset, *_ in offsets:
                if not code:
                    found[TopicPartition(topic, number)] = offset
                elif code not in _HAS_NO_LEADER_NOW:
                    raise errors.for_code(code)
    return found
