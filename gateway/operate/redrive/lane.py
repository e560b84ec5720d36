"""Puts one lane's rejected and dead-lettered events through again, beside the lane and without touching its position."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, ProducerFenced
from aiokafka.structs import ConsumerRecord

from gateway.adapters import kafka
from gateway.adapters.aiokafka_patches import cut_off
from gateway.adapters.own_signatures import load_record_signer
from gateway.adapters.settings import Settings
from gateway.adapters.signatures import load_key_ring
from gateway.adapters.topic_reader import Span, find_spans, read_spans
from gateway.adapters.topics import Topics
from gateway.core.decision import Decision, Outcome, decide
from gateway.core.reading import Identity
from gateway.core.recognition import Recognition
from gateway.errors import GatewayError
from gateway.relay.group import group_id_of
from gateway.relay.ledger import Output, build_entry, digest, entry_id, facets_of, outputs_digest, read_entry
from gateway.relay.ledger import Span as EntrySpan
from gateway.relay.transaction import MAX_BATCH_BYTES, REFUSED, send_in_transaction
from gateway.relay.turn import (
    CONTENT_TYPE,
    REDRIVE_HEADER,
    SUPERSEDES_HEADER,
    LaneId,
    build_output,
    destinations_of,
    origin_of,
)

Result = Literal["forward", "reject", "unchanged", "duplicate", "dead_letter", "expired", "refused"]
_CHUNK = 10_000
"""Candidates that are decided together: what is known of their ids costs a pass over the lane's outputs."""
_MOST_IN_A_TRANSACTION = 500


class _Event(msgspec.Struct):
    id: str
    source: str


class _Code(msgspec.Struct):
    code: str


class _Row(msgspec.Struct):
    row: int
    listed: bool


class _Made(msgspec.Struct):
    content_digest: str


class _Data(msgspec.Struct):
    """Of an output, what a redrive needs to know."""

    event: _Event | None = None
    reasons: tuple[_Code, ...] = ()
    error: _Code | None = None
    nearest_row: _Row | None = None
    responsible_units: tuple[str, ...] = ()
    decision: _Made | None = None


class _Output(msgspec.Struct):
    data: _Data


_decode = msgspec.json.Decoder(_Output).decode


@dataclass(frozen=True, slots=True)
class Candidate:
    """A rejection or dead letter as it stands now: nothing has superseded it. ``rejected_at`` in milliseconds."""

    topic: str
    partition: int
    offset: int
    origin: int
    rejected_at: int
    event_id: str | None
    codes: frozenset[str]
    row: int | None
    units: frozenset[str]

    @property
    def place(self) -> bytes:
        """Where it stands, as the record that supersedes it says so."""
        return f"{self.topic}/{self.partition}/{self.offset}".encode()

    @property
    def origin_in_words(self) -> str:
        """Where the event came in."""
        return f"input {self.partition}@{self.origin}"


@dataclass(frozen=True, slots=True)
class Again:
    """What became of a candidate: ``result``, and the new decision where there is one."""

    candidate: Candidate
    result: Result
    decision: Decision | None = None
    record: ConsumerRecord | None = None


@dataclass(slots=True)
class _Known:
    """What the lane's outputs say of one identity: content digests by input offset, and which were forwarded."""

    contents: dict[int, str] = field(default_factory=dict)
    forwarded: dict[int, str] = field(default_factory=dict)


