"""``make soak``: one worker at a steady rate for a long time, and whether anything grows: memory, lag,
latency.

The horizon of duplicates is bounded so that it is full within a minute or two (--max-ids, a lane's): what
grows after that should not. Figures go to stdout, samples (CSV) and a plot (SVG) into a folder. Exit code 1
where something grew.
"""

import argparse
import asyncio
import csv
import os
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.request import urlopen

from confluent_kafka import Consumer, Producer
from rich.console import Console

from benchmarks.engines import ENGINES
from benchmarks.ground import Progress, apart, new_log, output_topics
from benchmarks.machine import describe_machine
from benchmarks.processes import Workers, running
from benchmarks.soak_plot import draw
from benchmarks.traffic import make_events
from gateway.adapters import kafka
from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import Settings, load_settings, packaged_config
from gateway.core.times import parse_instant
from gateway.operate.local_kafka import local_kafka
from gateway.operate.local_kafka.broker import free_ports
from gateway.operate.topics import apply_topics

# Half an hour at 5,000/s is 20 GB: what has been read goes.
_BROKER = {
    "log.retention.check.interval.ms": "5000",
    "log.segment.bytes": "67108864",
    "log.segment.delete.delay.ms": "1000",
}
_RETENTION_HOURS = 0.05
_SAMPLE_S = 5.0
_EVERY = 20
"""One output in this many is asked for its latency."""
_RECEIVED = b'"received":"'
_START_TIMEOUT_S = 120
_RSS_GROWTH, _LATENCY_GROWTH, _LAG_S = 0.05, 0.5, 2.0


@dataclass(frozen=True)
class Sample:
    """At ``minute``: the worker's memory, ids in its horizon, events published, those not decided yet; and
    latency meanwhile."""

    minute: float
    rss_mb: float
    ids: int
    published: int
    lag: int
    p50_ms: float
    p99_ms: float


class Publisher(threading.Thread):
    """Publishes ``rate`` events a second until asked to stop."""

    def __init__(self, settings: Settings, rate: int, most: int) -> None:
        super().__init__(daemon=True)
        self._topics, self._rate, self.count = settings.topic_names, rate, 0
        self._events = make_events(load_recognition(settings.recognition_dir), most)
        self._producer = Producer({
            "bootstrap.servers": settings.bootstrap_servers, "partitioner": "murmur2_random", "acks": "all", "linger.ms": 5,
        })  # fmt: skip
        self.stopping = threading.Event()

    def run(self) -> None:
        began = time.monotonic()
        while not self.stopping.is_set():
            due = int((time.monotonic() - began) * self._rate) - self.count
            for _ in range(due):
                event = next(self._events)
                self._producer.produce(self._topics.display(event.province), event.value, event.key)
                self.count += 1
            self._producer.poll(0)
            time.sleep(0.01)
        self._producer.flush(60)


