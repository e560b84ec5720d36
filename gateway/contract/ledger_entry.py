"""The ledger entry of a transaction: what became of each input offset, chained by digest to the lane's entry
before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

import msgspec
from pydantic import Field

from gateway.contract.envelope import Digest, Part, SentEnvelope, build_record
from gateway.contract.facets import Facets
from gateway.contract.outputs import ALGORITHMS, Written, digest, is_digest_of, outputs_digest
from gateway.contract.topics import LaneId
from gateway.core.decision import ENGINE_VERSION, Outcome
from gateway.core.digest import sha256
from gateway.core.province import Province
from gateway.core.reasons import Code
from gateway.core.recognition import RowRef
from gateway.core.times import format_instant, parse_instant

LEDGER_TYPE = "cn.chuanyu.gateway.ledger.v1"


class CountItem(Part):
    """How many input records of a transaction are alike in all of these; what does not apply is null."""

    outcome: Outcome
    batch: int | None = Field(description="The list batch of the row.")
    row: int | None
    channel: str | None
    scenario: str | None
    region: str | None
    reason: Code | None = Field(description="The primary reason.")
    count: Annotated[int, Field(ge=1)]


class AcknowledgementItem(Part):
    """Who has taken note of what was lost, and why it is closed."""

    entry: Digest | None = Field(
        description="Digest of the entry whose offsets are lost; null where the lane's memory of duplicates is incomplete."
    )
    by: str
    why: str


class LedgerData(Part):
    """A ledger entry's ``data``: what became of each input offset of one transaction."""

    province: Province
    topic: str
    topic_id: str | None = Field(
        description="Kafka's id of the input topic (KIP-516), which tells two topics of one name apart; null where unknown."
    )
    epoch: int = Field(
        description="How many times another log stood under the topic's name; offsets are of the log of this epoch."
    )
    partition: int
    first_offset: int
    last_offset: int = Field(
        description="One less than `first_offset` in the entry with which an epoch begins, or that is an acknowledgement."
    )
    records: int = Field(
        description="Input records decided; none where the offsets are lost. Offsets in between that hold no record are "
        "transaction markers or aborted records."
    )
    inputs_digest: Digest = Field(
        description="Over offset, timestamp, key and input digest of every record decided, in order."
    )
    last_input: Digest | None = Field(description="The same over the last of them alone; null where there is none.")
    counts: list[CountItem]
    outputs: int = Field(description="Records written by this transaction, this entry left out.")
    outputs_digest: Digest = Field(
        description="Over the digests (32 bytes each, joined) of every output, in order; an output's is over its topic, key, "
        "headers and value."
    )
    list_digest: Digest
    engine_version: str
    remembered_digest: Digest | None = Field(
        description="Over the header chuanyu-remembered; null where the entry goes without it."
    )
    previous: Digest | None = Field(
        description="Digest of the lane's previous entry; null for its first, and where that entry is lost."
    )
    previous_time: str | None = Field(
        description="The latest time at which an input of an entry before this one was received; null for the lane's "
        "first, and where not known."
    )
    redriven: list[int] | None = Field(
        None, description="Input offsets put through again by `gateway redrive`; null for a lane's own turn."
    )
    acknowledged: AcknowledgementItem | None = Field(
        None, description="Written by `gateway acknowledge`: lost offsets that somebody has taken note of."
    )


class LedgerEntry(SentEnvelope):
    """One entry a transaction, written in it: the lane's account, chained by digest."""

    type: Literal["cn.chuanyu.gateway.ledger.v1"]
    data: LedgerData


class InputLog(NamedTuple):
    """The log that a lane reads: the topic's id, None where unknown, and how many logs it read under the
    name before."""

    topic_id: str | None
    epoch: int = 0


UNKNOWN_LOG = InputLog(None)


class Previous(NamedTuple):
    """The lane's entry before: its digest, and the latest time at which an input was received up to it, in
    milliseconds.

    The digest is None where nobody has that entry any more, the time where it is not known.
    """

    digest: str | None
    received_at: int | None


class Account(NamedTuple):
    """What an entry says of the records of its transaction, and proves: those decided, and those written."""

    records: int
    inputs_digest: str
    last_input: str | None
    outputs: int
    outputs_digest: str


class Acknowledgement(msgspec.Struct, frozen=True):
    """See ``AcknowledgementItem``."""

    entry: str | None
    by: str
    why: str


