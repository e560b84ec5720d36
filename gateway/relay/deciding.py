"""Decides a turn's input records, part by part: each step for all records of a part, and then the next
step."""

from collections.abc import Iterable, Iterator, Sequence

from gateway.adapters.unreadable import UnreadableRecord, dead_letter_of, input_digest_of
from gateway.contract.display_event import read_event
from gateway.contract.outputs import InputRecord
from gateway.contract.topics import LaneId
from gateway.core.dead_letter_codes import DeadLetterCode
from gateway.core.decision import DeadLetter, Decision, Forward, dead_letter
from gateway.core.event import Reading
from gateway.core.recognition import Recognition
from gateway.core.signature import SignatureStatus
from gateway.decide import decide_read
from gateway.relay.horizon import Horizon

_MOST_RECORDS, _MOST_BYTES = 250, 400_000
"""Of a part: what a processor's second cache holds beside the code of one step."""


def parts_of(records: Sequence[InputRecord]) -> Iterator[slice]:
    """Cut ``records`` into parts. Event by event through all steps a turn costs up to a quarter more: code
    and data miss the caches."""
    start = 0
    while start < len(records):
        part = records[start : start + _MOST_RECORDS]
        while len(part) > 1 and sum([len(record.value or b"") for record in part]) > _MOST_BYTES:
            part = part[: len(part) // 2]
        yield slice(start, start + len(part))
        start += len(part)


def decide_part(
    lane: LaneId, part: Sequence[InputRecord], signatures: Iterable[SignatureStatus], recognition: Recognition, horizon: Horizon,
) -> list[Decision]:  # fmt: skip
    """Decide the records of ``part``, in offset order; what is forwarded is pending in ``horizon``."""
    digests = [input_digest_of(record) for record in part]
    readings = [_read(record) for record in part]
    decisions: list[Decision] = []
    for record, reading, input_digest, signature in zip(part, readings, digests, signatures, strict=True):
        decision = _decide(lane, record, reading, input_digest, recognition, horizon, signature)
        if isinstance(decision, Forward):  # the next record of the part may repeat it
            event = decision.reading
            horizon.remember(event.identity, event.content_digest, record.timestamp)
        decisions.append(decision)
    return decisions


def decide_record(
    lane: LaneId, record: InputRecord, recognition: Recognition, horizon: Horizon,
    signature: SignatureStatus = SignatureStatus.UNASKED,
) -> Decision:  # fmt: skip
    """Decide one input record; what cannot be decided at all is a dead letter. ``horizon`` is only read."""
    return _decide(lane, record, _read(record), input_digest_of(record), recognition, horizon, signature)


def refuse(lane: LaneId, record: InputRecord) -> DeadLetter:
    """Make a dead letter of a record whose output the broker would not take."""
    message = "the broker refused the record that this event became; see max.message.bytes of the output topic"
    return _undecidable(lane, record, DeadLetterCode.REFUSED_BY_BROKER, message)


def _read(record: InputRecord) -> Reading | Exception:
    """Read a record's event; what stands in the way is returned, as it is that record's matter alone."""
    try:
        return read_event(record.value or b"", record.headers, key=record.key)
    except Exception as error:  # noqa: BLE001 — an event that always fails becomes a dead letter, never a stuck partition
        return error


def _decide(
    lane: LaneId, record: InputRecord, reading: Reading | Exception, input_digest: str, recognition: Recognition,
    horizon: Horizon, signature: SignatureStatus,
) -> Decision:  # fmt: skip
    if not record.value and isinstance(record, UnreadableRecord):
        return dead_letter_of(lane.province, record)
    try:
        return decide_read(
            reading, lane.province, record.timestamp, recognition, input_digest,
            forwarded=horizon.at(record.timestamp), signature=signature,
        )  # fmt: skip
    except Exception as error:  # noqa: BLE001 — as in ``_read``
        message = f"the decision failed with {type(error).__name__}"
        return _undecidable(lane, record, DeadLetterCode.UNDECIDABLE, message)


def _undecidable(lane: LaneId, record: InputRecord, code: DeadLetterCode, message: str) -> DeadLetter:
    size = record.size if isinstance(record, UnreadableRecord) else None
    return dead_letter(lane.province, record.timestamp, input_digest_of(record), code, message, size)
