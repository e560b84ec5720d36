"""One lane's history decided twice, under two lists; and the tally of what differs. Writes nothing."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from aiokafka import TopicPartition

from gateway.adapters import kafka
from gateway.adapters.settings import Settings
from gateway.adapters.signatures import NO_SIGNATURES, KeyRing
from gateway.adapters.topic_reader import Span, read_spans
from gateway.contract.outputs import InputRecord
from gateway.contract.topics import LaneId
from gateway.core.decision import DeadLetter, Decision, Forward, Outcome, Reject, codes_of, decide, row_of
from gateway.core.event import Valid
from gateway.core.recognition import Recognition, RowRef
from gateway.core.signature import SignatureStatus
from gateway.operate.lane_pool import count_read
from gateway.operate.unread import Unread, unread_by
from gateway.relay.deciding import decide_record
from gateway.relay.horizon import Horizon

_FETCH_BYTES = 4_194_304


class Side(NamedTuple):
    """A decision under one of the two lists, as far as decisions of one kind agree: outcome, primary reason,
    row."""

    outcome: str
    reason: str | None
    row: RowRef | None


class DecisionChange(NamedTuple):
    """One kind of change: what such events were under the one list, and would be under the other."""

    before: Side
    after: Side

    @property
    def row(self) -> RowRef | None:
        """The row that lists the certificate: by the new list, else by the old one."""
        return self.after.row or self.before.row

    @property
    def flow(self) -> str:
        """``opened`` where events would now be forwarded, ``closed`` where no longer, else ``other``."""
        forwards = (self.before.outcome == Outcome.FORWARD.value, self.after.outcome == Outcome.FORWARD.value)
        return {(False, True): "opened", (True, False): "closed"}.get(forwards, "other")


@dataclass(slots=True)
class ReplaySummary:
    """What two lists make of the same events; plain values, as it passes between processes.

    ``further`` counts events of which only reasons behind the primary one differ: these are not among the
    changes. ``touched`` are the events whose certificate a row lists, under either list. ``examples`` are
    event ids.
    """

    most_examples: int
    events: int = 0
    further: int = 0
    before: Counter[str] = field(default_factory=Counter)
    after: Counter[str] = field(default_factory=Counter)
    changes: Counter[DecisionChange] = field(default_factory=Counter)
    examples: dict[DecisionChange, list[str]] = field(default_factory=dict)
    touched: Counter[RowRef] = field(default_factory=Counter)
    units_before: Counter[str] = field(default_factory=Counter)
    units_after: Counter[str] = field(default_factory=Counter)
    regions: Counter[tuple[str, str]] = field(default_factory=Counter)  # region code, flow
    unread: list[Unread] = field(default_factory=list)
    lanes: int = 0

    @property
    def changed(self) -> int:
        """How many decisions would change: in outcome, primary reason or row."""
        return self.changes.total()

    def add(self, before: Decision, after: Decision) -> None:
        """Count one event, decided under either list."""
        self.events += 1
        self.before[before.outcome.value] += 1
        self.after[after.outcome.value] += 1
        if before is after:  # no list was asked
            return
        change = DecisionChange(_side(before), _side(after))
        self.touched.update({row for row in (change.before.row, change.after.row) if row})
        if change.before != change.after:
            self._add_change(change, before, after)
        elif codes_of(before) != codes_of(after):
            self.further += 1

    def _add_change(self, change: DecisionChange, before: Decision, after: Decision) -> None:
        self.changes[change] += 1
        self.units_before.update(_units_of(before))
        self.units_after.update(_units_of(after))
        if not isinstance(before, DeadLetter) and isinstance(before.reading, Valid):
            event = before.reading.event
            self.regions[event.data.display.region_code, change.flow] += 1
            examples = self.examples.setdefault(change, [])
            if len(examples) < self.most_examples:
                examples.append(event.id)


def merge(tallies: Iterable[ReplaySummary], most_examples: int) -> ReplaySummary:
    """Make one tally of several lanes'; examples are the first ones of each."""
    whole = ReplaySummary(most_examples)
    for each in tallies:
        whole.events += each.events
        whole.further += each.further
        whole.unread += each.unread
        for name in ("before", "after", "changes", "touched", "units_before", "units_after", "regions"):
            getattr(whole, name).update(getattr(each, name))
        for change, ids in each.examples.items():
            known = whole.examples.setdefault(change, [])
            known += ids[: most_examples - len(known)]
    return whole


@dataclass(frozen=True, slots=True)
class LaneSpan:
    """Of a lane, the offsets to replay; those from ``warm`` up to ``start`` only teach the horizons what was
    forwarded."""

    lane: LaneId
    warm: int
    start: int
    end: int


class LaneReplay:
    """Decides the records of one lane, in offset order, under both lists.

    ``horizons`` are two: under another list other events are forwarded, and so other ones are repetitions.
    """

    def __init__(
        self, lane: LaneId, before: Recognition, after: Recognition, horizons: tuple[Horizon, Horizon],
        most_examples: int, key_ring: KeyRing = NO_SIGNATURES,
    ) -> None:  # fmt: skip
        self.tally = ReplaySummary(most_examples)
        self._key_ring = key_ring
        self._lane, self._before, self._after = lane, before, after
        self._horizon_before, self._horizon_after = horizons

    def take(self, records: Iterable[InputRecord], start: int) -> None:
        """Decide ``records``; those below offset ``start`` are remembered but not counted."""
        for record in records:
            signature = self._key_ring.status_on(self._lane.province, record)
            before = decide_record(self._lane, record, self._before, self._horizon_before, signature)
            after = self._decide_again(before, record, signature)
            _remember(self._horizon_before, before, record)
            _remember(self._horizon_after, after, record)
            if record.offset >= start:
                self.tally.add(before, after)
        self._horizon_before.keep()
        self._horizon_after.keep()

    def _decide_again(self, before: Decision, record: InputRecord, signature: SignatureStatus) -> Decision:
        """Decide a record under the list tried, without reading it again; where no list is asked, it is
        ``before`` itself."""
        if isinstance(before, DeadLetter) or not isinstance(before.reading, Valid):
            return before
        return decide(
            before.reading, self._lane.province, record.timestamp, self._after, before.input_digest,
            forwarded=self._horizon_after.at(record.timestamp), signature=signature,
        )  # fmt: skip


def _remember(horizon: Horizon, decision: Decision, record: InputRecord) -> None:
    if isinstance(decision, Forward):
        horizon.remember(decision.reading.identity, decision.reading.content_digest, record.timestamp)


async def replay_lane(settings: Settings, span: LaneSpan, replay: LaneReplay) -> ReplaySummary:
    """Read and decide ``span``, as far as it can be read."""
    partition = TopicPartition(span.lane.topic, span.lane.partition)
    options = {"max_partition_fetch_bytes": _FETCH_BYTES}
    try:
        async with kafka.consumer(settings, **options) as consumer:
            consumer.assign([partition])
            async for _, records in read_spans(consumer, {partition: Span(span.warm, span.warm, span.end)}):
                replay.take(records, span.start)
                count_read(len(records))
    except Exception as error:  # noqa: BLE001 — whatever a topic holds, the other lanes are replayed
        replay.tally.unread.append(unread_by(error, partition.topic, partition.partition, settings))
    return replay.tally


def _side(decision: Decision) -> Side:
    codes = codes_of(decision)
    return Side(decision.outcome.value, codes[0].value if codes else None, row_of(decision))


def _units_of(decision: Decision) -> tuple[str, ...]:
    return decision.units if isinstance(decision, Reject) else ()
