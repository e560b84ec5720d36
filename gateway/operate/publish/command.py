"""Sends the events that were found fit, in order, keyed by ``holder.ref``."""

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable
from itertools import islice
from typing import Literal

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from rich.console import Console

from gateway.adapters import kafka
from gateway.adapters.settings import Settings
from gateway.core.province import Province
from gateway.operate.files import require_inputs
from gateway.operate.publish.line_checker import Invalid, LineChecker
from gateway.operate.publish.mapping import Mapping

_IN_FLIGHT = 2000
_SPOOL_BYTES = 32_000_000


class _Holder(msgspec.Struct):
    ref: str


class _Data(msgspec.Struct):
    holder: _Holder


class _Keyed(msgspec.Struct):
    """Of an event, what the record's key is made of."""

    data: _Data


_decode = msgspec.json.Decoder(_Keyed).decode


def record_key(raw: bytes) -> bytes | None:
    """The event's ``holder.ref`` as the record's key; None where there is none: judging that is the gateway's work."""
    try:
        return _decode(raw).data.holder.ref.encode()
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


async def publish(
    settings: Settings, files: list[str], province: Province, *,
    invalid: Invalid = Invalid.SEND, mapping: Mapping | None = None, dry_run: bool = False,
    output: Literal["text", "json"] = "text",
) -> int:  # fmt: skip
    """Look at each line that is not empty, send the events in order, and wait until all are acknowledged.

    With ``dry_run`` they go to standard output instead. Returns the exit code: 1 where a line was refused. Raises GatewayError.
    """
    checker = LineChecker(province, mapping, invalid, output)
    topic = settings.topic_names.display(province)
    require_inputs(files)
    if invalid is not Invalid.REFUSE:
        sent, keyless = await _deliver(settings, topic, checker.events(files), dry_run=dry_run)
    else:
        # All are looked at before the first is sent, and a pipe cannot be read twice.
        with tempfile.SpooledTemporaryFile(_SPOOL_BYTES) as spool:
            async for events in checker.events(files):
                spool.writelines(event + b"\n" for event in events)
            spool.seek(0)
            sent = keyless = 0
            if not checker.refused:
                kept = _some_at_a_time(line[:-1] for line in spool)
                sent, keyless = await _deliver(settings, topic, kept, dry_run=dry_run)
    checker.report(topic, sent, keyless, dry_run=dry_run)
    return 1 if checker.refused else 0


async def _some_at_a_time(events: Iterable[bytes]) -> AsyncIterator[list[bytes]]:
    rest = iter(events)
    while some := list(islice(rest, _IN_FLIGHT)):
        yield some


async def _deliver(
    settings: Settings, topic: str, events: AsyncIterator[list[bytes]], *, dry_run: bool
) -> tuple[int, int]:
    """How many were sent, and how many of them without a key."""
    sent = keyless = 0
    if dry_run:
        async for some in events:
            sys.stdout.buffer.writelines(event + b"\n" for event in some)
            sys.stdout.buffer.flush()
            sent += len(some)
        return sent, 0
    console = Console(stderr=True)
    await kafka.partitions_of(settings, [topic])  # a producer would ask for a missing topic again and again
    try:
        async with kafka.producer(settings, enable_idempotence=True, linger_ms=5) as producer:
            pending: set[asyncio.Future[object]] = set()
            async for some in events:
                for event in some:
                    key = record_key(event)
                    keyless += key is None
                    pending.add(await _send(producer, topic, event, key))
                    sent += 1
                    if len(pending) >= _IN_FLIGHT:
                        await asyncio.gather(*pending)
                        pending.clear()
                        if console.is_terminal:
                            console.print(f"{sent} events sent", end="\r", highlight=False)
            await asyncio.gather(*pending)
    except KafkaError as error:
        raise kafka.unreachable(settings, error) from None
    return sent, keyless


async def _send(producer: AIOKafkaProducer, topic: str, raw: bytes, key: bytes | None) -> asyncio.Future[object]:
    future: asyncio.Future[object] = await producer.send(topic, value=raw, key=key)
    return future
