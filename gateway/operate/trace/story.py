"""What happened to the occurrences of an event in one lane: as data, without anything personal."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
from aiokafka.structs import ConsumerRecord

from gateway.adapters.signatures import KeyRing
from gateway.adapters.unreadable import UnreadableRecord, dead_letter_of
from gateway.contract.dead_letter import read_dead_letter
from gateway.contract.envelope import SentEvent
from gateway.contract.headers import (
    REDRIVE_HEADER,
    SUPERSEDES_HEADER,
    TRACEPARENT,
    parse_traceparent,
    trace_id,
)
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
from gateway.core.reasons import Code
from gateway.core.recognition import Comparison, Dimension, Listed, Recognition
from gateway.core.times import format_instant
from gateway.decide import decide_bytes
from gateway.feedback.problems import observe

_OUTCOMES = {"verification": "forward", "rejection": "reject", "dead_letter": "dead_letter"}


@dataclass(slots=True)
class FoundInput:
    """An input record, what it says (None: nothing that can be read), and what the lane wrote of it, in the
    topics' order.

    Of an archive ``recognition`` is the list that decided it, and the record may be there without its bytes:
    ``event_id`` is then its id, where there is no output to say it. So it is of an input that ``is_gone``
    from its topic.
    """

    record: ConsumerRecord
    reading: Reading | None
    outputs: list[ConsumerRecord] = field(default_factory=list)
    entries: list[tuple[ConsumerRecord, Entry]] = field(default_factory=list)
    recognition: Recognition | None = None
    has_bytes: bool = True
    event_id: str | None = None
    is_gone: bool = False

    @property
    def own_entry(self) -> tuple[ConsumerRecord, Entry] | None:
        """The entry of the lane's own turn; None before it, or where it is no longer kept."""
        return next((each for each in self.entries if each[1].is_of_a_turn), None)

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
    event: SentEvent | None = None
    row: tuple[int, int] | None = None

    def header(self, name: str) -> str | None:
        """Return the text of a header; None where it is not there."""
        found = (value for each, value in self.record.headers if each == name and value is not None)
        return next((value.decode("utf-8", "replace") for value in found), None)

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


def tell_story(
    lane: LaneId, found: list[FoundInput], decided_up_to: int, recognition: Recognition, key_ring: KeyRing
) -> list[dict[str, Any]]:
    """Tell the story of each of ``found``, all of one lane, in offset order.

    ``decided_up_to`` is the last offset that the ledger accounts for. The decision is made again under
    ``recognition``, for the five checks and for ``proved``: ``yes``, or ``no: …`` and why; ``proved_zh``
    says it in Chinese.
    """
    outputs = {each.record.offset: _read_outputs(each.outputs) for each in found}
    forwarded = [event for each in found for event in _forwarded_of(each, outputs[each.record.offset])]
    return [
        _tell(lane, each, outputs[each.record.offset], decided_up_to, recognition, key_ring, forwarded)
        for each in sorted(found, key=lambda each: each.record.offset)
    ]


def _tell(
    lane: LaneId, found: FoundInput, outputs: list[_Output], decided_up_to: int, recognition: Recognition, key_ring: KeyRing,
    forwarded: list[_Forwarded],
) -> dict[str, Any]:  # fmt: skip
    record, reading, own = found.record, found.reading, found.own_entry
    turn = (own[0].offset if own else math.inf, record.offset)
    earlier = [each for each in forwarded if each[:2] < turn]
    contents: dict[Identity, tuple[str, ...]] = {}
    for each in earlier:
        contents[each.identity] = (*contents.get(each.identity, ()), each.content_digest)
    decision = _decide_again(lane, found, recognition, key_ring, contents)
    first = next((each for each in outputs if each.redrive is None), None)
    if first is not None:
        outcome = _OUTCOMES.get(first.kind, "unknown")
    elif own:
        outcome = (Outcome.LOST if own[1].is_of_lost_offsets else Outcome.DUPLICATE).value
    else:
        outcome = "pending" if record.offset > decided_up_to else "unknown"
    said = reading or (first.event if first else None)
    if decision is None:
        batch, row = (first.row if first else None) or (None, None)
        trace, checks = _trace_id_of(first), _checks_of(first)
    else:
        batch, row = row_of(decision) or (None, None)
        trace = trace_id(reading.carried) if reading else None
        checks = [_check(dimension) for dimension in comparison.all] if (comparison := _compared(decision)) else []
    proved = _proved(decision, outcome, first, is_gone=found.is_gone)
    return {
        "id": said.id if said else found.event_id,
        "source": said.source if said else None,
        "trace_id": trace,
        "shown_at": said.time if said else None,
        "input": _place(record) | {"received": format_instant(record.timestamp * 1000), "is_kept": not found.is_gone},
        "outcome": outcome,
        "batch": batch,
        "row": row,
        "reasons": list(first.reasons) if first else [],
        "error": first.error if first else None,
        "checks": checks,
        "responsible_units": list(first.units) if first else [],
        "cases": [{"id": case, "status": None} for case in _cases(lane, found)],
        "outputs": [each.shown() for each in outputs],
        "ledger": _entry(*own) if own else None,
        "redrives": [_entry(*each) for each in found.redrives],
        "duplicate_of": _duplicate_of(lane, outcome, found, earlier),
        "proved": proved.en,
        "proved_zh": proved.zh,
    }


