"""Makes the decisions of an archived lane again, under the lists that are archived with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from aiokafka.structs import ConsumerRecord

from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import Settings
from gateway.adapters.signatures import load_key_ring
from gateway.contract.headers import REMEMBERED_HEADER
from gateway.contract.ledger_entry import Entry, has_remembered
from gateway.contract.topics import LaneId
from gateway.core.recognition import Recognition
from gateway.core.times import parse_instant
from gateway.operate.archive.findings import ArchiveFindings
from gateway.operate.archive.keep import load_list
from gateway.operate.archive.manifest import Manifest
from gateway.operate.archive.segment_data import ArchivedInput, read_segment
from gateway.operate.archive.store import Store
from gateway.operate.audit.findings import LaneReport
from gateway.operate.audit.lane_audit import Scope
from gateway.operate.audit.prover import Prover
from gateway.operate.audit.stream import Rank
from gateway.operate.times import parse_since, parse_until
from gateway.relay.horizon import Horizon


@dataclass(frozen=True, slots=True)
class Period:
    """The days (UTC+8) whose data are looked at, both inclusive; None is open. Manifests are always looked
    at."""

    first: str | None = None
    last: str | None = None

    def holds(self, day: str) -> bool:
        """Tell whether the day is one of them."""
        return (self.first is None or day >= self.first) and (self.last is None or day <= self.last)

    @property
    def scope(self) -> Scope:
        """The time from its first day's beginning to its last day's end."""
        return Scope(parse_since(self.first), parse_until(self.last))


@dataclass
class LaneProof:
    """Proves the ``share`` of a lane's decisions; what it finds is in ``report``."""

    settings: Settings
    lane: LaneId
    store: Store
    report: LaneReport
    share: float
    period: Period
    _prover: Prover | None = None
    _lists: dict[str, Recognition | None] = field(default_factory=dict)

    def prove(
        self, record: ConsumerRecord, entry: Entry, inputs: Sequence[ArchivedInput],
        outputs: Mapping[Rank, tuple[str, ConsumerRecord]], remembered: bytes | None,
    ) -> None:  # fmt: skip
        """Make the decisions of ``entry``, at ``record``, again; ``inputs`` are none where they are not all
        there."""
        prover, by_rank = self._begun(entry), {rank: output for rank, (_, output) in sorted(outputs.items())}
        if entry.acknowledged is not None and entry.acknowledged.entry is None:
            prover.forget_before(record.timestamp + self.settings.duplicates.horizon_ms)
        recognition = self._list(entry.list_digest)
        why = self._why_not(entry, inputs)
        if recognition is None or why is not None:
            if entry.is_of_a_turn and entry.records:
                self.report.unprovable[why or "the list is not archived"] += entry.records
            prover.remember(by_rank.values(), remembered)
            return
        prover.recognition = recognition
        prover.prove(
            record, entry, [each.record for each in inputs], by_rank, remembered,
            all_of_it=False, may_have_expired=lambda _: False,
        )  # fmt: skip

    def remember_before(self, manifest: Manifest) -> None:
        """Learn from a segment before the period what the lane had forwarded, where the horizon reaches into
        it."""
        first = self.period.first
        if first is None or manifest.day >= first:
            return
        begin = (parse_instant(f"{first}T00:00:00+08:00") or 0) // 1000 - self.settings.duplicates.horizon_ms
        if (parse_instant(manifest.last_received) or 0) // 1000 < begin:
            return
        data = read_segment(self.store, manifest, ArchiveFindings())
        for record, entry in data.entries:
            outputs = [output for _, (_, output) in sorted(data.outputs.get(record.offset, {}).items())]
            remembered = dict(record.headers).get(REMEMBERED_HEADER)
            is_right = remembered is not None and has_remembered(entry, remembered)
            self._begun(entry).remember(outputs, remembered if is_right else None)

    def _begun(self, entry: Entry) -> Prover:
        """Return the prover; where ``entry`` is the first that it sees, it does not know what was forwarded
        before."""
        if self._prover is None:
            horizon = Horizon(self.settings.duplicates.horizon_ms, self.settings.duplicates.max_ids)
            self._prover = Prover(
                self.lane, self.settings.topic_names, load_recognition(self.settings.recognition_dir), horizon, self.report,
                load_key_ring(self.settings), share=self.share,
            )  # fmt: skip
            if not entry.is_first:
                self._prover.forget_before(entry.received + self.settings.duplicates.horizon_ms)
        return self._prover

    def _why_not(self, entry: Entry, inputs: Sequence[ArchivedInput]) -> str | None:
        if not entry.is_of_a_turn or not inputs:
            return "the inputs are not archived"
        return (
            None
            if all(each.has_bytes for each in inputs)
            else "the inputs' bytes are not archived (archive.input_bytes)"
        )

    def _list(self, digest: str) -> Recognition | None:
        if digest not in self._lists:
            self._lists[digest] = load_list(self.store, digest)
        return self._lists[digest]
