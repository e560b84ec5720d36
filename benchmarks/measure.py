"""Throughput by the broker's own clock, latency by the publisher's."""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

import msgspec

from benchmarks.engines import Engine, running
from gateway.adapters import kafka
from gateway.adapters.settings import Settings
from gateway.adapters.topics import Topics
from gateway.core.province import Province
from gateway.core.recognition import Recognition
from gateway.operate.simulate import Simulated, Simulator
from gateway.operate.topics import apply_topics, delete_topics

_GIVE_UP_S = 300


@dataclass(frozen=True)
class Throughput:
    """Of one round: events per second, worker CPU microseconds an event, peak memory in MB."""

    rate: float
    cpu_us: float
    peak_mb: float


@dataclass(frozen=True)
class Latency:
    """Publish to visible for a read_committed consumer, in milliseconds."""

    per_second: int
    p50: float
    p99: float


def make_records(recognition: Recognition, count: int, seed: int) -> list[Simulated]:
    """Events of both directions, 10% to be rejected, no garbage and no duplicates, so that each gives one record."""
    simulator = Simulator(recognition, seed, reject_share=0.10, duplicate_share=0, garbage_share=0, binary_share=0)
    now = int(time.time() * 1000)
    return [simulator.next_event(now) for _ in range(count)]


async def publish(settings: Settings, records: Iterable[Simulated]) -> None:
    topics = Topics(settings.topic_prefix)
    async with kafka.producer(settings, linger_ms=20, max_batch_size=262_144) as producer:
        futures = []
        for record in records:
            topic = topics.display(record.province)
            futures.append(await producer.send(topic, value=record.value, key=record.key, headers=record.headers))
        await asyncio.gather(*futures)


def _output_topics(settings: Settings) -> list[str]:
    topics = Topics(settings.topic_prefix)
    return [*(topics.verification(p) for p in Province), *(topics.rejection(p) for p in Province)]


async def throughput(engine: Engine, settings: Settings, records: list[Simulated], log: Path) -> Throughput:
    """Publish first, then start the engine, and read the times that the broker gave its outputs.

    The first tenth is warm-up: the rate is that of the rest.
    """
    await apply_topics(settings)
    await publish(settings, records)
    stamps: list[int] = []
    async with kafka.consumer(settings, max_partition_fetch_bytes=8_000_000) as consumer:
        consumer.assign(await kafka.partitions_of(settings, _output_topics(settings)))
        await consumer.seek_to_beginning()
        deadline = time.monotonic() + _GIVE_UP_S
        with running(engine, settings, log) as process:
            while len(stamps) < len(records):
                if time.monotonic() > deadline or not process.is_running:
                    raise RuntimeError(f"{engine.name} gave {len(stamps)} of {len(records)} records; its log is {log}")
                for batch in (await consumer.getmany(timeout_ms=500)).values():
                    stamps += [record.timestamp for record in batch]
            usage = process.usage()
    await delete_topics(settings)
    stamps.sort()
    warm = len(stamps) // 10
    seconds = max(stamps[-1] - stamps[warm], 1) / 1000
    return Throughput((len(stamps) - warm) / seconds, usage.cpu_s / len(records) * 1e6, usage.peak_mb)


class _Ref(msgspec.Struct):
    id: str


class _Data(msgspec.Struct):
    event: _Ref


class _Out(msgspec.Struct):
    data: _Data


_decode = msgspec.json.Decoder(_Out).decode


async def latency(engine: Engine, settings: Settings, records: list[Simulated], per_second: int, log: Path) -> Latency:
    """Publish ``records`` evenly, ``per_second`` of them, and see each come out."""
    await apply_topics(settings)
    topics = Topics(settings.topic_prefix)
    published: dict[str, float] = {}
    taken: list[float] = []
    async with kafka.consumer(settings, fetch_max_wait_ms=5) as consumer, kafka.producer(settings) as producer:
        consumer.assign(await kafka.partitions_of(settings, _output_topics(settings)))
        await consumer.seek_to_beginning()

        async def receive(count: int) -> None:
            while len(taken) < count:
                for batch in (await consumer.getmany(timeout_ms=1000)).values():
                    now = time.perf_counter()
                    taken.extend(now - published[_decode(record.value).data.event.id] for record in batch)

        async def send(record: Simulated) -> None:
            published[msgspec.json.decode(record.value)["id"]] = time.perf_counter()
            topic = topics.display(record.province)
            await producer.send(topic, value=record.value, key=record.key, headers=record.headers)

        with running(engine, settings, log):
            await send(records[0])
            await asyncio.wait_for(receive(1), 60)  # the engine is up
            taken.clear()
            receiver = asyncio.create_task(receive(len(records) - 1))
            started = time.perf_counter()
            for number, record in enumerate(records[1:]):
                await asyncio.sleep(max(0.0, started + number / per_second - time.perf_counter()))
                await send(record)
            await asyncio.wait_for(receiver, 60)
    await delete_topics(settings)
    cuts = quantiles(taken, n=100)
    return Latency(per_second, cuts[49] * 1000, cuts[98] * 1000)
