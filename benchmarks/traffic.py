"""The events that are published: both directions, a tenth to be rejected, of a size of their own; each gives
one record."""

import base64
import random
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

import msgspec
from confluent_kafka import Producer

from gateway.adapters.settings import Settings
from gateway.core.decision import Outcome
from gateway.core.province import Province
from gateway.core.recognition import Recognition
from gateway.operate.simulate import Simulated, Simulator

SMALL, ORDINARY, MIDDLE, LARGE = "0.5 kB", "0.8 kB", "2 kB", "16 kB"
"""The small ones have little more than what the contract requires, which cannot be said in 0.4 kB; ordinary
ones are the simulator's; the others carry an extension attribute."""
_PADDED_TO = {MIDDLE: 2_000, LARGE: 16_000}
SIZES = (SMALL, ORDINARY, MIDDLE, LARGE)

_POOL = 50_000
"""As many events are made, and then come again under other ids: making one takes longer than deciding it."""
_REJECTED = 0.10
_SEED = 1
_ID = b'"id":"%b-%d-'
_OPTIONAL = ("traceparent", "datacontenttype", "identifier", "valid_from", "valid_until", "name_masked")
_encode = msgspec.json.Encoder().encode


class Published(NamedTuple):
    """What is published: whose event, its key and bytes."""

    province: Province
    key: bytes
    value: bytes


def make_events(
    recognition: Recognition, count: int, size: str = ORDINARY, *, pool_size: int = _POOL
) -> Iterator[Published]:
    """``count`` events of ``size``, one of ``SIZES``; the same for the same list, but for the time that they
    were shown at."""
    pool = list(_make_pool(recognition, min(count, pool_size), size))
    return islice(_repeated(pool), count)


def _repeated(pool: list[Published]) -> Iterator[Published]:
    yield from pool
    replacements = 2
    while True:
        marks = {
            province: (_ID % (province.value.encode(), _SEED), _ID % (province.value.encode(), replacements))
            for province in Province
        }
        for event in pool:
            old, new = marks[event.province]
            yield event._replace(value=event.value.replace(old, new, 1))
        replacements += 1


def _make_pool(recognition: Recognition, count: int, size: str) -> Iterator[Published]:
    simulator = Simulator(
        recognition, _SEED, reject_share=_REJECTED, duplicate_share=0, garbage_share=0, binary_share=0
    )
    now, made, paddings = int(time.time() * 1000), 0, _paddings(_PADDED_TO.get(size, 0))
    while made < count:
        record = simulator.next_event(now)
        # A platform's own id stands in each, so that they can be given new ones; a rejection may have any.
        if record.key is not None and _ID % (record.province.value.encode(), _SEED) in record.value:
            yield Published(record.province, record.key, _sized(record, size, paddings))
            made += 1


def _sized(record: Simulated, size: str, paddings: list[str]) -> bytes:
    if size == ORDINARY:
        return record.value
    event = msgspec.json.decode(record.value)
    if size == SMALL:
        # A rejection keeps what it is rejected for.
        optional = _OPTIONAL if record.expected is Outcome.FORWARD else ()
        for part in (event, *event["data"].values()):
            for name in [name for name, value in part.items() if value is None or name in optional]:
                del part[name]
    else:
        # An extension attribute: what a platform may add, and the gateway carries along.
        room = _PADDED_TO[size] - len(record.value)
        event["evidence"] = paddings[len(record.value) % len(paddings)][: max(1, room)]
    return _encode(event)


def _paddings(length: int) -> list[str]:
    dice = random.Random(_SEED)
    return [base64.b64encode(dice.randbytes(length)).decode() for _ in range(64)] if length else []


def publish(settings: Settings, events: Iterable[Published]) -> tuple[int, int]:
    """Publish as quickly as it goes; returns how many there were and their bytes. The partition is the key's
    (murmur2)."""
    topics = settings.topic_names
    display = {province: topics.display(province) for province in Province}
    producer = Producer({
        "bootstrap.servers": settings.bootstrap_servers, "partitioner": "murmur2_random", "acks": "all",
        "linger.ms": 20, "batch.size": 1_000_000, "queue.buffering.max.kbytes": 262_144,
    })  # fmt: skip
    refused: list[str] = []

    def delivered(error: object, _message: object) -> None:
        if error is not None:
            refused.append(str(error))

    count = size = 0
    for event in events:
        while True:
            try:
                producer.produce(display[event.province], event.value, event.key, on_delivery=delivered)
                break
            except BufferError:
                producer.poll(0.1)
        count, size = count + 1, size + len(event.value)
        if not count % 1000:
            producer.poll(0)
    if producer.flush(60) or refused:
        raise RuntimeError(f"{len(refused)} events were refused, first because of {refused[:1]}")
    return count, size
