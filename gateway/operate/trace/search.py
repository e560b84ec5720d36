"""``gateway trace``: one event's whole story, put together from the topics."""

import asyncio
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from gateway.adapters import kafka
from gateway.adapters.list_files import load_recognition
from gateway.adapters.partitioning import partition_of
from gateway.adapters.settings import Settings
from gateway.adapters.signatures import load_key_ring
from gateway.adapters.topic_reader import Span, UnreadablePartitionError, find_readable_spans, find_spans, read_spans
from gateway.contract.display_event import read_event
from gateway.contract.headers import Origin, origin_of
from gateway.contract.ledger_entry import Entry, read_entry
from gateway.contract.topics import LaneId, Topics, lanes_of
from gateway.core.decision import Outcome
from gateway.core.event import Reading, UnreadableError
from gateway.core.recognition import Recognition
from gateway.core.times import format_instant
from gateway.errors import ConfigurationError, UsageError
from gateway.feedback.state import read_state
from gateway.operate.epochs import Epochs
from gateway.operate.lane_pool import count_read, run_lanes
from gateway.operate.trace.gone import find_gone
from gateway.operate.trace.query import Query, accounts_for
from gateway.operate.trace.story import FoundInput, tell_story
from gateway.operate.unread import Unread, exit_code_of, report_unread, unread_by

_PLACE = re.compile(r"(?P<topic>[a-z.]+)/(?P<partition>[0-9]{1,9})[/@](?P<offset>[0-9]{1,18})")
_FETCH: dict[str, Any] = {"max_partition_fetch_bytes": 4_194_304, "fetch_max_wait_ms": 20}


@dataclass(frozen=True, slots=True)
class _Job:
    """The search of ``lane``; of inputs that are gone, ``known`` are the outputs of those that are not."""

    settings: Settings
    lane: LaneId
    query: Query
    known: frozenset[tuple[str, int, int]] = frozenset()


def parse_at(text: str, prefix: str = "") -> Origin:
    """Parse ``TOPIC/PARTITION/OFFSET`` of an input record, as commands print it: with the deployment's
    ``prefix`` or without, and with ``@`` before the offset too. Raises UsageError."""
    match = _PLACE.fullmatch(text.strip().removeprefix(prefix))
    if match is None or match["topic"] not in Topics().displays:
        raise UsageError(
            f"--at: '{text}' is not the TOPIC/PARTITION/OFFSET of an input, such as sichuan.display/3/1207",
            code="place_invalid",
        )
    return Origin(match["topic"], int(match["partition"]), int(match["offset"]))


def trace(settings: Settings, query: Query, key: str | None) -> tuple[dict[str, Any], int]:
    """Tell the story of all events that ``query`` finds; ``key`` is the holder's reference: it says in which
    partition.

    What could not be read is said on stderr, and gives the exit code that comes with the story; 0 where all
    could be read. Raises UsageError, BrokerUnreachableError, ConfigurationError.
    """
    topics = settings.topic_names
    # A mistake in them is said before anything is read.
    load_recognition(settings.recognition_dir)
    load_key_ring(settings)
    partitions = Counter(each.topic for each in asyncio.run(kafka.partitions_of(settings, list(topics.displays))))
    count = min(partitions.values())
    partition = query.partition if key is None else partition_of(key.encode(), count)
    lanes = [lane for lane in lanes_of(topics, partitions) if _is_wanted(lane, query, partition, settings.topic_prefix)]
    if not lanes:
        raise UsageError(f"there is no such partition: the topics have {count}, numbered from 0")
    size = asyncio.run(_size(settings, lanes, query))
    results = run_lanes(_trace_lane, [_Job(settings, lane, query) for lane in lanes], name="trace", size=size)
    if not all(_is_whole(each) for result in results for each in result.occurrences) or not any(
        result.occurrences for result in results
    ):
        known = frozenset(place for result in results for each in result.occurrences for place in _outputs_of(each))
        gone = [_Job(settings, lane, query, known) for lane in lanes]
        results += run_lanes(_trace_gone, gone, name="trace", size=size)
        for lane, result in zip(lanes, results[len(lanes) :], strict=True):
            result.unread = [] if results[lanes.index(lane)].unread else result.unread  # said already
    occurrences = sorted(
        (each for result in results for each in result.occurrences), key=lambda each: str(each["input"]["received"])
    )
    unread = [each for result in results for each in result.unread]
    unread += _add_standing(settings, [case for each in occurrences for case in each["cases"]])
    report_unread(unread)
    story = {
        "id": query.event_id,
        "trace_id": query.trace_id,
        "occurrences": occurrences,
        "searched": {
            "topics": sorted({lane.topic for lane in lanes}),
            "partitions": sorted({lane.partition for lane in lanes}),
            "partition_by_key": key is not None,
            "since": _in_words(query.since),
            "until": _in_words(query.until),
            "records": sum(result.read for result in results),
            "unread": [each.as_dict() for each in unread],
        },
    }
    return story, exit_code_of(unread, all_lanes=len(lanes))


