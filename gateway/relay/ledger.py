"""The ledger entry of a transaction: what became of each input offset, chained by digest to the lane's entry before."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, Protocol

import msgspec

from gateway.core.content import encode
from gateway.core.decision import ENGINE_VERSION, Decision
from gateway.core.digest import sha256
from gateway.core.province import Province
from gateway.core.recognition import Finding, Listing
from gateway.core.records import GATEWAY_SOURCE, LEDGER_TYPE
from gateway.core.times import format_instant, parse_instant

Headers = tuple[tuple[str, bytes], ...]


class Output(msgspec.Struct, frozen=True, gc=False):
    """A record to be written, in the partition of its input."""

    topic: str
    key: bytes | None
    value: bytes
    headers: Headers


class Written(Protocol):
    """A record that was or is to be written: an ``Output``, or what a consumer reads of one."""

    @property
    def topic(self) -> str: ...  # noqa: D102

    @property
    def key(self) -> bytes | None: ...  # noqa: D102

    @property
    def value(self) -> bytes: ...  # noqa: D102

    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...  # noqa: D102


class Facets(NamedTuple):
    """What an entry counts by; channel and scenario in the list's words, so that their number stays bounded."""

    outcome: str
    row: int | None
    channel: str | None
    scenario: str | None
    region: str | None
    reason: str | None


def facets_of(decision: Decision) -> Facets:
    """The facets of ``decision``; its reason is the primary one."""
    reason = decision.reasons[0].code if decision.reasons else None
    if decision.listing is not None:
        return _facets_of_listed(decision.outcome, decision.listing, reason)
    region = decision.event.data.display.region_code if decision.event is not None else None
    return Facets(decision.outcome, None, None, None, region, reason)


@lru_cache(maxsize=65_536)
def _facets_of_listed(outcome: str, listing: Listing, reason: str | None) -> Facets:
    channel = scenario = row = None
    if listing.verdict is not None and listing.row is not None:
        verdict, row = listing.verdict, listing.row.number
        channel = verdict.channel.canonical if verdict.channel.finding is Finding.MATCH else None
        scenario = verdict.scenario.canonical if verdict.scenario.finding is Finding.MATCH else None
    return Facets(outcome, row, channel, scenario, listing.shown.region_code, reason)


@dataclass(frozen=True, slots=True)
class Span:
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
    row: int | None
    channel: str | None
    scenario: str | None
    region: str | None
    reason: str | None
    count: int


class Entry(msgspec.Struct, frozen=True):
    """What a ledger entry says, read again; see ``gateway.core.records.LedgerData``.

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


class _Envelope(msgspec.Struct):
    id: str
    time: str
    data: Entry


_decode = msgspec.json.Decoder(_Envelope).decode


def read_entry(value: bytes | None) -> Entry | None:
    """The entry in a ledger record; None where that is no entry of ours."""
    try:
        envelope = _decode(value or b"")
        received = (parse_instant(envelope.time) or 0) // 1000
        return msgspec.structs.replace(envelope.data, id=envelope.id, received=received)
    except msgspec.MsgspecError:
        return None


def digest(algorithm: str, parts: Iterable[bytes]) -> str:
    """``algorithm:hex`` over ``parts``; algorithm ``sm3`` (GB/T 32905) or ``sha256``."""
    return f"{algorithm}:{hashlib.new(algorithm, b''.join(parts)).hexdigest()}"


def outputs_digest(algorithm: str, outputs: Sequence[Written]) -> str:
    """The digest over topic, key, headers and value of every output, in order.

    Each is preceded by the lengths of its parts (decimal, ASCII; -1 for a null key), so that no two sequences are alike.
    """
    return digest(algorithm, (part for output in outputs for part in output_parts(output)))


def has_outputs_digest(entry: Entry, outputs: Sequence[Written]) -> bool:
    """Whether ``outputs`` have the digest that ``entry`` says; not so either if that names no algorithm."""
    algorithm = entry.outputs_digest.partition(":")[0]
    return algorithm in {"sm3", "sha256"} and outputs_digest(algorithm, outputs) == entry.outputs_digest


def output_parts(output: Written, topic: str | None = None) -> tuple[bytes, ...]:
    """What of ``output`` is digested; ``topic`` is its name where the record was written, if it is a copy."""
    headers = b"".join(
        [b"%d %d %b%b" % (len(name), len(value), name.encode(), value) for name, value in output.headers]
    )
    key, value, name = output.key, output.value, (topic or output.topic).encode()
    lengths = b"%d %d %d %d\n" % (len(name), -1 if key is None else len(key), len(headers), len(value))
    return lengths, name, key or b"", headers, value


def build_entry(
    span: Span, counts: Mapping[Facets, int], outputs: int, outputs_digest: str, list_digest: str,
    previous: str | None, *, redriven: Sequence[int] | None = None,
) -> bytes:  # fmt: skip
    """The entry's JSON (a CloudEvent); ``previous`` is ``digest(algorithm, [entry before])``, None for a chain's first.

    ``outputs`` is their number. ``redriven`` are the input offsets that were put through again, where the transaction did that.
    """
    return encode(
        {
            "specversion": "1.0",
            "id": entry_id(span, previous),
            "source": GATEWAY_SOURCE,
            "type": LEDGER_TYPE,
            "time": format_instant(span.received_at * 1000),
            "datacontenttype": "application/json",
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


def entry_id(span: Span, previous: str | None) -> str:
    """The id of the entry for ``span`` that follows ``previous``; known before its outputs are."""
    identity = f"{span.topic} {span.partition} {span.first_offset} {span.last_offset} {previous}"
    return sha256(identity.encode()).partition(":")[2][:32]
