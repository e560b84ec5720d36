"""A lane's turn without Kafka: input records in, decisions and the records to be written out. Pure but for the horizon."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import NamedTuple

from gateway.contract.headers import CONTENT_TYPE, REMEMBERED_HEADER
from gateway.contract.ledger_entry import EntrySpan, Facets, build_entry, facets_of
from gateway.contract.outputs import InputRecord, Output, build_output, digest, outputs_digest
from gateway.contract.topics import LaneId, Topics
from gateway.core.dead_letter_codes import DeadLetterCode
from gateway.core.decision import DeadLetter, Decision, Forward, Outcome, dead_letter
from gateway.core.recognition import Recognition
from gateway.core.signature import SignatureStatus
from gateway.decide import decide_bytes, digest_input
from gateway.relay.horizon import OCCURRENCE_BYTES, Horizon

MOST_REMEMBERED = 10_000
"""Forwards that an entry's header remembers; the entry of a larger turn goes without, to stay below what a topic takes."""

REPORTED = frozenset({Outcome.REJECT, Outcome.DEAD_LETTER})
"""Outcomes that the log reports one by one."""


class Decided(NamedTuple):
    """An input record and what was decided about it."""

    record: InputRecord
    decision: Decision


@dataclass(frozen=True, slots=True)
class DecidedTurn:
    """What the records of one transaction became, not yet accounted for: ``outputs`` in input order.

    ``reported`` are the rejections and dead letters, or all if so asked; ``remembered`` is ``Horizon.pending`` after it.
    """

    lane: LaneId
    span: EntrySpan
    counts: Mapping[Facets, int]
    reported: tuple[Decided, ...]
    outputs: tuple[Output, ...]
    list_digest: str
    remembered: bytes


@dataclass(frozen=True, slots=True)
class Turn:
    """What one transaction will hold: outputs in input order, the ledger entry last; and where the input stands after it.

    ``counts`` are those of the entry; ``reported`` as in ``DecidedTurn``.
    """

    counts: Mapping[Facets, int]
    reported: tuple[Decided, ...]
    outputs: tuple[Output, ...]
    next_offset: int
    entry_digest: str


def decide_turn(
    lane: LaneId, records: Sequence[InputRecord], recognition: Recognition, horizon: Horizon,
    *, topics: Topics, signatures: Sequence[SignatureStatus] = (), refused_by_broker: bool = False, report_all: bool = False,
) -> DecidedTurn:  # fmt: skip
    """Decide ``records`` (not empty, in offset order) and build what they become.

    ``signatures`` are the statuses of theirs, in the same order; none where nobody asks for them.
    ``refused_by_broker`` makes dead letters of them: the broker has refused what they would have become.
    What is forwarded is pending in ``horizon``: the caller makes it last or drops it, whatever this raises.
    """
    counts: dict[Facets, int] = {}
    reported: list[Decided] = []
    outputs: list[Output] = []
    for record, signature in zip(records, signatures or repeat(SignatureStatus.UNASKED), strict=False):
        decision = (
            _refuse(lane, record) if refused_by_broker else decide_record(lane, record, recognition, horizon, signature)
        )
        facets = facets_of(decision)
        counts[facets] = counts.get(facets, 0) + 1
        # Most decisions are let go at once: a thousand of them would not fit the processor's cache.
        if report_all or decision.outcome in REPORTED:
            reported.append(Decided(record, decision))
        if isinstance(decision, Forward):
            reading = decision.reading
            horizon.remember(reading.identity, reading.content_digest, record.timestamp)
        if output := build_output(lane, record, decision, topics):
            outputs.append(output)
    span = EntrySpan(
        lane.province,
        lane.topic,
        lane.partition,
        records[0].offset,
        records[-1].offset,
        len(records),
        records[-1].timestamp,
    )
    return DecidedTurn(lane, span, counts, tuple(reported), tuple(outputs), recognition.digest, horizon.pending)


def build_turn_entry(turn: DecidedTurn, outputs_digest: str, previous: str | None, ledger: str) -> Output:
    """Build the record for the topic ``ledger`` that accounts for ``turn``; ``previous`` is the last entry's digest."""
    entry = build_entry(turn.span, turn.counts, len(turn.outputs), outputs_digest, turn.list_digest, previous)
    few = len(turn.remembered) <= MOST_REMEMBERED * OCCURRENCE_BYTES
    headers = (CONTENT_TYPE, (REMEMBERED_HEADER, turn.remembered)) if few else (CONTENT_TYPE,)
    return Output(ledger, str(turn.lane).encode(), entry, headers)


def account_for(turn: DecidedTurn, entry: Output, algorithm: str) -> Turn:
    """Complete ``turn`` with its ledger ``entry``, whose digest the next one will name."""
    entry_digest = digest(algorithm, [entry.value])
    return Turn(turn.counts, turn.reported, (*turn.outputs, entry), turn.span.last_offset + 1, entry_digest)


def take_turn(
    lane: LaneId, records: Sequence[InputRecord], recognition: Recognition, horizon: Horizon, previous: str | None,
    *, topics: Topics, algorithm: str, refused_by_broker: bool = False,
) -> Turn:  # fmt: skip
    """Take a whole turn, unsigned. Lanes close theirs by ``gateway.relay.closing``, which signs."""
    turn = decide_turn(lane, records, recognition, horizon, topics=topics, refused_by_broker=refused_by_broker)
    entry = build_turn_entry(turn, outputs_digest(algorithm, turn.outputs), previous, topics.ledger)
    return account_for(turn, entry, algorithm)


def decide_record(
    lane: LaneId, record: InputRecord, recognition: Recognition, horizon: Horizon,
    signature: SignatureStatus = SignatureStatus.UNASKED,
) -> Decision:  # fmt: skip
    """Decide one input record; what cannot be decided at all is a dead letter."""
    raw = record.value or b""
    try:
        return decide_bytes(
            raw, lane.province, record.timestamp, recognition,
            key=record.key, headers=record.headers, forwarded=horizon.at(record.timestamp), signature=signature,
        )  # fmt: skip
    except Exception as error:  # noqa: BLE001 — an event that always fails becomes a dead letter, never a stuck partition
        return _undecidable(
            lane, record, DeadLetterCode.UNDECIDABLE, f"the decision failed with {type(error).__name__}"
        )


def _refuse(lane: LaneId, record: InputRecord) -> DeadLetter:
    message = "the broker refused the record that this event became; see max.message.bytes of the output topic"
    return _undecidable(lane, record, DeadLetterCode.REFUSED_BY_BROKER, message)


def _undecidable(lane: LaneId, record: InputRecord, code: DeadLetterCode, message: str) -> DeadLetter:
    return dead_letter(
        lane.province, record.timestamp, digest_input(record.value or b"", record.headers), code, message
    )
