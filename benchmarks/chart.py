"""The chart of the base point: events per second of every engine, as SVG that needs nothing from outside."""

from typing import Any

import pygal
from pygal.style import Style

from benchmarks.engines import ENGINES
from benchmarks.results import Entry, middle

_STYLE = Style(
    background="transparent", plot_background="transparent", foreground="#6b7685", foreground_strong="#6b7685",
    foreground_subtle="#9aa4b2", colors=("#8aa4c4",), font_family="sans-serif", label_font_size=13,
    major_label_font_size=13, title_font_size=15,
)  # fmt: skip
_OURS = "#1b7f4b"


def draw_throughput(entries: list[Entry], title: str) -> str:
    """Bars of events per second, the slowest at the bottom; the gateway's in a colour of its own."""
    ordered = sorted(entries, key=lambda entry: middle(entry, "rate"))
    chart = pygal.HorizontalBar(
        style=_STYLE, title=title, show_legend=False, show_x_labels=False, show_y_guides=False, show_x_guides=False,
        js=[], disable_xml_declaration=True, width=900, height=90 + 38 * len(ordered), margin=12, pretty_print=False,
        explicit_size=True, truncate_label=-1, range=(0, _most(ordered)),
    )  # fmt: skip
    # The figure stands with the name: in a short bar there is no room for it.
    chart.x_labels = [f"{label(entry['engine'])} · {middle(entry, 'rate'):,.0f}" for entry in ordered]
    bars: list[dict[str, Any]] = [
        {"value": middle(entry, "rate"), **({"color": _OURS} if entry["engine"] == "gateway" else {})}
        for entry in ordered
    ]
    chart.add("events/s", bars)
    return str(chart.render(is_unicode=True)) + "\n"


def label(key: str) -> str:
    engine = ENGINES[key]
    return f"{engine.name}: {engine.job}" if engine.sends else engine.name


def _most(ordered: list[Entry]) -> float:
    return max((middle(entry, "rate") for entry in ordered), default=1)
