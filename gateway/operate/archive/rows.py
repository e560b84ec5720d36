"""What stands in a segment's files: for each record its exact bytes, and beside them columns to ask by.

The columns are read off the bytes, so that an audit can make them again; they hold nothing that is not
in the bytes, but that ``entry`` and ``input`` say which ledger entry and which input a record belongs
to.
"""

import datetime
import re
from typing import Any, NamedTuple

import msgspec
from aiokafka.structs import ConsumerRecord

from gateway.adapters.unreadable import UnreadableRecord
from gateway.contract.dead_letter import read_dead_letter
from gateway.contract.headers import REDRIVE_HEADER, origin_of
from gateway.contract.ledger_entry import Entry
from gateway.contract.rejection import read_rejection
from gateway.contract.verification import read_verification
from gateway.core.digest import sha256
from gateway.core.times import china_date, parse_instant

LEDGER, INPUTS, VERIFICATIONS, REJECTIONS, DEAD_LETTERS = (
    "ledger.parquet", "inputs.parquet", "verifications.parquet", "rejections.parquet", "dead-letters.parquet",
)  # fmt: skip
OUTPUTS = (VERIFICATIONS, REJECTIONS, DEAD_LETTERS)

_RECORD = {
    "topic": "word", "partition": "int32", "offset": "int64", "timestamp": "time", "key": "bytes", "headers": "headers",
    "value": "bytes",
}  # fmt: skip
_OF_OUTPUT = {"entry": "int64", "epoch": "int32", "input": "int64", "redrive": "text"}
_OF_EVENT = {
    "event_id": "text", "source": "word", "event_time": "text", "day": "date", "received": "time", "holder_ref": "text",
}  # fmt: skip

COLUMNS: dict[str, dict[str, str]] = {
    LEDGER: {
        **_RECORD, "kind": "word", "day": "date", "received": "time", "epoch": "int32", "first_offset": "int64",
        "last_offset": "int64", "records": "int64", "outputs": "int64", "list_digest": "word", "engine_version": "word",
        "counts": "counts",
    },
    INPUTS: {
        "topic": "word", "partition": "int32", "epoch": "int32", "offset": "int64", "timestamp": "time", "key": "bytes",
        "key_digest": "text", "digest": "text", "problem": "word", "size": "int64", "entry": "int64", "outcome": "word",
        "event_id": "text", "headers": "headers", "value": "bytes",
    },
    VERIFICATIONS: {
        **_RECORD, **_OF_OUTPUT, **_OF_EVENT, "shown_day": "date", "holder_kind": "word", "batch": "int32", "row": "int32",
        "list_digest": "word", "certificate": "word", "issuer": "word", "channel": "word", "scenario": "word",
        "scenario_text": "word", "region": "word", "verifier": "word",
    },
    REJECTIONS: {
        **_RECORD, **_OF_OUTPUT, **_OF_EVENT, "batch": "int32", "row": "int32", "list_digest": "word", "certificate": "word",
        "reason": "word", "reasons": "words", "units": "words",
    },
    DEAD_LETTERS: {**_RECORD, **_OF_OUTPUT, "day": "date", "received": "time", "error": "word", "size": "int64"},
}  # fmt: skip
"""The columns of each file and what they hold; ``gateway.operate.archive.parquet`` has the types.

A ``word`` recurs in very many rows. ``day`` is the day (UTC+8) on which the input was received,
``shown_day`` that of the display. Of an input, ``key`` is left out where it is not a holder's reference,
and ``key_digest`` stands for it; ``headers`` and ``value`` are there where ``archive.input_bytes`` asks
for them; ``problem`` and ``size`` are of a record that no client can read.
"""

_OF_EVERY_RECORD = ("topic", "partition", "offset", "timestamp")
REQUIRED: dict[str, tuple[str, ...]] = {
    file: (*_OF_EVERY_RECORD, *(("epoch", "digest") if file == INPUTS else ("headers", "value"))) for file in COLUMNS
}
"""The columns of each file that are never null: without them a row is not a record."""

_REFERENCE = re.compile(rb"sm3:[0-9a-fA-F]{64}")


class Input(NamedTuple):
    """An input record as it is archived; ``entry`` is the ledger offset of the entry that decided it, None
    where none did."""

    record: ConsumerRecord
    digest: str
    epoch: int
    entry: int | None
    outcome: str | None = None
    event_id: str | None = None


def is_reference(key: bytes | None) -> bool:
    """Tell whether a key may be kept: a holder's reference. What else stands there could be anybody's
    name."""
    return key is None or _REFERENCE.fullmatch(key) is not None


