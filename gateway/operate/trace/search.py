"""``gateway trace``: one event's whole story, put together from the topics."""

import asyncio
import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.partitioner import murmur2
from aiokafka.structs import ConsumerRecord

from gateway.adapters import kafka
from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import Settings
from gateway.adapters.signatures import load_key_ring
from gateway.adapters.topic_reader import Span, find_spans, read_spans
from gateway.contract.display_event import read_event
from gateway.contract.headers import Origin, origin_of, trace_id
from gateway.contract.ledger_entry import Entry, read_entry
from gateway.contract.topics import LaneId, Topics, lanes_of
from gateway.core.event import Reading, UnreadableError
from gateway.core.province import Province
from gateway.core.recognition import Recognition
from gateway.core.times import format_instant
from gateway.errors import ConfigurationError, UsageError
from gateway.feedback.state import read_state
from gateway.operate.lane_pool import count_read, run_lanes
from gateway.operate.trace.story import Found, tell

_FETCH: dict[str, Any] = {"max_partition_fetch_bytes": 4_194_304, "fetch_max_wait_ms": 20}


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for, and where. Times in milliseconds since the epoch, of the broker; None is open.

    Either ``event_id``, ``trace_id`` (32 hex digits), or ``at``, whose topic is without the deployment's prefix.
    """

    event_id: str | None = None
    trace_id: str | None = None
    at: Origin | None = None
    province: Province | None = None
    partition: int | None = None
    since: int | None = None
    until: int | None = None

    def is_for(self, reading: Reading) -> bool:
        """Tell whether that is the event, or one of them."""
        return reading.id == self.event_id or (self.trace_id is not None and trace_id(reading.carried) == self.trace_id)

    @property
    def needles(self) -> list[bytes]:
        """What must stand in a record for it to be worth reading: the id as it is, and as JSON may escape it."""
        text = self.event_id if self.event_id is not None else self.trace_id or ""
        return list(
            {text.encode(), json.dumps(text)[1:-1].encode(), json.dumps(text, ensure_ascii=False)[1:-1].encode()}
        )


@dataclass(frozen=True, slots=True)
class _Job:
    settings: Settings
    lane: LaneId
    query: Query


def parse_at(text: str) -> Origin:
    """Parse ``TOPIC/PARTITION/OFFSET`` of an input record. Raises UsageError."""
    topic, _, rest = text.partition("/")
    partition, _, offset = rest.partition("/")
    if topic not in Topics().displays or not (partition.isdecimal() and offset.isdecimal()):
        raise UsageError(f"--at: {text} is no TOPIC/PARTITION/OFFSET of an input, such as sichuan.display/3/1207")
    return Origin(topic, int(partition), int(offset))


def trace(settings: Settings, query: Query, key: str | None) -> dict[str, Any]:
    """Tell the story of all events that ``query`` finds; ``key`` is the holder's reference: it says in which partition.

    Raises UsageError, BrokerUnreachableError, ConfigurationError.
    """
    topics = settings.topic_names
    # A mistake in them is said before anything is read.
    load_recognition(settings.recognition_dir)
    load_key_ring(settings)
    partitions = Counter(each.topic for each in asyncio.run(kafka.partitions_of(settings, list(topics.displays))))
    count = min(partitions.values())
    partition = query.partition if key is None else (murmur2(key.encode()) & 0x7FFFFFFF) % count
    lanes = [lane for lane in lanes_of(topics, partitions) if _is_wanted(lane, query, partition, settings.topic_prefix)]
    if not lanes:
        raise UsageError(f"there is no such partition: the topics have {count}, numbered from 0")
    size = asyncio.run(_size(settings, lanes, query))
    results = run_lanes(_trace_lane, [_Job(settings, lane, query) for lane in lanes], name="trace", size=size)
    occurrences = sorted(
        (each for found, _ in results for each in found), key=lambda each: str(each["input"]["received"])
    )
    _add_standing(settings, [case for each in occurrences for case in each["cases"]])
    return {
        "id": query.event_id,
        "trace_id": query.trace_id,
        "occurrences": occurrences,
        "searched": {
            "topics": sorted({lane.topic for lane in lanes}),
            "partitions": sorted({lane.partition for lane in lanes}),
            "partition_by_key": key is not None,
            "since": _in_words(query.since),
            "until": _in_words(query.until),
            "records": sum(read for _, read in results),
        },
    }


def _add_standing(settings: Settings, cases: list[dict[str, Any]]) -> None:
    """Say of each case where it stands, if feedback has run here."""
    if not cases:
        return
    try:
        state = asyncio.run(read_state(settings))
    except ConfigurationError:
        return
    for case in cases:
        if case["id"] in state.cases:
            status = state.standing(state.cases[case["id"]]).status
            case["status"] = f"{status.zh} {status}"


def _is_wanted(lane: LaneId, query: Query, partition: int | None, prefix: str) -> bool:
    if query.at is not None:
        return (lane.topic, lane.partition) == (prefix + query.at.topic, query.at.partition)
    return (query.province is None or lane.province is query.province) and partition in {None, lane.partition}


def _in_words(time_ms: int | None) -> str | None:
    return format_instant(time_ms * 1000) if time_ms is not None else None


async def _size(settings: Settings, lanes: list[LaneId], query: Query) -> int:
    async with kafka.consumer(settings) as consumer:
        wanted = [TopicPartition(lane.topic, lane.partition) for lane in lanes]
        spans = await find_spans(consumer, wanted, since=query.since, until=query.until)
        return sum(span.end - span.start for span in spans.values())


def _trace_lane(job: _Job) -> tuple[list[dict[str, Any]], int]:
    return asyncio.run(_search_lane(job, load_recognition(job.settings.recognition_dir)))


async def _search_lane(job: _Job, recognition: Recognition) -> tuple[list[dict[str, Any]], int]:
    """Find the occurrences in one lane, and how many input records were looked at."""
    lane, topics, p = job.lane, job.settings.topic_names, job.lane.partition
    source, ledger = TopicPartition(lane.topic, p), TopicPartition(topics.ledger, p)
    outputs = [
        TopicPartition(topic, p)
        for topic in (topics.verification(lane.province.other), topics.rejection(lane.province), topics.deadletter)
    ]
    async with kafka.consumer(job.settings, **_FETCH) as consumer:
        consumer.assign([source, ledger, *outputs])
        found, read = await _find_inputs(consumer, source, job.query)
        if not found:
            return [], read
        first = min(each.record.timestamp for each in found.values())
        await _add_outputs(consumer, outputs, lane, found, first)
        decided_up_to = await _add_entries(consumer, ledger, lane, found, first)
    return tell(lane, list(found.values()), decided_up_to, recognition, load_key_ring(job.settings)), read


async def _find_inputs(
    consumer: AIOKafkaConsumer, source: TopicPartition, query: Query
) -> tuple[dict[int, Found], int]:
    found, read, needles = dict[int, Found](), 0, query.needles
    span = (await find_spans(consumer, [source], since=query.since, until=query.until))[source]
    if query.at is not None:
        start = min(max(query.at.offset, span.log_start), span.end)
        span = Span(span.log_start, start, min(query.at.offset + 1, span.end))
    async for _, records in read_spans(consumer, {source: span}):
        read += len(records)
        count_read(len(records))
        for record in records:
            if query.at is None and not _may_be(record, needles):
                continue
            reading = _read(record)
            if query.at is not None or (reading is not None and query.is_for(reading)):
                found[record.offset] = Found(record, reading)
    return found, read


def _may_be(record: ConsumerRecord, needles: list[bytes]) -> bool:
    value = record.value or b""
    return (
        any(
            needle in value
            or any(needle in (content or b"") for name, content in record.headers if name.startswith("ce_"))
            for needle in needles
        )
        or b"\\u00" in value
    )  # an escape may stand for any letter or digit


def _read(record: ConsumerRecord) -> Reading | None:
    try:
        return read_event(record.value or b"", record.headers, key=record.key)
    except UnreadableError:
        return None


async def _add_outputs(
    consumer: AIOKafkaConsumer, outputs: list[TopicPartition], lane: LaneId, found: dict[int, Found], since: int
) -> None:
    async for _, records in read_spans(consumer, await find_spans(consumer, outputs, since=since)):
        for record in records:
            origin = origin_of(record.headers)
            if origin is not None and origin[:2] == (lane.topic, lane.partition) and origin.offset in found:
                found[origin.offset].outputs.append(record)


async def _add_entries(
    consumer: AIOKafkaConsumer, ledger: TopicPartition, lane: LaneId, found: dict[int, Found], since: int
) -> int:
    """Give the inputs their entries; return the last input offset that any entry accounts for, -1 for none."""
    last = -1
    async for _, records in read_spans(consumer, await find_spans(consumer, [ledger], since=since)):
        for record in records:
            entry = read_entry(record.value)
            if entry is None or (entry.topic, entry.partition) != (lane.topic, lane.partition):
                continue
            if entry.redriven is None:
                last = max(last, entry.last_offset)
            for offset, each in found.items():
                if _accounts_for(entry, offset):
                    each.entries.append((record, entry))
    return last


def _accounts_for(entry: Entry, offset: int) -> bool:
    return offset in entry.redriven if entry.redriven is not None else entry.first_offset <= offset <= entry.last_offset