@dataclass(frozen=True, slots=True)
class EntrySpan:
    """The input records of a transaction: one lane's, offsets inclusive, of one log; or the offsets that
    were lost.

    ``received_at`` is the last one's, in milliseconds. ``inputs`` has one ``input_line`` a record.
    """

    lane: LaneId
    log: InputLog
    first_offset: int
    last_offset: int
    received_at: int
    inputs: Sequence[bytes] = ()


def input_line(offset: int, timestamp: int, input_digest: str, key: bytes | None) -> bytes:
    """Say in one line which input record was decided; ``timestamp`` in milliseconds."""
    return b"%d %d %b %d %b\n" % (offset, timestamp, input_digest.encode(), -1 if key is None else len(key), key or b"")


def is_last_input(entry: "Entry", line: bytes) -> bool:
    """Tell whether ``line`` is that of the last record which ``entry`` decided."""
    return is_digest_of(entry.last_input, [line])


class Count(msgspec.Struct, frozen=True):
    """How many of an entry's records are alike in all of these."""

    outcome: str
    batch: int | None
    row: int | None
    channel: str | None
    scenario: str | None
    region: str | None
    reason: str | None
    count: int

    @property
    def facets(self) -> Facets:
        """What the records are alike in."""
        return Facets(self.outcome, self.batch, self.row, self.channel, self.scenario, self.region, self.reason)

    @property
    def ref(self) -> RowRef | None:
        """The row of the list; None where there is none."""
        return None if self.batch is None or self.row is None else RowRef(self.batch, self.row)


class Entry(msgspec.Struct, frozen=True):
    """What a ledger entry says, read again; see ``LedgerData``.

    ``id`` is the CloudEvent's; ``received`` its time, in milliseconds: when the last of its records was
    received.
    """

    province: Province
    topic: str
    topic_id: str | None
    epoch: int
    partition: int
    first_offset: int
    last_offset: int
    records: int
    inputs_digest: str
    last_input: str | None
    counts: tuple[Count, ...]
    outputs: int
    outputs_digest: str
    list_digest: str
    engine_version: str
    remembered_digest: str | None
    previous: str | None
    previous_time: str | None
    redriven: tuple[int, ...] | None = None
    acknowledged: Acknowledgement | None = None
    id: str = ""
    received: int = 0

    @property
    def log(self) -> InputLog:
        """The log that its offsets are of."""
        return InputLog(self.topic_id, self.epoch)

    @property
    def is_first(self) -> bool:
        """Whether its lane had no entry before it."""
        return self.previous is None and self.previous_time is None

    @property
    def is_of_a_turn(self) -> bool:
        """Whether it moves its lane's position: a turn's does, and that of lost offsets."""
        return self.redriven is None and self.acknowledged is None

    @property
    def is_of_lost_offsets(self) -> bool:
        """Whether it says that the log no longer held its offsets when the lane came to them."""
        return any(count.outcome == Outcome.LOST for count in self.counts)

    @property
    def previous_received(self) -> int | None:
        """``previous_time`` in milliseconds since the epoch."""
        instant = parse_instant(self.previous_time) if self.previous_time else None
        return None if instant is None else instant // 1000


class _SentEntry(msgspec.Struct):
    id: str
    time: str
    type: Literal["cn.chuanyu.gateway.ledger.v1"]
    data: Entry


_decode = msgspec.json.Decoder(_SentEntry).decode


def read_entry(value: bytes | None) -> Entry | None:
    """Read a ledger entry back; None if ``value`` is not one of ours."""
    try:
        sent = _decode(value or b"")
        received = (parse_instant(sent.time) or 0) // 1000
        return msgspec.structs.replace(sent.data, id=sent.id, received=received)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


class Glance(msgspec.Struct, frozen=True):
    """Of an entry, what tells where it stands among the lane's others, and what it says of them."""

    topic: str
    topic_id: str | None
    epoch: int
    partition: int
    first_offset: int
    last_offset: int
    redriven: tuple[int, ...] | None = None
    acknowledged: Acknowledgement | None = None

    @property
    def is_of_a_turn(self) -> bool:
        """See ``Entry.is_of_a_turn``."""
        return self.redriven is None and self.acknowledged is None


class _SentGlance(msgspec.Struct):
    type: Literal["cn.chuanyu.gateway.ledger.v1"]
    data: Glance


_decode_glance = msgspec.json.Decoder(_SentGlance).decode


