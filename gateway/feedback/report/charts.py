"""A report's charts, as SVG that needs nothing from outside. The same numbers stand in tables beside
them."""

from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree as ET

import pygal
from pygal.style import Style

from gateway.core.visible import visible
from gateway.feedback.report.model import Report
from gateway.feedback.report.tables import meaning_of

_MOST = 12
_STEPS = 5
_LABEL_PX = 13
_STYLE = Style(
    background="transparent", plot_background="transparent", foreground="#5b6675", foreground_strong="#5b6675",
    foreground_subtle="#9aa4b2", colors=("#1b7f4b", "#b3261e", "#0b5cad"), font_family="sans-serif",
    label_font_size=_LABEL_PX, major_label_font_size=_LABEL_PX, legend_font_size=14, value_font_size=12, title_font_size=15,
    value_colors=("#ffffff", "#ffffff", "#ffffff"), opacity="1", opacity_hover="1",
)  # fmt: skip


def whole_steps(most: int) -> list[int]:
    """Return an axis's marks for counts up to ``most``: whole numbers from 0, at most six of them, 1, 2 or 5
    × 10ⁿ apart."""
    unit = 1
    while unit * _STEPS < most:
        # 1 → 2 → 5 → 10
        unit = unit * 5 // 2 if str(unit)[0] == "2" else unit * 2
    return list(range(0, max(1, -(-most // unit)) * unit + 1, unit))


def trend_chart(report: Report) -> str:
    """Draw recognised and refused by day."""
    most = max(flow.shown for _, flow in report.trend)
    chart = pygal.StackedBar(**_options("每日亮证情况（件）", 280, most), show_minor_x_labels=False, print_values=False)
    chart.x_labels = [day[5:] for day, _ in report.trend]
    chart.x_labels_major = [day[5:] for day, _ in report.trend[:: max(1, len(report.trend) // 10)]]
    chart.add("通过", [flow.recognised for _, flow in report.trend])
    chart.add("退回", [flow.refused for _, flow in report.trend])
    return _svg(chart)


def reason_chart(report: Report) -> str:
    """Draw refused events by primary reason, most first."""
    found = [(meaning_of(code), count) for code, count in report.reasons[:_MOST]][::-1]
    most = max(count for _, count in found)
    chart = pygal.HorizontalBar(
        **_options("退回事件的首要原因（件）", 90 + 34 * len(found), most, [meaning for meaning, _ in found]),
        show_legend=False, print_values=True,
    )  # fmt: skip
    chart.config.style = Style(**{**_STYLE.__dict__, "colors": ("#b3261e",)})
    chart.x_labels = [_shortened(meaning) for meaning, _ in found]
    chart.add("退回", [count for _, count in found])
    return _svg(chart)


def area_chart(report: Report) -> str:
    """Draw recognised and refused by area, most displays first."""
    found = report.areas[:_MOST][::-1]
    most = max(flow.shown for _, flow in found)
    chart = pygal.HorizontalStackedBar(
        **_options("各地亮证情况（件）", 110 + 34 * len(found), most, [name for name, _ in found]), print_values=True
    )
    chart.x_labels = [visible(name) for name, _ in found]
    chart.add("通过", [flow.recognised for _, flow in found])
    chart.add("退回", [flow.refused for _, flow in found])
    return _svg(chart)


def _options(title: str, height: int, most: int, labels: Sequence[str] = ()) -> dict[str, Any]:
    # pygal takes a character for as wide as a Latin one; a Chinese one is twice that.
    wider = max((len(_shortened(label)) for label in labels), default=0) * _LABEL_PX // 2
    steps = whole_steps(most)
    return {
        "style": _STYLE, "js": [], "title": title, "width": 900, "height": height, "print_zeroes": False,
        "legend_at_bottom": True, "disable_xml_declaration": True, "explicit_size": False, "y_labels": steps,
        "range": (0, steps[-1]), "value_formatter": lambda value: f"{value:,.0f}", "spacing": 10, "margin": 8,
        "margin_left": 8 + wider, "truncate_label": -1, "truncate_legend": -1,
    }  # fmt: skip


def _svg(chart: Any) -> str:
    root = chart.render_tree()
    # pygal tells its own script, which is left out, how to behave; a report has no script at all.
    for parent in root.iter():
        for child in list(parent):
            if not isinstance(child.tag, str) or child.tag.endswith("script"):  # comments have a function for a tag
                parent.remove(child)
    return ET.tostring(root, encoding="unicode")


def _shortened(text: str) -> str:
    text = visible(text)
    return text if len(text) <= 18 else text[:17] + "…"
