"""Makes decisions again, from input and list alone, and holds them against what stands in the topics."""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
from aiokafka.structs import ConsumerRecord

from gateway.adapters.signatures import NO_SIGNATURES, KeyRing
from gateway.adapters.topics import Topics
from gateway.core.decision import ENGINE_VERSION, Decision, Outcome
from gateway.core.recognition import Recognition
from gateway.core.signing import without_signature
from gateway.operate.audit.findings import LaneReport
from gateway.relay.horizon import Horizon
from gateway.relay.ledger import Entry, Facets, facets_of
from gateway.relay.relearn import remember_output
from gateway.relay.turn import LaneId, build_output, decide_record, destinations_of


class _Ref(msgspec.Struct):
    digest: str | None = None


class _Made(msgspec.Struct):
    engine_version: str = ENGINE_VERSION


class _Error(msgspec.Struct):
    code: str


class _Data(msgspec.Struct):
    list: _Ref | None = None
    list_digest: str | None = None
    decision: _Made | None = None
    error: _Error | None = None


class _Output(msgspec.Struct):
    """Of an output, what says why it may differ without anybody having altered it."""

    data: _Data


_decode = msgspec.json.Decoder(_Output).decode


@dataclass(slots=True)
class Prover:
    """Proves a lane's turns in order; ``share`` of its records (0…1), or those of the entries ``only`` (their first offsets).

    ``horizon`` is what the lane remembered before the first turn.
    """

    lane: LaneId
    topics: Topics
    recognition: Recognition
    horizon: Horizon
    report: LaneReport
    key_ring: KeyRing = NO_SIGNATURES
    share: float = 1.0
    only: frozenset[int] | None = None

    def prove(
        self, place: ConsumerRecord, entry: Entry, inputs: Sequence[ConsumerRecord], outputs: Mapping[int, ConsumerRecord],
        *, all_of_it: bool,
    ) -> None:  # fmt: skip
        """Decide ``inputs`` again, compare with ``outputs`` (by input offset) and with the entry's counts (at ``place``)."""
        destinations = destinations_of(self.lane, self.topics)
        chosen = self.share if self.only is None else float(entry.first_offset in self.only)
        if all_of_it:
            chosen = 1.0
        dice = random.Random(entry.first_offset)  # noqa: S311 — a sample that is the same each time
        decisions: list[Decision] = []
        unprovable = self.report.unprovable.total()
        for record in inputs:
            actual = outputs.get(record.offset)
            if chosen and (chosen >= 1 or dice.random() < chosen):
                decision = decide_record(
                    self.lane, record, self.recognition, self.horizon,
                    self.key_ring.verdict_on(self.lane.province, record),
                )  # fmt: skip
                topic = destinations.get(decision.outcome)
                self._compare(entry, record, decision, topic, actual)
                decisions.append(decision)
            if actual is not None and actual.topic != self.topics.deadletter:
                remember_output(self.horizon, actual)
        self.horizon.keep()
        if len(decisions) == entry.records and unprovable == self.report.unprovable.total():
            counts = Counter(map(facets_of, decisions))
            if counts != {Facets(*msgspec.structs.astuple(each)[:-1]): each.count for each in entry.counts}:
                self.report.findings.add("altered", place, "the entry's counts are not those of its decisions")

    def _compare(
        self, entry: Entry, record: ConsumerRecord, decision: Decision, topic: str | None, actual: ConsumerRecord | None
    ) -> None:
        findings = self.report.findings
        if topic is None:
            if actual is None:
                self.report.proved += 1
            else:
                findings.add(
                    "foreign", actual, f"input offset {record.offset} repeats an earlier event and gives no record"
                )
            return
        if actual is None:
            if entry.engine_version != ENGINE_VERSION:
                self.report.unprovable["engine version"] += 1
                return
            detail = (
                f"input offset {record.offset} was decided {decision.outcome.value}, but {topic} has no record of it"
            )
            findings.add("missing", record, detail)
            return
        expected = build_output(self.lane, record, decision, topic)
        # A signature is not made again: whether it is the gateway's is another question (see LaneAudit).
        value = without_signature(actual.value or b"")
        if (expected.topic, expected.key, expected.value) == (actual.topic, actual.key, value) and (
            list(expected.headers) == list(actual.headers)
        ):
            self.report.proved += 1
        elif why := self._why_it_may_differ(decision, actual):
            self.report.unprovable[why] += 1
        else:
            kind = "wrong_decision" if expected.topic != actual.topic else "altered"
            findings.add(kind, actual, f"input offset {record.offset} gives other bytes: {decision.outcome.value}")

    def _why_it_may_differ(self, decision: Decision, actual: ConsumerRecord) -> str | None:
        try:
            data = _decode(actual.value or b"").data
        except msgspec.MsgspecError:
            return None
        if data.error is not None:
            return "refused by the broker" if data.error.code == "REFUSED_BY_BROKER" else None
        if data.decision is not None and data.decision.engine_version != ENGINE_VERSION:
            return "engine version"
        recorded = data.list.digest if data.list is not None else data.list_digest
        if decision.outcome is not Outcome.DEAD_LETTER and recorded != decision.list_digest:
            return "other list edition"
        return None