def glance_at_entry(value: bytes | None) -> Glance | None:
    """Read of a ledger entry what a ``Glance`` has, in a tenth of the time; None if ``value`` is not one of
    ours."""
    try:
        return _decode_glance(value or b"").data
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def entry_digest(entry: Entry, value: bytes) -> str:
    """Digest ``value``, the record of ``entry``, by the algorithm of its own digests: so the lane's next
    entry names it."""
    algorithm = entry.inputs_digest.partition(":")[0]
    return digest(algorithm if algorithm in ALGORITHMS else "sm3", [value])


def has_outputs_digest(entry: Entry, outputs: Sequence[Written]) -> bool:
    """Tell whether ``outputs`` have the digest that ``entry`` says; not so either where it names no
    algorithm of ours."""
    algorithm = entry.outputs_digest.partition(":")[0]
    return algorithm in ALGORITHMS and entry.outputs_digest == outputs_digest(algorithm, outputs)


def has_inputs_digest(entry: Entry, inputs: Sequence[bytes]) -> bool:
    """Tell whether the records of these lines (see ``input_line``) are those that ``entry`` decided."""
    return is_digest_of(entry.inputs_digest, inputs)


def has_remembered(entry: Entry, remembered: bytes) -> bool:
    """Tell whether ``remembered`` is what ``entry`` says its header remembers."""
    return is_digest_of(entry.remembered_digest, [remembered])


def build_entry(
    span: EntrySpan, counts: Mapping[Facets, int], outputs: Sequence[Written], list_digest: str, previous: Previous | None,
    *, algorithm: str, remembered: bytes | None = None, redriven: Sequence[int] | None = None,
    acknowledged: Acknowledgement | None = None,
) -> bytes:  # fmt: skip
    """Build the entry of a transaction that writes ``outputs``; see ``build_accounted_entry``."""
    return build_accounted_entry(
        span, counts, take_account(span.inputs, outputs, algorithm), list_digest, previous,
        algorithm=algorithm, remembered=remembered, redriven=redriven, acknowledged=acknowledged,
    )  # fmt: skip


def take_account(inputs: Sequence[bytes], outputs: Sequence[Written], algorithm: str) -> Account:
    """Account for input records, by their lines (see ``input_line``), and for what was written of them."""
    return Account(
        len(inputs), digest(algorithm, inputs), digest(algorithm, inputs[-1:]) if inputs else None,
        len(outputs), outputs_digest(algorithm, outputs),
    )  # fmt: skip


def build_accounted_entry(
    span: EntrySpan, counts: Mapping[Facets, int], account: Account, list_digest: str, previous: Previous | None,
    *, algorithm: str, remembered: bytes | None = None, redriven: Sequence[int] | None = None,
    acknowledged: Acknowledgement | None = None,
) -> bytes:  # fmt: skip
    """Build the entry's JSON, a CloudEvent, which follows ``previous`` (None for a chain's first).

    ``algorithm`` is that of its digests, ``remembered`` what its header remembers. ``redriven`` are the
    input offsets that were put through again, where the transaction did that.
    """
    before = previous.received_at if previous is not None else None
    data = {
        "province": span.lane.province.value,
        "topic": span.lane.topic,
        "topic_id": span.log.topic_id,
        "epoch": span.log.epoch,
        "partition": span.lane.partition,
        "first_offset": span.first_offset,
        "last_offset": span.last_offset,
        "records": account.records,
        "inputs_digest": account.inputs_digest,
        "last_input": account.last_input,
        "counts": [Count(*facets, count) for facets, count in counts.items()],
        "outputs": account.outputs,
        "outputs_digest": account.outputs_digest,
        "list_digest": list_digest,
        "engine_version": ENGINE_VERSION,
        "remembered_digest": digest(algorithm, [remembered]) if remembered is not None else None,
        "previous": previous.digest if previous is not None else None,
        "previous_time": format_instant(before * 1000) if before is not None else None,
        "redriven": redriven,
        "acknowledged": acknowledged,
    }
    return build_record(LEDGER_TYPE, entry_id(span, previous), format_instant(span.received_at * 1000), data)


def entry_id(span: EntrySpan, previous: Previous | None) -> str:
    """Make the id of the entry for ``span`` that follows ``previous``; known before its outputs are."""
    lane, link = span.lane, (previous.digest or previous.received_at) if previous is not None else None
    identity = f"{lane.topic} {lane.partition} {span.first_offset} {span.last_offset} {link}"
    return sha256(identity.encode()).partition(":")[2][:32]
