"""The soak's plot: memory, lag and latency over time, one below the other, as SVG that needs nothing from
outside."""

from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree as ET

import pygal
from pygal.style import Style

_STYLE = Style(
    background="transparent", plot_background="transparent", foreground="#6b7685", foreground_strong="#6b7685",
    foreground_subtle="#9aa4b2", colors=("#1b7f4b", "#b3261e"), font_family="sans-serif", label_font_size=12,
    major_label_font_size=12, title_font_size=14, legend_font_size=12, guide_stroke_color="#d5dbe3",
    major_guide_stroke_color="#d5dbe3",
)  # fmt: skip
_WIDTH, _HEIGHT = 900, 240
_PANELS: tuple[tuple[str, dict[str, str]], ...] = (
    ("memory, MB", {"rss_mb": "resident"}),
    ("lag, events", {"lag": "published, not yet decided"}),
    ("latency, ms", {"p50_ms": "p50", "p99_ms": "p99"}),
)


def draw(samples: Sequence[Mapping[str, float]], title: str) -> str:
    """``samples`` with ``minute`` and the fields of the panels."""
    whole = ET.Element(
        "svg", {"xmlns": "http://www.w3.org/2000/svg", "viewBox": f"0 0 {_WIDTH} {_HEIGHT * len(_PANELS)}"}
    )
    for number, (name, fields) in enumerate(_PANELS):
        chart = pygal.XY(
            style=_STYLE, title=f"{name} — {title}" if number == 0 else name, width=_WIDTH, height=_HEIGHT, dots_size=1,
            js=[], legend_at_bottom=len(fields) > 1, show_legend=len(fields) > 1, explicit_size=True, margin=8,
            include_x_axis=True, x_title="minutes" if number == len(_PANELS) - 1 else None, show_x_guides=False,
            y_labels_major_count=4, show_minor_y_labels=False,
            range=(0, 1.1 * max((each[field] for each in samples for field in fields), default=1) or 1),
        )  # fmt: skip
        for field, label in fields.items():
            chart.add(label, [(each["minute"], each[field]) for each in samples])
        panel = _without_script(chart.render_tree())
        panel.set("y", str(number * _HEIGHT))
        whole.append(panel)
    return ET.tostring(whole, encoding="unicode") + "\n"


def _without_script(panel: Any) -> Any:
    for parent in panel.iter():
        for child in list(parent):
            if not isinstance(child.tag, str) or child.tag.endswith("script"):  # comments have a function for a tag
                parent.remove(child)
    return panel
