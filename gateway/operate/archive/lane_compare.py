"""Compares what an archive holds of one lane's outputs with a statement, block by block."""

from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from aiokafka.structs import ConsumerRecord

from gateway.adapters.settings import Settings
from gateway.contract.ledger_entry import Entry
from gateway.operate.archive.findings import ArchiveFindings
from gateway.operate.archive.lacks import Lack, lacks_of
from gateway.operate.archive.layout import days_of, find_manifest, is_expired, lane_name, segments_of
from gateway.operate.archive.manifest import EXPIRED, Manifest, segment_folder
from gateway.operate.archive.parquet import find_rows
from gateway.operate.archive.rows import LEDGER
from gateway.operate.archive.segment_data import SegmentData, read_segment
from gateway.operate.archive.store import Store, open_store
from gateway.operate.audit.account import Accountant
from gateway.operate.audit.statement import BlockItem, LackingItem, LaneItem, OutputItem, RedrivenItem
from gateway.operate.audit.stream import BEFORE_ALL, Rank
from gateway.operate.lane_pool import count_read


class CompareJob(NamedTuple):
    """What is to be compared of the archive at ``place``: ``items``, which ``lane`` wrote.

    Of what is ``lacking`` the statement says nothing.
    """

    settings: Settings
    place: str
    lane: LaneItem
    items: Sequence[OutputItem]
    lacking: Sequence[LackingItem]


class NotCompared(LackingItem):
    """Records of the statement that could not be compared, how many they are, and why."""

    records: int


@dataclass
class Compared:
    """What came of a lane: ``checked`` are the records compared by topic, in ``blocks`` blocks."""

    is_archived: bool = False
    checked: dict[str, int] = field(default_factory=dict)
    blocks: int = 0
    not_compared: list[NotCompared] = field(default_factory=list)
    findings: ArchiveFindings = field(default_factory=ArchiveFindings)


class _Held(NamedTuple):
    path: str
    record: ConsumerRecord


def compare_lane(job: CompareJob) -> Compared:
    """Compare a lane; as ``run_lanes`` calls it."""
    return _LaneComparison(job).run()


@dataclass
class _LaneComparison:
    job: CompareJob
    found: Compared = field(default_factory=Compared)
    lacks: list[Lack] = field(default_factory=list)
    position: Rank = BEFORE_ALL
    """Up to where the entries that were read account for the lane's inputs."""

    def __post_init__(self) -> None:
        job, lane = self.job, self.job.lane
        self.store: Store = open_store(job.place)
        self._name = lane_name(job.settings, lane.topic, lane.partition)
        self.first: Rank = BEFORE_ALL if lane.first_offset is None else (lane.first_epoch, lane.first_offset)
        self.last: Rank = BEFORE_ALL if lane.last_offset is None else (lane.last_epoch, lane.last_offset)
        self._parts = {job.settings.topic_prefix + each.topic: _Comparison(self, each) for each in job.items}

    def run(self) -> Compared:
        passed, before = list[Manifest](), None
        for manifest in self._manifests():
            self.found.is_archived = True
            end = (manifest.next.epoch, manifest.next.input - 1)
            if end < self.first or self._has_passed(before):
                passed.append(manifest)
            else:
                self.position = BEFORE_ALL if before is None else (before.next.epoch, before.next.input - 1)
                self._take(manifest, before)
                for part in self._parts.values():
                    part.compare_through(end)
            before = manifest
        if not self.found.is_archived:
            return self.found
        if before is not None and (end := (before.next.epoch, before.next.input - 1)) < self.last:
            self.lacks.append(Lack(None, (end[0], end[1] + 1), self.last, "not archived, or not yet"))
        for part in self._parts.values():
            part.compare_through(self.last)
            part.report_rest()
        self._look_for_redrives(passed)
        for part in self._parts.values():
            part.compare_redriven()
        return self.found

    def _manifests(self) -> Iterator[Manifest]:
        for day in days_of(self.store):
            for number in segments_of(self.store, day, self._name):
                found = find_manifest(self.store, day, self._name, number)
                if found is not None and found.manifest is not None:
                    yield found.manifest
                elif found is not None and found.problem is not None:
                    place = (self._name.rpartition("-")[0], self.job.lane.partition, -1)
                    kind, detail = found.problem
                    self.found.findings.in_file(kind, found.path, place, detail)

    def _has_passed(self, before: Manifest | None) -> bool:
        return before is not None and (before.next.epoch, before.next.input - 1) >= self.last

    def _take(self, manifest: Manifest, before: Manifest | None) -> None:
        says_so = self.store.read(f"{manifest.day}/{EXPIRED}") is not None
        if is_expired(self.store, manifest, says_so=says_so):
            self.lacks += lacks_of(manifest, before, None)
            return
        data = read_segment(self.store, manifest, self.found.findings)
        count_read(sum(map(len, data.outputs.values())))
        self.lacks += lacks_of(manifest, before, data)
        for record, entry in data.entries:
            for topic, part in self._parts.items():
                outputs = _outputs_of(data, record.offset, topic)
                if entry.redriven is not None:
                    part.take_redriven(entry, outputs, is_within=self.first <= self.position < self.last)
                else:
                    part.take(outputs)
            if entry.is_of_a_turn:
                self.position = max(self.position, (entry.epoch, entry.last_offset))

    def _look_for_redrives(self, passed: Sequence[Manifest]) -> None:
        """Find redrives that another archiver has put into another segment, before the statement's inputs or
        behind them."""
        for manifest in passed:
            if not any(part.awaits_redrives for part in self._parts.values()):
                return
            folder = segment_folder(manifest.day, manifest.lane, manifest.segment)
            if self._has_redrives(f"{folder}/{LEDGER}"):
                data = read_segment(self.store, manifest, self.found.findings)
                for record, entry in data.entries:
                    for topic, part in self._parts.items() if entry.redriven is not None else ():
                        part.take_redriven(entry, _outputs_of(data, record.offset, topic), is_within=False)

    def _has_redrives(self, path: str) -> bool:
        stream = self.store.open(path)
        if stream is None:
            return False
        with stream:
            try:
                return any(True for _ in find_rows(stream, {"kind": {"redrive"}}, ("offset",)))
            except ValueError:
                return True  # as what it is reported when it is read

    def why_lacking(self, topic: str, first: Rank, last: Rank) -> str | None:
        """Say why turns' outputs for these inputs cannot be compared; None where they can."""
        archived = self.job.settings.topic_prefix + topic
        return next((each.why for each in self.lacks if each.touches(archived, first, last)), None)


