"""``gateway publish``: put events out of a file into a province's topic."""

import asyncio
from contextlib import ExitStack

import msgspec
from aiokafka import AIOKafkaProducer
from rich.console import Console

from gateway.adapters import kafka
from gateway.adapters.settings import Settings
from gateway.adapters.topics import Topics
from gateway.core.province import Province
from gateway.operate.files import open_input

_IN_FLIGHT = 2000


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


async def publish(settings: Settings, files: list[str], province: Province) -> int:
    """Send each line that is not empty, in order, and wait until all are acknowledged; returns the exit code."""
    topic, console = Topics(settings.topic_prefix).display(province), Console(stderr=True)
    sent = keyless = 0
    with ExitStack() as stack:
        streams = [stack.enter_context(open_input(name)) for name in files]
        async with kafka.producer(settings, enable_idempotence=True, linger_ms=5) as producer:
            pending: set[asyncio.Future[object]] = set()
            for raw in (line.rstrip(b"\r\n") for stream in streams for line in stream):
                if not raw:
                    continue
                key = record_key(raw)
                keyless += key is None
                pending.add(await _send(producer, topic, raw, key))
                sent += 1
                if len(pending) >= _IN_FLIGHT:
                    await asyncio.gather(*pending)
                    pending.clear()
                    if console.is_terminal:
                        console.print(f"{sent} events sent", end="\r", highlight=False)
            await asyncio.gather(*pending)
    console.print(f"{sent} events sent to {topic}", highlight=False)
    if keyless:
        console.print(f"{keyless} of them have no holder.ref and went without a key: the gateway will not forward them")
    return 0


async def _send(producer: AIOKafkaProducer, topic: str, raw: bytes, key: bytes | None) -> asyncio.Future[object]:
    future: asyncio.Future[object] = await producer.send(topic, value=raw, key=key)
    return future
