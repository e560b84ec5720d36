"""Results as Markdown: the table at the base point, what was varied, and the ratios that the goals are
about."""

from collections.abc import Sequence
from dataclasses import astuple
from operator import ne

from benchmarks.chart import label
from benchmarks.engines import ENGINES
from benchmarks.results import Entry, Results, middle, spread
from benchmarks.throughput import Point

_BUSY_CORES = 0.2
_BASE_COLUMNS = ("engine", "job", "guarantee", "events/s", "min–max", "CPU µs/event", "peak MB", "events a round")


def throughput_tables(results: Results) -> list[str]:
    """Markdown of all that was measured of throughput, in paragraphs; none where nothing was."""
    entries = results.of("throughput")
    if not entries:
        return []
    base = base_entries(entries)
    runs = sorted({entry["run"] for entry in entries})
    paragraphs = [_describe_base(base), _base_table(base, runs)]
    if ratios := describe_ratios(base):
        paragraphs.append(ratios)
    varied = [entry for entry in entries if entry not in base]
    if varied:
        paragraphs.append(
            "Varied, one at a time; events/s (CPU µs an event). Where an event is large, there are fewer of them; several "
            "workers' CPU time is their sum."
        )
        paragraphs.append(_varied_table([*base, *varied]))
    paragraphs.append(_describe_moments(entries, runs))
    return paragraphs


def base_entries(entries: list[Entry]) -> list[Entry]:
    """Those at the base point: of the points that most engines were measured at, the one from which the
    others are varied."""
    points = [point_of(entry) for entry in entries]

    def neighbours(point: Point) -> int:
        return sum(sum(map(ne, astuple(point), astuple(other))) <= 1 for other in points)

    base = max(points, key=lambda point: (points.count(point), neighbours(point)))
    return [entry for entry in entries if point_of(entry) == base]


def point_of(entry: Entry) -> Point:
    return Point(entry["size"], entry["partitions"], entry["workers"])


def table(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]], left: int = 1) -> str:
    """A Markdown table; ``left`` columns are words, the others numbers."""
    lines = [columns, tuple("---" if number < left else "--:" for number in range(len(columns))), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _describe_base(base: list[Entry]) -> str:
    first, rounds = base[0], max(len(entry["rounds"]) for entry in base)
    workers = f"{first['workers']} worker{'s' if first['workers'] > 1 else ''}"
    return (
        f"Events of {first['bytes']} bytes on average, both directions, 10% to be rejected, {first['partitions']} partitions "
        f"a topic, {workers} each; up to {rounds} interleaved rounds, medians. "
        "The first fifth of a round is warm-up and not counted; a slow engine is given its CPU time and not all the events."
    )


def _base_table(base: list[Entry], runs: list[str]) -> str:
    if len(runs) == 1:
        return table(_BASE_COLUMNS, list(map(_base_row, base)), left=3)
    return table((*_BASE_COLUMNS, "run"), [(*_base_row(entry), _letter(entry, runs)) for entry in base], left=3)


def _letter(entry: Entry, runs: list[str]) -> str:
    return chr(ord("A") + runs.index(entry["run"]))


def _base_row(entry: Entry) -> tuple[str, ...]:
    engine = ENGINES[entry["engine"]]
    low, high = spread(entry, "rate")
    return (
        engine.name, engine.job, engine.guarantee or "–", f"{middle(entry, 'rate'):,.0f}", f"{low:,.0f}–{high:,.0f}",
        f"{middle(entry, 'cpu_us'):.1f}", f"{max(each['peak_mb'] for each in entry['rounds']):.0f}",
        f"{middle(entry, 'events'):,.0f}",
    )  # fmt: skip


def describe_ratios(base: list[Entry]) -> str:
    """The gateway beside the peers that the goals name, by rate and, steadier, by the workers' CPU time; of
    one run only."""
    gateway = next((entry for entry in base if entry["engine"] == "gateway"), None)
    found = {e["engine"]: e for e in base if gateway and e["run"] == gateway["run"] and e is not gateway}
    if gateway is None or not found:
        return ""
    parts = []
    for key in ("kafka-streams", "quix", "quix-decision", "faust-decision", "bare", "floor"):
        if (peer := found.get(key)) is not None:
            rate = middle(gateway, "rate") / middle(peer, "rate")
            cpu = middle(peer, "cpu_us") / middle(gateway, "cpu_us")
            parts.append(f"{label(key)} {rate:.2f} × (by CPU time {cpu:.2f} ×)")
    text = "The gateway's whole job beside: " + "; ".join(parts) + "." if parts else ""
    if bare := found.get("bare"):
        text += f" Its worker's CPU time is {_above(gateway, bare):.1f} µs an event above the bare lane's."
        if floor := found.get("floor"):
            text += f" Of these, {_above(floor, bare):.1f} µs are the libraries' calls that the contract asks for."
    return text


def _above(one: Entry, other: Entry) -> float:
    return middle(one, "cpu_us") - middle(other, "cpu_us")


def _varied_table(entries: list[Entry]) -> str:
    engines = [key for key in ENGINES if len([entry for entry in entries if entry["engine"] == key]) > 1]
    points = sorted({point_of(entry) for entry in entries if entry["engine"] in engines}, key=_order)
    cells = {(point_of(entry), entry["engine"]): entry for entry in entries}

    def row(point: Point) -> tuple[str, ...]:
        words = (point.size, str(point.partitions), str(point.workers))
        return (*words, *(_cell(cells.get((point, key))) for key in engines))

    return table(("event", "partitions", "workers", *(ENGINES[key].name for key in engines)), list(map(row, points)), 0)


def _order(point: Point) -> tuple[int, int, float]:
    return point.workers, point.partitions, float(point.size.split()[0])


def _cell(entry: Entry | None) -> str:
    return f"{middle(entry, 'rate'):,.0f} ({middle(entry, 'cpu_us'):.1f})" if entry else "–"


def _describe_moments(entries: list[Entry], runs: list[str]) -> str:
    """When, of which version, and amid how much else."""
    lines, busiest = [], 0.0
    for run in runs:
        part = [entry for entry in entries if entry["run"] == run]
        low = min(spread(entry, "others")[0] for entry in part)
        high = max(spread(entry, "others")[1] for entry in part)
        busiest = max(busiest, high)
        versions = ", ".join(sorted({entry["version"] for entry in part}))
        name = f"Run {_letter(part[0], runs)}" if len(runs) > 1 else "Measured"
        busy = f"others took {low:.1f} to {high:.1f} cores' time of the machine meanwhile"
        lines.append(f"{name}: {run}, gateway {versions}; {busy}.")
    if busiest > _BUSY_CORES:
        lines.append("**The machine was busy with other things: the rates say little, the CPU times are too high.**")
    if len(runs) > 1:
        lines.append("Rates of different runs are not to be compared; CPU times only with care.")
    return "\n".join(lines)
