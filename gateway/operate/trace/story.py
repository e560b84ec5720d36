"""What happened to the occurrences of an event in one lane: as data, without anything personal."""

from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiokafka.structs import ConsumerRecord

from gateway.adapters.signatures import KeyRing
from gateway.core.decision import ENGINE_VERSION, Decision, Outcome, decide
from gateway.core.reading import Identity, Reading
from gateway.core.recognition import Dimension, Recognition
from gateway.core.records import DEADLETTER_TYPE, REJECTED_TYPE, VERIFIED_TYPE
from gateway.core.times import format_instant
from gateway.feedback.problems import observe
from gateway.relay.ledger import Entry
from gateway.relay.turn import REDRIVE_HEADER, SUPERSEDES_HEADER, LaneId

_KINDS = {VERIFIED_TYPE: "verification", REJECTED_TYPE: "rejection", DEADLETTER_TYPE: "dead_letter"}
_OUTCOMES = {"verification": "forward", "rejection": "reject", "dead_letter": "dead_letter"}
_decode = msgspec.json.Decoder().decode


@dataclass(slots=True)
class Found:
    """An input record, what it says (None: nothing that can be read), and what the lane wrote of it, in the topics' order."""

    record: ConsumerRecord
    reading: Reading | None
    outputs: list[ConsumerRecord] = field(default_factory=list)
    entries: list[tuple[ConsumerRecord, Entry]] = field(default_factory=list)


def tell(
    lane: LaneId, found: list[Found], decided_up_to: int, recognition: Recognition, key_ring: KeyRing
) -> list[dict[str, Any]]:
    """The story of each of ``found``, all of one lane, in offset order.

    ``decided_up_to`` is the last offset that the ledger accounts for. The decision is made again under ``recognition``, for the
    five checks and for ``proved``: ``yes``, or ``no: …`` and why.
    """
    seen: dict[Identity, dict[str, int]] = {}
    return [
        _tell(lane, each, decided_up_to, recognition, key_ring, seen)
        for each in sorted(found, key=lambda f: f.record.offset)
    ]


def _tell(
    lane: LaneId, found: Found, decided_up_to: int, recognition: Recognition, key_ring: KeyRing,
    seen: dict[Identity, dict[str, int]],
) -> dict[str, Any]:  # fmt: skip
    record, reading = found.record, found.reading
    identity = Identity(reading.source, reading.id) if reading else None
    earlier = seen.setdefault(identity, {}) if identity else {}
    decision = decide(
        record.value or b"", lane.province, record.timestamp, recognition,
        key=record.key, headers=record.headers, seen={identity: tuple(earlier)} if identity and earlier else {},
        signature=key_ring.verdict_on(lane.province, record),
    )  # fmt: skip
    outputs = [_output(each) for each in sorted(found.outputs, key=lambda each: (each.timestamp, each.offset))]
    own = [entry for entry in found.entries if entry[1].redriven is None]
    original = earlier.get(reading.content_digest) if reading else None
    if reading is not None and original is None:
        earlier[reading.content_digest] = record.offset
    first = next((each for each in outputs if each["redrive"] is None), None)
    if first is not None:
        outcome = _OUTCOMES[first["kind"]]
    elif own:
        outcome = Outcome.DUPLICATE.value
    else:
        outcome = "pending" if record.offset > decided_up_to else "unknown"
    return {
        "id": reading.id if reading else None,
        "source": reading.source if reading else None,
        "trace_id": reading.trace_id if reading else None,
        "shown_at": reading.event.time if reading and reading.event else None,
        "input": _place(record) | {"received": format_instant(record.timestamp * 1000)},
        "outcome": outcome,
        "row": decision.row,
        "reasons": first["reasons"] if first and first["kind"] == "rejection" else [],
        "error": first["error"] if first else None,
        "checks": _checks(decision),
        "responsible_units": first["responsible_units"] if first else [],
        "cases": [{"id": case, "status": None} for case in _cases(lane, found)],
        "outputs": [{name: each[name] for name in _SHOWN} for each in outputs],
        "ledger": _entry(*own[0]) if own else None,
        "redrives": [_entry(*each) for each in found.entries if each[1].redriven is not None],
        "duplicate_of": _duplicate_of(lane, outcome, original),
        "proved": _proved(decision, outcome, first),
    }


def _cases(lane: LaneId, found: Found) -> list[str]:
    """The feedback cases that its rejection or dead letter counts for."""
    observations = [observe(output.value, output.headers, lane.province) for output in found.outputs]
    problems = [problem for each in observations if each is not None for problem in each.problems]
    return list(dict.fromkeys(problem.case_id for problem in problems))


_SHOWN = ("kind", "topic", "partition", "offset", "written", "redrive", "supersedes")


def _place(record: ConsumerRecord) -> dict[str, Any]:
    return {"topic": record.topic, "partition": record.partition, "offset": record.offset}


def _output(record: ConsumerRecord) -> dict[str, Any]:
    headers = {name: value.decode("utf-8", "replace") for name, value in record.headers}
    try:
        content = _decode(record.value or b"")
        data, kind = content["data"], _KINDS.get(content["type"], "foreign")
    except (msgspec.MsgspecError, KeyError, TypeError):
        data, kind = {}, "foreign"
    made = data.get("decision") or {}
    return {
        "kind": kind,
        **_place(record),
        "written": format_instant(record.timestamp * 1000),
        "redrive": headers.get(REDRIVE_HEADER),
        "supersedes": headers.get(SUPERSEDES_HEADER),
        "reasons": data.get("reasons", []),
        "error": data.get("error"),
        "responsible_units": data.get("responsible_units", []),
        "digest": made.get("digest") or data.get("digest"),
        "engine_version": made.get("engine_version"),
        "list_digest": (data.get("list") or {}).get("digest") or data.get("list_digest"),
    }


def _checks(decision: Decision) -> list[dict[str, Any]]:
    verdict = decision.listing.verdict if decision.listing else None
    return [_check(dimension) for dimension in verdict.all] if verdict else []


def _check(dimension: Dimension) -> dict[str, Any]:
    return {
        "dimension": dimension.name,
        "field": dimension.field,
        "found": dimension.found,
        "accepted": list(dimension.accepted),
        "result": dimension.finding.value,
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


def _duplicate_of(lane: LaneId, outcome: str, original: int | None) -> str | None:
    if outcome != Outcome.DUPLICATE.value:
        return None
    return f"{lane.topic}/{lane.partition}/{original}" if original is not None else "before what was searched"


def _proved(decision: Decision, outcome: str, first: dict[str, Any] | None) -> str:
    """Whether the decision, made again here from input and list, is the one on record; and if not, why."""
    if outcome in {"pending", "unknown"}:
        return "not decided"
    if first is None:
        return "yes" if decision.outcome is Outcome.DUPLICATE else "no: its original is not within what was searched"
    if first["digest"] == decision.digest:
        return "yes"
    return f"no: {_why_not(decision, first)}"


def _why_not(decision: Decision, first: dict[str, Any]) -> str:
    if (first["error"] or {}).get("code") == "REFUSED_BY_BROKER":
        return "the broker refused the record"
    if first["engine_version"] not in {None, ENGINE_VERSION}:
        return f"decided by engine {first['engine_version']}, this is {ENGINE_VERSION}"
    if first["list_digest"] != decision.list_digest:
        return "decided under another edition of the list than the one here"
    return "the decision on record is another"
