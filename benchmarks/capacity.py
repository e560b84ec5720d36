"""What a number of residents asks of workers, brokers and disks: arithmetic from what was measured, with its
assumptions."""

import time
from dataclasses import dataclass
from typing import NamedTuple

from benchmarks.results import Results, middle
from benchmarks.tables import base_entries, table
from benchmarks.traffic import make_events
from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import packaged_config
from gateway.contract.outputs import build_output, output_parts
from gateway.contract.topics import LaneId, Topics
from gateway.decide import decide_bytes

RESIDENTS = 110_000_000
"""Of Sichuan and Chongqing, in round figures."""
PEAK = 10
"""The busiest second beside the average one: an assumption."""
UTILISATION = 0.6
"""Of a core at the peak, so that a worker that dies can be replaced by the others: an assumption."""
PARTITIONS = 100
LANES_A_WORKER = 24
"""More lanes than that in one process cost it throughput (it was tried with 4 to 48)."""
RETENTION_DAYS, REPLICAS = 7, 3
"""``topics.retention_hours`` as shipped; copies of a cluster that may lose a broker."""
BROKER_MB_S = 100
"""What a broker writes in the long run with the replicas of others: an assumption, to be measured on the
real disks."""
HORIZON_DAYS = 72.1 / 24
_SAMPLE = 2000


class _Sampled(NamedTuple):
    offset: int
    timestamp: int
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True)
class Cost:
    """Of one event: the worker's CPU time in microseconds, the bytes of its input and of its output in the
    log."""

    cpu_us: float
    input_bytes: float
    output_bytes: float


def cost_of(cpu_us: float) -> Cost:
    """The bytes as the simulator's events have them."""
    recognition, now, topics = load_recognition(packaged_config() / "recognition"), int(time.time() * 1000), Topics()
    taken = given = 0
    for offset, event in enumerate(make_events(recognition, _SAMPLE)):
        record = _Sampled(offset, now, event.key, event.value)
        lane = LaneId(event.province, topics.display(event.province), 0)
        decision = decide_bytes(event.value, event.province, now, recognition, key=event.key)
        output = build_output(lane, record, decision, topics)
        taken += len(event.key) + len(event.value)
        given += sum(map(len, output_parts(output))) - len(output.topic) if output else 0
    return Cost(cpu_us, taken / _SAMPLE, given / _SAMPLE)


def row(name: str, per_day: float, cost: Cost, id_bytes: float | None) -> tuple[str, ...]:
    """One line of the table: what ``per_day`` events ask for."""
    average = per_day / 86_400
    peak = average * PEAK
    cores = peak * cost.cpu_us / 1e6 / UTILISATION
    log_bytes = cost.input_bytes + cost.output_bytes
    written_mb_s = peak * log_bytes * REPLICAS / 1e6
    disk_tb = per_day * log_bytes * RETENTION_DAYS * REPLICAS / 1e12
    ids = per_day * HORIZON_DAYS
    memory = f"{ids * id_bytes / 1e9:,.0f}" if id_bytes else "–"
    # Two topics of displays: as many lanes as both have partitions, and a worker for every core.
    return (
        name, f"{per_day / 1e6:,.0f}", f"{average:,.0f}", f"{peak:,.0f}", f"{max(1, -(-cores // 1)):,.0f}",
        f"{max(3, -(-written_mb_s // BROKER_MB_S)):,.0f}", f"{written_mb_s:,.0f}", f"{disk_tb:,.1f}",
        f"{ids / 1e6:,.0f}", memory,
    )  # fmt: skip


def describe(results: Results) -> list[str]:
    """Markdown of the arithmetic, from the gateway's own cost as it was measured."""
    entries = results.of("throughput")
    gateway = (
        next((entry for entry in base_entries(entries) if entry["engine"] == "gateway"), None) if entries else None
    )
    if gateway is None:
        return []
    cost, id_bytes = cost_of(middle(gateway, "cpu_us")), bytes_of_an_id(results)
    rows = [
        row("each resident once a week", RESIDENTS / 7, cost, id_bytes),
        row("each once a day", RESIDENTS, cost, id_bytes),
        row("each ten times a day", RESIDENTS * 10, cost, id_bytes),
    ]
    columns = (
        "displays", "million a day", "a second", "peak a second", "worker cores", "brokers", "MB/s written at the peak",
        "TB of disk", "million ids remembered", "GB of memory for them",
    )  # fmt: skip
    remembered = f"; a remembered id takes {id_bytes:.0f} bytes" if id_bytes else ""
    basis = (
        f"From {cost.cpu_us:.1f} µs of a worker's CPU time, {cost.input_bytes:,.0f} bytes of input and "
        f"{cost.output_bytes:,.0f} of output an event{remembered}."
    )
    lanes, core = 2 * PARTITIONS, 1e6 / cost.cpu_us * UTILISATION
    most = lanes * core * 86_400 / PEAK / 1e6
    workers = -(-lanes // LANES_A_WORKER)
    cluster = (
        f"{PARTITIONS} partitions a topic are {lanes} lanes: at least {workers} workers, at most {lanes} that each "
        f"have a lane. A core works {core:,.0f} events a second at {UTILISATION:.0%} of its time; {lanes} of them would "
        f"work {most:,.0f} million a day with a peak of {PEAK} times the average, if the brokers' disks took it."
    )
    return [basis, table(columns, rows), cluster]


def bytes_of_an_id(results: Results) -> float | None:
    """From the memory of two workers that remember few and many; None where only one was measured."""
    entries = sorted(results.of("restart"), key=lambda entry: entry["events"])
    if len(entries) < 2:
        return None
    few, many = entries[0], entries[-1]
    grown_mb = many["rss_mb"] - few["rss_mb"]
    return float(grown_mb * 2**20 / (many["remembered"] - few["remembered"]))