class Latencies(threading.Thread):
    """Reads along as a province does, and notes how long ago the broker had received what comes out."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(daemon=True)
        self._consumer = Consumer({
            "bootstrap.servers": settings.bootstrap_servers, "group.id": "soak", "enable.auto.commit": False,
            "isolation.level": "read_committed", "auto.offset.reset": "latest", "fetch.wait.max.ms": 10,
        })  # fmt: skip
        self._consumer.subscribe(output_topics(settings))
        self._found: list[float] = []
        self.stopping = threading.Event()

    def run(self) -> None:
        number = 0
        while not self.stopping.is_set():
            message = self._consumer.poll(0.2)
            if message is None or message.error() is not None:
                continue
            number += 1
            if number % _EVERY == 0 and (value := message.value()) is not None:
                text = value[value.find(_RECEIVED) + len(_RECEIVED) :].partition(b'"')[0]
                received = parse_instant(text.decode())
                if received is not None:
                    self._found.append(time.time() * 1000 - received / 1000)
        self._consumer.close()

    def take(self) -> tuple[float, float]:
        """p50 and p99 in milliseconds since the last call; zeros where nothing came out."""
        found, self._found = self._found, []
        if len(found) < 2:
            return 0.0, 0.0
        cuts = statistics.quantiles(found, n=100)
        return cuts[49], cuts[98]


async def soak(settings: Settings, port: int, rate: int, minutes: float, log: Path, console: Console) -> list[Sample]:
    await apply_topics(settings)
    samples: list[Sample] = []
    async with kafka.admin(settings) as admin, kafka.consumer(settings) as consumer:
        progress = Progress(ENGINES["gateway"], settings, admin, consumer)
        with (
            running(ENGINES["gateway"], settings, log) as workers,
            traffic(settings, rate, minutes) as (publisher, latencies),
        ):
            deadline = time.monotonic() + _START_TIMEOUT_S
            while not await progress.count():
                _require(workers, log, in_time=time.monotonic() < deadline)
                await asyncio.sleep(0.2)
            began = time.monotonic()
            latencies.take()
            while (elapsed := time.monotonic() - began) < minutes * 60:
                await asyncio.sleep(_SAMPLE_S - elapsed % _SAMPLE_S)
                _require(workers, log, in_time=True)
                # First what was decided, then what was published: a lag is never less than nothing.
                decided, published = await progress.count(), publisher.count
                ids = await asyncio.to_thread(_ids_of, port)
                minute = (time.monotonic() - began) / 60
                samples.append(
                    Sample(minute, workers.usage().rss_mb, ids, published, published - decided, *latencies.take())
                )
                if len(samples) % 12 == 0:
                    last = samples[-1]
                    console.print(
                        f"{last.minute:.0f} min: {last.rss_mb:.0f} MB, {last.ids:,} ids, lag {last.lag:,}, "
                        f"p50 {last.p50_ms:.0f} ms, p99 {last.p99_ms:.0f} ms"
                    )
    return samples


@contextmanager
def traffic(settings: Settings, rate: int, minutes: float) -> Iterator[tuple[Publisher, Latencies]]:
    publisher = Publisher(settings, rate, int(rate * (minutes + 10) * 60))
    latencies = Latencies(settings)
    latencies.start()
    publisher.start()
    try:
        yield publisher, latencies
    finally:
        for thread in (publisher, latencies):
            thread.stopping.set()
            thread.join(90)


def _require(workers: Workers, log: Path, *, in_time: bool) -> None:
    if not (workers.all_run and in_time):
        raise RuntimeError(f"the gateway does not work; its log is {log}:\n{workers.last_words()}")


def _ids_of(port: int) -> int:
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as page:
        lines = page.read().decode().splitlines()
    return int(float(next(line.split()[1] for line in lines if line.startswith("gateway_remembered_ids "))))


def verdict(samples: list[Sample], rate: int) -> list[str]:
    """What grew from the middle third of the time to the last; the first is for filling up."""
    third = len(samples) // 3
    middle, last = samples[third : 2 * third], samples[2 * third :]

    def means(name: str) -> tuple[float, float]:
        first, second = (statistics.fmean(getattr(each, name) for each in part) for part in (middle, last))
        return first, second

    grown, (before, after) = [], means("rss_mb")
    if after > before * (1 + _RSS_GROWTH):
        grown.append(f"memory, from {before:.0f} to {after:.0f} MB")
    before, after = means("p50_ms")
    if after > before * (1 + _LATENCY_GROWTH) + 10:
        grown.append(f"latency, from {before:.0f} to {after:.0f} ms")
    before, after = means("lag")
    if after > before + _LAG_S * rate:
        grown.append(f"lag, from {before:,.0f} to {after:,.0f} events")
    return grown


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--rate", type=int, default=5000, help="events a second, both directions together")
    parser.add_argument("--partitions", type=int, default=4, help="of each topic: the worker has twice as many lanes")
    parser.add_argument("--max-ids", type=int, default=50_000, help="duplicates.max_ids: of each lane")
    parser.add_argument("--output", type=Path, default=Path("dist/soak"), help="folder for samples.csv and soak.svg")
    options, console = parser.parse_args(), Console(stderr=True, highlight=False)
    if options.minutes < 1:
        parser.error("--minutes: less than one says nothing about growth")
    (port,) = free_ports(1)
    # The worker's own, beside what the settings say of broker and topics.
    os.environ |= {
        "GATEWAY_DUPLICATES__MAX_IDS": str(options.max_ids), "GATEWAY_WEB__ENABLED": "true", "GATEWAY_WEB__PORT": str(port),
    }  # fmt: skip
    with ExitStack() as stack:
        broker = stack.enter_context(local_kafka(prefer="java", properties=_BROKER, announce=console.print))
        shipped = load_settings(packaged_config() / "gateway.yaml", bootstrap_servers=broker.bootstrap_servers)
        settings = apart(shipped, options.partitions)
        settings = settings.model_copy(
            update={"topics": settings.topics.model_copy(update={"retention_hours": _RETENTION_HOURS})}
        )
        machine = describe_machine(broker.description)
        samples = asyncio.run(soak(settings, port, options.rate, options.minutes, new_log(), console))
    grown = verdict(samples, options.rate)
    title = f"{samples[-1].published:,} events in {options.minutes:g} min, {options.rate:,}/s"
    write(options.output, samples, title)
    print(f"{machine['machine']}; {machine['software']}")
    print(f"{title}; samples and plot are in {options.output}")
    middle = samples[len(samples) // 3 :]
    print(
        f"after the first third: memory {min(s.rss_mb for s in middle):.0f}–{max(s.rss_mb for s in middle):.0f} MB, "
        f"ids at most {max(s.ids for s in samples):,} (bound {2 * options.partitions * options.max_ids:,}), "
        f"lag at most {max(s.lag for s in middle):,}, "
        f"latency p50 {statistics.median(s.p50_ms for s in middle):.0f} ms, "
        f"p99 {statistics.median(s.p99_ms for s in middle):.0f} ms"
    )
    print("nothing grew" if not grown else f"grew: {'; '.join(grown)}")
    return 1 if grown else 0


def write(folder: Path, samples: list[Sample], title: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "samples.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(asdict(samples[0])))
        table.writeheader()
        table.writerows({name: round(value, 2) for name, value in asdict(each).items()} for each in samples)
    (folder / "soak.svg").write_text(draw([asdict(each) for each in samples], title), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
