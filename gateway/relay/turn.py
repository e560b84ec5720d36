"""A lane's turn without Kafka: input records in, decisions and the records to be written out. Pure but for the horizon."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import repeat
from typing import NamedTuple, Protocol

from gateway.adapters.topics import Topics
from gateway.core.building import build_dead_letter, build_record
from gateway.core.decision import Decision, Outcome, dead_letter, decide, digest_input
from gateway.core.privacy import holds_personal_number
from gateway.core.province import Province
from gateway.core.recognition import Recognition
from gateway.core.signing import Verdict
from gateway.relay.horizon import COMING_BYTES, Horizon
from gateway.relay.ledger import Facets, Output, Span, build_entry, digest, facets_of, outputs_digest
from gateway.relay.trace_context import trace_headers

CONTENT_TYPE = ("content-type", b"application/cloudevents+json; charset=utf-8")
ORIGIN_HEADER = "chuanyu-origin"
"""Names the input record of an output, ``topic/partition/offset``, for tracing and audit."""


REMEMBERED_HEADER = "chuanyu-remembered"
"""On a ledger entry: the comings that the turn remembered, as ``Horizon.pending`` has them. A lane that opens learns from these
what else it would have to read all outputs for."""
MOST_REMEMBERED = 10_000
"""An entry of a larger turn goes without: it is to stay well below what a topic takes."""


REDRIVE_HEADER = "chuanyu-redrive"
"""On an output of `gateway redrive`: the id of the ledger entry that accounts for it."""
SUPERSEDES_HEADER = "chuanyu-supersedes"
"""On such an output: the rejection or dead letter that it takes the place of, ``topic/partition/offset``."""


WORTH_A_LINE = frozenset({Outcome.REJECT, Outcome.DEAD_LETTER})
"""Outcomes that the log tells of one by one."""


class InputRecord(Protocol):
    """What a turn reads of a Kafka record; ``timestamp`` in milliseconds, set by the broker."""

    @property
    def offset(self) -> int: ...  # noqa: D102

    @property
    def timestamp(self) -> int: ...  # noqa: D102

    @property
    def key(self) -> bytes | None: ...  # noqa: D102

    @property
    def value(self) -> bytes | None: ...  # noqa: D102

    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...  # noqa: D102


class Decided(NamedTuple):
    """An input record and what was decided about it."""

    record: InputRecord
    decision: Decision


@dataclass(frozen=True)
class LaneId:
    """Which input partition a lane reads."""

    province: Province
    topic: str
    partition: int

    @cached_property
    def origin(self) -> bytes:
        """What ``ORIGIN_HEADER`` says of its records, up to the offset."""
        return f"{self.topic}/{self.partition}/".encode()

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}"


@dataclass(frozen=True, slots=True)
class DecidedTurn:
    """What the records of one transaction became, not yet accounted for: ``outputs`` in input order.

    ``told`` are the rejections and dead letters, or all if so asked; ``remembered`` is ``Horizon.pending`` after it.
    """

    lane: LaneId
    span: Span
    counts: Mapping[Facets, int]
    told: tuple[Decided, ...]
    outputs: tuple[Output, ...]
    list_digest: str
    remembered: bytes


@dataclass(frozen=True, slots=True)
class Turn:
    """What one transaction will hold: outputs in input order, the ledger entry last; and where the input stands after it.

    ``counts`` are those of the entry; ``told`` as in ``DecidedTurn``.
    """

    counts: Mapping[Facets, int]
    told: tuple[Decided, ...]
    outputs: tuple[Output, ...]
    next_offset: int
    entry_digest: str


def lanes_of(topics: Topics, partitions: Mapping[str, int]) -> list[LaneId]:
    """Every lane; ``partitions`` is how many each topic has."""
    return [
        LaneId(province, topic, partition)
        for topic, province in topics.displays.items()
        for partition in range(partitions[topic])
    ]


def decide_turn(
    lane: LaneId, records: Sequence[InputRecord], recognition: Recognition, horizon: Horizon,
    *, topics: Topics, signatures: Sequence[Verdict] = (), refused_by_broker: bool = False, tell_all: bool = False,
) -> DecidedTurn:  # fmt: skip
    """Decide ``records`` (not empty, in offset order) and build what they become.

    ``signatures`` are the verdicts on theirs, in the same order; none where nobody asks for them.
    ``refused_by_broker`` makes dead letters of them: the broker has refused what they would have become.
    """
    counts: dict[Facets, int] = {}
    told: list[Decided] = []
    outputs: list[Output] = []
    destinations = destinations_of(lane, topics)
    for record, signature in zip(records, signatures or repeat(Verdict.UNASKED), strict=False):
        decision = (
            _refuse(lane, record) if refused_by_broker else decide_record(lane, record, recognition, horizon, signature)
        )
        outcome, reading, facets = decision.outcome, decision.reading, facets_of(decision)
        counts[facets] = counts.get(facets, 0) + 1
        # Most decisions are let go at once: a thousand of them would not fit the processor's cache.
        if tell_all or outcome in WORTH_A_LINE:
            told.append(Decided(record, decision))
        if reading is not None and outcome is not Outcome.DUPLICATE:
            horizon.remember(reading.identity, reading.content_digest, record.timestamp)
        if topic := destinations.get(outcome):
            outputs.append(build_output(lane, record, decision, topic))
    span = Span(
        lane.province,
        lane.topic,
        lane.partition,
        records[0].offset,
        records[-1].offset,
        len(records),
        records[-1].timestamp,
    )
    return DecidedTurn(lane, span, counts, tuple(told), tuple(outputs), recognition.digest, horizon.pending)


def build_turn_entry(turn: DecidedTurn, outputs_digest: str, previous: str | None, ledger: str) -> Output:
    """The record for the topic ``ledger`` that accounts for ``turn``; ``previous`` is the digest of the lane's last entry."""
    entry = build_entry(turn.span, turn.counts, len(turn.outputs), outputs_digest, turn.list_digest, previous)
    few = len(turn.remembered) <= MOST_REMEMBERED * COMING_BYTES
    headers = (CONTENT_TYPE, (REMEMBERED_HEADER, turn.remembered)) if few else (CONTENT_TYPE,)
    return Output(ledger, str(turn.lane).encode(), entry, headers)


