"""Published to visible, at a steady rate; and how many events a transaction then holds, which is what the
gateway adapts."""

import asyncio
import time
from collections import defaultdict
from pathlib import Path
from statistics import quantiles

import msgspec
from rich.console import Console

from benchmarks.engines import ENGINES
from benchmarks.ground import apart, display_topics, new_log, output_topics, renewed
from benchmarks.machine import describe_moment
from benchmarks.processes import Workers, running
from benchmarks.results import Entry, Results
from benchmarks.tables import table
from benchmarks.traffic import Published, make_events
from benchmarks.transactions import Sizes, read_sizes
from gateway.adapters import kafka
from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import Settings
from gateway.operate.topics import apply_topics, delete_topics

RATES = (10, 100, 1000)
"""Events a second: nearly idle, a quiet day, a busy one."""
_SECONDS, _QUICK_SECONDS = 60, 10
_WARM_UP_S = 2
# A new broker's own code is compiled while it works: in its first minute at a rate its answers take three
# times as long.
_BROKER_WARM_UP_S = 60
_START_TIMEOUT_S, _END_TIMEOUT_S = 60, 60


class _Ref(msgspec.Struct):
    id: str


class _Data(msgspec.Struct):
    event: _Ref


class _Out(msgspec.Struct):
    data: _Data


_decode = msgspec.json.Decoder(_Out).decode
_decode_ref = msgspec.json.Decoder(_Ref).decode


def run(settings: Settings, results: Results, console: Console, *, quick: bool) -> None:
    """Every rate, one after the other, on a broker that has worked at the highest of them already."""
    seconds = _QUICK_SECONDS if quick else _SECONDS
    if not quick:
        console.print(f"the broker warms up for {_BROKER_WARM_UP_S} s")
        asyncio.run(measure(settings, max(RATES), _BROKER_WARM_UP_S, new_log()))
    for rate in RATES:
        console.print(f"latency at {rate:,}/s for {seconds} s")
        entry = asyncio.run(measure(settings, rate, seconds, new_log()))
        results.put("latency", {"per_second": rate, "seconds": seconds, **entry, **describe_moment()}, "per_second")
        results.save()


async def measure(settings: Settings, per_second: int, seconds: int, log: Path) -> Entry:
    """Publish evenly, ``per_second`` events for ``seconds``, and see each come out as a province would:
    committed only."""
    own = await _prepared(settings)
    events = list(make_events(load_recognition(own.recognition_dir), per_second * (seconds + _WARM_UP_S) + 1))
    with running(ENGINES["gateway"], own, log) as workers:
        watch = _Watch(own)
        taken, cpu_us = await watch.follow(events, per_second, workers)
    sizes = read_sizes(own)
    await delete_topics(own)
    cuts = quantiles(taken, n=1000)
    percentiles = {"p50": cuts[499] * 1000, "p99": cuts[989] * 1000, "most": max(taken) * 1000}
    return {**percentiles, "events": len(taken), "cpu_us": cpu_us, **_transactions(sizes)}


async def _prepared(settings: Settings) -> Settings:
    own = apart(settings, 4)
    await apply_topics(own)
    return await renewed(own)


def _transactions(sizes: Sizes) -> Entry:
    return {
        "transaction_median": sizes.median, "transaction_most": sizes.most, "ledger_bytes": sizes.ledger_bytes,
    }  # fmt: skip


class _Watch:
    """Publishes, and keeps when each event went in and how long it took to come out."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        # One of the mistakes that are simulated is an id used twice.
        self._published: defaultdict[str, list[float]] = defaultdict(list)
        self._taken: list[float] = []

    async def follow(self, events: list[Published], per_second: int, workers: Workers) -> tuple[list[float], float]:
        """Seconds that each event took, without the warm-up's, and the worker's CPU time an event, in
        microseconds."""
        outputs = await kafka.partitions_of(self._settings, output_topics(self._settings))
        async with (
            kafka.consumer(self._settings, fetch_max_wait_ms=5) as consumer,
            kafka.producer(self._settings) as producer,
        ):
            consumer.assign(outputs)
            await consumer.seek_to_beginning()
            display = display_topics(self._settings)

            async def send(event: Published) -> None:
                self._published[_decode_ref(event.value).id].append(time.perf_counter())
                await producer.send(display[event.province], value=event.value, key=event.key)

            async def receive(count: int) -> None:
                while len(self._taken) < count:
                    for batch in (await consumer.getmany(timeout_ms=1000)).values():
                        now = time.perf_counter()
                        for record in batch:
                            self._taken.append(now - self._published[_decode(record.value).data.event.id].pop(0))

            await send(events[0])
            await asyncio.wait_for(receive(1), _START_TIMEOUT_S)  # the worker is up
            warm, before = per_second * _WARM_UP_S, 0.0
            receiver, began = asyncio.create_task(receive(len(events))), time.perf_counter()
            for number, event in enumerate(events[1:]):
                await asyncio.sleep(max(0.0, began + number / per_second - time.perf_counter()))
                if number == warm:
                    before = workers.usage().cpu_s
                await send(event)
            await asyncio.wait_for(receiver, _END_TIMEOUT_S)
        counted = self._taken[warm + 1 :]
        return counted, (workers.usage().cpu_s - before) / len(counted) * 1e6


def describe(results: Results) -> list[str]:
    """Markdown of the latencies, and of how many events a transaction held."""
    entries = sorted(results.of("latency"), key=lambda entry: entry["per_second"])
    if not entries:
        return []
    rows = [
        (
            f"{entry['per_second']:,}/s", f"{entry['p50']:.1f}", f"{entry['p99']:.1f}", f"{entry['most']:.0f}",
            f"{entry['transaction_median']:,.0f}", f"{entry['transaction_most']:,}",
            f"{entry['ledger_bytes']:,.0f}", f"{entry['cpu_us']:.0f}",
        )
        for entry in entries
    ]  # fmt: skip
    rows += [
        (
            f"catching up on {entry['to']:,}", "–", "–", "–", f"{entry['transaction_median']:,.0f}",
            f"{entry['transaction_most']:,}", f"{entry['ledger_bytes']:,.0f}", f"{entry['cpu_us']:.0f}",
        )
        for entry in results.of("growth")[-1:]
    ]  # fmt: skip
    columns = (
        "load",
        "p50 ms",
        "p99 ms",
        "most ms",
        "events a transaction, median",
        "most",
        "ledger bytes/event",
        "CPU µs/event",
    )
    load = f"{entries[0]['measured']}, load average {entries[0]['load']}"
    return [
        f"Published to visible for a `read_committed` consumer, one worker, 4 partitions ({load}).",
        table(columns, rows),
    ]
