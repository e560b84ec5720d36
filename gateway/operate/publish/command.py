"""Sends the valid events, in order, keyed by ``holder.ref``, and says what became of each line."""

import tempfile
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from itertools import groupby, islice
from typing import Literal

from gateway.adapters.console import Terminal
from gateway.adapters.settings import Settings
from gateway.adapters.terminal import write_events
from gateway.core.province import Province
from gateway.core.words import count_of
from gateway.operate.files import require_inputs
from gateway.operate.publish.delivery import IN_FLIGHT, Delivery, Sender
from gateway.operate.publish.line_checker import Invalid, LineChecker, Ready
from gateway.operate.publish.mapping import Mapping

_SPOOL_BYTES = 32_000_000
_SPANS_SHOWN = 20


async def publish(
    settings: Settings, files: list[str], province: Province, *,
    invalid: Invalid = Invalid.EVENTS, mapping: Mapping | None = None, dry_run: bool = False,
    output: Literal["text", "json"] = "text",
) -> int:  # fmt: skip
    """Look at each line that is not empty, send the events in order, and wait until all are acknowledged.

    With ``dry_run`` they go to standard output instead. Returns the exit code: 1 where a line was refused.
    Raises GatewayError, once it has said which lines the broker has.
    """
    checker = LineChecker(province, mapping, invalid, output)
    topic = settings.topic_names.display(province)
    require_inputs(files)
    async with aclosing(checker.events(files)) as events:
        if invalid is not Invalid.REFUSE:
            return await _deliver(settings, topic, events, checker, dry_run=dry_run)
        # All are looked at before the first is sent, and a pipe cannot be read twice.
        with tempfile.SpooledTemporaryFile(_SPOOL_BYTES) as spool:
            async for some in events:
                spool.writelines(_spooled(ready) for ready in some)
            spool.seek(0)
            if not checker.refused:
                kept = _some_at_a_time(map(_unspooled, spool))
                return await _deliver(settings, topic, kept, checker, dry_run=dry_run)
    checker.report(topic, 0, 0, dry_run=dry_run)
    return 1


def _spooled(ready: Ready) -> bytes:
    return b"%b\0%d\0%b\n" % (ready.file.encode("utf-8", "surrogateescape"), ready.number, ready.event)


def _unspooled(line: bytes) -> Ready:
    file, number, event = line[:-1].split(b"\0", 2)
    return Ready(file.decode("utf-8", "surrogateescape"), int(number), event)


async def _some_at_a_time(events: Iterable[Ready]) -> AsyncIterator[list[Ready]]:
    rest = iter(events)
    while some := list(islice(rest, IN_FLIGHT)):
        yield some


async def _deliver(
    settings: Settings, topic: str, events: AsyncIterator[list[Ready]], checker: LineChecker, *, dry_run: bool
) -> int:
    """Send, or write to standard output; say what came of it. Returns the exit code."""
    if dry_run:
        written = 0
        async for some in events:
            write_events([ready.event for ready in some])
            written += len(some)
        checker.report(topic, written, 0, dry_run=True)
        return 1 if checker.refused else 0
    sender = Sender(settings, topic, checker.report_unsent)
    delivery = sender.delivery
    try:
        await sender.send_all(events)
    except BaseException:
        if delivery.sent or delivery.unknown:
            _report(checker, topic, delivery)
        raise
    _report(checker, topic, delivery)
    if delivery.error is not None:
        raise delivery.error
    return 1 if checker.refused or delivery.refused else 0


def _report(checker: LineChecker, topic: str, delivery: Delivery) -> None:
    """Say how many lines the broker has, and name those whose fate is not known, and the first that was not
    sent any more."""
    console = Terminal(err=True)
    spans = list(_spans(delivery.unknown))
    checker.report(
        topic, delivery.sent, delivery.keyless, refused_by_broker=delivery.refused, unacknowledged=spans, dry_run=False
    )
    if delivery.unknown:
        more = f" and {len(spans) - _SPANS_SHOWN} more spans" if len(spans) > _SPANS_SHOWN else ""
        console.print(
            f"{count_of(len(delivery.unknown), 'line')} not acknowledged, so the broker may have them or not: "
            f"{', '.join(spans[:_SPANS_SHOWN])}{more}"
        )
    if delivery.next_line is not None:
        console.print(f"nothing was sent from {delivery.next_line.place} on")
    if delivery.unknown or delivery.error:
        console.print(
            "Publish the same lines again: what the gateway has forwarded it counts as a duplicate and does not send again."
        )


def _spans(lines: list[Ready]) -> Iterable[str]:
    """Yield the lines as spans, FILE:FIRST-LAST; lines that are empty or refused lie between them."""
    for file, some in groupby(lines, key=lambda ready: ready.file):
        numbers = [ready.number for ready in some]
        for _, span in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
            first, *rest = [number for _, number in span]
            yield f"{file}:{first}" + (f"-{rest[-1]}" if rest else "")
