"""Events that keep coming while things break, each with where the broker put it; and a watch on what comes
out."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer

from gateway.adapters import kafka
from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import Settings
from gateway.contract.headers import ORIGIN_HEADER
from gateway.core.province import Province
from gateway.operate.simulate import Simulated, Simulator

# Longer than any fault: what is sent is acknowledged in the end, and nothing is in doubt.
_REQUEST_TIMEOUT_MS = 120_000
_TICK_S = 0.05
# Repetitions of what came long before a fault, so that a worker that has forgotten it is found out.
_MEMORY = 20_000
_STOP_TIMEOUT_S = 10


class Sent(NamedTuple):
    """An acknowledged record, and the ``topic/partition/offset`` that the broker gave it."""

    origin: str
    record: Simulated


class Traffic:
    """Both provinces' events at ``rate`` a second, in the background, until ``stop``; ``mix`` is the
    simulator's."""

    def __init__(
        self, settings: Settings, producer: AIOKafkaProducer, rate: int, seed: int, mix: Mapping[str, Any]
    ) -> None:
        recognition = load_recognition(settings.recognition_dir)
        self._topics, self._producer, self._rate = settings.topic_names, producer, rate
        self._simulator = Simulator(recognition, seed, **{"memory": _MEMORY, **mix})
        # Of another seed, so that no other event can be taken for a repetition of one of them.
        self._probes = Simulator(recognition, seed + 1_000_000, reject_share=0, duplicate_share=0, garbage_share=0)
        self._pending: list[tuple[Simulated, asyncio.Future[object]]] = []
        self._task = asyncio.create_task(self._flow())
        self._stopping = False

    @property
    def count(self) -> int:
        """Events that were sent up to now."""
        return len(self._pending)

    async def stop(self) -> list[Sent]:
        """Stop; return all that were sent, acknowledged."""
        self._stopping = True
        await self._task
        places = await asyncio.gather(*(future for _, future in self._pending))
        return [
            Sent(f"{place.topic}/{place.partition}/{place.offset}", record)
            for (record, _), place in zip(self._pending, places, strict=True)
        ]

    async def cancel(self) -> None:
        """Stop at once, whatever becomes of the last events."""
        self._task.cancel()
        for _, future in self._pending:
            future.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def probe(self, partitions: int) -> set[str]:
        """Send one event into each lane, to be forwarded; return their origins once they are
        acknowledged."""
        for province in Province:
            while len(await self._producer.partitions_for(self._topics.display(province))) < partitions:  # noqa: ASYNC110
                await asyncio.sleep(_TICK_S)  # some were added, and the producer does not know it yet
        futures, wanted = [], {(province, n) for province in Province for n in range(partitions)}
        while wanted:
            record = self._probes.next_event(_now_ms())
            place = next((place for place in wanted if place[0] is record.province), None)
            if place is not None:
                wanted.discard(place)
                futures.append(await self._send(record, place[1]))
        return {f"{each.topic}/{each.partition}/{each.offset}" for each in await asyncio.gather(*futures)}

    async def _flow(self) -> None:
        began, count = time.monotonic(), 0
        while not self._stopping:
            due = int((time.monotonic() - began) * self._rate)
            # Where the broker was down, what it missed comes as a burst, but not all in one tick.
            for _ in range(min(due - count, self._rate)):
                await self._send(self._simulator.next_event(_now_ms()))
                count += 1
            await asyncio.sleep(_TICK_S)

    async def _send(self, record: Simulated, partition: int | None = None) -> asyncio.Future[object]:
        future = await self._producer.send(
            self._topics.display(record.province), record.value, record.key, partition, headers=record.headers
        )
        self._pending.append((record, future))
        return future


class Watch:
    """What has come out of the gateway towards the provinces, by origin, as a province that reads along sees
    it."""

    def __init__(self) -> None:
        self.seen: set[str] = set()

    async def wait_for(self, origins: Iterable[str], timeout_s: float) -> None:
        """Until an output of each of ``origins`` was read."""
        deadline = time.monotonic() + timeout_s
        while missing := set(origins) - self.seen:
            assert time.monotonic() < deadline, f"not alive again after {timeout_s} s: {sorted(missing)}"
            await asyncio.sleep(0.02)

    async def follow(self, settings: Settings, is_ready: asyncio.Event) -> None:
        """Read along until cancelled."""
        topics = settings.topic_names
        # A subscription, so that partitions that are added are read too.
        names = [topics.verification(province) for province in Province]
        async with kafka.consumer(settings, *names, metadata_max_age_ms=1000) as consumer:
            is_ready.set()
            while True:
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    self.seen.update(dict(record.headers)[ORIGIN_HEADER].decode() for record in records)


@contextlib.asynccontextmanager
async def flowing(
    settings: Settings, rate: int, seed: int, mix: Mapping[str, Any]
) -> AsyncIterator[tuple[Traffic, Watch]]:
    """Traffic that has begun, and a watch on its outputs; the traffic is to be stopped by whoever wants its
    account."""
    watch, is_ready = Watch(), asyncio.Event()
    options = {
        "enable_idempotence": True,
        "linger_ms": 5,
        "request_timeout_ms": _REQUEST_TIMEOUT_MS,
        "metadata_max_age_ms": 1000,
    }
    following = asyncio.create_task(watch.follow(settings, is_ready))
    try:
        done, _ = await asyncio.wait(
            [following, asyncio.create_task(is_ready.wait())], return_when=asyncio.FIRST_COMPLETED
        )
        if following in done:
            following.result()
        async with kafka.producer(settings, **options) as producer:
            traffic = Traffic(settings, producer, rate, seed, mix)
            try:
                yield traffic, watch
            finally:
                await traffic.cancel()
                with contextlib.suppress(TimeoutError):  # a fault that failed may have left no broker behind
                    await asyncio.wait_for(producer.stop(), _STOP_TIMEOUT_S)
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


def _now_ms() -> int:
    return int(time.time() * 1000)