def _is_whole(occurrence: dict[str, Any]) -> bool:
    """Tell whether all that the story speaks of was found: a duplicate's first occurrence too."""
    return occurrence["outcome"] != Outcome.DUPLICATE or occurrence["duplicate_of"] is not None


def _outputs_of(occurrence: dict[str, Any]) -> Iterator[tuple[str, int, int]]:
    return ((each["topic"], each["partition"], each["offset"]) for each in occurrence["outputs"])


def _add_standing(settings: Settings, cases: list[dict[str, Any]]) -> list[Unread]:
    """Say of each case where it stands, if feedback has run here; return what of feedback's topics could not
    be read."""
    if not cases:
        return []
    try:
        state = asyncio.run(read_state(settings))
    except ConfigurationError:
        return []
    except UnreadablePartitionError as error:
        return [unread_by(error, error.topic, error.partition, settings)]
    for case in cases:
        if case["id"] in state.cases:
            status = state.standing(state.cases[case["id"]]).status
            case["status"] = {"code": status.value, "zh": status.zh}
    return []


def _is_wanted(lane: LaneId, query: Query, partition: int | None, prefix: str) -> bool:
    if query.at is not None:
        return (lane.topic, lane.partition) == (prefix + query.at.topic, query.at.partition)
    return (query.province is None or lane.province is query.province) and partition in {None, lane.partition}


def _in_words(time_ms: int | None) -> str | None:
    return format_instant(time_ms * 1000) if time_ms is not None else None


async def _size(settings: Settings, lanes: list[LaneId], query: Query) -> int:
    async with kafka.consumer(settings) as consumer:
        wanted = [TopicPartition(lane.topic, lane.partition) for lane in lanes]
        spans = await find_readable_spans(consumer, wanted, since=query.since, until=query.until)
        return sum(span.end - span.start for span in spans.values())


@dataclass(slots=True)
class _LaneResult:
    """The occurrences in one lane, how many input records were looked at, and what could not be read."""

    occurrences: list[dict[str, Any]] = field(default_factory=list)
    read: int = 0
    unread: list[Unread] = field(default_factory=list)

    @contextmanager
    def noting_unread(self, job: _Job) -> Iterator[None]:
        """Note where a partition could not be read to its end, and go on."""
        try:
            yield
        except UnreadablePartitionError as error:
            self.unread.append(unread_by(error, error.topic, error.partition, job.settings))


def _trace_lane(job: _Job) -> _LaneResult:
    result = _LaneResult()
    try:
        asyncio.run(_search_lane(job, load_recognition(job.settings.recognition_dir), result))
    except Exception as error:  # noqa: BLE001 — whatever a topic holds, the other lanes are searched
        result.unread.append(unread_by(error, job.lane.topic, job.lane.partition, job.settings))
    return result


def _trace_gone(job: _Job) -> _LaneResult:
    """Find what is in the lane's outputs and entries of inputs that are no longer there."""
    result = _LaneResult()
    try:
        with result.noting_unread(job):
            asyncio.run(_search_gone(job, load_recognition(job.settings.recognition_dir), result))
    except Exception as error:  # noqa: BLE001 — as in ``_trace_lane``
        result.unread.append(unread_by(error, job.lane.topic, job.lane.partition, job.settings))
    return result


async def _search_gone(job: _Job, recognition: Recognition, result: _LaneResult) -> None:
    ledger, outputs = _written_by(job)
    async with kafka.consumer(job.settings, **_FETCH) as consumer:
        consumer.assign([ledger, *outputs])
        found = await find_gone(consumer, job.lane, job.query, ledger, outputs)
    new = [each for each in found if not any(_place_of(output) in job.known for output in each.outputs)]
    key_ring = load_key_ring(job.settings)
    for each in new:  # one by one: the same offset may have been another event in each log
        result.occurrences += tell_story(job.lane, [each], -1, recognition, key_ring)


