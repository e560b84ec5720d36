"""The ledger entry of a transaction: what became of each input offset, chained by digest to the lane's entry before."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gateway.core.building import encode
from gateway.core.decision import ENGINE_VERSION, Decision
from gateway.core.digest import sha256
from gateway.core.province import Province
from gateway.core.recognition import Finding
from gateway.core.records import GATEWAY_SOURCE, LEDGER_TYPE
from gateway.core.times import format_instant

Headers = tuple[tuple[str, bytes], ...]


class Output(NamedTuple):
    """A record to be written, in the partition of its input."""

    topic: str
    key: bytes | None
    value: bytes
    headers: Headers


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


def digest(algorithm: str, parts: Iterable[bytes]) -> str:
    """``algorithm:hex`` over ``parts``; algorithm ``sm3`` (GB/T 32905) or ``sha256``."""
    return f"{algorithm}:{hashlib.new(algorithm, b''.join(parts)).hexdigest()}"


def outputs_digest(algorithm: str, outputs: Sequence[Output]) -> str:
    """The digest over topic, key, headers and value of every output, in order.

    Each is preceded by the lengths of its parts (decimal, ASCII; -1 for a null key), so that no two sequences are alike.
    """
    return digest(algorithm, (part for output in outputs for part in _parts(output)))


def _parts(output: Output) -> tuple[bytes, ...]:
    headers = b"".join(b"%d %d %s%s" % (len(name), len(value), name.encode(), value) for name, value in output.headers)
    key = output.key if output.key is not None else b""
    key_length = -1 if output.key is None else len(key)
    topic = output.topic.encode()
    lengths = b"%d %d %d %d\n" % (len(topic), key_length, len(headers), len(output.value))
    return lengths, topic, key, headers, output.value


def build_entry(
    span: Span, decisions: Sequence[Decision], outputs: Sequence[Output], list_digest: str, previous: str | None,
    *, algorithm: str,
) -> bytes:  # fmt: skip
    """The entry's JSON (a CloudEvent); ``previous`` is ``digest(algorithm, [entry before])``, None for a lane's first."""
    identity = f"{span.topic} {span.partition} {span.first_offset} {span.last_offset} {previous}"
    return encode(
        {
            "specversion": "1.0",
            "id": sha256(identity.encode()).partition(":")[2][:32],
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
                "counts": _counts(decisions),
                "outputs": len(outputs),
                "outputs_digest": outputs_digest(algorithm, outputs),
                "list_digest": list_digest,
                "engine_version": ENGINE_VERSION,
                "previous": previous,
            },
        }
    )


def _counts(decisions: Sequence[Decision]) -> list[dict[str, object]]:
    counts = Counter(map(_facets, decisions))
    names = ("outcome", "row", "channel", "scenario", "region", "reason")
    return [{**dict(zip(names, facets, strict=True)), "count": count} for facets, count in counts.items()]


def _facets(decision: Decision) -> tuple[str, int | None, str | None, str | None, str | None, str | None]:
    """What an entry counts by; channel and scenario in the list's words, so that their number stays bounded."""
    channel = scenario = region = None
    if decision.listing and decision.listing.verdict and decision.listing.row:
        verdict = decision.listing.verdict
        channel = verdict.channel.canonical if verdict.channel.finding is Finding.MATCH else None
        scenario = verdict.scenario.canonical if verdict.scenario.finding is Finding.MATCH else None
    if decision.event:
        region = decision.event.data.display.region_code
    reason = decision.reasons[0].code if decision.reasons else None
    return decision.outcome, decision.row, channel, scenario, region, reason
