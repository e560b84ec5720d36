"""Audits one lane of an archive: its manifests as a chain, and each segment's entries with what they account
for."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from aiokafka.structs import ConsumerRecord

from gateway.adapters.own_signatures import load_record_check
from gateway.adapters.settings import Settings
from gateway.contract.headers import REMEMBERED_HEADER
from gateway.contract.ledger_entry import Entry, entry_digest, has_inputs_digest, has_outputs_digest, has_remembered
from gateway.contract.topics import LaneId
from gateway.core.decision import Outcome
from gateway.core.province import Province
from gateway.operate.archive.collect import FILES
from gateway.operate.archive.facts import contradictions
from gateway.operate.archive.findings import NOT_ARCHIVED, ArchiveFindings
from gateway.operate.archive.lane_account import LaneAccount
from gateway.operate.archive.lane_proof import LaneProof, Period
from gateway.operate.archive.layout import (
    Found,
    days_of,
    digest_like,
    files_left,
    find_manifest,
    is_expired,
    segments_of,
)
from gateway.operate.archive.manifest import DAY, EXPIRED, MANIFEST, Manifest, seal_problem, segment_folder
from gateway.operate.archive.rows import COLUMNS, LEDGER
from gateway.operate.archive.segment_data import ArchivedInput, SegmentData, read_segment
from gateway.operate.archive.store import Store, open_store
from gateway.operate.audit.findings import LaneReport
from gateway.operate.audit.statement import LackingItem
from gateway.operate.audit.stream import BEFORE_ALL, Rank
from gateway.operate.lane_pool import count_read

LostOfEntries = set[tuple[str, int | None]]
"""What was gone of which entries, by their ledger offsets, before they were archived."""


class LaneJob(NamedTuple):
    """What is to be audited of the archive at ``place``: a lane by name; ``prove`` is a share, 0 to 1.

    ``states``: whether to account for the outputs, for a statement.
    """

    settings: Settings
    place: str
    lane: str
    period: Period
    prove: float
    states: bool = False


@dataclass
class ArchivedLane:
    """What came of a lane: its report, and what only an archive has."""

    report: LaneReport
    segments: int = 0
    signed: int = 0
    expired: int = 0
    """Segments whose data were removed by `gateway archive expire`."""
    expiring: int = 0
    """Those of them that still have some, as the removal was interrupted."""
    unfinished: int = 0
    """Segments that were being written: they have no manifest yet."""
    keys_withheld: int = 0
    """Entries whose inputs' digest cannot be made again, for a key that was not kept."""
    lists: dict[str, str] = field(default_factory=dict)
    """The digests of the lists that its manifests name, each with the first manifest that does."""
    settings: dict[str, str] = field(default_factory=dict)
    """The digests of the settings that its manifests name, likewise."""
    stated_days: list[str] = field(default_factory=list)
    lacking: list[LackingItem] = field(default_factory=list)
    """For a statement: the days that it is of, and what it cannot speak of."""


def check_lane(job: LaneJob) -> ArchivedLane:
    """Audit a lane; as ``run_lanes`` calls it."""
    return LaneCheck(job).run()


