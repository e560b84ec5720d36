"""Puts one lane's rejected and dead-lettered events through again: takes the lane over, and writes into its
own chain.

Whoever holds the lane's transactional id is the lane, so nothing can be forwarded beside a redrive: a
running worker is fenced, pauses, opens the lane again, and learns from the ledger what the redrive
forwarded.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, ProducerFenced
from aiokafka.structs import ConsumerRecord

from gateway.adapters import kafka
from gateway.adapters.own_signatures import load_record_signer
from gateway.adapters.settings import Settings
from gateway.adapters.signatures import load_key_ring
from gateway.adapters.topic_reader import Span, find_spans, read_spans
from gateway.adapters.unreadable import UnreadableRecord, dead_letter_of, input_digest_of
from gateway.contract.dead_letter import read_dead_letter
from gateway.contract.facets import facets_of
from gateway.contract.headers import CONTENT_TYPE, REDRIVE_HEADER, REMEMBERED_HEADER, SUPERSEDES_HEADER, origin_of
from gateway.contract.ledger_entry import EntrySpan, InputLog, build_entry, entry_id, input_line
from gateway.contract.outputs import Output, build_output
from gateway.contract.rejection import read_rejection
from gateway.contract.topics import LaneId
from gateway.contract.verification import read_verification
from gateway.core.dead_letter_codes import DeadLetterCode
from gateway.core.decision import DeadLetter, Decision, Duplicate, Forward
from gateway.core.event import Identity, Valid
from gateway.core.recognition import Recognition, RowRef
from gateway.core.times import china_date
from gateway.decide import decide_bytes
from gateway.errors import GatewayError
from gateway.operate.takeover import Takeover
from gateway.operate.visible import require_visible
from gateway.relay.continuity import Standing
from gateway.relay.horizon import Horizon
from gateway.relay.transaction import REFUSED

Result = Literal["forward", "reject", "unchanged", "duplicate", "dead_letter", "unreadable", "expired", "refused"]
_CHUNK = 10_000
"""Candidates that are decided together: what was forwarded under their ids costs a pass over the lane's
outputs."""
_MOST_IN_A_TRANSACTION = 500
_MOST_TAKEOVERS = 5

_Contents = dict[Identity, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A rejection or dead letter as it stands now: nothing has superseded it. ``rejected_at`` in
    milliseconds.

    ``origin`` is its input's offset in the log of ``epoch``, and ``input_digest`` tells whether that record
    is still there.
    """

    topic: str
    partition: int
    offset: int
    epoch: int
    origin: int
    rejected_at: int
    input_digest: str
    event_id: str | None
    codes: frozenset[str]
    row: RowRef | None
    units: frozenset[str]

    @property
    def place(self) -> bytes:
        """Where it stands, as the record that supersedes it says so."""
        return f"{self.topic}/{self.partition}/{self.offset}".encode()

    @property
    def origin_in_words(self) -> str:
        """Where the event came in."""
        return f"input {self.partition}/{self.origin}"


@dataclass(frozen=True, slots=True)
class Redecided:
    """What became of a candidate: ``result``, and the new decision where there is one."""

    candidate: Candidate
    result: Result
    decision: Decision | None = None


@dataclass(frozen=True, slots=True)
class _Change:
    """A candidate that gives a new record: its input record and the decision on it."""

    candidate: Candidate
    result: Result
    decision: Decision
    record: ConsumerRecord

    @property
    def redecided(self) -> Redecided:
        return Redecided(self.candidate, self.result, self.decision)

    @property
    def epoch_and_day(self) -> tuple[int, str]:
        """What one entry is of: feedback counts it on the day on which its last record was received."""
        return self.candidate.epoch, china_date(self.record.timestamp * 1000)