def _decide_again(
    lane: LaneId,
    found: FoundInput,
    recognition: Recognition,
    key_ring: KeyRing,
    contents: dict[Identity, tuple[str, ...]],
) -> Decision | None:
    """Make the decision again; None where the bytes are not there."""
    record = found.record
    if isinstance(record, UnreadableRecord):
        return dead_letter_of(lane.province, record)
    if not found.has_bytes:
        return None
    return decide_bytes(
        record.value or b"", lane.province, record.timestamp, found.recognition or recognition,
        key=record.key, headers=record.headers, forwarded=contents,
        signature=key_ring.status_on(lane.province, record),
    )  # fmt: skip


def _trace_id_of(output: _Output | None) -> str | None:
    """Return the trace id that an output carries on."""
    found = parse_traceparent(output.header(TRACEPARENT)) if output is not None else None
    return found[1] if found else None


def _checks_of(output: _Output | None) -> list[dict[str, Any]]:
    """Return the five checks as a rejection says them; none where it says none."""
    if output is None or output.kind != "rejection":
        return []
    nearest = msgspec.json.decode(output.record.value)["data"]["nearest_row"]
    return list(nearest["checks"]) if nearest else []


def _forwarded_of(found: FoundInput, outputs: Iterable[_Output]) -> Iterable[_Forwarded]:
    entries = {entry.id: record.offset for record, entry in found.redrives}
    own = found.own_entry
    for output in outputs:
        if output.forwarded is not None:
            entry = entries.get(output.redrive, -1) if output.redrive else (own[0].offset if own else -1)
            yield _Forwarded(entry, found.record.offset, *output.forwarded)


def _cases(lane: LaneId, found: FoundInput) -> list[str]:
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
            list_digest=data.list.digest, forwarded=(identity, made.content_digest), event=data.event,
            row=(data.list.batch, data.list.row),
        )  # fmt: skip
    if rejection := read_rejection(record.value):
        made, nearest = rejection.data.decision, rejection.data.nearest_row
        return _Output(
            record, "rejection", tuple(msgspec.to_builtins(each) for each in rejection.data.reasons),
            units=rejection.data.responsible_units, digest=made.digest, engine_version=made.engine_version,
            list_digest=rejection.data.list_digest, event=rejection.data.event,
            row=(nearest.batch, nearest.row) if nearest is not None and nearest.listed else None,
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
        "epoch": entry.epoch,
        "first_offset": entry.first_offset,
        "last_offset": entry.last_offset,
        "records": entry.records,
        "outputs_digest": entry.outputs_digest,
        "list_digest": entry.list_digest,
    }


def _duplicate_of(lane: LaneId, outcome: str, found: FoundInput, earlier: Iterable[_Forwarded]) -> str | None:
    """Say where the event came in that was forwarded before; None where it is not a duplicate, or that was
    not searched."""
    reading = found.reading
    if outcome != Outcome.DUPLICATE.value or (reading is None and found.has_bytes):
        return None
    if reading is None:
        same = (each.origin for each in earlier if each.identity.id == found.event_id)
    else:
        same = (each.origin for each in earlier if each.content_digest == reading.content_digest)
    origin = next(same, None)
    return f"{lane.topic}/{lane.partition}/{origin}" if origin is not None else None


class _Proof(NamedTuple):
    """Whether a decision was made again, in both languages."""

    en: str
    zh: str


def _proved(decision: Decision | None, outcome: str, first: _Output | None, *, is_gone: bool) -> _Proof:
    """Say whether the decision, made again here from input and list, is the one on record; and if not,
    why."""
    if outcome in {"pending", "unknown", "lost"}:
        return _Proof("not decided", "未判定")
    if is_gone:
        return _Proof("not proved: the input record is no longer in its topic", "未复验：原始消息已不在主题中")
    if decision is None:
        return _Proof("not proved: the input's bytes are not archived", "未复验：归档中没有原始消息")
    if first is None:
        why = None if isinstance(decision, Duplicate) else _NOT_SEARCHED
    else:
        why = None if first.digest == decision.digest else _why_not(decision, first)
    return _Proof(f"no: {why.en}", f"不一致：{why.zh}") if why else _Proof("yes", "一致")


def _why_not(decision: Decision, first: _Output) -> _Proof:
    if first.error and first.error["code"] == DeadLetterCode.REFUSED_BY_BROKER:
        return _Proof("the broker refused the record", "Kafka 拒收该消息")
    if first.engine_version not in {None, ENGINE_VERSION}:
        return _Proof(
            f"decided by engine {first.engine_version}, this is {ENGINE_VERSION}",
            f"由 {first.engine_version} 版判定，当前为 {ENGINE_VERSION} 版",
        )
    if isinstance(decision, Forward | Reject) and first.list_digest != decision.list_digest:
        return _Proof("decided under another edition of the list than the one here", "判定所用的清单版本与当前不同")
    if any(reason["code"] == Code.ID_REUSED for reason in first.reasons) and isinstance(decision, Forward):
        return _Proof(
            "what was forwarded before under its id is not within what was searched",
            "同一标识此前通过的事件不在查找范围内",
        )
    return _Proof("the decision on record is another", "与记录的判定不同")


_NOT_SEARCHED = _Proof("what it repeats is not within what was searched", "与之重复的事件不在查找范围内")
