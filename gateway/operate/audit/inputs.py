"""Holds a lane's input log against its entries: nothing between them, nothing gone, and every record the one
that was decided."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from aiokafka.structs import ConsumerRecord

from gateway.adapters.raw_log import OffsetRange, describe_offsets
from gateway.adapters.settings import Settings
from gateway.adapters.unreadable import input_digest_of
from gateway.contract.dead_letter import read_dead_letter
from gateway.contract.ledger_entry import Entry, has_inputs_digest, input_line
from gateway.contract.rejection import read_rejection
from gateway.contract.topics import LaneId
from gateway.contract.verification import read_verification
from gateway.operate.audit.expiry import Retention
from gateway.operate.audit.findings import LaneReport
from gateway.operate.audit.stream import Rank, Stream
from gateway.operate.audit.survey import Survey


@dataclass(frozen=True, slots=True)
class Taken:
    """An entry's input records. ``is_whole``: all are there, as many as it says; ``has_expired``: some are
    kept no longer."""

    records: Sequence[ConsumerRecord] = ()
    is_whole: bool = False
    has_expired: bool = False


NOTHING = Taken()


@dataclass
class Inputs:
    """The input log as ``stream`` gives it out, under its topic's id; ``is_period``: what comes before is
    not looked at.

    ``ledger`` is the topic of the entries.

    ``holes`` are the offsets (first and last, both inclusive) at which no committed record stands.
    """

    lane: LaneId
    stream: Stream
    topic_id: str | None
    ledger: str
    survey: Survey
    retention: Retention
    report: LaneReport
    is_period: bool
    holes: list[tuple[int, int]] = field(default_factory=list)
    _next: int | None = None
    """The offset behind what was looked at; None before the first entry."""

    def __post_init__(self) -> None:
        known = self.survey.log.topic_id
        self.is_another_log = None not in {known, self.topic_id} and known != self.topic_id
        if self.is_another_log:
            detail = (
                f"another log stands under the name of {self.lane}: its topic id is {self.topic_id}, and the ledger speaks of "
                f"{known}; its worker begins a new epoch when it opens the lane"
            )
            self.report.findings.at("unaccounted", self.lane.topic, self.lane.partition, -1, detail)

    async def take(self, place: ConsumerRecord, entry: Entry, *, overlaps: bool) -> Taken:
        """Take the records up to the end of ``entry``, which stands at ``place``; report what no entry
        speaks of.

        Of an entry that ``overlaps`` an earlier one some have been taken.
        """
        through = min(entry.last_offset, self.survey.epochs.end_of(entry.epoch) - 1)
        if self.is_another_log or entry.first_offset > through:
            # With what an epoch begins, or somebody takes note, no inputs go; another log's are not here any
            # more.
            self.report.earlier_logs += self.is_another_log or entry.first_offset <= entry.last_offset
            return NOTHING
        taken = [record for _, record in await self.stream.take_through((0, through))]
        records = [record for record in taken if record.offset >= entry.first_offset]
        self._report_before(taken[: len(taken) - len(records)], entry)
        if overlaps:
            return Taken(records)
        found = self._check(place, entry, records, through)
        if found.is_whole:
            self._note_holes([record.offset for record in taken], entry.first_offset, through)
        self._next = through + 1
        return found

    def _check(self, place: ConsumerRecord, entry: Entry, records: Sequence[ConsumerRecord], through: int) -> Taken:
        """Report where ``records`` up to the offset ``through`` are not as many as ``entry`` says."""
        findings, span = self.report.findings, f"{entry.first_offset}–{entry.last_offset}"
        if entry.is_of_lost_offsets:
            if records:
                detail = f"the entry says that these offsets are lost, and {len(records)} of them hold a record"
                findings.add("unaccounted", records[0], detail, count=len(records))
            return NOTHING
        if self.stream.span.log_start > entry.first_offset:
            return Taken(records, has_expired=True)
        if through < entry.last_offset:
            self.report.earlier_logs += 1
            return Taken(records)
        if len(records) < entry.records:
            detail = f"{entry.records - len(records)} of the entry's input records are no longer in {self.lane}"
            findings.add("missing", place, detail, count=entry.records - len(records))
            return Taken(records)
        if len(records) > entry.records:
            detail = f"{len(records)} input records at {span}, the entry has {entry.records}"
            findings.add("gap", place, detail, count=len(records) - entry.records)
            return Taken(records)
        return Taken(records, is_whole=True)

    def compare(self, entry: Entry, taken: Taken, outputs: Mapping[Rank, ConsumerRecord]) -> bool:
        """Tell whether the records are those that ``entry`` decided; report where not. ``outputs`` say which
        is another one."""
        if not taken.is_whole or not taken.records:
            return True
        digests = [input_digest_of(record) for record in taken.records]
        lines = [
            input_line(record.offset, record.timestamp, digest, record.key)
            for record, digest in zip(taken.records, digests, strict=True)
        ]
        if has_inputs_digest(entry, lines):
            return True
        others = [
            record
            for record, digest in zip(taken.records, digests, strict=True)
            if (output := outputs.get((entry.epoch, record.offset))) and _input_digest_of(output) not in {None, digest}
        ]
        span = f"{entry.first_offset}–{entry.last_offset}"
        detail = f"the input records at {span} are not those that the ledger entry decided: this is another one"
        if not others:
            detail = f"the input records at {span} are not those that the ledger entry decided"
        for record in others or taken.records[:1]:
            self.report.findings.add("unaccounted", record, detail)
        return False

    async def count_pending(self, covered: int, committed: int | None) -> int:
        """Read what is left, and return how much; ``covered`` is the last offset that an entry speaks of.

        The group has ``committed`` that next offset with the last entry: what lies before it was passed
        without one.
        """
        read = 0
        while rest := await self.stream.take_rest():
            read += len(rest)
            for (_, offset), record in rest:
                if self.is_another_log or offset >= max(covered + 1, committed or 0):
                    self.report.pending += 1
                elif offset > covered:
                    self.report.findings.add("gap", record, "the group passed this record without a ledger entry")
        return read

    def gone_before_decided(self, covered: int, committed: int | None) -> tuple[int, int] | None:
        """Return the offsets (inclusive) that the log has no longer, though no entry speaks of them.

        ``covered`` is as in ``count_pending``, -1 where there is no entry; ``committed`` where a lane says
        that it stands.
        """
        stands, start = max(covered + 1, committed or 0), self.stream.span.log_start
        if self.is_another_log or (covered < 0 and committed is None):
            return None
        return (stands, start - 1) if stands < start else None

    async def check_holes(self, settings: Settings) -> None:
        """Ask the raw log of the offsets at which no committed record stands; report those at which nothing
        does.

        Markers of transactions and aborted records stand there as a rule; what was compacted away, or
        removed by hand, is missing.
        """
        if not self.holes:
            return
        partition, position, missing = self.stream.partition, 0, list[tuple[int, int]]()
        async for each in describe_offsets(settings, partition, self.holes[0][0], self.holes[-1][1]):
            while position < len(self.holes) and self.holes[position][1] < each.first:
                position += 1
            if each.kind == "missing":
                missing += _common(each, self.holes[position:])
        start = await self.stream.log_start() if missing else 0
        for first, last in missing:
            if (first := max(first, start)) <= last:  # retention has gone on meanwhile
                self.report.holes -= last - first + 1
                detail = f"offsets {first}–{last} hold neither a record nor a marker: records were compacted away, or removed"
                self.report.findings.at(
                    "missing", partition.topic, partition.partition, first, detail, count=last - first + 1
                )

    def _report_before(self, before: Sequence[ConsumerRecord], entry: Entry) -> None:
        """Report records that stand before ``entry`` and after all that was looked at."""
        findings = self.report.findings
        if self._next is not None:
            for record in before:
                findings.add("gap", record, "no ledger entry accounts for this record")
        elif before and not self.is_period:
            strange = [each for each in before if not self.retention.may_have_expired(self.ledger, each.timestamp)]
            if strange:
                detail = (
                    f"{len(strange)} input records from offset {strange[0].offset} on stand before the first ledger entry "
                    f"that is kept, which begins at {entry.first_offset}"
                )
                findings.add("unaccounted", strange[0], detail, count=len(strange))

    def _note_holes(self, offsets: Sequence[int], first_offset: int, through: int) -> None:
        """Note at which offsets no record stands, up to ``through``."""
        position = max(first_offset if self._next is None else self._next, self.stream.span.log_start)
        for offset in (*offsets, through + 1):
            if offset > position:
                self.holes.append((position, offset - 1))
                self.report.holes += offset - position
            position = max(position, offset + 1)
        self._next = through + 1


def _input_digest_of(output: ConsumerRecord) -> str | None:
    """Return the digest of the input that an output says it is made of; None where it says none."""
    if verification := read_verification(output.value):
        return verification.data.decision.input_digest
    if rejection := read_rejection(output.value):
        return rejection.data.decision.input_digest
    letter = read_dead_letter(output.value)
    return letter.data.input_digest if letter is not None else None


def _common(found: OffsetRange, holes: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield what ``holes``, in order, have in common with ``found``."""
    for first, last in holes:
        if first > found.last:
            return
        if last >= found.first:
            yield max(first, found.first), min(last, found.last)
