"""What happened to the occurrences of an event in one lane: as data, without anything personal."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
from aiokafka.structs import ConsumerRecord

from gateway.adapters.signatures import KeyRing
from gateway.contract.dead_letter import read_dead_letter
from gateway.contract.headers import REDRIVE_HEADER, SUPERSEDES_HEADER, trace_id
from gateway.contract.ledger_entry import Entry
from gateway.contract.rejection import read_rejection
from gateway.contract.topics import LaneId
from gateway.contract.verification import read_verification
from gateway.core.dead_letter_codes import DeadLetterCode
from gateway.core.decision import (
    ENGINE_VERSION,
    Decision,
    Duplicate,
    Forward,
    Outcome,
    Reject,
    dead_letter,
    row_of,
)
from gateway.core.event import Identity, Reading
from gateway.core.recognition import Comparison, Dimension, Listed, Recognition
from gateway.core.times import format_instant
from gateway.decide import decide_bytes
from gateway.feedback.problems import observe

_OUTCOMES = {"verification": "forward", "rejection": "reject", "dead_letter": "dead_letter"}


@dataclass(slots=True)
class Found:
    """An input record, what it says (None: nothing that can be read), and what the lane wrote of it, in the topics' order."""

    record: ConsumerRecord
    reading: Reading | None
    outputs: list[ConsumerRecord] = field(default_factory=list)
    entries: list[tuple[ConsumerRecord, Entry]] = field(default_factory=list)

    @property
    def own_entry(self) -> tuple[ConsumerRecord, Entry] | None:
        """The entry of the lane's own turn; None before it, or where it is no longer kept."""
        return next((each for each in self.entries if each[1].redriven is None), None)

    @property
    def redrives(self) -> list[tuple[ConsumerRecord, Entry]]:
        """The entries of redrives."""
        return [each for each in self.entries if each[1].redriven is not None]


@dataclass(frozen=True, slots=True)
class _Output:
    """An output read back: what the story says of it, and what its decision is proved by."""

    record: ConsumerRecord
    kind: str = "foreign"
    reasons: tuple[dict[str, Any], ...] = ()
    error: dict[str, Any] | None = None
    units: tuple[str, ...] = ()
    digest: str | None = None
    engine_version: str | None = None
    list_digest: str | None = None
    forwarded: tuple[Identity, str] | None = None

    def header(self, name: str) -> str | None:
        """Return the text of a header; None where it is not there."""
        return next((value.decode("utf-8", "replace") for each, value in self.record.headers if each == name), None)

    @property
    def redrive(self) -> str | None:
        """The id of the redrive's entry; None for the output of the lane's own turn."""
        return self.header(REDRIVE_HEADER)

    def shown(self) -> dict[str, Any]:
        """Say where it stands."""
        return {
            "kind": self.kind,
            **_place(self.record),
            "written": format_instant(self.record.timestamp * 1000),
            "redrive": self.redrive,
            "supersedes": self.header(SUPERSEDES_HEADER),
        }


class _Forwarded(NamedTuple):
    """A forwarded event: from which ledger offset on it is known, of which input, and with which content."""

    ledger_offset: float
    origin: int
    identity: Identity
    content_digest: str


def tell(
    lane: LaneId, found: list[Found], decided_up_to: int, recognition: Recognition, key_ring: KeyRing
) -> list[dict[str, Any]]:
    """Tell the story of each of ``found``, all of one lane, in offset order.

    ``decided_up_to`` is the last offset that the ledger accounts for. The decision is made again under ``recognition``, for the
    five checks and for ``proved``: ``yes``, or ``no: …`` and why.
    """
    outputs = {each.record.offset: _read_outputs(each.outputs) for each in found}
    forwarded = [event for each in found for event in _forwarded_of(each, outputs[each.record.offset])]
    return [
        _tell(lane, each, outputs[each.record.offset], decided_up_to, recognition, key_ring, forwarded)
        for each in sorted(found, key=lambda each: each.record.offset)
    ]


def _tell(
    lane: LaneId, found: Found, outputs: list[_Output], decided_up_to: int, recognition: Recognition, key_ring: KeyRing,
    forwarded: list[_Forwarded],
) -> dict[str, Any]:  # fmt: skip
    record, reading, own = found.record, found.reading, found.own_entry
    turn = (own[0].offset if own else math.inf, record.offset)
    earlier = [each for each in forwarded if each[:2] < turn]
    contents: dict[Identity, tuple[str, ...]] = {}
    for each in earlier:
        contents[each.identity] = (*contents.get(each.identity, ()), each.content_digest)
    decision = decide_bytes(
        record.value or b"", lane.province, record.timestamp, recognition,
        key=record.key, headers=record.headers, forwarded=contents,
        signature=key_ring.status_on(lane.province, record),
    )  # fmt: skip
    first = next((each for each in outputs if each.redrive is None), None)
    if first is not None:
        outcome = _OUTCOMES.get(first.kind, "unknown")
    elif own:
        outcome = Outcome.DUPLICATE.value
    else:
        outcome = "pending" if record.offset > decided_up_to else "unknown"
    batch, row = row_of(decision) or (None, None)
    return {
        "id": reading.id if reading else None,
        "source": reading.source if reading else None,
        "trace_id": trace_id(reading.carried) if reading else None,
        "shown_at": reading.time if reading else None,
        "input": _place(record) | {"received": format_instant(record.timestamp * 1000)},
        "outcome": outcome,
        "batch": batch,
        "row": row,
        "reasons": list(first.reasons) if first else [],
        "error": first.error if first else None,
        "checks": [_check(dimension) for dimension in comparison.all] if (comparison := _compared(decision)) else [],
        "responsible_units": list(first.units) if first else [],
        "cases": [{"id": case, "status": None} for case in _cases(lane, found)],
        "outputs": [each.shown() for each in outputs],
        "ledger": _entry(*own) if own else None,
        "redrives": [_entry(*each) for each in found.redrives],
        "duplicate_of": _duplicate_of(lane, outcome, reading, earlier),
        "proved": _proved(decision, outcome, first),
    }