@dataclass
class LaneCheck:
    """Does ``job``."""

    job: LaneJob
    found: ArchivedLane = field(init=False)

    def __post_init__(self) -> None:
        job = self.job
        topic, _, partition = job.lane.rpartition("-")
        province = next((each for each in Province if topic.endswith(f"{each.value}.display")), Province.SICHUAN)
        self.lane = LaneId(province, topic, int(partition))
        self.store: Store = open_store(job.place)
        self.findings = ArchiveFindings()
        report = LaneReport(province.value, topic, int(partition), findings=self.findings)
        self.found, self.report = ArchivedLane(report), report
        self._place = (topic, int(partition), -1)
        self._check = load_record_check(job.settings)
        self._covered: Rank = BEFORE_ALL
        self._before: tuple[Found, int] | None = None
        """The lane's manifest before, and its number."""
        self._lost: dict[str, tuple[str, ConsumerRecord, Entry]] = {}
        self._acknowledged: set[str] = set()
        self._account = LaneAccount(job.settings, self.lane) if job.states else None
        self._proof = (
            LaneProof(job.settings, self.lane, self.store, report, job.prove, job.period) if job.prove else None
        )

    def run(self) -> ArchivedLane:
        """Follow the manifests from the first one; look at the data of the period's segments."""
        before: Manifest | None = None
        for day in days_of(self.store):
            says_expired = self.store.read(f"{day}/{EXPIRED}") is not None
            is_closed = self.store.read(f"{day}/{DAY}") is not None
            is_looked_at = self.job.period.holds(day)
            for number in segments_of(self.store, day, self.job.lane):
                found = find_manifest(self.store, day, self.job.lane, number)
                folder = segment_folder(day, self.job.lane, number)
                if is_looked_at:
                    self._check_names(folder, None if found is None else found.manifest)
                if found is None:
                    self._note_without_manifest(folder, is_closed=is_closed)
                    continue
                manifest = self._check_manifest(found, number)
                self._before = found, number
                if manifest is None:
                    continue
                self.found.segments += 1
                self.found.settings.setdefault(manifest.settings, found.path)
                for digest in manifest.lists:
                    self.found.lists.setdefault(digest, found.path)
                if is_expired(self.store, manifest, says_so=says_expired):
                    self.found.expired += 1
                    self.found.expiring += files_left(self.store, manifest) > 0
                    if self._account is not None and is_looked_at:
                        self._account.take(manifest, before, None)
                elif is_looked_at:
                    data = self._check_data(manifest, before)
                    if self._account is not None:
                        self._account.take(manifest, before, data)
                elif self._proof is not None:
                    self._proof.remember_before(manifest)
                before = manifest
                self._covered = (manifest.next.epoch, manifest.next.input - 1)
        self._report_lost()
        if self._account is not None:
            self.found.lacking, self.found.stated_days = self._account.close(self.report), self._account.days
        return self.found

    def _check_names(self, folder: str, manifest: Manifest | None) -> None:
        """Report files in a segment that it does not have; without a manifest, those that none has."""
        known = {MANIFEST, *(COLUMNS if manifest is None else (each.name for each in manifest.files))}
        for name in self.store.names(folder):
            if name not in known:
                detail = (
                    "the manifest does not name this file" if manifest is not None else "no segment has such a file"
                )
                self.findings.in_file("foreign", f"{folder}/{name}", self._place, detail)

    def _note_without_manifest(self, folder: str, *, is_closed: bool) -> None:
        if is_closed:
            self.findings.in_file("missing", folder, self._place, "the segment has no manifest, and its day is closed")
        else:
            self.found.unfinished += 1

    def _check_manifest(self, found: Found, number: int) -> Manifest | None:
        """Check a manifest by itself and by the one before it; None where it says nothing that can be
        used."""
        path, manifest, place, before = found.path, found.manifest, self._place, self._before
        if manifest is None:
            kind, why = found.problem or ("altered", "it cannot be read")
            self.findings.in_file(kind, path, place, why)
            return None
        self.found.signed += b'"signaturekey":' in found.raw[-256:]
        if problem := seal_problem(self._check, found.raw, manifest.written):
            self.findings.in_file("unsigned", path, place, problem)
        expected = 1 if before is None else before[1] + 1
        if number != expected:
            detail = f"segments {expected} to {number - 1} are not there"
            self.findings.in_file("missing", path, place, detail, count=max(1, number - expected))
        elif manifest.previous is None or before is None:
            if manifest.previous is not None or before is not None:
                self.findings.in_file("broken_link", path, place, "it does not name the lane's manifest before it")
        elif not digest_like(manifest.previous, before[0].raw):
            detail = f"the manifest before it ({before[0].path}) is not the one that it was written after"
            self.findings.in_file("altered", path, place, detail)
        last = None if before is None else before[0].manifest
        if last is not None and number == expected and manifest.chain_before != last.chain_head:
            gone = any(each.what == "ledger" for each in manifest.lost)
            if not gone:
                self.findings.in_file("broken_link", path, place, "ledger entries are missing before this segment")
        for lost in manifest.lost:
            offset = lost.first if lost.first is not None else -1
            many = "" if lost.count is None else f", {lost.count} records"
            which = f"offsets {lost.first}–{lost.last}" if lost.first is not None else f"of the entry at {lost.entry}"
            detail = f"{lost.what} {which}{many}: gone from {lost.topic} before they were archived"
            self.findings.in_file(
                NOT_ARCHIVED, path, (lost.topic, lost.partition, offset), detail, count=max(1, lost.count or 1)
            )
        return manifest

    def _check_data(self, manifest: Manifest, before: Manifest | None) -> SegmentData:
        data = read_segment(self.store, manifest, self.findings)
        read = len(data.entries) + sum(map(len, data.inputs.values())) + sum(map(len, data.outputs.values()))
        self.report.read += read
        count_read(read)
        for record in data.strays:
            path = f"{data.folder}/inputs.parquet"
            self.findings.of_record("gap", path, record, "no ledger entry accounts for this record")
        if self._check_chain(data, manifest):
            path = f"{data.folder}/{MANIFEST}"
            for detail in contradictions(manifest, before, data):
                self.findings.in_file("altered", path, self._place, detail)
        lost: LostOfEntries = {(each.what, each.entry) for each in manifest.lost}
        for record, entry in data.entries:
            self._check_entry(data, record, entry, lost)
        return data

    def _check_chain(self, data: SegmentData, manifest: Manifest) -> bool:
        """Check that each entry follows from the one before it; tell whether they are the manifest's."""
        path, head = f"{data.folder}/{LEDGER}", manifest.chain_before
        for record, entry in data.entries:
            if entry.previous != head or (head is None and not entry.is_first):
                detail = "the entry does not follow from the lane's entry before it"
                self.findings.of_record("broken_link", path, record, detail)
            head = entry_digest(entry, record.value)
        if not data.is_whole:
            return False
        if head != manifest.chain_head:
            detail = f"the entries do not end as the manifest says: {len(data.entries)} of {manifest.entries} are there"
            self.findings.in_file("broken_link", path, self._place, detail)
        return head == manifest.chain_head and bool(data.entries)

    def _check_entry(self, data: SegmentData, record: ConsumerRecord, entry: Entry, lost: LostOfEntries) -> None:
        path = f"{data.folder}/{LEDGER}"
        if problem := self._check.problem(record):
            self.findings.of_record("unsigned", path, record, problem)
        self._count(path, record, entry)
        remembered = self._remembered(path, record, entry)
        outputs, inputs = data.outputs.get(record.offset, {}), data.inputs.get(record.offset, [])
        in_order = [output for _, (_, output) in sorted(outputs.items())]
        self.report.outputs += len(outputs)
        for file, output in outputs.values():
            if problem := self._check.problem(output):
                self.findings.of_record("unsigned", f"{data.folder}/{file}", output, problem)
        is_same = ("outputs", record.offset) in lost or not data.is_whole
        if not is_same and not has_outputs_digest(entry, in_order):
            self.report.digest_mismatches += 1
            self._report_outputs(data, record, entry, in_order)
        has_inputs = self._check_inputs(data, record, entry, inputs, lost)
        if self._proof is not None:
            self.findings.path = data.folder
            self._proof.prove(record, entry, inputs if has_inputs else [], outputs, remembered)

    def _count(self, path: str, record: ConsumerRecord, entry: Entry) -> None:
        """Count an entry, and see whether the offsets that it accounts for follow."""
        report = self.report
        if entry.acknowledged is not None and entry.acknowledged.entry is not None:
            self._acknowledged.add(entry.acknowledged.entry)
        if entry.redriven is not None:
            report.redriven += entry.records
        if not entry.is_of_a_turn:
            return
        if report.entries == 0:
            report.first_epoch, report.first_offset = entry.epoch, entry.first_offset
        report.entries += 1
        report.records += entry.records
        for count in entry.counts:
            report.outcomes[count.outcome] += count.count
        epoch, last = self._covered
        if epoch == entry.epoch and entry.first_offset <= last:
            end = min(last, entry.last_offset)
            detail = f"input offsets {entry.first_offset}–{end} of {self.lane} are in an earlier entry too"
            self.findings.path = path
            self.findings.add("overlap", record, detail, count=end - entry.first_offset + 1)
        if entry.is_of_lost_offsets:
            self._lost[entry_digest(entry, record.value)] = (path, record, entry)
        self._covered = max(self._covered, (entry.epoch, entry.last_offset))
        report.last_epoch, report.last_offset = self._covered

    def _remembered(self, path: str, record: ConsumerRecord, entry: Entry) -> bytes | None:
        remembered: bytes | None = dict(record.headers).get(REMEMBERED_HEADER)
        if remembered is None and entry.remembered_digest is None:
            return None
        if remembered is not None and has_remembered(entry, remembered):
            return remembered
        detail = f"the header {REMEMBERED_HEADER} is not what was written with the entry"
        self.findings.of_record("altered", path, record, detail)
        return None

    def _report_outputs(
        self, data: SegmentData, record: ConsumerRecord, entry: Entry, outputs: Sequence[ConsumerRecord]
    ) -> None:
        path, span = f"{data.folder}/{LEDGER}", f"{entry.first_offset}–{entry.last_offset}"
        if len(outputs) < entry.outputs:
            short = entry.outputs - len(outputs)
            self.findings.path = path
            detail = f"{short} of the records for input offsets {span} are not in the segment"
            self.findings.add("missing", record, detail, count=short)
            return
        files = {file for file, _ in data.outputs.get(record.offset, {}).values()}
        where = f"{data.folder}/{next(iter(files))}" if len(files) == 1 else path
        detail = f"the records for input offsets {span} do not have the digest that the entry says"
        self.findings.of_record("altered", where, record, detail)

    def _check_inputs(
        self, data: SegmentData, record: ConsumerRecord, entry: Entry, inputs: Sequence[ArchivedInput],
        lost: LostOfEntries,
    ) -> bool:  # fmt: skip
        """Check that the inputs are those that the entry decided; tell whether they are all there."""
        if not entry.is_of_a_turn or ("inputs", record.offset) in lost or not data.is_whole:
            return False
        path, span = f"{data.folder}/inputs.parquet", f"{entry.first_offset}–{entry.last_offset}"
        if len(inputs) != entry.records:
            kind = "missing" if len(inputs) < entry.records else "gap"
            detail = f"{len(inputs)} input records at {span}, the entry has {entry.records}"
            self.findings.path = path
            self.findings.add(kind, record, detail, count=abs(len(inputs) - entry.records))
            return False
        lines = [each.line for each in inputs if each.line is not None]
        if len(lines) < len(inputs):
            self.found.keys_withheld += 1
        elif not has_inputs_digest(entry, lines):
            detail = f"the input records at {span} are not those that the ledger entry decided"
            self.findings.of_record("unaccounted", path, record, detail)
            return False
        here = {
            outcome.value: sum(each.outcome == outcome for each in inputs) for outcome in (*FILES, Outcome.DUPLICATE)
        }
        says = dict.fromkeys(here, 0)
        for count in entry.counts:
            if count.outcome in says:
                says[count.outcome] += count.count
        if here != says and not any(each.outcome is None for each in inputs):
            self.findings.of_record(
                "altered", path, record, f"the outcomes of the inputs at {span} are not the entry's"
            )
        return True

    def _report_lost(self) -> None:
        for digest, (path, record, entry) in self._lost.items():
            count = entry.last_offset - entry.first_offset + 1
            if digest in self._acknowledged:
                self.report.acknowledged += count
            else:
                detail = f"offsets {entry.first_offset}–{entry.last_offset} of {self.lane} were lost, and nobody has taken note"
                self.findings.path = path
                self.findings.add("lost", record, detail, count=count)