def _outputs_of(data: SegmentData, entry: int, topic: str) -> dict[Rank, _Held]:
    return {
        rank: _Held(f"{data.folder}/{file}", output)
        for rank, (file, output) in sorted(data.outputs.get(entry, {}).items())
        if output.topic == topic
    }


@dataclass
class _Comparison:
    """Compares one output partition with ``item``."""

    lane: _LaneComparison
    item: OutputItem
    _held: dict[Rank, _Held] = field(default_factory=dict)
    _redriven: dict[str, Mapping[Rank, _Held]] = field(default_factory=dict)
    _unstated: Counter[int] = field(default_factory=Counter)
    """How many records are here of what the statement's archive lacked, by the item's number."""
    _done: int = 0
    """How many blocks are compared."""

    def __post_init__(self) -> None:
        self._topic = self.lane.job.settings.topic_prefix + self.item.topic
        self._found, self._begin = self.lane.found, self.lane.first
        self._found.checked[self.item.topic] = 0
        self._listed = {each.entry: each for each in self.item.redriven}

    @property
    def awaits_redrives(self) -> bool:
        """Whether the statement names redrives that were not found yet."""
        return not self._listed.keys() <= self._redriven.keys()

    def take(self, outputs: Mapping[Rank, _Held]) -> None:
        """Take the outputs of a turn, as far as the statement speaks of their inputs."""
        for rank, held in outputs.items():
            if self.lane.first <= rank <= self.lane.last and not self._is_unstated(rank):
                if rank in self._held:
                    self._report("doubled", held, f"input offset {rank[1]} has another record before it")
                self._held.setdefault(rank, held)

    def _is_unstated(self, rank: Rank) -> bool:
        """Tell whether the statement's archive lacked an input's records; the record here is counted."""
        for number, each in enumerate(self.lane.job.lacking):
            if each.touches(self.item.topic, self.item.partition, rank, rank):
                self._unstated[number] += 1
                return True
        return False

    def take_redriven(self, entry: Entry, outputs: Mapping[Rank, _Held], *, is_within: bool) -> None:
        """Take the outputs of a redrive; ``is_within`` says that it stands between the statement's turns."""
        if entry.id in self._listed:
            self._redriven[entry.id] = outputs
        elif is_within and not self._may_be_unstated(entry.id):
            for held in outputs.values():
                self._report("foreign", held, "the record says that it was redriven, and the statement does not")

    def compare_through(self, end: Rank) -> None:
        """Compare the blocks up to ``end``: all that the archive has of these inputs was taken."""
        ordered = deque(sorted(self._held))
        while self._done < len(self.item.blocks):
            block = self.item.blocks[self._done]
            through = (block.epoch, block.through)
            if through > end:
                return
            self._done += 1
            here = dict[Rank, _Held]()
            while ordered and ordered[0] <= through:
                rank = ordered.popleft()
                here[rank] = self._held.pop(rank)
            why = self.lane.why_lacking(self.item.topic, self._begin, through)
            if why is None:
                self._compare_block(block, here)
            else:
                self._note_not_compared(self._begin, through, block.records, why)
            self._begin = (block.epoch, block.through + 1)

    def report_rest(self) -> None:
        """Report records behind the last block of which the statement should know, and blocks that end
        behind what it says that it speaks of."""
        for block in self.item.blocks[self._done :]:
            detail = f"the statement's block for inputs up to {block.through} ends behind what it says it speaks of"
            self._found.findings.in_file("altered", "", (self._topic, self.item.partition, -1), detail)
        for rank, held in self._held.items():
            if self.lane.why_lacking(self.item.topic, rank, rank) is None:
                detail = f"the statement speaks of input offset {rank[1]}, and this record is not part of it"
                self._report("foreign", held, detail)
        for number, count in sorted(self._unstated.items()):
            each = self.lane.job.lacking[number]
            why = f"the statement's archive lacked them: {each.why}"
            self._found.not_compared.append(NotCompared(**each.model_dump() | {"why": why, "records": count}))

    def compare_redriven(self) -> None:
        """Compare what redrives wrote."""
        for listed in self.item.redriven:
            if listed.entry in self._redriven:
                self._compare_redrive(listed, self._redriven[listed.entry])
                continue
            why = self._why_no_redrive(listed.entry)
            if why is not None:
                self._note_not_compared(BEFORE_ALL, BEFORE_ALL, listed.records, why, listed.entry)
            else:
                detail = (
                    f"no record of the redrive {listed.entry} is in the archive, the statement has {listed.records}"
                )
                place = (self._topic, self.item.partition, -1)
                self._found.findings.in_file("missing", "", place, detail)

    def _compare_block(self, block: BlockItem, here: Mapping[Rank, _Held]) -> None:
        accountant = Accountant(self.item.topic, self.item.partition, block.digest.partition(":")[0])
        for rank, held in here.items():
            accountant.add(rank, held.record)
        self._found.checked[self.item.topic] += len(here)
        self._found.blocks += 1
        if [each.digest for each in accountant.close().blocks] == [block.digest]:
            return
        offsets = [held.record.offset for held in here.values()]
        first, last = (min(offsets), max(offsets)) if offsets else (-1, -1)
        kind = "altered" if len(here) == block.records else "missing" if len(here) < block.records else "doubled"
        detail = (
            f"block {self._done} of {len(self.item.blocks)}, for inputs {self._begin[1]}–{block.through}: {len(here)} records "
            f"(offsets {first}–{last}), the statement has {block.records}"
        )
        path = next(iter(here.values())).path if here else ""
        place = (self._topic, self.item.partition, first)
        self._found.findings.in_file(kind, path, place, detail)

    def _compare_redrive(self, listed: RedrivenItem, here: Mapping[Rank, _Held]) -> None:
        accountant = Accountant(self.item.topic, self.item.partition, listed.digest.partition(":")[0])
        accountant.add_redriven(listed.entry, [held.record for held in here.values()])
        why = self._why_no_redrive(listed.entry) if len(here) < listed.records else None
        if why is not None:
            self._note_not_compared(BEFORE_ALL, BEFORE_ALL, listed.records, why, listed.entry)
            return
        self._found.checked[self.item.topic] += len(here)
        if [each.digest for each in accountant.account.redriven] == [listed.digest]:
            return
        detail = f"{len(here)} records of the redrive {listed.entry}, or others than the statement's {listed.records}"
        place = (self._topic, self.item.partition, -1)
        path = next(iter(here.values())).path if here else ""
        self._found.findings.in_file("missing" if len(here) < listed.records else "altered", path, place, detail)

    def _why_no_redrive(self, entry: str) -> str | None:
        """Say why a redrive that the statement names may not be here: its entry stands among the statement's
        turns, or beside them."""
        (epoch, first), (last_epoch, last) = self.lane.first, self.lane.last
        for each in self.lane.lacks:
            beside = each.redrive is None and each.last >= (epoch, first - 1) and each.first <= (last_epoch, last + 1)
            if each.redrive == entry or beside or self.lane.last == BEFORE_ALL:
                return each.why
        return None

    def _may_be_unstated(self, entry: str) -> bool:
        """Tell whether the statement's archive lacks a redrive, or what stands at its place."""
        position, item = self.lane.position, self.item
        after = (position[0], position[1] + 1)
        return any(
            (each.redrive == entry and each.topic == item.topic)
            or each.touches(item.topic, item.partition, position, after)
            for each in self.lane.job.lacking
        )

    def _note_not_compared(self, first: Rank, last: Rank, records: int, why: str, redrive: str | None = None) -> None:
        notes, item = self._found.not_compared, self.item
        before = notes[-1] if notes else None
        if before is not None and redrive is None and before.redrive is None:
            follows = first == (before.last_epoch, before.last_offset + 1)
            if follows and (before.topic, before.partition, before.why) == (item.topic, item.partition, why):
                before.last_epoch, before.last_offset = last
                before.records += records
                return
        notes.append(
            NotCompared(
                topic=item.topic, partition=item.partition, first_epoch=first[0], first_offset=first[1], last_epoch=last[0],
                last_offset=last[1], redrive=redrive, why=why, records=records,
            )
        )  # fmt: skip

    def _report(self, kind: str, held: _Held, detail: str) -> None:
        self._found.findings.of_record(kind, held.path, held.record, detail)
