"""What a lane wrote: the outputs of each ledger entry, and what nobody accounts for."""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from gateway.adapters.hidden_ends import SETTLE_S
from gateway.adapters.settings import Settings
from gateway.adapters.topic_reader import Span
from gateway.contract.headers import Origin, origin_of
from gateway.contract.ledger_entry import Entry
from gateway.contract.outputs import destinations_of
from gateway.contract.topics import LaneId
from gateway.core.decision import Outcome
from gateway.operate.audit.expiry import Retention
from gateway.operate.audit.findings import LaneReport
from gateway.operate.audit.head import Head
from gateway.operate.audit.outputs import OutputPartition, Stray
from gateway.operate.audit.redriven import Redriven, redrive_of
from gateway.operate.audit.stream import BEFORE_ALL, Rank, see_new_ends
from gateway.operate.visible import require_visible

_AGAIN_S = 0.1


@dataclass(frozen=True, slots=True)
class Shortage:
    """In which topics outputs of an entry are missing, and in which of them because they may have
    expired."""

    topics: frozenset[str] = frozenset()
    expired: frozenset[str] = frozenset()

    @property
    def is_excused(self) -> bool:
        """Whether nothing is missing but what may have expired."""
        return bool(self.topics) and self.topics <= self.expired


@dataclass
class LaneOutputs:
    """The output partitions of ``lane``, over ``spans``, read by ``consumer``, which has them.

    ``reports_strangers``: whether this lane reports what no lane can have written to the topic that two
    share. ``check_signature`` is called with redriven outputs that were written ``since`` then
    (milliseconds).
    """

    settings: Settings
    lane: LaneId
    report: LaneReport
    redriven: Redriven
    retention: Retention
    consumer: AIOKafkaConsumer
    spans: Mapping[TopicPartition, Span]
    stack: AsyncExitStack
    check_signature: Callable[[ConsumerRecord], None]
    since: int
    reports_strangers: bool
    is_period: bool
    """Whether what comes before the first entry is not looked at."""
    ends: dict[int, int] = field(default_factory=dict)
    """Up to which offset the entries account for, by epoch."""
    _first: Rank | None = None
    _deadline: float | None = None
    _is_seen_through: bool = False
    _partitions: dict[Outcome, OutputPartition] = field(init=False)

    def __post_init__(self) -> None:
        self._topics = self.settings.topic_names
        self._partitions = {
            outcome: OutputPartition(
                self.settings, self.consumer, (each := TopicPartition(topic, self.lane.partition)), self.spans[each],
                self._rank, self._peek, self._report_stray, self.stack,
            )
            for outcome, topic in destinations_of(self.lane, self._topics).items()
        }  # fmt: skip
        self._streams = [each.main for each in self._partitions.values()]

    async def collect(self, place: ConsumerRecord, entry: Entry, *, may_settle: bool) -> dict[Rank, ConsumerRecord]:
        """Return the outputs of the inputs of ``entry``, which stands at ``place``: each once, in their
        inputs' order."""
        self._first = self._first or (entry.epoch, entry.first_offset)
        first, last = self._beginning(entry), (entry.epoch, entry.last_offset)
        partitions, found = self._partitions, dict[Rank, ConsumerRecord]()
        by_outcome = {outcome: await each.collect(first, last) for outcome, each in partitions.items()}
        for outcome, each in partitions.items():
            here, expected = by_outcome[outcome], _count(entry, outcome)
            if len(here) < expected and not self._may_have_expired(each, place, entry):
                await each.look_for(first, last, here, expected)
        while may_settle and sum(map(len, by_outcome.values())) < entry.outputs and self._may_still_come():
            await see_new_ends(self.consumer, self._streams)
            for outcome, each in partitions.items():
                await each.look_again(first, last, by_outcome[outcome])
            await asyncio.sleep(_AGAIN_S)
        if may_settle and sum(map(len, by_outcome.values())) < entry.outputs and await self._see_through():
            for outcome, each in partitions.items():
                await each.look_again(first, last, by_outcome[outcome])
        for here in by_outcome.values():
            for rank, record in here.items():
                if rank in found:
                    self._report_stray(rank, record, Stray.SECOND)
                else:
                    found[rank] = record
        self.ends[entry.epoch] = max(self.ends.get(entry.epoch, -1), entry.last_offset)
        return dict(sorted(found.items()))

    async def collect_redriven(self, entry: Entry) -> list[ConsumerRecord]:
        """Return the outputs of a redrive's entry: they stand behind those of the turn before it, so that
        they were read."""
        while len(outputs := self.redriven.outputs_of(entry)) < entry.outputs and self._may_still_come():
            await see_new_ends(self.consumer, self._streams)
            for stream in self._streams:
                await stream.look_further(BEFORE_ALL)
            await asyncio.sleep(_AGAIN_S)
        if len(outputs) < entry.outputs and await self._see_through():
            for stream in self._streams:
                await stream.look_further(BEFORE_ALL)
            outputs = self.redriven.outputs_of(entry)
        return outputs

    def shortage(self, place: ConsumerRecord, entry: Entry, outputs: Mapping[Rank, ConsumerRecord]) -> Shortage:
        """Say where outputs of ``entry``, which stands at ``place``, are missing; ``outputs`` are there."""
        if len(outputs) >= entry.outputs:
            return Shortage()
        short = [
            each
            for outcome, each in self._partitions.items()
            if sum(output.topic == each.partition.topic for output in outputs.values()) < _count(entry, outcome)
        ]
        expired = [each for each in short if self._may_have_expired(each, place, entry)]
        return Shortage(*(frozenset(each.partition.topic for each in those) for those in (short, expired)))

    def may_have_lost(self, record: ConsumerRecord) -> bool:
        """Tell whether a topic may no longer keep what was written with the ledger's ``record``."""
        return any(
            stream.span.log_start > 0 and self.retention.may_have_expired(stream.partition.topic, int(record.timestamp))
            for stream in self._streams
        )

    async def look_behind(self, head: Head) -> None:
        """Report what stands behind the outputs of the last entry and is not accounted for by a newer
        one."""
        newest, deadline = dict(self.ends), None
        for stream in self._streams:
            while rest := await stream.take_rest():
                # Outputs of turns that were committed since the ledger's end was read are not strangers.
                while any(offset > newest.get(epoch, -1) for (epoch, offset), _ in rest):
                    known = dict(newest)
                    async for _, entry in head.newest_entries():
                        if entry.is_of_a_turn:
                            newest[entry.epoch] = max(newest.get(entry.epoch, -1), entry.last_offset)
                    deadline = deadline or time.monotonic() + SETTLE_S
                    if time.monotonic() > deadline:
                        break
                    if newest == known:
                        await asyncio.sleep(0.5)
                for rank, record in rest:
                    epoch, offset = rank
                    if offset > newest.get(epoch, -1) or offset <= self.ends.get(epoch, -1):
                        self._report_stray(rank, record, Stray.BEFORE)

    def _beginning(self, entry: Entry) -> Rank:
        """Return where the inputs begin that ``entry`` alone accounts for."""
        return entry.epoch, max(entry.first_offset, self.ends.get(entry.epoch, -1) + 1)

    def _may_have_expired(self, outputs: OutputPartition, place: ConsumerRecord, entry: Entry) -> bool:
        """Tell whether the topic may no longer keep all that was written with ``entry``: its oldest records
        go first."""
        stream, written_at = outputs.main, int(place.timestamp)
        begins_later = stream.begins_after((entry.epoch, entry.first_offset))
        return begins_later and self.retention.may_have_expired(stream.partition.topic, written_at)

    def _may_still_come(self) -> bool:
        """Tell whether the log's end is so near that a transaction's outputs may not all be visible yet.

        For all entries together that is waited for once: what is not there by then will not come.
        """
        if any(stream.has_more for stream in self._streams):
            return False
        self._deadline = self._deadline or time.monotonic() + SETTLE_S
        return time.monotonic() < self._deadline

    async def _see_through(self) -> bool:
        """Wait once, at the logs' ends, for what is merely hidden; tell whether to look again."""
        if self._is_seen_through or any(stream.has_more for stream in self._streams):
            return False
        self._is_seen_through = True
        await require_visible(self.settings, [stream.partition for stream in self._streams])
        await see_new_ends(self.consumer, self._streams)
        return True

    def _report_stray(self, rank: Rank, record: ConsumerRecord, why: Stray) -> None:
        findings, (epoch, offset) = self.report.findings, rank
        if why is Stray.SECOND:
            findings.add("doubled", record, f"input offset {offset} of {self.lane} has another record before it")
        elif self._first is not None and rank < self._first and epoch == self._first[0]:
            if not self.is_period and not self.retention.may_have_expired(self._topics.ledger, int(record.timestamp)):
                detail = f"input offset {offset} of {self.lane} comes before the first ledger entry that is kept"
                findings.add("unaccounted", record, detail)
        elif offset > self.ends.get(epoch, -1):
            findings.add("foreign", record, f"no ledger entry speaks of input offset {offset} of {self.lane}")
        else:
            detail = f"input offset {offset} of {self.lane} is accounted for, and this record is not part of that"
            findings.add("doubled", record, detail)

    def _rank(self, record: ConsumerRecord) -> Rank | None:
        """Rank one of the lane's outputs by its input; None for what is not its own, or a redrive's, which
        is kept."""
        origin = origin_of(record.headers)
        is_ours = origin is not None and origin[:2] == (self.lane.topic, self.lane.partition)
        if origin is None or record.value is None or not (is_ours or self._is_of_other(record, origin)):
            if record.topic != self._topics.deadletter or self.reports_strangers:
                detail = "the record names no input of the lanes that write here"
                self.report.findings.add_stranger(record, detail)
            return None
        if not is_ours:
            return None
        rank = (origin.epoch, origin.offset)
        if not self.redriven.takes(record, rank):
            return rank
        if record.timestamp >= self.since:
            self.check_signature(record)
        return None

    def _peek(self, record: ConsumerRecord) -> Rank | None:
        """Rank one of the lane's outputs of a turn; None for all else."""
        origin = origin_of(record.headers)
        if origin is None or origin[:2] != (self.lane.topic, self.lane.partition) or redrive_of(record) is not None:
            return None
        return origin.epoch, origin.offset

    def _is_of_other(self, record: ConsumerRecord, origin: Origin) -> bool:
        """Tell whether it is the other province's: both provinces' dead letters share a topic, and no other
        output does."""
        other = self._topics.display(self.lane.province.other)
        return record.topic == self._topics.deadletter and origin[:2] == (other, self.lane.partition)


def _count(entry: Entry, outcome: Outcome) -> int:
    return sum(count.count for count in entry.counts if count.outcome == outcome)
