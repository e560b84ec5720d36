"""``make bench``: events per second and latency of the gateway, beside the limit of its client and a Faust agent."""

import argparse
import asyncio
import logging
import os
import platform
import tempfile
import uuid
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from benchmarks.engines import ENGINES, Engine
from benchmarks.measure import Throughput, latency, make_records, throughput
from gateway.adapters.list_files import load_recognition
from gateway.adapters.local_kafka import local_kafka
from gateway.adapters.settings import Settings, load_settings, packaged_config


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--events", type=int, default=200_000, help="events a round; a slow engine gets a quarter")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, engines interleaved; the median counts")
    parser.add_argument("--latency-seconds", type=int, default=20, help="how long each rate is held")
    options = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it reports what it retries
    console = Console(stderr=True)
    log = Path(tempfile.mkdtemp(prefix="chuanyu-bench-")) / "engines.log"
    recognition = load_recognition(packaged_config() / "recognition")
    records = make_records(recognition, options.events, seed=1)
    with local_kafka(announce=console.print) as broker:
        base = load_settings(packaged_config() / "gateway.yaml", bootstrap_servers=broker.bootstrap_servers)
        base = base.model_copy(update={"topics": base.topics.model_copy(update={"partitions": 4})})
        rounds: dict[Engine, list[Throughput]] = {engine: [] for engine in ENGINES}
        for number in range(options.rounds):
            for engine in ENGINES:
                console.print(f"round {number + 1}: {engine.name} …")
                share = records[: len(records) // 4] if engine.slow else records
                rounds[engine].append(asyncio.run(throughput(engine, _apart(base), share, log)))
        latencies = []
        for per_second in (100, 1000):
            console.print(f"latency at {per_second}/s …")
            part = records[: per_second * options.latency_seconds]
            latencies.append(asyncio.run(latency(ENGINES[0], _apart(base), part, per_second, log)))
    output = Console(width=110)
    output.print(
        f"{broker.description}; {os.cpu_count()} cores shared with it; {platform.machine()}, Python {platform.python_version()}"
    )
    size = sum(len(record.value) for record in records) // len(records)
    output.print(
        f"{options.events} events of {size} bytes, both directions, 10% rejected, 4 partitions, {options.rounds} rounds, medians"
    )
    output.print(_table(rounds))
    gateway, bare, agent = (median(each.rate for each in rounds[engine]) for engine in ENGINES)
    output.print(f"gateway / bare copy {gateway / bare:.2f}; gateway / Faust agent {gateway / agent:.1f}")
    for each in latencies:
        output.print(f"latency at {each.per_second}/s: p50 {each.p50:.1f} ms, p99 {each.p99:.1f} ms")


def _table(rounds: dict[Engine, list[Throughput]]) -> Table:
    table = Table()
    for heading in ("engine", "job", "guarantee", "events/s", "min–max", "CPU µs/event", "peak MB"):
        table.add_column(heading, justify="left" if heading in {"engine", "job", "guarantee"} else "right")
    for engine, results in rounds.items():
        rates = [each.rate for each in results]
        table.add_row(
            engine.name, engine.job, engine.guarantee, f"{median(rates):,.0f}", f"{min(rates):,.0f}–{max(rates):,.0f}",
            f"{median(each.cpu_us for each in results):.1f}", f"{max(each.peak_mb for each in results):.0f}",
        )  # fmt: skip
    return table


def _apart(settings: Settings) -> Settings:
    return settings.model_copy(update={"topic_prefix": f"bench-{uuid.uuid4().hex[:8]}."})


if __name__ == "__main__":
    main()
