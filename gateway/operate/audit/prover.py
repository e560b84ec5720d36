"""Makes decisions again, from input and list alone, and holds them against what stands in the topics."""

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from aiokafka.structs import ConsumerRecord

from gateway.adapters.signatures import NO_SIGNATURES, KeyRing
from gateway.contract.dead_letter import read_dead_letter
from gateway.contract.ledger_entry import Entry, facets_of
from gateway.contract.outputs import build_output
from gateway.contract.rejection import read_rejection
from gateway.contract.signing import without_signature
from gateway.contract.topics import LaneId, Topics
from gateway.contract.verification import read_verification
from gateway.core.dead_letter_codes import DeadLetterCode
from gateway.core.decision import ENGINE_VERSION, Decision, Forward, Reject
from gateway.core.recognition import Recognition
from gateway.operate.audit.findings import LaneReport
from gateway.relay.horizon import Horizon
from gateway.relay.recovery import remember_output
from gateway.relay.turn import decide_record


@dataclass(slots=True)
class Prover:
    """Proves a lane's turns in order; ``share`` of its records (0…1), or those of the entries ``only`` (their first offsets).

    ``horizon`` is what the lane remembered before the first turn: the events that it had forwarded.
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
                    self.key_ring.status_on(self.lane.province, record),
                )  # fmt: skip
                self._compare(entry, record, decision, actual)
                decisions.append(decision)
            if actual is not None:
                self._remember(actual)
        self.horizon.keep()
        if len(decisions) == entry.records and unprovable == self.report.unprovable.total():
            counts = Counter(map(facets_of, decisions))
            if counts != {each.facets: each.count for each in entry.counts}:
                self.report.findings.add("altered", place, "the entry's counts are not those of its decisions")

    def remember_redriven(self, outputs: Iterable[ConsumerRecord]) -> None:
        """Remember what a redrive forwarded, where its entry stands in the chain."""
        for output in outputs:
            self._remember(output)
        self.horizon.keep()

    def _remember(self, output: ConsumerRecord) -> None:
        if output.topic == self.topics.verification(self.lane.province.other):
            remember_output(self.horizon, output)

    def _compare(self, entry: Entry, record: ConsumerRecord, decision: Decision, actual: ConsumerRecord | None) -> None:
        findings = self.report.findings
        expected = build_output(self.lane, record, decision, self.topics)
        if expected is None:
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
            outcome = decision.outcome.value
            detail = f"input offset {record.offset} was decided {outcome}, but {expected.topic} has no record of it"
            findings.add("missing", record, detail)
            return
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
        """Say why the output may differ without anybody having altered it; None where nothing says so."""
        if letter := read_dead_letter(actual.value):
            refused = letter.data.error.code is DeadLetterCode.REFUSED_BY_BROKER
            return "refused by the broker" if refused else None
        if verification := read_verification(actual.value):
            engine_version, list_digest = verification.data.decision.engine_version, verification.data.list.digest
        elif rejection := read_rejection(actual.value):
            engine_version, list_digest = rejection.data.decision.engine_version, rejection.data.list_digest or ""
        else:
            return None
        if engine_version != ENGINE_VERSION:
            return "engine version"
        if isinstance(decision, Forward | Reject) and list_digest != (decision.list_digest or ""):
            return "other list edition"
        return None
