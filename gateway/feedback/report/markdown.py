"""The report as Markdown."""

import re
from collections.abc import Iterable, Sequence

from gateway.feedback.report.model import Report
from gateway.feedback.report.words import (
    CASE_HEADS,
    ROW_HEADS,
    UNRESOLVED_HEADS,
    case_cells,
    idle_areas,
    made_at,
    row_cells,
    summary,
    unresolved_cells,
)

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~!&])")


def render_markdown(report: Report) -> bytes:
    """Render the file."""
    lines = [
        f"# {_plain(report.title)}",
        "",
        f"统计期：{report.first} 至 {report.last}（北京时间）。生成于 {made_at(report.made)}。",
        "",
        *(f"- {_plain(text)}" for text in summary(report)),
    ]
    if report.unit is None:
        lines += _section("未定的清单行（请优先处理）", UNRESOLVED_HEADS, map(unresolved_cells, report.unresolved))
    lines += _section("需要处理的问题", CASE_HEADS, map(case_cells, report.cases))
    days = [(day, flow.recognised, flow.refused) for day, flow in report.trend if flow.shown]
    lines += _section("每日亮证情况", ("日期", "通过（件）", "退回（件）"), days)
    reasons = [(meaning, count) for _, meaning, count in report.reasons]
    lines += _section("各类问题涉及的事件数", ("问题", "事件（件）"), reasons)
    areas = [(name, flow.recognised, flow.refused) for name, flow in report.areas]
    lines += _section("各地亮证情况", ("地区", "通过（件）", "退回（件）"), areas)
    lines += [*_section("落地实效", ROW_HEADS, map(row_cells, report.rows)), "", _plain(idle_areas(report))]
    if report.departments:
        lines += _section("各部门", ("责任单位", "未复核的问题（个）", "本期事件（件）"), report.departments)
    return ("\n".join(lines) + "\n").encode()


def _section(title: str, heads: Sequence[str], rows: Iterable[Sequence[str | int]]) -> list[str]:
    lines = ["| " + " | ".join(_plain(str(cell)) for cell in row) + " |" for row in rows]
    head = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return ["", f"## {title}", "", *([*head, *lines] if lines else ["（无）"])]


def _plain(text: str) -> str:
    """Escape ``text`` so that Markdown shows it as it is, on one line."""
    return _SPECIAL.sub(r"\\\1", text.replace("\r", " ")).replace("\n", "；")
