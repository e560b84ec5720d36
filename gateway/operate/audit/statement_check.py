"""``gateway audit --statement``: this cluster's copy of the output topics, compared with somebody's
statement."""

import asyncio
import datetime
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from gateway.adapters import kafka
from gateway.adapters.console import Terminal
from gateway.adapters.settings import Settings
from gateway.adapters.terminal import write_json
from gateway.adapters.topic_reader import UnreadablePartitionError, find_spans
from gateway.contract.headers import origin_of
from gateway.contract.topics import Topics
from gateway.core.times import parse_instant
from gateway.core.words import count_of
from gateway.operate.audit.account import Accountant
from gateway.operate.audit.findings import Findings
from gateway.operate.audit.lane_audit import MARGIN_MS
from gateway.operate.audit.outputs import FETCH, OutputPartition, Stray
from gateway.operate.audit.redriven import redrive_of
from gateway.operate.audit.statement import BlockItem, LackingItem, LaneItem, OutputItem, Statement, read_statement
from gateway.operate.audit.stream import BEFORE_ALL, Rank


def check_statement(settings: Settings, path: Path, output: Literal["text", "json"]) -> int:
    """Hold the topics that this cluster has against the statement; returns the exit code (1: they
    differ)."""
    statement = read_statement(path)
    copy = asyncio.run(_compare(settings, statement))
    checked, absent, findings = copy.checked, copy.absent, copy.findings
    ok = bool(checked) and not findings.counts.total()
    if output == "json":
        write_json(
            {
                "ok": ok, "statement": statement.digest, "records": sum(checked.values()), "topics": sorted(checked),
                "absent": absent, "newer": copy.newer, "not_stated": copy.not_stated,
                "findings": [asdict(finding) for finding in findings.kept],
            }
        )  # fmt: skip
        return 0 if ok else 1
    console = Terminal()
    verdict = "一致 these topics are what the statement says" if ok else "不一致 they are not what the statement says"
    console.print(
        f"核对 statement {statement.digest[:23]}…: {verdict if checked else '这里没有它所述的主题 none of its topics is here'}"
    )
    for topic, count in sorted(checked.items()):
        console.print(f"  {topic}: {count_of(count, 'record')} compared")
    for topic in absent:
        console.print(f"  {topic}: not in this cluster, or not to be read by this user")
    if copy.newer:
        console.print(f"  {copy.newer:,} records are newer than the statement, which says nothing of them")
    if copy.not_stated:
        console.print(
            f"  {copy.not_stated:,} records are of what the statement's archive lacked: it says nothing of them"
        )
    for finding in findings.kept[:20]:
        console.print(f"    {finding.topic}/{finding.partition}/{finding.offset}  {finding.kind}: {finding.detail}")
    return 0 if ok else 1


@dataclass
class Copy:
    """What came of it: ``checked`` are the records compared by topic; ``newer`` ones were written after the
    statement, or after its period; ``not_stated`` ones are of what its archive lacked."""

    checked: dict[str, int] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)
    newer: int = 0
    not_stated: int = 0
    findings: Findings = field(default_factory=Findings)


async def _compare(settings: Settings, statement: Statement) -> Copy:
    copy, lanes = Copy(), lanes_of_outputs(statement)
    wanted = {item.topic for item in statement.outputs}
    async with kafka.admin(settings) as admin:
        existing = set(await admin.list_topics())
    copy.absent = sorted(topic for topic in wanted if settings.topic_prefix + topic not in existing)
    copy.checked = dict.fromkeys(sorted(wanted - set(copy.absent)), 0)
    items = [item for item in statement.outputs if item.topic in copy.checked]
    if not items:
        return copy
    lacking, ends = statement.archive.lacking if statement.archive is not None else [], _ends(statement)
    async with AsyncExitStack() as stack:
        consumer = await stack.enter_async_context(kafka.consumer(settings, **FETCH))
        # Once for all: aiokafka's stop waits for ever where it comes just after a second assignment.
        partitions = [TopicPartition(settings.topic_prefix + item.topic, item.partition) for item in items]
        consumer.assign(partitions)
        consumer.pause(*partitions)
        for item, partition in zip(items, partitions, strict=True):
            consumer.resume(partition)
            compared = _PartitionCopy(settings, item, lanes[item.topic, item.partition], ends, lacking, copy)
            try:
                await compared.run(consumer, partition, stack)
            except UnreadablePartitionError as error:
                detail = f"it cannot be read ({error.why})"
                copy.findings.at("unreadable", error.topic, error.partition, error.offset, detail)
            consumer.pause(partition)
    return copy