def ledger_row(record: ConsumerRecord, entry: Entry) -> tuple[Any, ...]:
    """Make the row of a ledger entry."""
    return (
        *_record(record), kind_of(entry), _day(entry.received), entry.received, entry.epoch, entry.first_offset,
        entry.last_offset, entry.records, entry.outputs, entry.list_digest, entry.engine_version,
        [msgspec.to_builtins(count) for count in entry.counts],
    )  # fmt: skip


def kind_of(entry: Entry) -> str:
    """Say what kind of entry it is: ``turn``, ``lost``, ``redrive`` or ``acknowledgement``."""
    if entry.acknowledged is not None:
        return "acknowledgement"
    if entry.redriven is not None:
        return "redrive"
    return "lost" if entry.is_of_lost_offsets else "turn"


def input_row(each: Input, *, with_bytes: bool) -> tuple[Any, ...]:
    """Make the row of an input record."""
    record, may_keep = each.record, is_reference(each.record.key)
    unreadable = record if isinstance(record, UnreadableRecord) else None
    return (
        record.topic, record.partition, each.epoch, record.offset, record.timestamp, record.key if may_keep else None,
        None if may_keep else sha256(record.key), each.digest, unreadable.problem if unreadable else None,
        unreadable.size if unreadable else None, each.entry, each.outcome, each.event_id,
        list(record.headers) if with_bytes and not unreadable else None, record.value if with_bytes else None,
    )  # fmt: skip


def output_row(file: str, record: ConsumerRecord, entry: int) -> tuple[Any, ...]:
    """Make the row of an output of the entry at the ledger offset ``entry``; what cannot be read of it is
    null."""
    try:
        read = _READERS[file](record)
    except msgspec.MsgspecError:
        read = None
    asked = read or (None,) * (len(COLUMNS[file]) - _COMMON)
    return (*_record(record), *_of_output(record, entry), *asked)


def _verification(record: ConsumerRecord) -> tuple[Any, ...] | None:
    sent = read_verification(record.value)
    if sent is None:
        return None
    data, display = sent.data, _read_display(sent.data.display)
    return (
        *_event(data.event, data.decision.received), data.holder.ref, _day_of_text(data.event.time), data.holder.kind,
        data.list.batch, data.list.row, data.list.digest, data.certificate.type_name, data.certificate.issuer_name,
        display.channel, display.scenario.code, display.scenario.text, display.region_code, display.verifier_name,
    )  # fmt: skip


def _rejection(record: ConsumerRecord) -> tuple[Any, ...] | None:
    sent = read_rejection(record.value)
    if sent is None:
        return None
    data, nearest = sent.data, sent.data.nearest_row
    key = record.key
    holder = key.decode() if key is not None and is_reference(key) else None
    codes = [reason.code.value for reason in data.reasons]
    return (
        *_event(data.event, data.decision.received), holder, nearest.batch if nearest else None,
        nearest.row if nearest else None, data.list_digest, nearest.certificate if nearest else None,
        codes[0] if codes else None, codes, list(data.responsible_units),
    )  # fmt: skip


def _dead_letter(record: ConsumerRecord) -> tuple[Any, ...] | None:
    sent = read_dead_letter(record.value)
    if sent is None:
        return None
    received = (parse_instant(sent.data.received) or 0) // 1000
    return _day(received), received, sent.data.error.code.value, sent.data.size


_READERS = {VERIFICATIONS: _verification, REJECTIONS: _rejection, DEAD_LETTERS: _dead_letter}
_COMMON = len(_RECORD) + len(_OF_OUTPUT)


class _Scenario(msgspec.Struct, frozen=True, gc=False):
    code: str
    text: str


class _Display(msgspec.Struct, frozen=True, gc=False):
    channel: str
    scenario: _Scenario
    region_code: str
    verifier_name: str | None


_read_display = msgspec.json.Decoder(_Display).decode


def _record(record: ConsumerRecord) -> tuple[Any, ...]:
    return (
        record.topic, record.partition, record.offset, record.timestamp, record.key, list(record.headers), record.value,
    )  # fmt: skip


def _of_output(record: ConsumerRecord, entry: int) -> tuple[Any, ...]:
    origin, redrive = origin_of(record.headers), dict(record.headers).get(REDRIVE_HEADER)
    name = redrive.decode("ascii", "replace") if redrive is not None else None
    return entry, origin.epoch if origin else None, origin.offset if origin else None, name


def _event(event: Any, received: str) -> tuple[Any, ...]:
    at = (parse_instant(received) or 0) // 1000
    return event.id, event.source, event.time, _day(at), at


def _day(time_ms: int) -> datetime.date:
    return datetime.date.fromisoformat(china_date(time_ms * 1000))


def _day_of_text(text: str | None) -> datetime.date | None:
    instant = parse_instant(text) if text else None
    return None if instant is None else datetime.date.fromisoformat(china_date(instant))