def _forwarded_of(found: Found, outputs: Iterable[_Output]) -> Iterable[_Forwarded]:
    entries = {entry.id: record.offset for record, entry in found.redrives}
    own = found.own_entry
    for output in outputs:
        if output.forwarded is not None:
            entry = entries.get(output.redrive, -1) if output.redrive else (own[0].offset if own else -1)
            yield _Forwarded(entry, found.record.offset, *output.forwarded)


def _cases(lane: LaneId, found: Found) -> list[str]:
    """Name the feedback cases that its rejection or dead letter counts for."""
    observations = [observe(output.value, output.headers, lane.province) for output in found.outputs]
    problems = [problem for each in observations if each is not None for problem in each.problems]
    return list(dict.fromkeys(problem.case_id for problem in problems))


def _place(record: ConsumerRecord) -> dict[str, Any]:
    return {"topic": record.topic, "partition": record.partition, "offset": record.offset}


def _read_outputs(records: Iterable[ConsumerRecord]) -> list[_Output]:
    """Read outputs back, the oldest one first."""
    return [_read_output(record) for record in sorted(records, key=lambda each: (each.timestamp, each.offset))]


def _read_output(record: ConsumerRecord) -> _Output:
    if verification := read_verification(record.value):
        data, made = verification.data, verification.data.decision
        identity = Identity(data.event.source, data.event.id, data.holder.ref)
        return _Output(
            record, "verification", digest=made.digest, engine_version=made.engine_version,
            list_digest=data.list.digest, forwarded=(identity, made.content_digest),
        )  # fmt: skip
    if rejection := read_rejection(record.value):
        made = rejection.data.decision
        return _Output(
            record, "rejection", tuple(msgspec.to_builtins(each) for each in rejection.data.reasons),
            units=rejection.data.responsible_units, digest=made.digest, engine_version=made.engine_version,
            list_digest=rejection.data.list_digest,
        )  # fmt: skip
    if letter := read_dead_letter(record.value):
        error = letter.data.error
        digest = dead_letter(None, 0, letter.data.input_digest, error.code, error.message).digest
        return _Output(record, "dead_letter", error=msgspec.to_builtins(error), digest=digest)
    return _Output(record)


def _compared(decision: Decision) -> Comparison | None:
    listing = decision.listing if isinstance(decision, Forward | Reject) else None
    if isinstance(listing, Listed):
        return listing.comparison
    return listing.nearest.comparison if listing and listing.nearest else None


def _check(dimension: Dimension) -> dict[str, Any]:
    return {
        "dimension": dimension.name,
        "field": dimension.field,
        "found": dimension.found,
        "accepted": list(dimension.accepted),
        "result": dimension.match.value,
    }


def _entry(record: ConsumerRecord, entry: Entry) -> dict[str, Any]:
    return _place(record) | {
        "id": entry.id,
        "first_offset": entry.first_offset,
        "last_offset": entry.last_offset,
        "records": entry.records,
        "outputs_digest": entry.outputs_digest,
        "list_digest": entry.list_digest,
    }


def _duplicate_of(lane: LaneId, outcome: str, reading: Reading | None, earlier: Iterable[_Forwarded]) -> str | None:
    """Say where the event came in that was forwarded before; None where it is no duplicate."""
    if outcome != Outcome.DUPLICATE.value or reading is None:
        return None
    same = (each.origin for each in earlier if each.content_digest == reading.content_digest)
    origin = next(same, None)
    return f"{lane.topic}/{lane.partition}/{origin}" if origin is not None else "before what was searched"


def _proved(decision: Decision, outcome: str, first: _Output | None) -> str:
    """Say whether the decision, made again here from input and list, is the one on record; and if not, why."""
    if outcome in {"pending", "unknown"}:
        return "not decided"
    if first is None:
        return "yes" if isinstance(decision, Duplicate) else "no: what it repeats is not within what was searched"
    if first.digest == decision.digest:
        return "yes"
    return f"no: {_why_not(decision, first)}"


def _why_not(decision: Decision, first: _Output) -> str:
    if first.error and first.error["code"] == DeadLetterCode.REFUSED_BY_BROKER:
        return "the broker refused the record"
    if first.engine_version not in {None, ENGINE_VERSION}:
        return f"decided by engine {first.engine_version}, this is {ENGINE_VERSION}"
    if isinstance(decision, Forward | Reject) and first.list_digest != decision.list_digest:
        return "decided under another edition of the list than the one here"
    return "the decision on record is another"
