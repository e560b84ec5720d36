"""Finds inputs that are no longer in their topic, as it was recreated or has expired: by what the gateway
wrote of them."""

from collections.abc import Iterable, Iterator
from contextlib import suppress

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from gateway.adapters.topic_reader import find_spans, read_spans
from gateway.contract.display_event import as_repeated
from gateway.contract.headers import TRACEPARENT, origin_of, parse_traceparent
from gateway.contract.ledger_entry import Entry, read_entry
from gateway.contract.rejection import read_rejection
from gateway.contract.topics import LaneId
from gateway.contract.verification import read_verification
from gateway.core.times import parse_instant
from gateway.operate.trace.query import Query, accounts_for
from gateway.operate.trace.story import FoundInput

_Rank = tuple[int, int]
"""An input: its epoch and offset."""
_TIMESTAMP_TYPE = 1  # the broker's


async def find_gone(
    consumer: AIOKafkaConsumer, lane: LaneId, query: Query, ledger: TopicPartition, outputs: Iterable[TopicPartition]
) -> list[FoundInput]:
    """Find the inputs of ``lane`` that ``query`` is about by their outputs, and one that it names by its
    place by the entry that says that it is lost, too. ``consumer`` has the partitions."""
    found: dict[_Rank, FoundInput] = {}
    async for _, records in read_spans(consumer, await find_spans(consumer, outputs, since=query.since)):
        for record in records:
            _take_output(record, lane, query, found)
    if not found and query.at is None:
        return []
    async for _, records in read_spans(consumer, await find_spans(consumer, [ledger], since=query.since)):
        for record in records:
            entry = read_entry(record.value)
            if entry is not None and (entry.topic, entry.partition) == (lane.topic, lane.partition):
                _take_entry(record, entry, lane, query, found)
    return [each for each in found.values() if query.is_within(each.record.timestamp)]


def _take_output(record: ConsumerRecord, lane: LaneId, query: Query, found: dict[_Rank, FoundInput]) -> None:
    origin = origin_of(record.headers)
    if origin is None or origin[:2] != (lane.topic, lane.partition):
        return
    if query.at is None:
        if not any(needle in (record.value or b"") for needle in query.needles) and query.trace_id is None:
            return
    elif origin.offset != query.at.offset:
        return
    sent = read_verification(record.value) or read_rejection(record.value)
    rank = (origin.epoch, origin.offset)
    if sent is None:
        if rank in found or query.at is not None:  # a dead letter: it has no id
            found.setdefault(rank, _gone(lane, origin.offset, int(record.timestamp), None)).outputs.append(record)
        return
    ids = {query.event_id, as_repeated(query.event_id)} if query.event_id is not None else set()
    if query.at is None and sent.data.event.id not in ids and query.trace_id not in set(_trace_ids(record)):
        return
    received = (parse_instant(sent.data.decision.received) or 0) // 1000
    found.setdefault(rank, _gone(lane, origin.offset, received, sent.data.event.id)).outputs.append(record)


def _take_entry(
    record: ConsumerRecord, entry: Entry, lane: LaneId, query: Query, found: dict[_Rank, FoundInput]
) -> None:
    # Of any other entry, a marker of a transaction may stand at the place.
    if query.at is not None and entry.is_of_lost_offsets and accounts_for(entry, query.at.offset):
        found.setdefault((entry.epoch, query.at.offset), _gone(lane, query.at.offset, entry.received, None))
    for (epoch, offset), each in found.items():
        if entry.epoch == epoch and accounts_for(entry, offset):
            each.entries.append((record, entry))


def _trace_ids(record: ConsumerRecord) -> Iterator[str]:
    for name, value in record.headers:
        if name == TRACEPARENT and value is not None:
            with suppress(UnicodeDecodeError):
                if parent := parse_traceparent(value.decode()):
                    yield parent[1]


def _gone(lane: LaneId, offset: int, received: int, event_id: str | None) -> FoundInput:
    record = ConsumerRecord(
        lane.topic, lane.partition, offset, received, _TIMESTAMP_TYPE, None, None, None, -1, -1, ()
    )  # fmt: skip
    return FoundInput(record, None, has_bytes=False, event_id=event_id, is_gone=True)
