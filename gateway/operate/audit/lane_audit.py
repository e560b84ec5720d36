"""Audits one lane: its ledger entries, its input offsets and its outputs, read side by side."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from gateway.adapters import kafka
from gateway.adapters.own_signatures import load_record_check
from gateway.adapters.settings import Settings
from gateway.adapters.signatures import load_key_ring
from gateway.adapters.topic_reader import Span, find_spans, read_spans
from gateway.contract.headers import Origin, origin_of
from gateway.contract.ledger_entry import Entry, has_outputs_digest, read_entry
from gateway.contract.topics import LaneId
from gateway.core.province import Province
from gateway.core.recognition import Recognition
from gateway.operate.audit.account import Accountant
from gateway.operate.audit.chain import Chain, is_digest_of
from gateway.operate.audit.findings import LaneReport
from gateway.operate.audit.prover import Prover
from gateway.operate.audit.redriven import Redriven
from gateway.operate.audit.stream import Stream, see_new_ends
from gateway.relay.group import group_id_of
from gateway.relay.recovery import Position, committed_position, horizon_from_outputs

Ranked = tuple[int, ConsumerRecord]
_FETCH_BYTES = 4_194_304
_FETCH_WAIT_MS = 20
"""A fetch that waits for records of one partition keeps those of the others waiting."""
_SETTLE_S = 10.0
"""How long the markers of a transaction may take to all its partitions."""
_MARGIN_MS = 60_000
"""By how much an output may be older than the ledger entry of its transaction."""
_TAIL = 1000


@dataclass(frozen=True, slots=True)
class Scope:
    """What is audited: broker time in [since, until) of the ledger entries, in milliseconds; None is open.

    ``prove`` is the share of decisions that are made again (0…1); ``statement`` whether to account for the outputs.
    """

    since: int | None = None
    until: int | None = None
    prove: float = 0.0
    statement: bool = False


@dataclass
class LaneAudit:
    """The audit of ``lane``; ``prove_only`` are the first offsets of entries to be proved whatever ``scope`` says."""

    settings: Settings
    lane: LaneId
    recognition: Recognition
    scope: Scope
    prove_only: frozenset[int] = frozenset()
    on_read: Callable[[int], None] = lambda _: None
    report: LaneReport = field(init=False)
    suspicious: set[int] = field(init=False, default_factory=set)
    """First offsets of the entries whose outputs do not have the entry's digest."""

    def __post_init__(self) -> None:
        self.report = LaneReport(self.lane.province.value, self.lane.topic, self.lane.partition)
        self._topics = self.settings.topic_names
        self._covered = -1
        self._prover: Prover | None = None
        self._input: Stream | None = None
        self._outputs: list[Stream] = []
        self._accounts: dict[str, Accountant] = {}
        self._consumer: AIOKafkaConsumer | None = None
        self._committed: Position | None = None
        self._has_vouched = False
        """Whether the digest that the group committed is that of an entry where it says that the lane stands."""
        self._redriven = Redriven(self.report.findings)
        self._signatures = load_record_check(self.settings)
        # What no lane can be made out of is reported by one of the two that share a partition.
        self._reports_strangers = self.lane.province is Province.SICHUAN

    async def run(self) -> LaneReport:
        """Audit; return the report. Raises BrokerUnreachableError."""
        p, topics, province = self.lane.partition, self._topics, self.lane.province
        ledger, source = TopicPartition(topics.ledger, p), TopicPartition(self.lane.topic, p)
        outputs = [
            TopicPartition(topic, p)
            for topic in (topics.verification(province.other), topics.rejection(province), topics.deadletter)
        ]
        async with AsyncExitStack() as stack:
            entries, consumer = [
                await stack.enter_async_context(
                    kafka.consumer(
                        self.settings, max_partition_fetch_bytes=_FETCH_BYTES, fetch_max_wait_ms=_FETCH_WAIT_MS
                    )
                )
                for _ in range(2)
            ]
            entries.assign([ledger])
            consumer.assign([source, *outputs])
            # What the group committed first, then the ledger's end: what these speak of is then there to be read.
            self._committed = await committed_position(self.settings, group_id_of(self.settings), self.lane)
            ledger_span = (await find_spans(entries, [ledger], since=self.scope.since, until=self.scope.until))[ledger]
            since = None if self.scope.since is None else self.scope.since - _MARGIN_MS
            spans = await find_spans(consumer, [source, *outputs], since=since)
            self._consumer = consumer
            self._input = Stream(consumer, source, spans[source], lambda record: record.offset)
            self._outputs = [Stream(consumer, each, spans[each], self._rank) for each in outputs]
            if self.scope.statement:
                self._accounts = {
                    each.topic: Accountant(
                        each.topic.removeprefix(self.settings.topic_prefix), p, self.settings.ledger.digest
                    )
                    for each in outputs[:2]
                }
            await self._follow_ledger(entries, ledger, ledger_span)
            if self.scope.until is None:
                await self._check_head(entries, ledger)
                await self._look_behind_the_last_entry(entries, ledger)
            is_complete = self.scope.since is None and self.scope.until is None
            if is_complete and self._redriven.has_strangers:
                # A redrive that was committed since the ledger's end was read is no stranger.
                async for _, entry in self._newest_entries(entries, ledger):
                    self._redriven.pardon(entry)
            self._redriven.finish(complete=is_complete)
        self.report.redriven = self._redriven.records
        self.report.streams = [account.close() for account in self._accounts.values()]
        return self.report

    async def _follow_ledger(self, consumer: AIOKafkaConsumer, ledger: TopicPartition, span: Span) -> None:
        findings = self.report.findings
        starts_anywhere = self.scope.since is not None or span.log_start > 0
        chain, key = Chain(findings, starts_anywhere), str(self.lane).encode()
        async for _, records in read_spans(consumer, {ledger: span}):
            for record in records:
                entry = read_entry(record.value)
                if entry is None or record.key != _key_of(entry) or entry.partition != record.partition:
                    if self._reports_strangers:
                        findings.add("foreign", record, "a ledger record that is no entry of a lane")
                        findings.counts["broken_link"] += 1
                    continue
                if record.key != key:
                    continue  # the other province's
                for link in chain.feed(record, entry):
                    await self._account_for(*link, starts_anywhere=starts_anywhere)
            self._progress(len(records))
        for link in chain.rest():
            await self._account_for(*link, starts_anywhere=starts_anywhere)

    async def _account_for(self, record: ConsumerRecord, entry: Entry, *, starts_anywhere: bool) -> None:
        report = self.report
        self._check_signature(record)
        if entry.redriven is not None:
            # It stands in the chain, and moves the lane's position nowhere.
            if self._prover is not None:
                self._prover.remember_redriven(await self._collect_redriven(entry))
            self._redriven.expect(record, entry)
            self._ask_committed(record)
            return
        is_first = report.entries == 0
        if is_first:
            report.first_offset = entry.first_offset
            if starts_anywhere:
                self._covered = entry.first_offset - 1
            if self.scope.prove or self.prove_only:
                await self._start_proving(record, entry)
        report.entries += 1
        overlap = self._covered - entry.first_offset + 1
        if overlap > 0 and not is_first:
            last = min(self._covered, entry.last_offset)
            detail = f"input offsets {entry.first_offset}–{last} of {self.lane} are in an earlier entry too"
            report.findings.add("overlap", record, detail, count=last - entry.first_offset + 1)
        await self._check_turn(
            record, entry, skip_outputs=overlap > 0 and not is_first, may_begin_earlier=is_first and starts_anywhere
        )
        self._covered = max(self._covered, entry.last_offset)
        report.last_offset = self._covered
        self._ask_committed(record)

    def _ask_committed(self, record: ConsumerRecord) -> None:
        """See whether the group committed ``record``, the last entry so far, with where the lane stands after it."""
        committed = self._committed
        if committed is not None and committed.next_offset == self._covered + 1:
            self._has_vouched = self._has_vouched or is_digest_of(committed.previous, record)

    async def _check_head(self, entries: AIOKafkaConsumer, ledger: TopicPartition) -> None:
        """The chain's last link has none after it; the digest that the group committed with its offset vouches for it."""
        committed, deadline = self._committed, time.monotonic() + _SETTLE_S
        if committed is None or committed.previous is None or self._has_vouched:
            return
        if self.scope.since is not None and not self.report.entries:
            return  # committed before what is looked at
        # The group's offset may be seen a moment before the entry that was committed with it.
        while time.monotonic() < deadline:
            async for record, entry in self._newest_entries(entries, ledger):
                stands_there = entry.redriven is not None or entry.last_offset + 1 == committed.next_offset
                if stands_there and is_digest_of(committed.previous, record):
                    return
            await asyncio.sleep(0.5)
        detail = f"the group committed {self.lane}@{committed.next_offset} with a ledger entry that is not here as it was written"
        self.report.findings.at("broken_link", ledger.topic, ledger.partition, -1, detail)

    async def _start_proving(self, record: ConsumerRecord, entry: Entry) -> None:
        horizon = await horizon_from_outputs(
            self.settings, self._topics, self.lane, at=record.timestamp + 1, before=entry.first_offset
        )
        only = None if self.scope.prove else self.prove_only
        self._prover = Prover(
            self.lane,
            self._topics,
            self.recognition,
            horizon,
            self.report,
            load_key_ring(self.settings),
            share=self.scope.prove,
            only=only,
        )

    async def _check_turn(
        self, record: ConsumerRecord, entry: Entry, *, skip_outputs: bool, may_begin_earlier: bool
    ) -> None:
        assert self._input is not None  # noqa: S101 — run() made it
        report = self.report
        taken = await self._input.take_through(entry.last_offset)
        self._progress(len(taken))
        inputs = []
        for offset, each in taken:
            if offset >= entry.first_offset:
                inputs.append(each)
            elif not may_begin_earlier:
                report.findings.add("gap", each, "no ledger entry accounts for this record")
        report.records += entry.records
        for count in entry.counts:
            report.outcomes[count.outcome] += count.count
        if self._input.span.log_start <= entry.first_offset and not skip_outputs:
            report.holes += entry.last_offset - entry.first_offset + 1 - len(inputs)
            if len(inputs) > entry.records:
                detail = f"{len(inputs)} input records at {entry.first_offset}–{entry.last_offset}, the entry has {entry.records}"
                report.findings.add("gap", record, detail, count=len(inputs) - entry.records)
            elif len(inputs) < entry.records:
                detail = f"{entry.records - len(inputs)} of the entry's input records are no longer in {self.lane}"
                report.findings.add("missing", record, detail, count=entry.records - len(inputs))
        outputs = await self._collect(entry, may_begin_earlier=may_begin_earlier, may_settle=not skip_outputs)
        report.outputs += len(outputs)
        for offset, output in outputs:
            self._check_signature(output)
            if account := self._accounts.get(output.topic):
                account.add(offset, output)
        fits = skip_outputs or self._check_outputs(entry, outputs)
        if self._prover is not None:
            known = report.findings.counts.total()
            self._prover.prove(record, entry, inputs, dict(outputs), all_of_it=not fits)
            if not fits and report.findings.counts.total() == known:
                span = f"{entry.first_offset}–{entry.last_offset}"
                detail = f"the outputs for input offsets {span} do not have the digest that the entry says"
                report.findings.add("altered", record, detail)

    async def _collect(self, entry: Entry, *, may_begin_earlier: bool, may_settle: bool) -> list[Ranked]:
        """The outputs of the entry's inputs, in input order, each once."""
        last, found = entry.last_offset, dict[int, ConsumerRecord]()
        for stream in self._outputs:
            self._sort_in(await stream.take_through(last), entry, found, may_begin_earlier=may_begin_earlier)
        if len(found) < entry.outputs:
            for stream in self._outputs:
                self._sort_in(await stream.look_further(last), entry, found, may_begin_earlier=may_begin_earlier)
        deadline = time.monotonic() + _SETTLE_S
        while may_settle and len(found) < entry.outputs and self._may_still_come() and time.monotonic() < deadline:
            await see_new_ends(self._consumer, self._outputs)
            for stream in self._outputs:
                self._sort_in(await stream.take_through(last), entry, found, may_begin_earlier=may_begin_earlier)
            await asyncio.sleep(0.1)
        self._progress(len(found))
        return sorted(found.items())

    async def _collect_redriven(self, entry: Entry) -> list[ConsumerRecord]:
        """Return the outputs of a redrive's entry: they stand behind those of the turn before it, so that they were read."""
        deadline = time.monotonic() + _SETTLE_S
        while (
            len(outputs := self._redriven.outputs_of(entry)) < entry.outputs
            and self._may_still_come()
            and time.monotonic() < deadline
        ):
            await see_new_ends(self._consumer, self._outputs)
            for stream in self._outputs:
                await stream.look_further(-1)
            await asyncio.sleep(0.1)
        return outputs

    def _may_still_come(self) -> bool:
        """Tell whether the log's end is so near that a transaction's outputs may not all be visible yet."""
        return not any(stream.has_more for stream in self._outputs)

    def _sort_in(
        self, taken: list[Ranked], entry: Entry, found: dict[int, ConsumerRecord], *, may_begin_earlier: bool
    ) -> None:
        findings = self.report.findings
        for offset, record in taken:
            if offset < entry.first_offset or offset <= self._covered:
                if not may_begin_earlier:
                    detail = (
                        f"input offset {offset} of {self.lane} is accounted for, and this record is not part of that"
                    )
                    findings.add("doubled", record, detail)
            elif offset in found:
                findings.add("doubled", record, f"input offset {offset} of {self.lane} has another record before it")
            else:
                found[offset] = record

    def _check_outputs(self, entry: Entry, outputs: list[Ranked]) -> bool:
        """Whether the outputs have the entry's digest. Where not, a prover says which record it is."""
        if len(outputs) < entry.outputs and any(stream.begins_after(entry.first_offset) for stream in self._outputs):
            self.report.expired += 1
            return True
        if has_outputs_digest(entry, [output for _, output in outputs]):
            return True
        self.report.digest_mismatches += 1
        self.suspicious.add(entry.first_offset)
        return False

    async def _look_behind_the_last_entry(self, entries: AIOKafkaConsumer, ledger: TopicPartition) -> None:
        assert self._input is not None  # noqa: S101 — run() made it
        while rest := await self._input.take_rest():
            self.report.pending += sum(offset > self._covered for offset, _ in rest)
            self._progress(len(rest))
        newest, deadline = self._covered, None
        for stream in self._outputs:
            while rest := await stream.take_rest():
                # Outputs of turns that were committed since the ledger's end was read are no strangers.
                while max(offset for offset, _ in rest) > newest:
                    newest, known = await self._newest_accounted(entries, ledger), newest
                    deadline = deadline or time.monotonic() + _SETTLE_S
                    if time.monotonic() > deadline:
                        break
                    if newest == known:
                        await asyncio.sleep(0.5)
                for offset, record in rest:
                    if offset > newest:
                        detail = f"no ledger entry speaks of input offset {offset} of {self.lane}"
                        self.report.findings.add("foreign", record, detail)
                    elif offset <= self._covered and self.report.entries:
                        detail = f"input offset {offset} of {self.lane} is accounted for, and this record is not part of that"
                        self.report.findings.add("doubled", record, detail)

    async def _newest_accounted(self, entries: AIOKafkaConsumer, ledger: TopicPartition) -> int:
        last_offsets = [entry.last_offset async for _, entry in self._newest_entries(entries, ledger)]
        return max([self._covered, *last_offsets])

    async def _newest_entries(
        self, entries: AIOKafkaConsumer, ledger: TopicPartition
    ) -> AsyncIterator[tuple[ConsumerRecord, Entry]]:
        """The lane's own entries at the ledger's end as it is now."""
        span = (await find_spans(entries, [ledger]))[ledger]
        tail = Span(span.log_start, max(span.log_start, span.end - _TAIL), span.end)
        async for _, records in read_spans(entries, {ledger: tail}):
            for record in records:
                entry = read_entry(record.value) if record.key == str(self.lane).encode() else None
                if entry is not None:
                    yield record, entry

    def _rank(self, record: ConsumerRecord) -> int | None:
        """The input offset of one of the lane's outputs; None for what is not its own."""
        origin = origin_of(record.headers)
        is_ours = origin is not None and origin[:2] == (self.lane.topic, self.lane.partition)
        if origin is None or record.value is None or not (is_ours or self._is_of_other(record, origin)):
            if record.topic != self._topics.deadletter or self._reports_strangers:
                self.report.findings.add("foreign", record, "the record names no input of the lanes that write here")
            return None
        if not is_ours:
            return None
        if not self._redriven.takes(record, origin.offset):
            return origin.offset
        if record.timestamp >= (self.scope.since or 0):
            self._check_signature(record)
        return None

    def _check_signature(self, record: ConsumerRecord) -> None:
        if problem := self._signatures.problem(record):
            self.report.findings.add("unsigned", record, problem)

    def _is_of_other(self, record: ConsumerRecord, origin: Origin) -> bool:
        """Only dead letters of both provinces stand in one topic."""
        other = self._topics.display(self.lane.province.other)
        return record.topic == self._topics.deadletter and origin[:2] == (other, self.lane.partition)

    def _progress(self, records: int) -> None:
        self.report.read += records
        self.on_read(records)


def _key_of(entry: Entry) -> bytes:
    """Return the key of an entry's record: its lane."""
    return f"{entry.topic}-{entry.partition}".encode()
