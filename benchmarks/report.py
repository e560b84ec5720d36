"""Puts the results into words: the Markdown table, the chart, and the block of figures in
benchmarks/README.md."""

from collections.abc import Callable
from pathlib import Path

from benchmarks import capacity, checking, growth, latency, recovery
from benchmarks.chart import draw_throughput
from benchmarks.results import FOLDER, Results
from benchmarks.tables import base_entries, throughput_tables

_PARTS: dict[str, Callable[[Results], list[str]]] = {
    "Events per second": throughput_tables,
    "Latency, and the size of transactions": latency.describe,
    "Growth": growth.describe,
    "Memory, restarts, kills": recovery.describe,
    "`gateway check`": checking.describe,
    "What 110 million residents ask for": capacity.describe,
}
BEGIN = "<!-- figures: written by `python -m benchmarks`, do not edit -->"
END = "<!-- figures end -->"


def write(results: Results) -> str:
    """Write ``results.md`` and the chart beside the results; into the README too, where they are the
    project's own.

    Returns the Markdown. What was not measured has no paragraph.
    """
    machine = results.content.get("machine", {})
    paragraphs = [f"{machine['machine']}; {machine['software']}. Broker, publisher and workers share the machine."]
    entries = results.of("throughput")
    if entries:
        base = base_entries(entries)
        title = f"events per second, {base[0]['workers']} worker each, events of {base[0]['bytes']} bytes"
        (results.folder / "throughput.svg").write_text(draw_throughput(base, title), encoding="utf-8")
    for title, describe in _PARTS.items():
        if found := describe(results):
            paragraphs += [f"### {title}", *found]
    text = "\n\n".join(paragraphs) + "\n"
    (results.folder / "results.md").write_text(text, encoding="utf-8")
    readme = results.folder.parent / "README.md"
    if results.folder.resolve() == FOLDER and readme.is_file():
        _insert(readme, text)
    return text


def _insert(readme: Path, text: str) -> None:
    before, begin, rest = readme.read_text("utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{readme} has no place for the figures: put the lines {BEGIN} and {END} into it")
    chart = "![events per second, every engine](results/throughput.svg)\n\n"
    readme.write_text(f"{before}{BEGIN}\n\n{chart}{text}\n{END}{after}", encoding="utf-8")
