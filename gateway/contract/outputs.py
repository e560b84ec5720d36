"""What goes out for an input record: topic, key, headers and bytes; and the digest over such outputs."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

from gateway.contract.dead_letter import build_dead_letter
from gateway.contract.headers import CONTENT_TYPE, EPOCH_HEADER, ORIGIN_HEADER, Headers, Origin, trace_headers
from gateway.contract.rejection import build_rejection
from gateway.contract.topics import LaneId, Topics
from gateway.contract.verification import build_verification
from gateway.core.decision import DeadLetter, Decision, Forward, Outcome, Reject
from gateway.core.digest import sha256
from gateway.core.event import Carried, Valid

ALGORITHMS = frozenset({"sm3", "sha256"})
"""Of digests over outputs and entries."""

_NOTHING_CARRIED: Carried = {}
_REFERENCE = re.compile(rb"sm3:[0-9a-fA-F]{64}")


class InputRecord(Protocol):
    """What is read of an input's Kafka record; ``timestamp`` in milliseconds, set by the broker."""

    @property
    def offset(self) -> int: ...  # noqa: D102

    @property
    def timestamp(self) -> int: ...  # noqa: D102

    @property
    def key(self) -> bytes | None: ...  # noqa: D102

    @property
    def value(self) -> bytes | None: ...  # noqa: D102

    @property
    def headers(self) -> Headers: ...  # noqa: D102


class Output(msgspec.Struct, frozen=True, gc=False):
    """A record to be written, in the partition of its input."""

    topic: str
    key: bytes | None
    value: bytes
    headers: tuple[tuple[str, bytes], ...]


class Written(Protocol):
    """A record that was or is to be written: an ``Output``, or what a consumer reads of one."""

    @property
    def topic(self) -> str: ...  # noqa: D102

    @property
    def key(self) -> bytes | None: ...  # noqa: D102

    @property
    def value(self) -> bytes: ...  # noqa: D102

    @property
    def headers(self) -> Headers: ...  # noqa: D102


def destinations_of(lane: LaneId, topics: Topics) -> dict[Outcome, str]:
    """Tell where the lane's outputs go; a duplicate goes nowhere."""
    return {
        Outcome.FORWARD: topics.verification(lane.province.other),
        Outcome.REJECT: topics.rejection(lane.province),
        Outcome.DEAD_LETTER: topics.deadletter,
    }


def build_output(
    lane: LaneId, record: InputRecord, decision: Decision, topics: Topics, epoch: int = 0
) -> Output | None:
    """Build what goes out for ``decision``; None for a duplicate. ``epoch`` is that of the input's log."""
    # The key of an event that keeps the contract is its holder's reference, and so nobody's number.
    if isinstance(decision, Forward):
        topic, key, value = topics.verification(lane.province.other), record.key, build_verification(decision)
        carried = decision.reading.carried
    elif isinstance(decision, Reject):
        topic, value = topics.rejection(lane.province), build_rejection(decision)
        key = record.key if isinstance(decision.reading, Valid) else _safe_key(record.key)
        carried = decision.reading.carried
    elif isinstance(decision, DeadLetter):
        origin = Origin(lane.topic, lane.partition, record.offset)
        topic, value = topics.deadletter, build_dead_letter(decision, record.value or b"", origin)
        key, carried = _safe_key(record.key), _NOTHING_CARRIED
    else:
        return None
    origin_header = (ORIGIN_HEADER, b"%b%d" % (lane.origin, record.offset))
    trace = trace_headers(record.headers, carried)
    if epoch:
        return Output(topic, key, value, (CONTENT_TYPE, origin_header, (EPOCH_HEADER, b"%d" % epoch), *trace))
    return Output(topic, key, value, (CONTENT_TYPE, origin_header, *trace))


def _safe_key(key: bytes | None) -> bytes | None:
    """Return the key if it is a holder's reference, else its digest: what else stands there could be
    anybody's name."""
    return key if key is None or _REFERENCE.fullmatch(key) else sha256(key).encode()


def digest(algorithm: str, parts: Iterable[bytes]) -> str:
    """Digest as ``algorithm:hex`` over ``parts``; algorithm ``sm3`` (GB/T 32905) or ``sha256``."""
    return f"{algorithm}:{hashlib.new(algorithm, b''.join(parts)).hexdigest()}"


def is_digest_of(text: str | None, parts: Iterable[bytes]) -> bool:
    """Tell whether ``text`` is the digest over ``parts``; not so either where it names no algorithm of
    ours."""
    algorithm = (text or "").partition(":")[0]
    return algorithm in ALGORITHMS and text == digest(algorithm, parts)


def outputs_digest(algorithm: str, outputs: Sequence[Written]) -> str:
    """Digest the digests of ``outputs`` (32 bytes each, joined), in order: a tree of one level, whose leaves
    name records."""
    return digest(algorithm, [output_digest(algorithm, output) for output in outputs])


def output_digest(algorithm: str, output: Written, topic: str | None = None) -> bytes:
    """Digest topic, key, headers and value of ``output``, preceded by their lengths, so that no two outputs
    are alike.

    Lengths are decimal in ASCII, -1 for what is null. ``topic`` is the record's name where it was written,
    if it is a copy.
    """
    return hashlib.new(algorithm, b"".join(output_parts(output, topic))).digest()


def _header_part(name: str, value: bytes | None) -> bytes:
    return b"%d %d %b%b" % (len(name), -1 if value is None else len(value), name.encode(), value or b"")


_CONTENT_TYPE = _header_part(*CONTENT_TYPE)  # made once, as every output has it


def output_parts(output: Written, topic: str | None = None) -> tuple[bytes, ...]:
    """List what of ``output`` is digested; ``topic`` is its name where the record was written, if it is a
    copy."""
    headers = b"".join([_CONTENT_TYPE if each is CONTENT_TYPE else _header_part(*each) for each in output.headers])
    key, value, name = output.key, output.value, (topic or output.topic).encode()
    lengths = b"%d %d %d %d\n" % (len(name), -1 if key is None else len(key), len(headers), len(value))
    return lengths, name, key or b"", headers, value
