"""Makes decisions again, from input and list alone, and holds them against what stands in the topics."""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec
from aiokafka.structs import ConsumerRecord

from gateway.adapters.signatures import NO_SIGNATURES, KeyRing
from gateway.contract.dead_letter import read_dead_letter
from gateway.contract.facets import facets_of
from gateway.contract.ledger_entry import Entry
from gateway.contract.outputs import Output, build_output
from gateway.contract.rejection import read_rejection
from gateway.contract.signing import read_signed, without_signature
from gateway.contract.topics import LaneId, Topics
from gateway.contract.verification import read_verification
from gateway.core.dead_letter_codes import DeadLetterCode
from gateway.core.decision import ENGINE_VERSION, Decision, Forward, Outcome, Reject
from gateway.core.recognition import Recognition
from gateway.core.signature import SignatureStatus
from gateway.operate.audit.findings import LaneReport
from gateway.operate.audit.stream import Rank
from gateway.operate.audit.withheld_key import WithheldKey
from gateway.relay.deciding import decide_record
from gateway.relay.horizon import Horizon
from gateway.relay.recovery import remember_output


@dataclass(slots=True)
class Prover:
    """Proves a lane's turns in order; ``share`` of its records (0…1), or those of the entries ``only``
    (where they begin).

    ``horizon`` is what the lane remembered before the first turn: the events that it had forwarded. Where it
    may have been less than all, what was received before ``blind_until`` (milliseconds since the epoch) can
    repeat an event unseen.
    """

    lane: LaneId
    topics: Topics
    recognition: Recognition
    horizon: Horizon
    report: LaneReport
    key_ring: KeyRing = NO_SIGNATURES
    share: float = 1.0
    only: frozenset[Rank] | None = None
    blind_until: int = 0

    def prove(
        self, place: ConsumerRecord, entry: Entry, inputs: Sequence[ConsumerRecord],
        outputs: Mapping[Rank, ConsumerRecord], remembered: bytes | None,
        *, all_of_it: bool, may_have_expired: Callable[[str], bool],
    ) -> None:  # fmt: skip
        """Decide ``inputs`` again, compare with ``outputs``, and with what ``entry`` (at ``place``) counts
        and remembers.

        ``may_have_expired`` tells of a topic whether what is missing there may have expired; ``remembered``
        is None where the entry goes without.
        """
        chosen = self.share if self.only is None else float((entry.epoch, entry.first_offset) in self.only)
        if all_of_it:
            chosen = 1.0
        dice = random.Random(entry.first_offset)  # noqa: S311 — a sample that is the same each time
        decisions: list[Decision] = []
        before = self._doubts
        for record in inputs:
            actual = outputs.get((entry.epoch, record.offset))
            if chosen and (chosen >= 1 or dice.random() < chosen):
                decision = self._decide(record, self.key_ring.status_on(self.lane.province, record))
                self._compare(entry, record, decision, actual, may_have_expired)
                decisions.append(decision)
                if actual is None and isinstance(
                    decision, Forward
                ):  # its record is gone, and a repetition known all the same
                    reading = decision.reading
                    self.horizon.remember(reading.identity, reading.content_digest, record.timestamp)
            if actual is not None:
                self._remember_output(actual)
        if len(decisions) == entry.records and before == self._doubts:
            counts = Counter(map(facets_of, decisions))
            if counts != {each.facets: each.count for each in entry.counts}:
                self.report.findings.add("altered", place, "the entry's counts are not those of its decisions")
            if remembered not in {None, self.horizon.pending}:
                self.report.findings.add("altered", place, "the entry does not remember what its turn forwarded")
        self._keep(remembered)

    def remember(self, outputs: Iterable[ConsumerRecord], remembered: bytes | None) -> None:
        """Remember what an entry forwarded that is not proved: a redrive's, or one whose inputs are not
        there."""
        if remembered is None:
            for output in outputs:
                self._remember_output(output)
        self._keep(remembered)

    def forget_before(self, moment: int) -> None:
        """Take note that the lane went on without its whole horizon, at ``moment`` (milliseconds since the
        epoch)."""
        self.blind_until = max(self.blind_until, moment)

    def _keep(self, remembered: bytes | None) -> None:
        if remembered is not None:
            self.horizon.forget()
            self.horizon.learn(remembered)
        self.horizon.keep()

    def _remember_output(self, output: ConsumerRecord) -> None:
        if output.topic == self._verification:
            remember_output(self.horizon, output)

    @property
    def _doubts(self) -> int:
        return self.report.unprovable.total() + self.report.findings.counts.total()

    @property
    def _verification(self) -> str:
        return self.topics.verification(self.lane.province.other)

    def _decide(self, record: ConsumerRecord, signature: SignatureStatus) -> Decision:
        return decide_record(self.lane, record, self.recognition, self.horizon, signature)

    def _expect(self, entry: Entry, record: ConsumerRecord, decision: Decision) -> Output | None:
        """Build what must have gone out for ``decision``; what goes out instead of a key that was withheld
        is known."""
        expected = build_output(self.lane, record, decision, self.topics, entry.epoch)
        if expected is not None and isinstance(record.key, WithheldKey):
            return msgspec.structs.replace(expected, key=bytes(record.key))
        return expected

    def _compare(
        self, entry: Entry, record: ConsumerRecord, decision: Decision, actual: ConsumerRecord | None,
        may_have_expired: Callable[[str], bool],
    ) -> None:  # fmt: skip
        report, expected = self.report, self._expect(entry, record, decision)
        if expected is None and actual is None:
            report.proved += 1
        elif actual is None:
            assert expected is not None  # noqa: S101 — the case before
            if why := self._why_it_may_be_missing(entry, record, expected, may_have_expired):
                report.unprovable[why] += 1
                return
            what = f"input offset {record.offset} was decided {decision.outcome.value}"
            detail = f"{what}, but {expected.topic} has no record of it"
            report.findings.add("missing", record, detail)
        elif expected is not None and _is_same(expected, actual):
            report.proved += 1
        elif why := self._why_it_may_differ(entry, record, decision, actual):
            report.unprovable[why] += 1
        elif expected is None:
            detail = f"input offset {record.offset} repeats an earlier event and gives no record"
            report.findings.add("foreign", actual, detail)
        else:
            kind = "wrong_decision" if expected.topic != actual.topic else "altered"
            report.findings.add(
                kind, actual, f"input offset {record.offset} gives other bytes: {decision.outcome.value}"
            )

    def _why_it_may_be_missing(
        self, entry: Entry, record: ConsumerRecord, expected: Output, may_have_expired: Callable[[str], bool]
    ) -> str | None:
        """Say why an input may have no record without anybody having removed it; None where nothing says
        so."""
        if entry.engine_version != ENGINE_VERSION:
            return "engine version"
        if may_have_expired(expected.topic):
            return "the output has expired"
        if record.timestamp < self.blind_until:
            return "what was forwarded before is not known"
        return None

    def _why_it_may_differ(
        self, entry: Entry, record: ConsumerRecord, decision: Decision, actual: ConsumerRecord
    ) -> str | None:
        """Say why the output may differ without anybody having altered it; None where nothing says so."""
        said = _read(actual)
        if said is None or said.engine_version not in {None, entry.engine_version}:
            return None
        if entry.engine_version != ENGINE_VERSION:
            return "engine version"
        if (why := _why_by_its_error(said, record)) is not None:
            return why
        for status in self._statuses(record):
            expected = self._expect(entry, record, self._decide(record, status))
            if expected is not None and _is_same(expected, actual):
                return "signatures were asked for in another way"
        if record.timestamp < self.blind_until and decision.outcome is not said.outcome:
            return "what was forwarded before is not known"
        return self._which_edition(entry, decision, said)

    def _statuses(self, record: ConsumerRecord) -> Iterator[SignatureStatus]:
        """Yield what may have come of the event's signature where the settings asked for less, or for
        more."""
        yield SignatureStatus.UNASKED
        if read_signed(record.value or b"", record.headers) is None:
            yield SignatureStatus.MISSING
        elif self.key_ring.is_off(self.lane.province):
            yield SignatureStatus.INVALID
            yield SignatureStatus.KEY_UNKNOWN

    def _which_edition(self, entry: Entry, decision: Decision, said: "_Said") -> str | None:
        if entry.list_digest == self.recognition.digest or not isinstance(decision, Forward | Reject):
            return None
        if decision.list_digest is None or said.list_digest is None:
            return None  # no list was asked, here or there: no edition makes the difference
        if said.list_digest != decision.list_digest:
            return "other list edition"
        # Editions that come later do not say what is in force, but what is not yet: a rejection may speak of
        # that.
        return "other list edition" if isinstance(decision, Reject) and said.outcome is Outcome.REJECT else None