def _place_of(record: ConsumerRecord) -> tuple[str, int, int]:
    return record.topic, record.partition, record.offset


def _written_by(job: _Job) -> tuple[TopicPartition, list[TopicPartition]]:
    """Return the ledger's partition and those of the outputs that the lane writes to."""
    lane, topics = job.lane, job.settings.topic_names
    names = (topics.verification(lane.province.other), topics.rejection(lane.province), topics.deadletter)
    return TopicPartition(topics.ledger, lane.partition), [TopicPartition(name, lane.partition) for name in names]


async def _search_lane(job: _Job, recognition: Recognition, result: _LaneResult) -> None:
    """Find the occurrences in one lane; where a partition cannot be read to its end, what stands before that
    is reported."""
    lane, source = job.lane, TopicPartition(job.lane.topic, job.lane.partition)
    ledger, outputs = _written_by(job)
    async with kafka.consumer(job.settings, **_FETCH) as consumer:
        consumer.assign([source, ledger, *outputs])
        found = dict[int, FoundInput]()
        with result.noting_unread(job):
            await _find_inputs(consumer, source, job.query, found, result)
        if not found:
            return
        first, decided_up_to, epochs = min(each.record.timestamp for each in found.values()), -1, Epochs()
        with result.noting_unread(job):
            decided_up_to = await _add_entries(consumer, ledger, lane, found, first, epochs)
        with result.noting_unread(job):
            await _add_outputs(consumer, outputs, lane, found, first, epochs)
    result.occurrences = tell_story(lane, list(found.values()), decided_up_to, recognition, load_key_ring(job.settings))


async def _find_inputs(
    consumer: AIOKafkaConsumer, source: TopicPartition, query: Query, found: dict[int, FoundInput], result: _LaneResult
) -> None:
    needles = query.needles
    span = (await find_spans(consumer, [source], since=query.since, until=query.until))[source]
    if query.at is not None:
        start = min(max(query.at.offset, span.log_start), span.end)
        span = Span(span.log_start, start, min(query.at.offset + 1, span.end))
    async for _, records in read_spans(consumer, {source: span}):
        result.read += len(records)
        count_read(len(records))
        for record in records:
            if query.at is None and not _may_be(record, needles):
                continue
            reading = _read(record)
            if query.at is not None or (reading is not None and query.is_for(reading)):
                found[record.offset] = FoundInput(record, reading)


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


async def _add_entries(
    consumer: AIOKafkaConsumer,
    ledger: TopicPartition,
    lane: LaneId,
    found: dict[int, FoundInput],
    since: int,
    epochs: Epochs,
) -> int:
    """Give the inputs their entries, and note the ``epochs``; return the last offset of the log that any
    accounts for, or -1."""
    kept, newest = list[tuple[ConsumerRecord, Entry]](), (0, -1)
    try:
        async for _, records in read_spans(consumer, await find_spans(consumer, [ledger], since=since)):
            for record in records:
                entry = read_entry(record.value)
                if entry is None or (entry.topic, entry.partition) != (lane.topic, lane.partition):
                    continue
                if entry.is_of_a_turn:
                    epochs.note(entry.epoch, entry.first_offset)
                    newest = max(newest, (entry.epoch, entry.last_offset))
                if any(accounts_for(entry, offset) for offset in found):
                    kept.append((record, entry))
    finally:  # as far as the ledger can be read
        for record, entry in kept:
            end = epochs.end_of(entry.epoch)
            for offset, each in found.items():
                if offset < end and accounts_for(entry, offset):
                    each.entries.append((record, entry))
    return newest[1]


async def _add_outputs(
    consumer: AIOKafkaConsumer, outputs: list[TopicPartition], lane: LaneId, found: dict[int, FoundInput], since: int,
    epochs: Epochs,
) -> None:  # fmt: skip
    """Give the inputs their outputs: of epochs that decided this record, and not another one at the same
    offset."""
    async for _, records in read_spans(consumer, await find_spans(consumer, outputs, since=since)):
        for record in records:
            origin = origin_of(record.headers)
            if origin is None or origin[:2] != (lane.topic, lane.partition) or origin.offset not in found:
                continue
            if origin.offset < epochs.end_of(origin.epoch):
                found[origin.offset].outputs.append(record)