@dataclass
class LaneRedrive:
    """The redrive of ``lane``: of the candidates that ``admits`` lets through; ``report`` is called with
    each result."""

    settings: Settings
    lane: LaneId
    recognition: Recognition
    admits: Callable[[Candidate], bool]
    report: Callable[[Redecided], None]

    def __post_init__(self) -> None:
        topics, p = self.settings.topic_names, self.lane.partition
        self._topics = topics
        self._key_ring, self._signer = load_key_ring(self.settings), load_record_signer(self.settings)
        self._verification = TopicPartition(topics.verification(self.lane.province.other), p)
        self._refusals = [TopicPartition(topics.rejection(self.lane.province), p), TopicPartition(topics.deadletter, p)]
        self._source = TopicPartition(self.lane.topic, p)
        self._takeover = Takeover(self.settings, self.lane)
        # Reported already, by place; and what a transaction held of which nobody knows whether it was
        # committed.
        self._reported: set[bytes] = set()
        self._written = 0
        self._in_doubt: list[_Change] = []

    async def run(self, *, write: bool) -> int:
        """Decide the candidates again, and ``write`` what changes; returns how many were written.

        Only who writes takes the lane over. Raises GatewayError where the broker fails in the middle, or
        where the lane's own worker takes it back again and again: whole transactions before that stand, and
        count as redriven.
        """
        try:
            for _ in range(_MOST_TAKEOVERS):
                try:
                    await self._redrive(write=write)
                except ProducerFenced:
                    # The lane's worker has opened it again, or another redrive is at work.
                    await self._takeover.end()
                else:
                    return self._written
        except KafkaError as error:
            message = (
                f"{self.lane}: the broker failed ({type(error).__name__}) after {self._written} events were redriven"
            )
            raise GatewayError(f"{message}; run this again for the rest") from None
        finally:
            await self._takeover.end()
        message = f"{self.lane} was taken back {_MOST_TAKEOVERS} times, after {self._written} events were redriven"
        raise GatewayError(f"{message}; let another redrive end, or stop the workers, then run this again for the rest")

    async def _redrive(self, *, write: bool) -> None:
        # Before anything is read: what the lane had pending has then ended, and nobody adds to it.
        standing = await self._takeover.begin(only_if_continuous=True) if write else None
        async with kafka.consumer(self.settings) as consumer:
            consumer.assign([self._source, self._verification, *self._refusals])
            candidates = await self._find_candidates(consumer)
            if candidates and standing is not None and standing.entry is None:
                raise GatewayError(f"{self.lane}: neither group nor ledger says where it stands; run its worker first")
            for start in range(0, len(candidates), _CHUNK):
                changes = await self._decide_again(consumer, candidates[start : start + _CHUNK])
                if not write:
                    self._report_all(changes)
                    continue
                for _, together in groupby(changes, lambda change: change.epoch_and_day):
                    those = list(together)
                    for first in range(0, len(those), _MOST_IN_A_TRANSACTION):
                        await self._send(those[first : first + _MOST_IN_A_TRANSACTION])

    async def _find_candidates(self, consumer: AIOKafkaConsumer) -> list[Candidate]:
        """Find those that are selected, that no later redrive has superseded and that were not reported; by
        input offset."""
        found: list[Candidate] = []
        superseded: set[bytes] = set()
        await require_visible(self.settings, [*self._refusals, self._verification])
        spans = await find_spans(consumer, [*self._refusals, self._verification])
        async for partition, records in read_spans(consumer, spans):
            for record in records:
                superseded.update(value for name, value in record.headers if name == SUPERSEDES_HEADER and value)
                if (
                    partition != self._verification
                    and (candidate := self._candidate(record))
                    and self.admits(candidate)
                ):
                    found.append(candidate)
        in_doubt, self._in_doubt = self._in_doubt, []
        self._confirm([change for change in in_doubt if change.candidate.place in superseded])
        known = superseded | self._reported
        return sorted((each for each in found if each.place not in known), key=lambda each: (each.epoch, each.origin))

    def _candidate(self, record: ConsumerRecord) -> Candidate | None:
        origin = origin_of(record.headers)
        if origin is None or origin[:2] != (self.lane.topic, self.lane.partition):
            return None  # the other province's dead letter, or nobody's
        place = (record.topic, record.partition, record.offset, origin.epoch, origin.offset, record.timestamp)
        if rejection := read_rejection(record.value):
            data, nearest = rejection.data, rejection.data.nearest_row
            row = RowRef(nearest.batch, nearest.row) if nearest is not None and nearest.listed else None
            codes = frozenset(reason.code.value for reason in data.reasons)
            digest = data.decision.input_digest
            return Candidate(*place, digest, data.event.id, codes, row, frozenset(data.responsible_units))
        if letter := read_dead_letter(record.value):
            codes = frozenset({letter.data.error.code.value})
            return Candidate(*place, letter.data.input_digest, None, codes, None, frozenset())
        return None

    async def _decide_again(self, consumer: AIOKafkaConsumer, candidates: Sequence[Candidate]) -> list[_Change]:
        """Decide the candidates by their input records; report those that give no new record, and return the
        others."""
        inputs = await self._read_inputs(consumer, candidates)
        first = {offset: self._decide(record, {}) for offset, record in inputs.items()}
        identities = {identity for each in first.values() if (identity := _identity(each))}
        forwarded = await self._read_forwarded(consumer, identities)
        changes = []
        for candidate in candidates:
            record = inputs.get(candidate.origin)
            if record is None or input_digest_of(record) != candidate.input_digest:
                # Gone, or another one at the same offset: the log was recreated, or cut back.
                self._report_all([Redecided(candidate, "expired")])
                continue
            decision = first[candidate.origin]
            if _identity(decision) in forwarded:
                decision = self._decide(record, forwarded)
            result = _result(candidate, decision)
            if isinstance(decision, Forward):
                identity = decision.reading.identity
                forwarded[identity] = (*forwarded.get(identity, ()), decision.reading.content_digest)
            if result in {"forward", "reject"}:
                changes.append(_Change(candidate, result, decision, record))
            else:
                self._report_all([Redecided(candidate, result, decision)])
        return changes

    async def _read_inputs(
        self, consumer: AIOKafkaConsumer, candidates: Sequence[Candidate]
    ) -> dict[int, ConsumerRecord]:
        """Read the candidates' input records, as far as they are kept; by offset."""
        kept = (await find_spans(consumer, [self._source]))[self._source]
        wanted, inputs = {each.origin for each in candidates}, dict[int, ConsumerRecord]()
        first, end = (max(kept.log_start, offset) for offset in (min(wanted), max(wanted) + 1))
        async for _, records in read_spans(consumer, {self._source: Span(kept.log_start, first, min(end, kept.end))}):
            inputs.update((record.offset, record) for record in records if record.offset in wanted)
        return inputs

    def _decide(self, record: ConsumerRecord, forwarded: Mapping[Identity, tuple[str, ...]]) -> Decision:
        if isinstance(record, UnreadableRecord):
            return dead_letter_of(self.lane.province, record)
        # Received when it first was: a decision does not depend on when it is made again.
        return decide_bytes(
            record.value or b"", self.lane.province, record.timestamp, self.recognition,
            key=record.key, headers=record.headers, forwarded=forwarded,
            signature=self._key_ring.status_on(self.lane.province, record),
        )  # fmt: skip

    async def _read_forwarded(self, consumer: AIOKafkaConsumer, identities: set[Identity]) -> _Contents:
        """Read which contents the lane has forwarded under ``identities``: all that is kept, not only the
        horizon."""
        forwarded: _Contents = {}
        await require_visible(self.settings, [self._verification])
        async for _, records in read_spans(consumer, await find_spans(consumer, [self._verification])):
            for record in records:
                if (sent := read_verification(record.value)) is None:
                    continue
                identity = Identity(sent.data.event.source, sent.data.event.id, sent.data.holder.ref)
                if identity in identities:
                    forwarded[identity] = (*forwarded.get(identity, ()), sent.data.decision.content_digest)
        return forwarded

    async def _send(self, changes: Sequence[_Change]) -> None:
        """Write one transaction; where the broker refuses a record, its halves, down to the one that it
        refuses."""
        standing = self._takeover.standing
        if standing is None:
            raise RuntimeError(f"{self.lane} is not taken over")
        outputs, entry = self._build(changes, standing)
        self._in_doubt = list(changes)
        try:
            await self._takeover.write(outputs, entry)
        except REFUSED:
            self._in_doubt = []
            if await self._takeover.begin(only_if_continuous=True) != standing:
                raise ProducerFenced from None  # its worker had it in between: everything is to be read again
            if len(changes) == 1:
                self._report_all([Redecided(changes[0].candidate, "refused", changes[0].decision)])
                return
            half = len(changes) // 2
            await self._send(changes[:half])
            await self._send(changes[half:])
            return
        self._in_doubt = []
        self._confirm(changes)

    def _confirm(self, changes: Sequence[_Change]) -> None:
        """Report what was written, and count it."""
        self._written += len(changes)
        self._report_all(changes)

    def _report_all(self, results: Iterable[Redecided | _Change]) -> None:
        for each in results:
            self._reported.add(each.candidate.place)
            self.report(each.redecided if isinstance(each, _Change) else each)

    def _build(self, changes: Sequence[_Change], standing: Standing) -> tuple[list[Output], Output]:
        """Build the outputs and the entry that accounts for them, the next one in the lane's chain; all of
        one epoch and day."""
        lane, records = self.lane, [change.record for change in changes]
        log = InputLog(standing.log.topic_id, changes[0].candidate.epoch)
        lines = [
            input_line(each.record.offset, each.record.timestamp, each.decision.input_digest, each.record.key)
            for each in changes
        ]
        span = EntrySpan(lane, log, records[0].offset, records[-1].offset, records[-1].timestamp, lines)
        redrive = (REDRIVE_HEADER, entry_id(span, standing.previous).encode())
        horizon = Horizon(self.settings.duplicates.horizon_ms, self.settings.duplicates.max_ids)
        outputs = []
        for change in changes:
            if isinstance(change.decision, Forward):
                reading = change.decision.reading
                horizon.remember(reading.identity, reading.content_digest, change.record.timestamp)
            output = build_output(lane, change.record, change.decision, self._topics, log.epoch)
            assert output is not None  # noqa: S101 — a duplicate is no change
            headers = (*output.headers, redrive, (SUPERSEDES_HEADER, change.candidate.place))
            outputs.append(msgspec.structs.replace(output, headers=headers, value=self._signed(output.value)))
        entry = build_entry(
            span, Counter(facets_of(change.decision) for change in changes), outputs, self.recognition.digest,
            standing.previous, algorithm=self.settings.ledger.digest, remembered=horizon.pending,
            redriven=[record.offset for record in records],
        )  # fmt: skip
        headers = (CONTENT_TYPE, (REMEMBERED_HEADER, horizon.pending))
        return outputs, Output(self._topics.ledger, str(lane).encode(), self._signed(entry), headers)

    def _signed(self, value: bytes) -> bytes:
        return value if self._signer is None else self._signer.sign(value)


def _identity(decision: Decision) -> Identity | None:
    if isinstance(decision, DeadLetter) or not isinstance(decision.reading, Valid):
        return None
    return decision.reading.identity


def _result(candidate: Candidate, decision: Decision) -> Result:
    match decision:
        case Forward():
            return "forward"
        case Duplicate():
            return "duplicate"
        case DeadLetter(code=DeadLetterCode.UNREADABLE_RECORD):
            return "unreadable"
        case DeadLetter():
            return "dead_letter"
        case _:
            # The same reasons again would only be said twice, and so on for ever.
            return "unchanged" if {code.value for code in decision.codes} == candidate.codes else "reject"