@dataclass(frozen=True, slots=True)
class _Said:
    """What an output says of its decision; None where it does not."""

    outcome: Outcome
    engine_version: str | None = None
    list_digest: str | None = None
    error: DeadLetterCode | None = None


def _read(output: ConsumerRecord) -> _Said | None:
    if verification := read_verification(output.value):
        made = verification.data.decision
        return _Said(Outcome.FORWARD, made.engine_version, verification.data.list.digest)
    if rejection := read_rejection(output.value):
        made = rejection.data.decision
        return _Said(Outcome.REJECT, made.engine_version, rejection.data.list_digest)
    if letter := read_dead_letter(output.value):
        return _Said(Outcome.DEAD_LETTER, error=letter.data.error.code)
    return None


def _why_by_its_error(said: _Said, record: ConsumerRecord) -> str | None:
    if said.error is DeadLetterCode.REFUSED_BY_BROKER:
        return "refused by the broker"
    if said.error is DeadLetterCode.TOO_LARGE and isinstance(record.key, WithheldKey):
        return "the key, which counts for its size, is not archived"
    return None


def _is_same(expected: Output, actual: ConsumerRecord) -> bool:
    """Tell whether ``actual`` is ``expected``. A signature is not made again: whether it is the gateway's is
    not asked here."""
    value = without_signature(actual.value or b"")
    return (expected.topic, expected.key, expected.value) == (actual.topic, actual.key, value) and (
        list(expected.headers) == list(actual.headers)
    )