def account_for(turn: DecidedTurn, entry: Output, algorithm: str) -> Turn:
    """``turn`` with its ledger ``entry``, whose digest the next one will name."""
    entry_digest = digest(algorithm, [entry.value])
    return Turn(turn.counts, turn.told, (*turn.outputs, entry), turn.span.last_offset + 1, entry_digest)


def take_turn(
    lane: LaneId, records: Sequence[InputRecord], recognition: Recognition, horizon: Horizon, previous: str | None,
    *, topics: Topics, algorithm: str, refused_by_broker: bool = False,
) -> Turn:  # fmt: skip
    """A whole turn, unsigned. Lanes close theirs by ``gateway.relay.closing``, which signs."""
    turn = decide_turn(lane, records, recognition, horizon, topics=topics, refused_by_broker=refused_by_broker)
    entry = build_turn_entry(turn, outputs_digest(algorithm, turn.outputs), previous, topics.ledger)
    return account_for(turn, entry, algorithm)


def destinations_of(lane: LaneId, topics: Topics) -> dict[Outcome, str]:
    """Where the lane's outputs go; a duplicate goes nowhere."""
    return {
        Outcome.FORWARD: topics.verification(lane.province.other),
        Outcome.REJECT: topics.rejection(lane.province),
        Outcome.DEAD_LETTER: topics.deadletter,
    }


def decide_record(
    lane: LaneId, record: InputRecord, recognition: Recognition, horizon: Horizon,
    signature: Verdict = Verdict.UNASKED,
) -> Decision:  # fmt: skip
    """The decision of one input record; what cannot be decided at all is a dead letter."""
    raw = record.value or b""
    try:
        return decide(
            raw, lane.province, record.timestamp, recognition,
            key=record.key, headers=record.headers, seen=horizon.at(record.timestamp), signature=signature,
        )  # fmt: skip
    except Exception as error:  # noqa: BLE001 — an event that always fails becomes a dead letter, never a stuck partition
        message = f"the decision failed with {type(error).__name__}"
        return dead_letter(lane.province, record.timestamp, digest_input(raw, record.headers), "UNDECIDABLE", message)


def _refuse(lane: LaneId, record: InputRecord) -> Decision:
    input_digest = digest_input(record.value or b"", record.headers)
    message = "the broker refused the record that this event became; see max.message.bytes of the output topic"
    return dead_letter(lane.province, record.timestamp, input_digest, "REFUSED_BY_BROKER", message)


def build_output(lane: LaneId, record: InputRecord, decision: Decision, topic: str) -> Output:
    """The record that goes out to ``topic`` for ``decision``."""
    value = build_record(decision)
    if value is None:
        raw = record.value or b""
        value = build_dead_letter(decision, raw, lane.topic, lane.partition, record.offset, record.headers)
    origin = b"%b%d" % (lane.origin, record.offset)
    # The key of an event that keeps the contract is its holder's reference, and so nobody's number.
    key = record.key if decision.event else _safe_key(record.key)
    return Output(topic, key, value, (CONTENT_TYPE, (ORIGIN_HEADER, origin), *trace_headers(record.headers, decision)))


def origin_of(headers: Sequence[tuple[str, bytes]]) -> tuple[str, int, int] | None:
    """Topic, partition and offset of the input record that an output's headers name; None where they name none."""
    for name, value in headers:
        if name == ORIGIN_HEADER:
            topic, _, rest = value.decode("utf-8", "replace").partition("/")
            partition, _, offset = rest.partition("/")
            if partition.isdecimal() and offset.isdecimal():
                return topic, int(partition), int(offset)
            return None
    return None


def _safe_key(key: bytes | None) -> bytes | None:
    """The input's key, unless it holds a personal number: then none, as personal data leaves by no topic."""
    return None if key is not None and holds_personal_number(key.decode("utf-8", "replace")) else key
