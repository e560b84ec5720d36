"""Writes one lane's missing forwards again: finds them as an audit does, and takes the lane over to write
each lot of them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError, ProducerFenced
from aiokafka.structs import ConsumerRecord

from gateway.adapters import kafka
from gateway.adapters.own_signatures import load_record_signer
from gateway.adapters.settings import Settings
from gateway.adapters.signatures import load_key_ring
from gateway.adapters.topic_reader import Span, find_spans, read_spans
from gateway.contract.headers import origin_of
from gateway.contract.outputs import Output
from gateway.contract.topics import LaneId
from gateway.core.decision import Outcome
from gateway.core.recognition import Recognition
from gateway.errors import GatewayError
from gateway.operate.audit.expiry import Retention
from gateway.operate.audit.lane_audit import Job, LaneAudit, Scope, ShortEntry
from gateway.operate.audit.redriven import redrive_of
from gateway.operate.audit.stream import Rank
from gateway.operate.restore.rebuilding import Rebuilder
from gateway.operate.takeover import Takeover
from gateway.operate.visible import require_visible

_LOT = 20_000
"""Records that are held until they are written: for each lot the lane is taken over once."""
_MOST_IN_A_TRANSACTION = 500
_MOST_TAKEOVERS = 5

_Place = tuple[str | None, Rank]
"""What tells an output: the redrive that it is of, None for a turn's, and its input."""


@dataclass(slots=True)
class RestoreTally:
    """How many forwards are ``missing`` and were ``written`` again; ``left`` counts those that were not, by
    why."""

    missing: int = 0
    written: int = 0
    left: Counter[str] = field(default_factory=Counter)

    def add(self, other: "RestoreTally") -> None:
        """Add another lane's."""
        self.missing += other.missing
        self.written += other.written
        self.left += other.left


@dataclass
class LaneRestore:
    """The restore of ``lane``; ``write`` is whether to write, or only to count what could be written."""

    settings: Settings
    lane: LaneId
    recognition: Recognition
    retention: Retention
    write: bool
    tally: RestoreTally = field(default_factory=RestoreTally)
    _lot: dict[_Place, Output] = field(default_factory=dict)
    _there: set[_Place] = field(default_factory=set)
    """What others have written since the topic was read."""

    def __post_init__(self) -> None:
        topics = self.settings.topic_names
        self._verification = TopicPartition(topics.verification(self.lane.province.other), self.lane.partition)
        self._source = TopicPartition(self.lane.topic, self.lane.partition)
        self._takeover = Takeover(self.settings, self.lane)

    async def run(self) -> RestoreTally:
        """Find what is missing and write it, in lots. Raises GatewayError where the broker fails or the lane
        is not to be had."""
        async with kafka.consumer(self.settings) as self._consumer:
            self._consumer.assign([self._source, self._verification])
            await require_visible(self.settings, [self._verification])
            self._read_up_to = (await find_spans(self._consumer, [self._verification]))[self._verification].end
            job = Job(self.settings, self.lane, 0, Scope(), self.retention)
            audit = LaneAudit(job, self.recognition, on_short=self._take)
            self._rebuilder = Rebuilder(
                self.lane, self.settings.topic_names, self.recognition, load_key_ring(self.settings),
                load_record_signer(self.settings), self._read_inputs, audit.place_before,
            )  # fmt: skip
            await audit.run()
            await self._write_lot()
        return self.tally

    async def _take(self, short: ShortEntry) -> None:
        """Rebuild what is missing of an entry; hold it, and write when the lot is large enough."""
        entry = short.entry
        forwards = sum(count.count for count in entry.counts if count.outcome == Outcome.FORWARD)
        there = sum(output.topic == self._verification.topic for output in short.outputs.values())
        if forwards <= there:
            return  # a rejection is missing, or a dead letter: who counts them has counted them
        self.tally.missing += forwards - there
        rebuilt = await self._rebuilder.rebuild(short)
        if rebuilt.why is not None:
            self.tally.left[rebuilt.why] += forwards - there
            return
        redrive = entry.id if entry.redriven is not None else None
        for rank, output in rebuilt.missing.items():
            if output.topic == self._verification.topic:
                self._lot[redrive, rank] = output
        if len(self._lot) >= _LOT:
            await self._write_lot()

    async def _write_lot(self) -> None:
        lot, self._lot = self._lot, {}
        if not self.write or not lot:
            return
        try:
            for _ in range(_MOST_TAKEOVERS):
                try:
                    await self._takeover.begin(only_if_continuous=False)
                    there = await self._see_what_is_there(lot)
                    places = [place for place in lot if place not in there]
                    for start in range(0, len(places), _MOST_IN_A_TRANSACTION):
                        await self._takeover.write(
                            [lot[each] for each in places[start : start + _MOST_IN_A_TRANSACTION]]
                        )
                except ProducerFenced:
                    continue  # its worker has opened it again, or another restore is at work
                self.tally.written += len(lot)
                return
        except KafkaError as error:
            message = f"{self.lane}: the broker failed ({type(error).__name__}) after {self.tally.written} records"
            raise GatewayError(f"{message}; run this again for the rest") from None
        finally:
            await self._takeover.end()
        message = (
            f"{self.lane} was taken back {_MOST_TAKEOVERS} times, after {self.tally.written} records were restored"
        )
        raise GatewayError(f"{message}; stop its worker, then run this again for the rest")

    async def _see_what_is_there(self, lot: Mapping[_Place, Output]) -> set[_Place]:
        """Return what of ``lot`` was written since the topic was read: by another restore, or by this
        one."""
        await require_visible(self.settings, [self._verification])
        span = (await find_spans(self._consumer, [self._verification]))[self._verification]
        behind = Span(span.log_start, min(max(self._read_up_to, span.log_start), span.end), span.end)
        async for _, records in read_spans(self._consumer, {self._verification: behind}):
            for record in records:
                if (origin := origin_of(record.headers)) is not None:
                    self._there.add((redrive_of(record), (origin.epoch, origin.offset)))
        self._read_up_to = span.end
        there = self._there & lot.keys()
        self._there -= there
        return there

    async def _read_inputs(self, offsets: Sequence[int]) -> Sequence[ConsumerRecord]:
        kept, wanted = (await find_spans(self._consumer, [self._source]))[self._source], set(offsets)
        start, end = max(kept.log_start, min(wanted)), min(kept.end, max(wanted) + 1)
        found = list[ConsumerRecord]()
        async for _, records in read_spans(
            self._consumer, {self._source: Span(kept.log_start, start, max(start, end))}
        ):
            found += [record for record in records if record.offset in wanted]
        return found
