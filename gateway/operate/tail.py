"""``gateway tail``: watch what comes out, as an operator does; no holder's data is shown in text."""

import sys
import time
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from gateway.adapters import kafka
from gateway.adapters.settings import Settings
from gateway.adapters.topics import Topics
from gateway.core.records import DEADLETTER_TYPE, LEDGER_TYPE, REJECTED_TYPE, VERIFIED_TYPE
from gateway.errors import UsageError

_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class Filter:
    """Which records are shown; None lets all through."""

    code: str | None = None
    row: int | None = None
    unit: str | None = None

    def admits(self, record: dict[str, Any]) -> bool:
        """Whether ``record`` (a CloudEvent) passes."""
        data = record.get("data", {})
        codes = [reason["code"] for reason in data.get("reasons", ())] or [data.get("error", {}).get("code")]
        row = data.get("list", {}).get("row") or (data.get("nearest_row") or {}).get("row")
        units = data.get("responsible_units", ())
        return (
            (self.code is None or self.code in codes)
            and (self.row is None or self.row == row)
            and (self.unit is None or self.unit in units)
        )


async def tail(
    settings: Settings, names: list[str], wanted: Filter, *, from_beginning: bool, limit: int | None,
    timeout_s: float | None, output: Literal["text", "json"],
) -> int:  # fmt: skip
    """Print committed records of ``names`` as they come, until ``limit`` or ``timeout_s``; returns the exit code."""
    topics = Topics(settings.topic_prefix)
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
        while (limit is None or shown < limit) and (deadline is None or time.monotonic() < deadline):
            for batch in (await consumer.getmany(timeout_ms=200)).values():
                for message in batch:
                    if (limit is None or shown < limit) and (line := _line(message, wanted, output)):
                        sys.stdout.write(line + "\n")
                        shown += 1
            sys.stdout.flush()
    return 0


def _line(message: Any, wanted: Filter, output: Literal["text", "json"]) -> str | None:
    try:
        record = _decode(message.value or b"")
    except (msgspec.MsgspecError, UnicodeError):
        record = None
    if not isinstance(record, dict):
        # A display topic holds what a province sent, which need not be an event.
        return None if output == "json" else f"{message.topic}/{message.partition}@{message.offset}  (not JSON)"
    if not wanted.admits(record):
        return None
    if output == "json":
        return str((message.value or b"").decode("utf-8"))
    return f"{message.topic}/{message.partition}@{message.offset}  {_in_words(record)}"


def _in_words(record: dict[str, Any]) -> str:
    data = record.get("data", {})
    match record.get("type"):
        case t if t == VERIFIED_TYPE:
            display = data["display"]
            return (
                f"通过  第{data['list']['row']}行 {data['certificate']['type_name']}  {display['channel']}  "
                f"{display['scenario']['text']}  {display['region_code']}  id={data['event']['id']}"
            )
        case t if t == REJECTED_TYPE:
            first = data["reasons"][0]
            units = "、".join(data["responsible_units"])
            return f"不通过  {first['code']}  {first['field']}  {first['message']['zh']}  → {units}  id={data['event']['id']}"
        case t if t == DEADLETTER_TYPE:
            origin = data["origin"]
            place = f"{origin['topic']}/{origin['partition']}@{origin['offset']}"
            return f"无法识别  {data['error']['code']}  {data['error']['message']}  {place}"
        case t if t == LEDGER_TYPE:
            return f"台账  {data['topic']}/{data['partition']}  {data['first_offset']}–{data['last_offset']}  {data['records']}条"
    return f"{record.get('type')}  id={record.get('id')}"