def _ends(statement: Statement) -> int:
    """Return from when on a redrive is not the statement's, in milliseconds since the epoch."""
    made = int(datetime.datetime.fromisoformat(statement.made).timestamp() * 1000)
    until = parse_instant(statement.until) if statement.until is not None else None
    return made if until is None else min(made, until // 1000 - MARGIN_MS)


def lanes_of_outputs(statement: Statement) -> Mapping[tuple[str, int], LaneItem]:
    """Return the lane that writes to each output partition, by the topic's name without prefix."""
    topics, found = Topics(), dict[tuple[str, int], LaneItem]()
    for lane in statement.lanes:
        if (province := topics.displays.get(lane.topic)) is not None:
            for topic in (topics.verification(province.other), topics.rejection(province)):
                found[topic, lane.partition] = lane
    return found


@dataclass
class _PartitionCopy:
    """Compares one partition's copy with ``item``, for the inputs of ``lane`` that the statement speaks of.

    What was redriven since ``ends`` (milliseconds since the epoch) is not the statement's; ``lacking`` is
    what it does not speak of.
    """

    settings: Settings
    item: OutputItem
    lane: LaneItem
    ends: int
    lacking: Sequence[LackingItem]
    copy: Copy
    _redriven: dict[str, dict[Rank, ConsumerRecord]] = field(default_factory=lambda: defaultdict(dict))
    _last_known: int = -1
    """The offset in the copy of the last record that the statement speaks of."""

    def __post_init__(self) -> None:
        lane = self.lane
        self._first: Rank = BEFORE_ALL if lane.first_offset is None else (lane.first_epoch, lane.first_offset)
        self._last: Rank = BEFORE_ALL if lane.last_offset is None else (lane.last_epoch, lane.last_offset)
        self._listed = {each.entry for each in self.item.redriven}
        self._place = (self.item.topic, self.item.partition)

    async def run(self, consumer: AIOKafkaConsumer, partition: TopicPartition, stack: AsyncExitStack) -> None:
        """Compare block by block, then the redrives; report what is left."""
        spans = await find_spans(consumer, [partition])
        outputs = OutputPartition(
            self.settings, consumer, partition, spans[partition], self._rank, self._peek, self._report_stray, stack
        )
        first = self._first
        for block in self.item.blocks:
            through = (block.epoch, block.through)
            held = await outputs.collect(first, through)
            await outputs.look_for(first, through, held, block.records)
            self._compare_block(partition, block, held)
            first = (block.epoch, block.through + 1)
        while rest := await outputs.main.take_rest():
            for rank, record in rest:
                self._report_stray(rank, record, Stray.BEFORE)
        self._compare_redriven(partition)

    def _rank(self, record: ConsumerRecord) -> Rank | None:
        """Rank a record that the statement speaks of; None for others, and those of redrives, which are
        kept."""
        origin = origin_of(record.headers)
        is_ours = (
            origin is not None and origin.partition == self.lane.partition and origin.topic.endswith(self.lane.topic)
        )
        if origin is None or record.value is None or not is_ours:
            self.copy.findings.add(
                "foreign", record, "the record names no input of the gateway's lane that writes here"
            )
            return None
        rank, redrive = (origin.epoch, origin.offset), redrive_of(record)
        # What was redriven in the statement's period may have come in before it.
        if redrive not in self._listed:
            if rank > self._last:
                self.copy.newer += 1
                return None
            if rank < self._first:
                return None
        if redrive is None or redrive in self._listed:
            self._last_known = record.offset
        if redrive is None:
            is_unstated = self._is_unstated(rank)
            self.copy.not_stated += is_unstated
            return None if is_unstated else rank
        if rank in self._redriven[redrive]:
            detail = f"input offset {rank[1]} was redriven once, and has two records of it"
            self.copy.findings.add("doubled", record, detail)
        self._redriven[redrive][rank] = record
        return None

    def _peek(self, record: ConsumerRecord) -> Rank | None:
        origin = origin_of(record.headers)
        if origin is None or redrive_of(record) is not None:
            return None
        rank = (origin.epoch, origin.offset)
        return rank if self._first <= rank <= self._last and not self._is_unstated(rank) else None

    def _is_unstated(self, rank: Rank) -> bool:
        return any(each.touches(*self._place, rank, rank) for each in self.lacking)

    def _report_stray(self, rank: Rank, record: ConsumerRecord, why: Stray) -> None:
        kind = "doubled" if why is Stray.SECOND else "foreign"
        detail = f"the statement speaks of input offset {rank[1]}, and this record is not part of it"
        self.copy.findings.add(kind, record, detail)

    def _compare_block(self, partition: TopicPartition, block: BlockItem, held: Mapping[Rank, ConsumerRecord]) -> None:
        accountant = Accountant(self.item.topic, self.item.partition, block.digest.partition(":")[0])
        for rank, record in sorted(held.items()):
            accountant.add(rank, record)
        self.copy.checked[self.item.topic] += len(held)
        if [each.digest for each in accountant.close().blocks] == [block.digest]:
            return
        offsets = [record.offset for record in held.values()]
        first, last = (min(offsets), max(offsets)) if offsets else (-1, -1)
        kind = "altered" if len(held) == block.records else "missing" if len(held) < block.records else "doubled"
        what = f"offsets {first}–{last} (for inputs up to {block.through})"
        detail = f"{what}: {len(held)} records, the statement has {block.records}"
        self.copy.findings.at(kind, partition.topic, partition.partition, first, detail)

    def _compare_redriven(self, partition: TopicPartition) -> None:
        findings = self.copy.findings
        for listed in self.item.redriven:
            held = [record for _, record in sorted(self._redriven.pop(listed.entry, {}).items())]
            accountant = Accountant(self.item.topic, self.item.partition, listed.digest.partition(":")[0])
            accountant.add_redriven(listed.entry, held)
            self.copy.checked[self.item.topic] += len(held)
            if [each.digest for each in accountant.account.redriven] != [listed.digest]:
                kind = "missing" if len(held) < listed.records else "altered"
                offset = held[0].offset if held else -1
                detail = f"{len(held)} records of the redrive {listed.entry}, or others than the statement's {listed.records}"
                findings.at(kind, partition.topic, partition.partition, offset, detail)
        # Where the archive that the statement is of lacked entries, redrives may be among them.
        unstated = {each.redrive for each in self.lacking if (each.topic, each.partition) == self._place}
        for redrive, records in self._redriven.items():
            if unstated & {redrive, None}:
                self.copy.not_stated += len(records)
                continue
            for record in records.values():
                if record.offset > self._last_known and record.timestamp > self.ends:
                    self.copy.newer += 1
                else:
                    findings.add("foreign", record, "the record says that it was redriven, and the statement does not")
