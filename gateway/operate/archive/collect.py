"""Reads from Kafka what a segment holds: a lane's next ledger entries, with their inputs and outputs.

Committed records only, and nothing is written or committed: where the archive stands, its manifests say.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import NotLeaderForPartitionError
from aiokafka.structs import ConsumerRecord

from gateway.adapters import hidden_ends
from gateway.adapters.kafka_requests import raw_client
from gateway.adapters.log_facts import describe_logs
from gateway.adapters.settings import Settings
from gateway.adapters.topic_reader import Span, find_spans, read_spans
from gateway.adapters.unreadable import UnreadableRecord, input_digest_of
from gateway.contract.display_event import read_event
from gateway.contract.headers import origin_of
from gateway.contract.ledger_entry import Entry, read_entry
from gateway.contract.outputs import destinations_of
from gateway.contract.topics import LaneId
from gateway.core.decision import Outcome
from gateway.core.event import UnreadableError
from gateway.errors import ConfigurationError
from gateway.operate.archive.manifest import Lost, Position
from gateway.operate.archive.rows import DEAD_LETTERS, REJECTIONS, VERIFICATIONS, Input
from gateway.operate.audit.redriven import redrive_of
from gateway.operate.audit.stream import BEFORE_ALL, Rank, RankOf, Stream, see_new_ends

FILES = {Outcome.FORWARD: VERIFICATIONS, Outcome.REJECT: REJECTIONS, Outcome.DEAD_LETTER: DEAD_LETTERS}
"""In which file the record of an outcome stands."""

Outputs = dict[Rank, tuple[str, ConsumerRecord]]
"""Outputs by their inputs' place, each with its file."""

_MARGIN_MS = 60_000
"""By how much an output may be older than the ledger entry of its transaction."""
_INPUT_BYTES = 150
"""What an input takes without its value."""


@dataclass(frozen=True, slots=True)
class Collected:
    """A ledger entry, at ``record``, with what it accounts for; ``lost`` is what of that its topics no
    longer hold.

    ``outputs`` are in their inputs' order. ``next`` is where the lane's next entry begins. ``size`` is in
    bytes.
    """

    record: ConsumerRecord
    entry: Entry
    inputs: Sequence[Input]
    outputs: Sequence[tuple[str, ConsumerRecord]]
    lost: Sequence[Lost]
    next: Position
    size: int


