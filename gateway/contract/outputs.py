"""What goes out for an input record: topic, key, headers and bytes; and the digest over such outputs."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

from gateway.contract.dead_letter import build_dead_letter
from gateway.contract.headers import CONTENT_TYPE, ORIGIN_HEADER, Origin, trace_headers
from gateway.contract.rejection import build_rejection
from gateway.contract.topics import LaneId, Topics
from gateway.contract.verification import build_verification
from gateway.core.decision import DeadLetter, Decision, Duplicate, Forward, Outcome
from gateway.core.event import Carried, Valid
from gateway.core.privacy import holds_personal_number

_NOTHING_CARRIED: Carried = {}


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
    def headers(self) -> Sequence[tuple[str, bytes]]: ...  # noqa: D102


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
    def headers(self) -> Sequence[tuple[str, bytes]]: ...  # noqa: D102


def destinations_of(lane: LaneId, topics: Topics) -> dict[Outcome, str]:
    """Tell where the lane's outputs go; a duplicate goes nowhere."""
    return {
        Outcome.FORWARD: topics.verification(lane.province.other),
        Outcome.REJECT: topics.rejection(lane.province),
        Outcome.DEAD_LETTER: topics.deadletter,
    }


def build_output(lane: LaneId, record: InputRecord, decision: Decision, topics: Topics) -> Output | None:
    """Build what goes out for ``decision``; None for a duplicate."""
    if isinstance(decision, Forward):
        topic, value = topics.verification(lane.province.other), build_verification(decision)
    elif isinstance(decision, Duplicate):
        return None
    elif isinstance(decision, DeadLetter):
        origin = Origin(lane.topic, lane.partition, record.offset)
        topic, value = topics.deadletter, build_dead_letter(decision, record.value or b"", origin)
    else:
        topic, value = topics.rejection(lane.province), build_rejection(decision)
    # The key of an event that keeps the contract is its holder's reference, and so nobody's number.
    is_reference = isinstance(decision, Forward) or (
        not isinstance(decision, DeadLetter) and isinstance(decision.reading, Valid)
    )
    key = record.key if is_reference else _safe_key(record.key)
    origin_header = (ORIGIN_HEADER, b"%b%d" % (lane.origin, record.offset))
    return Output(
        topic, key, value, (CONTENT_TYPE, origin_header, *trace_headers(record.headers, carried_by(decision)))
    )


def carried_by(decision: Decision) -> Carried:
    """Return the event's extension attributes that go out again."""
    return _NOTHING_CARRIED if isinstance(decision, DeadLetter) else decision.reading.carried


def _safe_key(key: bytes | None) -> bytes | None:
    """Leave out a key that holds a personal number: personal data leaves by no topic."""
    return None if key is not None and holds_personal_number(key.decode("utf-8", "replace")) else key


def digest(algorithm: str, parts: Iterable[bytes]) -> str:
    """Digest as ``algorithm:hex`` over ``parts``; algorithm ``sm3`` (GB/T 32905) or ``sha256``."""
    return f"{algorithm}:{hashlib.new(algorithm, b''.join(parts)).hexdigest()}"


def outputs_digest(algorithm: str, outputs: Sequence[Written]) -> str:
    """Digest topic, key, headers and value of every output, in order.

    Each is preceded by the lengths of its parts (decimal, ASCII; -1 for a null key), so that no two sequences are alike.
    """
    return digest(algorithm, (part for output in outputs for part in output_parts(output)))


def output_parts(output: Written, topic: str | None = None) -> tuple[bytes, ...]:
    """List what of ``output`` is digested; ``topic`` is its name where the record was written, if it is a copy."""
    headers = b"".join(
        [b"%d %d %b%b" % (len(name), len(value), name.encode(), value) for name, value in output.headers]
    )
    key, value, name = output.key, output.value, (topic or output.topic).encode()
    lengths = b"%d %d %d %d\n" % (len(name), -1 if key is None else len(key), len(headers), len(value))
    return lengths, name, key or b"", headers, value
