"""Audits one lane: its ledger entries, its input offsets and its outputs, read side by side."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from gateway.adapters import kafka
from gateway.adapters.kafka_requests import raw_client
from gateway.adapters.log_facts import describe_logs
from gateway.adapters.own_signatures import load_record_check
from gateway.adapters.settings import Settings
from gateway.adapters.signatures import load_key_ring
from gateway.adapters.topic_reader import Span, find_spans, read_spans
from gateway.contract.headers import REMEMBERED_HEADER
from gateway.contract.ledger_entry import Entry, entry_digest, has_outputs_digest, has_remembered, read_entry
from gateway.contract.outputs import destinations_of
from gateway.contract.topics import LaneId
from gateway.core.decision import Outcome
from gateway.core.province import Province
from gateway.core.recognition import Recognition
from gateway.core.times import china_date
from gateway.operate.audit.account import Accountant
from gateway.operate.audit.chain import ChainAudit
from gateway.operate.audit.expiry import Retention
from gateway.operate.audit.findings import LaneReport
from gateway.operate.audit.forwards import ForwardLog
from gateway.operate.audit.head import Head, find_committed
from gateway.operate.audit.inputs import Inputs
from gateway.operate.audit.lane_outputs import LaneOutputs
from gateway.operate.audit.outputs import FETCH
from gateway.operate.audit.prover import Prover
from gateway.operate.audit.redriven import Redriven
from gateway.operate.audit.stream import BEFORE_ALL, Rank, Stream
from gateway.operate.audit.survey import survey_ledger
from gateway.operate.visible import require_visible
from gateway.relay.horizon import OCCURRENCE_BYTES, Horizon
from gateway.relay.recovery import horizon_from_outputs, remember_output

MARGIN_MS = 60_000
"""By how much an output may be older than the ledger entry of its transaction."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What is audited: broker time in [since, until) of the ledger entries, in milliseconds; None is open.

    ``prove`` is the share of decisions that are made again (0…1); ``statement`` whether to account for the
    outputs.
    """

    since: int | None = None
    until: int | None = None
    prove: float = 0.0
    statement: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """The audit of ``lane``, the ``number``-th; what is forwarded is noted in ``folder``, if there is one.

    ``lacking``: the topics that have no partition of the lane's number, so that no worker can work it.
    """

    settings: Settings
    lane: LaneId
    number: int
    scope: Scope
    retention: Retention
    folder: Path | None = None
    lacking: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ShortEntry:
    """An entry, at ``place``, whose ``outputs`` are not all there, and not because they have expired.

    ``inputs`` are its input records, as far as they are there; ``horizon`` is what the lane remembered
    before it.
    """

    place: ConsumerRecord
    entry: Entry
    inputs: Sequence[ConsumerRecord]
    outputs: Mapping[Rank, ConsumerRecord]
    horizon: Horizon


@dataclass
class LaneAudit:
    """Does ``job``; ``prove_only`` says which entries are to be proved whatever its scope says, by where
    they begin.

    ``on_short`` is called with every entry of which outputs are missing.
    """

    job: Job
    recognition: Recognition
    prove_only: frozenset[Rank] = frozenset()
    on_read: Callable[[int], None] = lambda _: None
    on_short: Callable[[ShortEntry], Awaitable[None]] | None = None
    report: LaneReport = field(init=False)
    suspicious: set[Rank] = field(init=False, default_factory=set)
    """Where the entries begin whose outputs do not have the entry's digest."""

    def __post_init__(self) -> None:
        self.settings, self.lane, self.scope = self.job.settings, self.job.lane, self.job.scope
        self.report = LaneReport(self.lane.province.value, self.lane.topic, self.lane.partition)
        self._topics = self.settings.topic_names
        self._destinations = destinations_of(self.lane, self._topics)
        self._verification = self._destinations[Outcome.FORWARD]
        self._covered: Rank = BEFORE_ALL
        self._prover: Prover | None = None
        self._accounts: dict[str, Accountant] = {}
        self._signatures = load_record_check(self.settings)
        self._lost: dict[str, tuple[ConsumerRecord, Entry]] = {}
        self._forwards = ForwardLog(self.job.folder, self.job.number) if self.job.folder is not None else None
        # What no lane can be made out of is reported by one of the two that share a partition.
        self._reports_strangers = self.lane.province is Province.SICHUAN

    async def run(self) -> LaneReport:
        """Audit; return the report. Raises BrokerUnreachableError."""
        p, scope = self.lane.partition, self.scope
        ledger, source = TopicPartition(self._topics.ledger, p), TopicPartition(self.lane.topic, p)
        outputs = [TopicPartition(topic, p) for topic in self._destinations.values()]
        async with AsyncExitStack() as stack:
            entries, consumer = [
                await stack.enter_async_context(kafka.consumer(self.settings, **FETCH)) for _ in range(2)
            ]
            entries.assign([ledger])
            consumer.assign([source, *outputs])
            # What the group committed first, then the ledger's end: what these speak of is then there to be
            # read.
            committed = await find_committed(self.settings, self.lane)
            span = (await find_spans(entries, [ledger], since=scope.since, until=scope.until))[ledger]
            if span.end == (await entries.end_offsets([ledger]))[ledger]:  # and not before, in the past
                await require_visible(self.settings, [ledger, *outputs])
                span = (await find_spans(entries, [ledger], since=scope.since, until=scope.until))[ledger]
            self._survey = await survey_ledger(entries, ledger, span, self.lane)
            self._redriven = Redriven(self.report.findings, self._survey, self._verification)
            self._head = Head(self.settings, self.lane, entries, ledger, self.report.findings, committed)
            since = None if scope.since is None else scope.since - MARGIN_MS
            spans = await find_spans(consumer, [source, *outputs], since=since)
            self._inputs = Inputs(
                self.lane, Stream(consumer, source, spans[source], lambda record: (0, record.offset)),
                await self._topic_id(source), ledger.topic, self._survey, self.job.retention, self.report,
                is_period=scope.since is not None,
            )  # fmt: skip
            self._outputs = LaneOutputs(
                self.settings, self.lane, self.report, self._redriven, self.job.retention, consumer, spans, stack,
                self._check_signature, since=scope.since or 0, reports_strangers=self._reports_strangers,
                is_period=scope.since is not None,
            )  # fmt: skip
            if scope.statement:
                prefix, algorithm = self.settings.topic_prefix, self.settings.ledger.digest
                self._accounts = {
                    each.topic: Accountant(each.topic.removeprefix(prefix), p, algorithm) for each in outputs[:2]
                }
            await self._follow_ledger(entries, ledger, span)
            await self._finish()
        return self.report

    def place_before(self, rank: Rank) -> str | None:
        """Return where the output stands that a redrive of the input ``rank`` takes the place of, as far as
        entries were read."""
        return self._redriven.place_of(rank)

    async def _finish(self) -> None:
        """See what is left once all entries are followed."""
        scope, report = self.scope, self.report
        if scope.until is None:
            if scope.since is None or report.entries:
                await self._head.check(has_entries=report.entries > 0)
            passed = self._head.committed.next_offset if self._head.is_vouched and self._head.committed else None
            self._progress(await self._inputs.count_pending(self._covered[1], passed))
            ours = self._head.committed.next_offset if self._head.committed and self._head.committed.is_ours else None
            await self._report_gone(self._inputs.gone_before_decided(self._covered[1], ours))
            await self._outputs.look_behind(self._head)
        await self._inputs.check_holes(self.settings)
        if self._redriven.has_strangers:
            # A redrive that was committed since the ledger's end was read, or after the period, is not a
            # stranger.
            async for _, entry in self._head.newest_entries():
                self._redriven.pardon(entry)
        if scope.until is None:
            since = 0 if scope.since is None else scope.since + MARGIN_MS
            report.expired += self._redriven.finish(since=since, may_have_expired=self._outputs.may_have_lost)
        for digest, (record, entry) in self._lost.items():
            count = entry.last_offset - entry.first_offset + 1
            if digest in self._survey.acknowledged:
                report.acknowledged += count
            else:
                detail = f"offsets {entry.first_offset}–{entry.last_offset} of {self.lane} were lost, and nobody has taken note"
                report.findings.add("lost", record, detail, count=count)
        report.redriven = self._redriven.records
        report.streams = [account.close() for account in self._accounts.values()]
        if self._forwards is not None:
            self._forwards.close()

    async def _report_gone(self, gone: tuple[int, int] | None) -> None:
        """Report input offsets that were removed before anything was decided of them, and that no worker has
        noted yet."""
        if gone is None:
            return
        now = await find_committed(self.settings, self.lane)
        first = gone[0] if now is None else max(gone[0], now.next_offset)  # its worker has gone on meanwhile
        if first <= gone[1]:
            detail = (
                f"offsets {first}–{gone[1]} were removed before they were decided; the lane's worker notes that they are lost "
                "as soon as it opens the lane"
            )
            count = gone[1] - first + 1
            self.report.findings.at("lost", self.lane.topic, self.lane.partition, first, detail, count=count)

    async def _topic_id(self, source: TopicPartition) -> str | None:
        async with raw_client(self.settings) as client:
            facts = (await describe_logs(client, [source])).get(source)
        return None if facts is None else facts.topic_id

    async def _follow_ledger(self, consumer: AIOKafkaConsumer, ledger: TopicPartition, span: Span) -> None:
        findings = self.report.findings
        starts_anywhere = self.scope.since is not None or span.log_start > 0
        chain, key = ChainAudit(findings, starts_anywhere), str(self.lane).encode()
        async for _, records in read_spans(consumer, {ledger: span}):
            for record in records:
                entry = read_entry(record.value)
                if entry is None or record.key != _key_of(entry) or entry.partition != record.partition:
                    if self._reports_strangers:
                        findings.add_stranger(record, "a ledger record that is not an entry of a lane")
                    continue
                if record.key != key:
                    continue  # the other province's
                for link in chain.feed(record, entry):
                    await self._account_for(*link)
            self._progress(len(records))
        for link in chain.rest():
            await self._account_for(*link)

    async def _account_for(self, record: ConsumerRecord, entry: Entry) -> None:
        self._check_signature(record)
        remembered = self._remembered(record, entry)
        if entry.is_of_a_turn:
            await self._account_for_turn(record, entry, remembered)
        elif entry.redriven is not None:
            # It stands in the chain, and moves the lane's position nowhere.
            outputs = await self._outputs.collect_redriven(entry)
            if len(outputs) < entry.outputs and not self._outputs.may_have_lost(record):
                await self._report_short(record, entry, (), self._redriven.ranked_outputs_of(entry))
            if self._prover is not None:
                self._prover.remember(outputs, remembered)
            for topic, account in self._accounts.items():
                if here := [output for output in outputs if output.topic == topic]:
                    account.add_redriven(entry.id, here)
            self._redriven.expect(record, entry)
            self._note_forwards(record, outputs, remembered)
        elif entry.acknowledged is not None and entry.acknowledged.entry is None and self._prover is not None:
            self._prover.forget_before(record.timestamp + self.settings.duplicates.horizon_ms)
        self._head.ask(record, self._covered)

    async def _account_for_turn(self, record: ConsumerRecord, entry: Entry, remembered: bytes | None) -> None:
        report, (epoch, last) = self.report, self._covered
        is_first = report.entries == 0
        for account in self._accounts.values():
            account.begin_day(china_date(entry.received * 1000), self._covered)
        if is_first:
            report.first_epoch, report.first_offset = entry.epoch, entry.first_offset
            if self.scope.prove or self.prove_only or self.on_short:
                await self._start_proving(record, entry)
        if is_first or entry.epoch != epoch:
            last = entry.first_offset - 1
        report.entries += 1
        overlap = last - entry.first_offset + 1
        if overlap > 0:
            end = min(last, entry.last_offset)
            detail = f"input offsets {entry.first_offset}–{end} of {self.lane} are in an earlier entry too"
            report.findings.add("overlap", record, detail, count=end - entry.first_offset + 1)
        if entry.is_of_lost_offsets:
            self._lost[entry_digest(entry, record.value)] = (record, entry)
        await self._check_turn(record, entry, remembered, overlaps=overlap > 0)
        self._covered = (entry.epoch, max(last, entry.last_offset))
        report.last_epoch, report.last_offset = self._covered

    def _remembered(self, record: ConsumerRecord, entry: Entry) -> bytes | None:
        """Return what the entry's header remembers; None where it goes without, or where it is not as it was
        written."""
        remembered: bytes | None = dict(record.headers).get(REMEMBERED_HEADER)
        if remembered is None and entry.remembered_digest is None:
            return None
        forwards = sum(count.count for count in entry.counts if count.outcome == Outcome.FORWARD)
        if remembered is None or not has_remembered(entry, remembered):
            detail = f"the header {REMEMBERED_HEADER} is not what was written with the entry"
        elif len(remembered) != forwards * OCCURRENCE_BYTES:
            detail = f"the entry has {forwards} forwards, and does not remember as many"
        else:
            return remembered
        self.report.findings.add("altered", record, detail)
        return None

    async def _start_proving(self, record: ConsumerRecord, entry: Entry) -> None:
        at, begin = record.timestamp + 1, (entry.epoch, entry.first_offset)
        found = await horizon_from_outputs(self.settings, self._topics, self.lane, at=at, before=begin)
        self._prover = Prover(
            self.lane, self._topics, self.recognition, found.horizon, self.report, load_key_ring(self.settings),
            share=self.scope.prove, only=None if self.scope.prove else self.prove_only,
        )  # fmt: skip
        if not found.reaches_back and not entry.is_first:
            self._prover.forget_before(entry.received + self.settings.duplicates.horizon_ms)

    async def _check_turn(
        self, record: ConsumerRecord, entry: Entry, remembered: bytes | None, *, overlaps: bool
    ) -> None:
        report = self.report
        taken = await self._inputs.take(record, entry, overlaps=overlaps)
        self._progress(len(taken.records))
        report.records += entry.records
        for count in entry.counts:
            report.outcomes[count.outcome] += count.count
        outputs = await self._outputs.collect(record, entry, may_settle=not overlaps)
        in_order = list(outputs.values())
        report.outputs += len(outputs)
        self._redriven.note_turn(entry, outputs)
        for rank, output in outputs.items():
            self._check_signature(output)
            if account := self._accounts.get(output.topic):
                account.add(rank, output)
        self._note_forwards(record, in_order, remembered)
        shortage = self._outputs.shortage(record, entry, outputs)
        report.expired += taken.has_expired or shortage.is_excused
        matches = overlaps or shortage.is_excused or has_outputs_digest(entry, in_order)
        if not matches:
            report.digest_mismatches += 1
            self.suspicious.add((entry.epoch, entry.first_offset))
        is_same_input = self._inputs.compare(entry, taken, outputs)
        if not matches and shortage.topics - shortage.expired:
            await self._report_short(record, entry, taken.records if is_same_input else (), outputs)
        if self._prover is None:
            return
        known = report.findings.counts.total()
        if taken.records and is_same_input:
            self._prover.prove(
                record, entry, taken.records, outputs, remembered,
                all_of_it=not matches, may_have_expired=shortage.expired.__contains__,
            )  # fmt: skip
        else:
            self._prover.remember(in_order, remembered)
        if not matches and report.findings.counts.total() == known:
            span = f"{entry.first_offset}–{entry.last_offset}"
            detail = f"the outputs for input offsets {span} do not have the digest that the entry says"
            report.findings.add("altered", record, detail)

    async def _report_short(
        self,
        place: ConsumerRecord,
        entry: Entry,
        inputs: Sequence[ConsumerRecord],
        outputs: Mapping[Rank, ConsumerRecord],
    ) -> None:
        if self.on_short is not None and self._prover is not None:
            await self.on_short(ShortEntry(place, entry, inputs, outputs, self._prover.horizon))

    def _note_forwards(self, record: ConsumerRecord, outputs: list[ConsumerRecord], remembered: bytes | None) -> None:
        """Note what an entry forwarded, to be compared with what the other lanes did."""
        if self._forwards is None:
            return
        if remembered is None:
            horizon = Horizon(1, 1)
            for output in outputs:
                if output.topic == self._verification:
                    remember_output(horizon, output)
            remembered = horizon.pending
        self._forwards.add(remembered, int(record.timestamp))

    def _check_signature(self, record: ConsumerRecord) -> None:
        if problem := self._signatures.problem(record):
            self.report.findings.add("unsigned", record, problem)

    def _progress(self, records: int) -> None:
        self.report.read += records
        self.on_read(records)


def _key_of(entry: Entry) -> bytes:
    """Return the key of an entry's record: its lane."""
    return f"{entry.topic}-{entry.partition}".encode()
