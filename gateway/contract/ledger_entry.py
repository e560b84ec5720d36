"""The ledger entry of a transaction: what became of each input offset, chained by digest to the lane's entry before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Literal, NamedTuple

import msgspec
from pydantic import Field

from gateway.contract.envelope import Digest, Part, SentEnvelope, build_envelope, encode
from gateway.contract.outputs import Written, outputs_digest
from gateway.core.decision import ENGINE_VERSION, Decision, Duplicate, Forward, Outcome, Reject
from gateway.core.digest import sha256
from gateway.core.event import Valid
from gateway.core.province import Province
from gateway.core.reasons import Code
from gateway.core.recognition import Listed, Listing, Match, RowRef
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


class LedgerData(Part):
    """A ledger entry's ``data``: what became of each input offset of one transaction."""

    province: Province
    topic: str
    partition: int
    first_offset: int
    last_offset: int
    records: int = Field(description="Input records decided; offsets in between that hold none are gaps of the log.")
    counts: list[CountItem]
    outputs: int = Field(description="Records written by this transaction, this entry left out.")
    outputs_digest: Digest = Field(description="Over topic, key, headers and value of every output, in order.")
    list_digest: Digest
    engine_version: str
    previous: Digest | None = Field(description="Digest of the lane's previous entry; null for its first.")
    redriven: list[int] | None = Field(
        None, description="Input offsets put through again by `gateway redrive`; null for a lane's own turn."
    )


class LedgerEntry(SentEnvelope):
    """One entry a transaction, written in it: the lane's account, chained by digest."""

    type: Literal["cn.chuanyu.gateway.ledger.v1"]
    data: LedgerData


class Facets(NamedTuple):
    """What an entry counts by; channel and scenario in the list's words, so that their number stays bounded."""

    outcome: str
    batch: int | None
    row: int | None
    channel: str | None
    scenario: str | None
    region: str | None
    reason: str | None


def facets_of(decision: Decision) -> Facets:
    """Return the facets of ``decision``; its reason is the primary one."""
    outcome = decision.outcome
    if isinstance(decision, Forward):
        return _facets_of_listing(outcome, decision.listing, None)
    if isinstance(decision, Reject):
        reason = decision.reasons[0].code
        if decision.listing is not None:
            return _facets_of_listing(outcome, decision.listing, reason)
        return Facets(outcome, None, None, None, None, None, reason)
    region = None
    if isinstance(decision, Duplicate) and isinstance(decision.reading, Valid):
        region = decision.reading.event.data.display.region_code
    return Facets(outcome, None, None, None, None, region, None)


@lru_cache(maxsize=65_536)
def _facets_of_listing(outcome: str, listing: Listing, reason: str | None) -> Facets:
    region = listing.shown.region_code
    if not isinstance(listing, Listed):
        return Facets(outcome, None, None, None, None, region, reason)
    channel, scenario = listing.comparison.channel, listing.comparison.scenario
    return Facets(
        outcome,
        *listing.row.ref,
        channel.canonical if channel.match is Match.MATCH else None,
        scenario.canonical if scenario.match is Match.MATCH else None,
        region,
        reason,
    )


@dataclass(frozen=True, slots=True)
class EntrySpan:
    """The input records of a transaction: one lane's, offsets inclusive; ``received_at`` the last one's, in milliseconds."""

    province: Province
    topic: str
    partition: int
    first_offset: int
    last_offset: int
    records: int
    received_at: int


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

    ``id`` is the CloudEvent's; ``received`` its time, in milliseconds: when the last of its records was received.
    """

    province: Province
    topic: str
    partition: int
    first_offset: int
    last_offset: int
    records: int
    counts: tuple[Count, ...]
    outputs: int
    outputs_digest: str
    list_digest: str
    engine_version: str
    previous: str | None
    redriven: tuple[int, ...] | None = None
    id: str = ""
    received: int = 0


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


def has_outputs_digest(entry: Entry, outputs: Sequence[Written]) -> bool:
    """Tell whether ``outputs`` have the digest that ``entry`` says; not so either if that names no algorithm."""
    algorithm = entry.outputs_digest.partition(":")[0]
    return algorithm in {"sm3", "sha256"} and outputs_digest(algorithm, outputs) == entry.outputs_digest


def build_entry(
    span: EntrySpan, counts: Mapping[Facets, int], outputs: int, outputs_digest: str, list_digest: str,
    previous: str | None, *, redriven: Sequence[int] | None = None,
) -> bytes:  # fmt: skip
    """Build the entry's JSON, a CloudEvent; ``previous`` is ``digest(algorithm, [entry before])``, None for a chain's first.

    ``outputs`` is their number. ``redriven`` are the input offsets that were put through again, where the transaction did that.
    """
    return encode(
        {
            **build_envelope(LEDGER_TYPE, entry_id(span, previous), format_instant(span.received_at * 1000)),
            "data": {
                "province": span.province.value,
                "topic": span.topic,
                "partition": span.partition,
                "first_offset": span.first_offset,
                "last_offset": span.last_offset,
                "records": span.records,
                "counts": [{**facets._asdict(), "count": count} for facets, count in counts.items()],
                "outputs": outputs,
                "outputs_digest": outputs_digest,
                "list_digest": list_digest,
                "engine_version": ENGINE_VERSION,
                "previous": previous,
                "redriven": redriven,
            },
        }
    )


def entry_id(span: EntrySpan, previous: str | None) -> str:
    """Make the id of the entry for ``span`` that follows ``previous``; known before its outputs are."""
    identity = f"{span.topic} {span.partition} {span.first_offset} {span.last_offset} {previous}"
    return sha256(identity.encode()).partition(":")[2][:32]