@dataclass
class LaneRedrive:
    """The redrive of ``lane``: of the candidates that ``admits`` lets through."""

    settings: Settings
    lane: LaneId
    recognition: Recognition
    admits: Callable[[Candidate], bool]

    def __post_init__(self) -> None:
        topics, p = Topics(self.settings.topic_prefix), self.lane.partition
        self._topics = topics
        self._key_ring, self._signer = load_key_ring(self.settings), load_record_signer(self.settings)
        self._verification = TopicPartition(topics.verification(self.lane.province.other), p)
        self._refusals = [TopicPartition(topics.rejection(self.lane.province), p), TopicPartition(topics.deadletter, p)]
        self._source = TopicPartition(self.lane.topic, p)
        self._ledger = TopicPartition(topics.ledger, p)
        self._key = f"redrive-{self.lane}"
        self._previous: str | None = None
        self._producer: AIOKafkaProducer | None = None

    async def run(self, tell: Callable[[Again], None], *, write: bool) -> int:
        """Decide the candidates again, and ``write`` what changes; each result is told. Returns how many were written.

        Raises GatewayError where the broker fails in the middle: whole transactions before it stand, and count as redriven.
        """
        written = 0
        try:
            if write:
                await self._start_producer()
            async with kafka.consumer(self.settings) as consumer:
                consumer.assign([self._source, self._ledger, self._verification, *self._refusals])
                candidates = await self._find_candidates(consumer)
                self._previous = await self._previous_entry(consumer) if candidates else None
                for start in range(0, len(candidates), _CHUNK):
                    chunk = await self._with_inputs(consumer, candidates[start : start + _CHUNK])
                    changed = []
                    for again in await self._decide_again(consumer, chunk):
                        if again.result in {"forward", "reject"} and write:
                            changed.append(again)
                        else:
                            tell(again)
                    for first in range(0, len(changed), _MOST_IN_A_TRANSACTION):
                        written += await self._send(changed[first : first + _MOST_IN_A_TRANSACTION], tell)
        except ProducerFenced:
            raise GatewayError(f"another redrive of {self.lane} is at work; let it end, then run this again") from None
        except KafkaError as error:
            message = f"{self.lane}: the broker failed ({type(error).__name__}) after {written} events were redriven"
            raise GatewayError(f"{message}; run this again for the rest") from None
        finally:
            await self._stop_producer()
        return written

    async def _start_producer(self) -> None:
        self._producer = kafka.make_client(
            AIOKafkaProducer,
            self.settings,
            transactional_id=f"{group_id_of(self.settings)}-{self._key}",
            transaction_timeout_ms=self.settings.relay.transaction_timeout_ms,
            max_batch_size=MAX_BATCH_BYTES,
        )
        await self._producer.start()
        # Fences another redrive of the lane, and ends what it left: only then is what it wrote known for sure.
        await self._producer.begin_transaction()
        await self._producer.abort_transaction()

    async def _stop_producer(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await cut_off(producer)

    async def _find_candidates(self, consumer: AIOKafkaConsumer) -> list[Candidate]:
        """Those that are selected and that no later redrive has superseded, by input offset."""
        found: list[Candidate] = []
        superseded: set[bytes] = set()
        spans = await find_spans(consumer, [*self._refusals, self._verification])
        async for partition, records in read_spans(consumer, spans):
            for record in records:
                superseded.update(value for name, value in record.headers if name == SUPERSEDES_HEADER)
                if (
                    partition != self._verification
                    and (candidate := self._candidate(record))
                    and self.admits(candidate)
                ):
                    found.append(candidate)
        standing = [each for each in found if each.place not in superseded]
        return sorted(standing, key=lambda each: each.origin)

    def _candidate(self, record: ConsumerRecord) -> Candidate | None:
        origin = origin_of(record.headers)
        if origin is None or origin[:2] != (self.lane.topic, self.lane.partition):
            return None  # the other province's dead letter, or nobody's
        try:
            data = _decode(record.value or b"").data
        except msgspec.MsgspecError:
            return None
        codes = [reason.code for reason in data.reasons] + ([data.error.code] if data.error else [])
        row = data.nearest_row.row if data.nearest_row is not None and data.nearest_row.listed else None
        return Candidate(
            record.topic, record.partition, record.offset, origin[2], record.timestamp,
            data.event.id if data.event else None, frozenset(codes), row, frozenset(data.responsible_units),
        )  # fmt: skip

    async def _previous_entry(self, consumer: AIOKafkaConsumer) -> str | None:
        previous = None
        async for _, records in read_spans(consumer, await find_spans(consumer, [self._ledger])):
            for record in records:
                if record.key == self._key.encode() and read_entry(record.value) is not None:
                    previous = digest(self.settings.ledger.digest, [record.value])
        return previous

    async def _with_inputs(self, consumer: AIOKafkaConsumer, candidates: Sequence[Candidate]) -> list[Again]:
        """The candidates with their input records; those without are ``expired``."""
        kept = (await find_spans(consumer, [self._source]))[self._source]
        wanted, inputs = {each.origin for each in candidates}, dict[int, ConsumerRecord]()
        first, end = (max(kept.log_start, offset) for offset in (candidates[0].origin, candidates[-1].origin + 1))
        async for _, records in read_spans(consumer, {self._source: Span(kept.log_start, first, end)}):
            inputs.update((record.offset, record) for record in records if record.offset in wanted)
        return [Again(each, "expired", record=inputs.get(each.origin)) for each in candidates]

    async def _decide_again(self, consumer: AIOKafkaConsumer, chunk: Iterable[Again]) -> list[Again]:
        there = [each for each in chunk if each.record is not None]
        first = {each.candidate.origin: self._decide(each.record, {}) for each in there if each.record is not None}
        identities = {decision.identity for decision in first.values() if decision.identity}
        known = await self._what_is_known(consumer, identities)
        results = []
        for each in chunk:
            if each.record is None:
                results.append(each)
                continue
            decision = first[each.candidate.origin]
            if decision.identity and decision.reading:
                others = known.setdefault(decision.identity, _Known())
                earlier = {text for offset, text in others.contents.items() if offset < each.candidate.origin}
                if decision.reading.content_digest in others.forwarded.values():
                    results.append(Again(each.candidate, "duplicate", decision, each.record))
                    continue
                if earlier - {decision.reading.content_digest}:
                    # Other content came under this id before: that still stands against it.
                    seen = {decision.identity: tuple(earlier - {decision.reading.content_digest})}
                    decision = self._decide(each.record, seen)
                if decision.outcome is Outcome.FORWARD and decision.reading:
                    others.forwarded[each.candidate.origin] = decision.reading.content_digest
            results.append(Again(each.candidate, _result(each.candidate, decision), decision, each.record))
        return results

    def _decide(self, record: ConsumerRecord, seen: Mapping[Identity, tuple[str, ...]]) -> Decision:
        # Received when it first was: a decision does not depend on when it is made again.
        return decide(
            record.value or b"", self.lane.province, record.timestamp, self.recognition,
            key=record.key, headers=record.headers, seen=seen,
            signature=self._key_ring.verdict_on(self.lane.province, record),
        )  # fmt: skip

    async def _what_is_known(self, consumer: AIOKafkaConsumer, identities: set[Identity]) -> dict[Identity, _Known]:
        """What the lane has written of ``identities``."""
        known: dict[Identity, _Known] = {}
        spans = await find_spans(consumer, [self._verification, self._refusals[0]])
        async for partition, records in read_spans(consumer, spans):
            for record in records:
                origin = origin_of(record.headers)
                try:
                    data = _decode(record.value or b"").data
                except msgspec.MsgspecError:
                    continue
                if origin is None or data.event is None or data.decision is None:
                    continue
                identity = Identity(data.event.source, data.event.id)
                if identity in identities:
                    entry = known.setdefault(identity, _Known())
                    entry.contents[origin[2]] = data.decision.content_digest
                    if partition == self._verification:
                        entry.forwarded[origin[2]] = data.decision.content_digest
        return known

    async def _send(self, changed: list[Again], tell: Callable[[Again], None]) -> int:
        """Write one transaction; where the broker refuses a record, its halves, down to the one that it refuses."""
        assert self._producer is not None  # noqa: S101 — run() started it
        outputs, entry = self._build(changed)
        try:
            await send_in_transaction(self._producer, [*outputs, entry], self.lane.partition, {}, "")
        except REFUSED:
            await self._stop_producer()
            await self._start_producer()
            if len(changed) == 1:
                tell(Again(changed[0].candidate, "refused", changed[0].decision))
                return 0
            half = len(changed) // 2
            return await self._send(changed[:half], tell) + await self._send(changed[half:], tell)
        self._previous = digest(self.settings.ledger.digest, [entry.value])
        for again in changed:
            tell(again)
        return len(changed)

    def _build(self, changed: Sequence[Again]) -> tuple[list[Output], Output]:
        records = [again.record for again in changed if again.record is not None]
        decisions = [again.decision for again in changed if again.decision is not None]
        span = EntrySpan(
            self.lane.province, self.lane.topic, self.lane.partition, records[0].offset, records[-1].offset, len(records),
            records[-1].timestamp,
        )  # fmt: skip
        redrive, destinations = entry_id(span, self._previous).encode(), destinations_of(self.lane, self._topics)
        outputs = []
        for again, record, decision in zip(changed, records, decisions, strict=True):
            output = build_output(self.lane, record, decision, destinations[decision.outcome])
            headers = (*output.headers, (REDRIVE_HEADER, redrive), (SUPERSEDES_HEADER, again.candidate.place))
            outputs.append(msgspec.structs.replace(output, headers=headers, value=self._signed(output.value)))
        entry = build_entry(
            span, Counter(map(facets_of, decisions)), len(outputs),
            outputs_digest(self.settings.ledger.digest, outputs), self.recognition.digest, self._previous,
            redriven=[record.offset for record in records],
        )  # fmt: skip
        return outputs, Output(self._topics.ledger, self._key.encode(), self._signed(entry), (CONTENT_TYPE,))

    def _signed(self, value: bytes) -> bytes:
        return value if self._signer is None else self._signer.sign(value)


def _result(candidate: Candidate, decision: Decision) -> Result:
    if decision.outcome is Outcome.FORWARD:
        return "forward"
    if decision.outcome is Outcome.REJECT:
        # The same reasons again would only be said twice, and so on for ever.
        return "unchanged" if {code.value for code in decision.codes} == candidate.codes else "reject"
    return "dead_letter"
