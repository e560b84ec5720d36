"""Does an event cost the same when there were many before it, and when the list is long?"""

import asyncio
import tempfile
from pathlib import Path

import yaml
from rich.console import Console

from benchmarks.engines import ENGINES
from benchmarks.ground import apart, new_log, renewed
from benchmarks.machine import describe_moment
from benchmarks.processes import running
from benchmarks.results import Entry, Results
from benchmarks.tables import table
from benchmarks.throughput import Sample, follow, window
from benchmarks.traffic import SMALL, make_events, publish
from benchmarks.transactions import read_sizes
from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import Settings, packaged_config
from gateway.operate.topics import apply_topics, delete_topics

ROWS = (20, 200, 2000)
_EVENTS, _QUICK_EVENTS = 10_000_000, 100_000
_EVENTS_OF_ROWS, _QUICK_EVENTS_OF_ROWS = 200_000, 20_000
_LONGEST_S = 3600.0
_BATCH_ROWS = 20


def run(settings: Settings, results: Results, console: Console, *, quick: bool, events: int | None = None) -> None:
    """One backlog of many events, and then lists of growing length."""
    most = events or (_QUICK_EVENTS if quick else _EVENTS)
    console.print(f"catching up on {most:,} events of {SMALL}")
    for entry in asyncio.run(measure_backlog(settings, most, new_log())):
        results.put("growth", {**entry, **describe_moment()}, "to")
        results.save()
    with tempfile.TemporaryDirectory(prefix="chuanyu-lists-") as folder:
        for rows in ROWS:
            console.print(f"a list of {rows:,} rows")
            made = make_list(Path(folder) / str(rows), rows)
            count = min(most, _QUICK_EVENTS_OF_ROWS if quick else _EVENTS_OF_ROWS)
            entry = asyncio.run(measure_list(settings, made, count, new_log()))
            results.put("rows", {"rows": rows, "events": count, **entry, **describe_moment()}, "rows")
            results.save()


async def measure_backlog(settings: Settings, events: int, log: Path) -> list[Entry]:
    """Cost and rate of the last half up to each power of ten, and of all, in one run over ``events`` that
    wait already."""
    own = await _published(settings, events, SMALL)
    with running(ENGINES["gateway"], own, log) as workers:
        samples = await follow(ENGINES["gateway"], own, workers, events, seconds=_LONGEST_S)
        usage = workers.usage()
    sizes = read_sizes(own)
    await delete_topics(own)
    entries = []
    for to in [10**power for power in range(4, 9) if 10**power < events] + [events]:
        part = [sample for sample in samples if sample.count >= to / 2][: _steps(samples, to)]
        if len(part) < 2:
            continue
        first, last = part[0], part[-1]
        entries.append(
            {
                "to": to,
                "cpu_us": (last.cpu_s - first.cpu_s) / (last.count - first.count) * 1e6,
                "rate": (last.count - first.count) / (last.at - first.at),
                "rss_mb": usage.rss_mb,
                "transaction_median": sizes.median,
                "transaction_most": sizes.most,
                "ledger_bytes": sizes.ledger_bytes,
            }
        )
    return entries


def _steps(samples: list[Sample], to: int) -> int:
    """How many samples lie between half of ``to`` and ``to``, the first beyond it with them."""
    within = [sample for sample in samples if to / 2 <= sample.count < to]
    return len(within) + 1


async def measure_list(settings: Settings, folder: Path, events: int, log: Path) -> Entry:
    """Cost and rate under the list in ``folder``, of events that are spread over all its rows."""
    with_list = settings.model_copy(update={"recognition": folder})
    own = await _published(with_list, events, SMALL)
    with running(ENGINES["gateway"], own, log) as workers:
        samples = await follow(ENGINES["gateway"], own, workers, events, seconds=_LONGEST_S)
        usage = workers.usage()
    await delete_topics(own)
    first, last = window(samples)
    counted = last.count - first.count
    return {
        "cpu_us": (last.cpu_s - first.cpu_s) / counted * 1e6,
        "rate": counted / (last.at - first.at),
        "rss_mb": usage.rss_mb,
    }


async def _published(settings: Settings, events: int, size: str) -> Settings:
    own = apart(settings, 4)
    await apply_topics(own)
    publish(own, make_events(load_recognition(own.recognition_dir), events, size))
    return await renewed(own)


def make_list(folder: Path, rows: int) -> Path:
    """A folder of batches with ``rows`` rows: the published list again and again, with certificates of other
    names."""
    folder.mkdir(parents=True)
    content = yaml.safe_load((packaged_config() / "recognition" / "batch-1.yaml").read_text(encoding="utf-8"))
    for number in range(1, rows // _BATCH_ROWS + 1):
        batch = content | {"batch": number, "rows": [_renamed(row, number) for row in content["rows"][:_BATCH_ROWS]]}
        file = folder / f"batch-{number}.yaml"
        file.write_text(yaml.safe_dump(batch, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return folder


def _renamed(row: Entry, number: int) -> Entry:
    certificate = row["certificate"]
    if number == 1 or not certificate.get("value"):
        return row
    renamed: Entry = {"value": f"{certificate['value']}第{number}号"}
    if certificate.get("aliases"):
        renamed["aliases"] = [f"{alias}第{number}号" for alias in certificate["aliases"]]
    return row | {"certificate": certificate | renamed}


def describe(results: Results) -> list[str]:
    """Markdown: cost by events before, and by rows of the list."""
    paragraphs = []
    if growth := sorted(results.of("growth"), key=lambda entry: entry["to"]):
        rows = [(f"{e['to']:,}", f"{e['cpu_us']:.1f}", f"{e['rate']:,.0f}") for e in growth]
        paragraphs += [
            f"A backlog worked by one worker, events of {SMALL}; each line is the half before it.",
            table(("events so far", "CPU µs/event", "events/s"), rows),
        ]
    if lists := sorted(results.of("rows"), key=lambda entry: entry["rows"]):
        list_rows = [(f"{e['rows']:,}", f"{e['cpu_us']:.1f}", f"{e['rate']:,.0f}", f"{e['rss_mb']:.0f}") for e in lists]
        paragraphs += [
            f"Lists of growing length, {lists[0]['events']:,} events each, spread over all rows.",
            table(("rows of the list", "CPU µs/event", "events/s", "RSS MB"), list_rows),
        ]
    return paragraphs
