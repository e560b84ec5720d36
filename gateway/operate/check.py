"""``gateway check``: decide events out of a file, without a broker."""

import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import Literal

import msgspec
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from gateway.core.decision import Decision, Identity, Outcome, decide
from gateway.core.province import Province
from gateway.core.recognition import Recognition
from gateway.core.times import RFC3339, parse_instant
from gateway.errors import UsageError
from gateway.operate.files import open_input

Format = Literal["text", "json"]

_encode = msgspec.json.Encoder().encode
_PROGRESS_EVERY = 5000
_OUTCOMES_ZH = {
    Outcome.FORWARD: "通过",
    Outcome.REJECT: "不通过",
    Outcome.DUPLICATE: "重复",
    Outcome.DEAD_LETTER: "无法识别",
}


def parse_received_at(text: str) -> int:
    """``--received-at`` as milliseconds since the epoch. Raises UsageError."""
    instant = parse_instant(text) if re.match(RFC3339, text) else None
    if instant is None:
        raise UsageError(
            f"--received-at: {text} is no RFC 3339 date-time with an offset, such as 2026-11-23T08:00:00+08:00"
        )
    return instant // 1000


def decide_lines(
    lines: Iterable[bytes], recognition: Recognition, province: Province | None, received_at: int | None
) -> Iterator[Decision]:
    """Decide each line that is not empty; all of them are one horizon for duplicates.

    ``received_at`` in milliseconds since the epoch; None counts each event's own time as received.
    """
    seen: dict[Identity, tuple[str, ...]] = {}
    for line in lines:
        raw = line.rstrip(b"\r\n")
        if not raw:
            continue  # an empty line is no record: files end with one
        decision = decide(raw, province, _received(raw) if received_at is None else received_at, recognition, seen=seen)
        if decision.reading and decision.outcome is not Outcome.DUPLICATE:
            identity = Identity(decision.reading.source, decision.reading.id)
            seen[identity] = (*seen.get(identity, ()), decision.reading.content_digest)
        yield decision


class _Time(msgspec.Struct):
    time: str


_decode_time = msgspec.json.Decoder(_Time).decode


def _received(raw: bytes) -> int:
    """The event's own time in milliseconds, rounded up so that it is not later than itself; 0 where there is none."""
    try:
        instant = parse_instant(_decode_time(raw).time)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return 0
    return -(-instant // 1000) if instant is not None else 0


def run_check(
    files: list[str], recognition: Recognition, *, province: Province | None, received_at: int | None, output: Format
) -> int:
    """Decide the events of ``files`` (``-`` is standard input) and print what becomes of each; returns the exit code."""
    counts: Counter[str] = Counter()
    console = Console(stderr=True)
    with ExitStack() as stack:
        streams = [stack.enter_context(open_input(name)) for name in files]
        columns = (SpinnerColumn(), TextColumn("{task.completed} events decided"), TimeElapsedColumn())
        progress = stack.enter_context(
            Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        )
        task = progress.add_task("check", total=None)
        write = sys.stdout.buffer.write
        show = _json_line if output == "json" else _text_line
        lines = (line for stream in streams for line in stream)
        for number, decision in enumerate(decide_lines(lines, recognition, province, received_at), start=1):
            counts[decision.outcome.value] += 1
            write(show(decision))
            if number % _PROGRESS_EVERY == 0:
                progress.update(task, completed=number)
        sys.stdout.buffer.flush()
    if output == "text":
        summary = ", ".join(f"{outcome.value} {counts[outcome.value]}" for outcome in Outcome)
        console.print(f"{sum(counts.values())} events: {summary}", highlight=False)
    return 0


def _json_line(decision: Decision) -> bytes:
    reading = decision.reading
    return _encode(
        {
            "id": reading.id if reading else None,
            "province": decision.province.value if decision.province else None,
            "outcome": decision.outcome.value,
            "row": decision.row,
            "reasons": [code.value for code in decision.codes],
        }
    ) + b"\n"  # fmt: skip


def _text_line(decision: Decision) -> bytes:
    name = decision.reading.id if decision.reading else "(no id)"
    parts = [_OUTCOMES_ZH[decision.outcome], decision.outcome.value, name]
    if decision.row:
        parts.append(f"row {decision.row}")
    lines = ["  ".join(parts)]
    for reason in decision.reasons:
        lines.append(f"    {reason.code.value}  {reason.field}  {reason.zh}")
        if reason.accepted:
            lines.append(f"        可接受：{'；'.join(reason.accepted)}")
    if decision.reasons:
        lines.append(f"    反馈：{'、'.join(decision.responsible_units)}")
    if decision.error:
        lines.append(f"    {decision.error[0]}  {decision.error[1]}")
    return ("\n".join(lines) + "\n").encode("utf-8", "replace")
