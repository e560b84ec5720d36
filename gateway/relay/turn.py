"""A lane's turn without Kafka: input records in, decisions and the records to be written out. Pure but for
the horizon."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from gateway.contract.facets import Facets, facets_of
from gateway.contract.headers import CONTENT_TYPE, REMEMBERED_HEADER
from gateway.contract.ledger_entry import (
    UNKNOWN_LOG,
    Account,
    EntrySpan,
    InputLog,
    Previous,
    build_accounted_entry,
    input_line,
    take_account,
)
from gateway.contract.outputs import InputRecord, Output, build_output, digest
from gateway.contract.topics import LaneId, Topics
from gateway.core.decision import Decision, Outcome
from gateway.core.recognition import Recognition
from gateway.core.signature import SignatureStatus
from gateway.relay.continuity import Link, Standing
from gateway.relay.deciding import decide_part, parts_of, refuse
from gateway.relay.horizon import OCCURRENCE_BYTES, Horizon
from gateway.relay.misplaced import Misplaced, find_misplaced
from gateway.relay.reported import REPORTED, Decided, Reported

MOST_REMEMBERED = 10_000
"""Forwards that an entry's header remembers; the entry of a larger turn goes without, to stay below what a
topic takes."""


class Packed(NamedTuple):
    """Outputs that the native kernel has written already: what the ledger says of them and of their
    inputs, and batches by topic."""

    account: Account
    batches: tuple[tuple[str, Any], ...]


@dataclass(frozen=True, slots=True)
class DecidedTurn:
    """What the records of one transaction became, not yet accounted for: ``outputs`` in input order.

    ``reported`` are the rejections and dead letters, or all if so asked; ``remembered`` is
    ``Horizon.pending`` after it; ``misplaced`` are records that stand in a partition where their key does
    not belong.
    """

    span: EntrySpan
    counts: Mapping[Facets, int]
    reported: tuple[Reported, ...]
    outputs: tuple[Output, ...]
    list_digest: str
    remembered: bytes
    misplaced: Misplaced | None = None
    packed: Packed | None = None

    @property
    def records(self) -> int:
        """How many input records were decided."""
        return self.packed.account.records if self.packed else len(self.span.inputs)

    def account(self, algorithm: str) -> Account:
        """Account for its records, by digests of ``algorithm``, that of the kernel if it has packed them."""
        return self.packed.account if self.packed else take_account(self.span.inputs, self.outputs, algorithm)


@dataclass(frozen=True, slots=True)
class Turn:
    """What one transaction will hold: outputs in input order, the ledger entry last; and where the input
    stands after it.

    ``span``, ``counts`` and ``last_input`` are those of the entry; ``reported`` and ``misplaced`` as in
    ``DecidedTurn``. ``batches`` are outputs that the kernel has packed, by topic; they come before
    ``outputs``.
    """

    span: EntrySpan
    counts: Mapping[Facets, int]
    reported: tuple[Reported, ...]
    outputs: tuple[Output, ...]
    entry_digest: str
    last_input: str | None = None
    misplaced: Misplaced | None = None
    batches: tuple[tuple[str, Any], ...] = ()

    @property
    def next_offset(self) -> int:
        """Where the input stands after it."""
        return self.span.last_offset + 1


def decide_turn(
    lane: LaneId, records: Sequence[InputRecord], recognition: Recognition, horizon: Horizon,
    *, topics: Topics, log: InputLog = UNKNOWN_LOG, signatures: Sequence[SignatureStatus] = (),
    refused_by_broker: bool = False, report_all: bool = False, partitions: int = 0,
) -> DecidedTurn:  # fmt: skip
    """Decide ``records`` of ``log`` (not empty, in offset order) and build what they become.

    ``signatures`` are the statuses of theirs, in the same order; none where nobody asks for them.
    ``refused_by_broker`` makes dead letters of them: the broker has refused what they would have become.
    ``partitions`` is how many the topic has, to find misplaced records; 0 where nobody asks for them.
    What is forwarded is pending in ``horizon``: the caller makes it last or drops it, whatever this raises.
    """
    statuses = signatures or [SignatureStatus.UNASKED] * len(records)
    counts: dict[Facets, int] = {}
    reported: list[Decided] = []
    outputs: list[Output] = []
    lines: list[bytes] = []
    for where in parts_of(records):
        part = records[where]
        if refused_by_broker:
            decisions: list[Decision] = [refuse(lane, record) for record in part]
        else:
            decisions = decide_part(lane, part, statuses[where], recognition, horizon)
        decided = [Decided(record, decision) for record, decision in zip(part, decisions, strict=True)]
        lines += [
            input_line(each.offset, each.timestamp, decision.input_digest, each.key) for each, decision in decided
        ]
        for facets in [facets_of(decision) for decision in decisions]:
            counts[facets] = counts.get(facets, 0) + 1
        reported += [each for each in decided if report_all or each.decision.outcome in REPORTED]
        built = [build_output(lane, record, decision, topics, log.epoch) for record, decision in decided]
        outputs += [output for output in built if output is not None]
    span = EntrySpan(lane, log, records[0].offset, records[-1].offset, records[-1].timestamp, lines)
    misplaced = find_misplaced(lane.partition, records, partitions) if partitions else None
    return DecidedTurn(
        span, counts, tuple(reported), tuple(outputs), recognition.digest, horizon.pending, misplaced=misplaced
    )


def note_lost(
    lane: LaneId, log: InputLog, first_offset: int, last_offset: int, *, at: int, list_digest: str
) -> DecidedTurn:
    """Make the turn that says which offsets (inclusive) the log no longer held; ``at`` is its time, in
    milliseconds."""
    counts = {Facets(Outcome.LOST, None, None, None, None, None, None): last_offset - first_offset + 1}
    return DecidedTurn(EntrySpan(lane, log, first_offset, last_offset, at), counts, (), (), list_digest, b"")


def note_epoch(lane: LaneId, log: InputLog, next_offset: int, *, at: int, list_digest: str) -> DecidedTurn:
    """Make the turn with which the epoch of ``log`` begins, at ``next_offset``; ``at`` is its time, in
    milliseconds."""
    return DecidedTurn(EntrySpan(lane, log, next_offset, next_offset - 1, at), {}, (), (), list_digest, b"")


def build_turn_entry(
    turn: DecidedTurn, account: Account, previous: Previous | None, ledger: str, algorithm: str
) -> Output:
    """Build the record for the topic ``ledger`` that accounts for ``turn``, after the lane's entry
    ``previous``."""
    few = len(turn.remembered) <= MOST_REMEMBERED * OCCURRENCE_BYTES
    remembered = turn.remembered if few else None
    entry = build_accounted_entry(
        turn.span, turn.counts, account, turn.list_digest, previous, algorithm=algorithm, remembered=remembered
    )
    headers = (CONTENT_TYPE,) if remembered is None else (CONTENT_TYPE, (REMEMBERED_HEADER, remembered))
    return Output(ledger, str(turn.span.lane).encode(), entry, headers)


def account_for(turn: DecidedTurn, account: Account, entry: Output, algorithm: str) -> Turn:
    """Complete ``turn`` with its ledger ``entry``, whose digest the next one will name."""
    return Turn(
        turn.span, turn.counts, turn.reported, (*turn.outputs, entry), digest(algorithm, [entry.value]),
        account.last_input, turn.misplaced, turn.packed.batches if turn.packed else (),
    )  # fmt: skip


def take_turn(
    lane: LaneId, records: Sequence[InputRecord], recognition: Recognition, horizon: Horizon, previous: Previous | None,
    *, topics: Topics, algorithm: str, log: InputLog = UNKNOWN_LOG, refused_by_broker: bool = False, partitions: int = 0,
) -> Turn:  # fmt: skip
    """Take a whole turn, unsigned. Lanes close theirs by ``gateway.relay.closing``, which signs."""
    turn = decide_turn(
        lane, records, recognition, horizon,
        topics=topics, log=log, refused_by_broker=refused_by_broker, partitions=partitions,
    )  # fmt: skip
    account = turn.account(algorithm)
    return account_for(turn, account, build_turn_entry(turn, account, previous, topics.ledger, algorithm), algorithm)


def stand_after(turn: Turn, before: Standing) -> tuple[Standing, Link]:
    """Return where a lane stands after ``turn``, from where it stood ``before``, and the turn's link."""
    span, previous = turn.span, before.previous
    received = max(span.received_at, (previous.received_at if previous is not None else None) or 0)
    standing = Standing(turn.next_offset, Previous(turn.entry_digest, received), span.log)
    return standing, Link(span.first_offset, span.last_offset, turn.last_input, span.log)
