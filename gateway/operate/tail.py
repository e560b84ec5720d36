"""``gateway tail``: watch what comes out, as an operator does; no holder's data is shown in text."""

import sys
import time
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from gateway.adapters import kafka
from gateway.adapters.settings import Settings
from gateway.adapters.terminal import say, write_json_lines
from gateway.adapters.topic_reader import UnreadablePartitionError, poll
from gateway.adapters.unreadable import UnreadableRecord
from gateway.contract.dead_letter import DEADLETTER_TYPE
from gateway.contract.ledger_entry import LEDGER_TYPE
from gateway.contract.rejection import REJECTED_TYPE
from gateway.contract.topics import Topics
from gateway.contract.verification import VERIFIED_TYPE
from gateway.core.privacy import holds_personal_number
from gateway.core.recognition import RowRef
from gateway.errors import UsageError
from gateway.feedback.listed import row_in_chinese
from gateway.operate.unread import Unread, exit_code_of, report_unread, unread_by

_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class Filter:
    """Which records are shown; None lets all through."""

    code: str | None = None
    row: RowRef | None = None
    unit: str | None = None

    def admits(self, record: dict[str, Any]) -> bool:
        """Tell whether ``record`` (one of the gateway's) passes."""
        data = record.get("data", {})
        codes = [reason["code"] for reason in data.get("reasons", ())] or [data.get("error", {}).get("code")]
        listed = data.get("list") or data.get("nearest_row") or {}
        units = data.get("responsible_units", ())
        return (
            (self.code is None or self.code in codes)
            and (self.row is None or self.row == (listed.get("batch"), listed.get("row")))
            and (self.unit is None or self.unit in units)
        )


async def tail(
    settings: Settings, names: list[str], wanted: Filter, *, from_beginning: bool, limit: int | None,
    timeout_s: float | None, output: Literal["text", "json"],
) -> int:  # fmt: skip
    """Print committed records of ``names`` as they come, until ``limit`` or ``timeout_s``; returns the exit
    code."""
    topics = settings.topic_names
    unknown = [name for name in names if settings.topic_prefix + name not in topics.all]
    if unknown:
        known = ", ".join(name.removeprefix(settings.topic_prefix) for name in topics.all)
        raise UsageError(f"no such topic: {', '.join(unknown)}. The gateway's topics are: {known}")
    deadline = time.monotonic() + timeout_s if timeout_s is not None else None
    shown = 0
    partitions = await kafka.partitions_of(settings, [settings.topic_prefix + name for name in names])
    async with kafka.consumer(settings) as consumer:
        consumer.assign(partitions)
        await (consumer.seek_to_beginning() if from_beginning else consumer.seek_to_end())
        reading, unread = set(partitions), list[Unread]()
        while (limit is None or shown < limit) and (deadline is None or time.monotonic() < deadline):
            try:
                polled = await poll(consumer, *reading, timeout_ms=200)
            except UnreadablePartitionError as error:
                unread.append(unread_by(error, error.topic, error.partition, settings))
                report_unread(unread[-1:])
                reading.discard(TopicPartition(error.topic, error.partition))
                if not reading:
                    break
                continue
            for batch in polled.values():
                for message in batch:
                    if (limit is None or shown < limit) and (line := _line(message, wanted, output, topics)):
                        say(line) if output == "text" else write_json_lines(line + "\n")
                        shown += 1
            sys.stdout.flush()
    return exit_code_of(unread, all_lanes=len(partitions))


def _line(message: ConsumerRecord, wanted: Filter, output: Literal["text", "json"], topics: Topics) -> str | None:
    """Return the record's line; None where it is not wanted, or no JSON can be made of it, which is said on
    stderr."""
    value, place = message.value or b"", f"{message.topic}/{message.partition}/{message.offset}"
    what = f"unreadable: {message.problem}" if isinstance(message, UnreadableRecord) else "not a JSON object"
    try:
        record = _decode(value)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        record = None
    if not isinstance(record, dict):
        # A display topic holds what a province sent, which need not be an event.
        if output == "text":
            return f"{place}  ({what})" if wanted == Filter() else None
        say(f"{place}: {what}, and so left out", err=True)
        return None
    try:
        # Filters are about what the gateway says; a display topic's events were not yet decided.
        is_event = message.topic in topics.displays
        if wanted != Filter() and (is_event or not wanted.admits(record)):
            return None
        words = _of_a_province(record) if is_event else _in_words(record)
    except (LookupError, TypeError, AttributeError):
        if wanted != Filter():
            return None
        words = "(not the gateway's: its own records are of another form)"
    if output == "text":
        return f"{place}  {words}"
    one_line = msgspec.json.format(value, indent=-1) if b"\n" in value or b"\r" in value else value
    return one_line.decode("utf-8")


def _of_a_province(event: dict[str, Any]) -> str:
    """Return the line of an event as it came in, which may be anything: its id where that can be shown, and
    no more."""
    event_id = event.get("id")
    is_sayable = isinstance(event_id, str) and event_id.isprintable() and not holds_personal_number(event_id)
    return f"亮证  id={event_id if is_sayable else '?'}"


def _in_words(record: dict[str, Any]) -> str:
    data = record.get("data", {})
    match record.get("type"):
        case t if t == VERIFIED_TYPE:
            display, row = data["display"], RowRef(data["list"]["batch"], data["list"]["row"])
            return (
                f"通过  {row_in_chinese(row)} {data['certificate']['type_name']}  {display['channel']}  "
                f"{display['scenario']['text']}  {display['region_code']}  id={data['event']['id']}"
            )
        case t if t == REJECTED_TYPE:
            first = data["reasons"][0]
            units = "、".join(data["responsible_units"])
            return f"退回  {first['code']}  {first['field']}  {first['message']['zh']}  → {units}  id={data['event']['id']}"
        case t if t == DEADLETTER_TYPE:
            origin = data["origin"]
            place = f"{origin['topic']}/{origin['partition']}/{origin['offset']}"
            return f"无法识别  {data['error']['code']}  {data['error']['message']}  {place}"
        case t if t == LEDGER_TYPE:
            return f"台账  {data['topic']}/{data['partition']}  {data['first_offset']}–{data['last_offset']}  {data['records']}条"
    return f"{record.get('type')}  id={record.get('id')}"