@dataclass
class LaneCollector:
    """Collects the entries of ``lane`` from ``start`` on; None: from the first one that is kept.

    ``entries`` and ``records`` are consumers of its own; ``with_bytes`` says whether the inputs' bytes
    count.
    """

    settings: Settings
    lane: LaneId
    entries: AIOKafkaConsumer
    records: AIOKafkaConsumer
    start: Position | None
    with_bytes: bool
    ledger_span: Span = field(init=False)
    waits_for: str | None = field(init=False, default=None)
    """A partition whose newest records an open transaction hides; nothing is collected beyond that."""
    stopped_at: int | None = field(init=False, default=None)
    """When the entry was written at which that is so, in milliseconds since the epoch."""
    _position: Position = field(init=False)
    _redriven: dict[str, dict[Rank, tuple[str, ConsumerRecord]]] = field(init=False, default_factory=dict)
    _streams: dict[str, Stream] = field(init=False, default_factory=dict)
    _source: Stream | None = field(init=False, default=None)
    _covered: Rank = field(init=False, default=BEFORE_ALL)
    _deadline: float | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        p, topics = self.lane.partition, self.settings.topic_names
        self.ledger = TopicPartition(topics.ledger, p)
        self._inputs = TopicPartition(self.lane.topic, p)
        self._topics = {FILES[outcome]: topic for outcome, topic in destinations_of(self.lane, topics).items()}
        self._partitions = [TopicPartition(topic, p) for topic in self._topics.values()]

    async def open(self) -> int:
        """Find out how far the ledger reaches; return at how many of its offsets nothing was collected.

        That is as far as it can be read: ``standing.hidden_ledgers`` says beforehand whether it is all.
        Raises ConfigurationError where the ledger is another one than the archive's.
        """
        self.entries.assign([self.ledger])
        self.records.assign([self._inputs, *self._partitions])
        span = (await find_spans(self.entries, [self.ledger]))[self.ledger]
        begin = self.start.ledger if self.start is not None else span.log_start
        if begin > span.end:
            raise ConfigurationError(
                f"the archive holds {self.ledger.topic}/{self.ledger.partition} up to offset {begin - 1}, and here it ends at "
                f"{span.end - 1}: this is another ledger. Archive it into a folder of its own"
            )
        self.ledger_span = Span(span.log_start, max(begin, span.log_start), span.end)
        return span.end - self.ledger_span.start

    async def first(self) -> tuple[ConsumerRecord, Entry] | None:
        """Return the first entry that was not archived; None where there is none."""
        async for record, entry in self._read_entries():
            return record, entry
        return None

    async def collect(self) -> AsyncIterator[Collected]:
        """Yield the entries with what they account for, up to the ledger's end as it was, or to an open
        transaction."""
        before = await self._lost_entries()
        async for record, entry in self._read_entries():
            if not self._streams:
                await self._open_streams(record)
            lost = before
            before = []
            outputs, missing = await self._take_outputs(record, entry)
            if self.waits_for is not None:
                self.stopped_at = record.timestamp
                return
            inputs, gone = await self._take_inputs(record, entry, outputs, is_whole=not missing)
            self._position = self._position_after(record, entry, outputs)
            size = len(record.value) + sum(len(each.value or b"") for _, each in outputs.values())
            size += sum(_INPUT_BYTES + self.with_bytes * len(each.record.value or b"") for each in inputs)
            yield Collected(
                record, entry, inputs, list(outputs.values()), [*lost, *missing, *gone], self._position, size
            )

    async def _read_entries(self) -> AsyncIterator[tuple[ConsumerRecord, Entry]]:
        key = str(self.lane).encode()
        async for _, records in read_spans(self.entries, {self.ledger: self.ledger_span}):
            for record in records:
                entry = read_entry(record.value) if record.key == key else None
                if entry is not None and (entry.topic, entry.partition) == (self.lane.topic, self.lane.partition):
                    yield record, entry

    async def _lost_entries(self) -> list[Lost]:
        """Name the offsets of the ledger that went before they were archived."""
        start, log_start = self.start, self.ledger_span.log_start
        if start is None or log_start <= start.ledger:
            return []
        return [Lost("ledger", self.ledger.topic, self.ledger.partition, start.ledger, log_start - 1, None)]

    async def _open_streams(self, first: ConsumerRecord) -> None:
        """Begin to read the outputs, once it is known from where on."""
        since = first.timestamp - _MARGIN_MS if self.start is None else None
        spans = await find_spans(self.records, self._partitions, since=since)
        async with raw_client(self.settings) as client:
            facts = (await describe_logs(client, [self._inputs])).get(self._inputs)
        if facts is None:  # another log under the same name would not be noticed
            raise NotLeaderForPartitionError
        self._topic_id = facts.topic_id
        for (file, topic), partition in zip(self._topics.items(), self._partitions, strict=True):
            span = spans[partition]
            if self.start is not None:
                begin = min(max(self.start.outputs.get(topic, span.log_start), span.log_start), span.end)
                span = Span(span.log_start, begin, span.end)
            self._streams[file] = Stream(self.records, partition, span, self._rank_in(file))
        outputs = {self._topics[file]: stream.span.start for file, stream in self._streams.items()}
        if self.start is not None:
            self._covered = (self.start.epoch, self.start.input - 1)
            self._position = Position(first.offset, self.start.epoch, self.start.input, outputs)
        else:
            self._position = Position(first.offset, 0, 0, outputs)

    def _rank_in(self, file: str) -> RankOf:
        def rank(record: ConsumerRecord) -> Rank | None:
            origin = origin_of(record.headers)
            if origin is None or origin[:2] != (self.lane.topic, self.lane.partition) or record.value is None:
                return None
            redrive = redrive_of(record)
            if redrive is None:
                return origin.epoch, origin.offset
            self._redriven.setdefault(redrive, {}).setdefault((origin.epoch, origin.offset), (file, record))
            return None

        return rank

    async def _take_outputs(self, record: ConsumerRecord, entry: Entry) -> tuple[Outputs, list[Lost]]:
        """Take the outputs of ``entry``, in their inputs' order; wait a moment for what is just being
        committed."""
        found: Outputs = {}
        take = self._take_redriven if entry.redriven is not None else self._take_of_turn
        await take(entry, found)
        ends = hidden_ends.HiddenEnds(self.settings, self._partitions)
        while len(found) < entry.outputs:
            hidden = await ends.look()
            await see_new_ends(self.records, list(self._streams.values()))
            await take(entry, found)
            if not hidden or len(found) >= entry.outputs:
                break
            # For all entries together that is waited for once: an open transaction may last.
            self._deadline = self._deadline or time.monotonic() + hidden_ends.SETTLE_S
            if time.monotonic() > self._deadline:
                self.waits_for = hidden_ends.named(hidden[0])
                break
            await asyncio.sleep(hidden_ends.AGAIN_S)
        self._redriven.pop(entry.id, None)
        return dict(sorted(found.items())), self._missing(record, entry, found)

    async def _take_of_turn(self, entry: Entry, found: Outputs) -> None:
        first, last = (entry.epoch, entry.first_offset), (entry.epoch, entry.last_offset)
        for file, stream in self._streams.items():
            for rank, each in await stream.take_through(last):
                if rank >= first:
                    found.setdefault(rank, (file, each))
        if len(found) < entry.outputs:
            # What was restored stands behind later ones.
            for file, stream in self._streams.items():
                for rank, each in await stream.look_further(last) if stream.has_more else ():
                    if rank >= first:
                        found.setdefault(rank, (file, each))

    async def _take_redriven(self, entry: Entry, found: Outputs) -> None:
        for stream in self._streams.values():
            await stream.take_through(self._covered)
        found |= self._redriven.get(entry.id, {})

    def _missing(self, record: ConsumerRecord, entry: Entry, found: Outputs) -> list[Lost]:
        missing = []
        for outcome, file in FILES.items():
            here = sum(each == file for each, _ in found.values())
            expected = sum(count.count for count in entry.counts if count.outcome == outcome)
            if here < expected:
                place = (self._topics[file], self.lane.partition, None, None)
                missing.append(Lost("outputs", *place, expected - here, record.offset))
        return missing

    async def _take_inputs(
        self, record: ConsumerRecord, entry: Entry, outputs: Outputs, *, is_whole: bool
    ) -> tuple[list[Input], list[Lost]]:
        """Take the inputs up to the end of ``entry``, those too of which no entry speaks; and what is
        gone of them."""
        if not entry.is_of_a_turn:
            return [], []
        gone = Lost(
            "inputs", self.lane.topic, self.lane.partition, entry.first_offset, entry.last_offset, entry.records,
            record.offset,
        )  # fmt: skip
        if entry.topic_id is not None and self._topic_id is not None and entry.topic_id != self._topic_id:
            return [], [gone] if entry.records else []
        if entry.first_offset > entry.last_offset:
            return [], []
        stream = self._source
        if stream is None or entry.epoch != self._position.epoch:
            stream = self._source = await self._open_source(entry)
        taken = [each for _, each in await stream.take_through((0, entry.last_offset))]
        inputs = []
        for each in taken:
            is_its = each.offset >= entry.first_offset and not entry.is_of_lost_offsets
            output = outputs.get((entry.epoch, each.offset)) if is_its else None
            outcome, event_id = None, None
            if output is not None:
                outcome = next(outcome.value for outcome, file in FILES.items() if file == output[0])
            elif is_its and is_whole:
                outcome, event_id = Outcome.DUPLICATE.value, _event_id(each)
            number = record.offset if is_its else None
            inputs.append(Input(each, input_digest_of(each), entry.epoch, number, outcome, event_id))
        short = entry.records - sum(each.entry is not None for each in inputs)
        if short <= 0:
            return inputs, []
        last = min(entry.last_offset, stream.span.log_start - 1)
        if last < entry.first_offset:
            last = entry.last_offset
        return inputs, [
            Lost("inputs", self.lane.topic, self.lane.partition, entry.first_offset, last, short, record.offset)
        ]

    async def _open_source(self, entry: Entry) -> Stream:
        span = (await find_spans(self.records, [self._inputs]))[self._inputs]
        goes_on = self.start is not None and entry.epoch == self._position.epoch
        begin = min(self._position.input, entry.first_offset) if goes_on else entry.first_offset
        begin = min(max(begin, span.log_start), span.end)
        return Stream(self.records, self._inputs, Span(span.log_start, begin, span.end), lambda each: (0, each.offset))

    def _position_after(self, record: ConsumerRecord, entry: Entry, outputs: Outputs) -> Position:
        before = self._position
        epoch, place = before.epoch, before.input
        if entry.is_of_a_turn:
            epoch, place = entry.epoch, entry.last_offset + 1
            self._covered = (entry.epoch, entry.last_offset)
        behind = dict(before.outputs)
        for _, output in outputs.values():
            behind[output.topic] = max(behind[output.topic], output.offset + 1)
        return Position(record.offset + 1, epoch, place, behind)


def _event_id(record: ConsumerRecord) -> str | None:
    """Return the id of an input that has no output to say it, as every record of ours would repeat it."""
    if isinstance(record, UnreadableRecord):
        return None
    try:
        return read_event(record.value or b"", record.headers, key=record.key).id
    except UnreadableError:
        return None
