"""The report as one HTML file: no script, nothing from outside, everything escaped."""

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from gateway.feedback.report.charts import area_chart, reason_chart, trend_chart
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

_STYLE = Path(__file__).with_name("report.css").read_text(encoding="utf-8")
_TERMS = (
    "亮证：持证主体在对方省市出示电子证照。通过：按互认清单予以认可。退回：不符合清单或事件有误，未予认可。"
    "重复发送的事件不计。一个事件可涉及多个问题。"
)
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def render_html(report: Report) -> bytes:
    """Render the file."""
    parts = [
        f"<h1>{escape(report.title)}</h1>",
        f'<p class="soft">统计期：{report.first} 至 {report.last}（北京时间） · 生成于 {made_at(report.made)}</p>',
        '<section class="summary">' + "".join(f"<p>{escape(text)}</p>" for text in summary(report)) + "</section>",
        *(_unresolved(report) if report.unit is None else ()),
        "<h2>需要处理的问题</h2>",
        _table(
            "本期或尚未复核的问题，事件多的在前；示例事件可凭标识查询全过程",
            CASE_HEADS,
            map(case_cells, report.cases),
            "cards wide",
        ),
        "<h2>趋势、原因与地区</h2>",
        *_charts(report),
        "<h2>落地实效</h2>",
        _table("各行证照的亮证情况；未亮证的行请核实是否已经推开", ROW_HEADS, map(row_cells, report.rows), "cards"),
        f"<p>{escape(idle_areas(report))}</p>",
        *(_departments(report) if report.departments else ()),
        f'<p class="soft">{_TERMS}</p>',
    ]
    return (
        f'<!doctype html>\n<html lang="zh-CN"><head><meta charset="utf-8"><title>{escape(report.title)}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f'<meta name="color-scheme" content="light dark"><style>{_STYLE}</style></head>\n'
        f"<body>\n{chr(10).join(parts)}\n</body></html>\n"
    ).encode()


def _charts(report: Report) -> Iterable[str]:
    if report.now.shown:
        yield _figure(trend_chart(report), "每日亮证情况", "newest")
        days = [(day, flow.recognised, flow.refused) for day, flow in report.trend if flow.shown]
        yield _folded("每日数字", ("日期", "通过（件）", "退回（件）"), days)
    if report.reasons:
        yield _figure(reason_chart(report), "各类问题涉及的事件数")
        yield _folded(
            "各类问题数字", ("问题", "事件（件）"), [(meaning, count) for _, meaning, count in report.reasons]
        )
    if report.areas:
        yield _figure(area_chart(report), "各地亮证情况")
        areas = [(name, flow.recognised, flow.refused) for name, flow in report.areas]
        yield _folded("各地数字", ("地区", "通过（件）", "退回（件）"), areas)
    if not report.now.shown and not report.reasons:
        yield "<p>本期没有可供统计的亮证。</p>"


def _unresolved(report: Report) -> Iterable[str]:
    yield "<h2>未定的清单行（请优先处理）</h2>"
    yield _table(
        "这些单元格在公布文本中缺失或系推断，须以修订文件确认，此前一律退回",
        UNRESOLVED_HEADS,
        map(unresolved_cells, report.unresolved),
    )


def _departments(report: Report) -> Iterable[str]:
    yield "<h2>各部门</h2>"
    yield _table("按责任单位", ("责任单位", "未复核的问题（个）", "本期事件（件）"), report.departments)


def _figure(svg: str, label: str, kind: str = "") -> str:
    return f'<figure class="{kind}" role="img" aria-label="{escape(label)}">{svg}</figure>'


def _folded(title: str, heads: Sequence[str], rows: Iterable[Sequence[str | int]]) -> str:
    return f"<details><summary>{escape(title)}</summary>{_table(title, heads, rows)}</details>"


def _table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[str | int]], kind: str = "") -> str:
    lines = ["".join(_cell(head, cell) for head, cell in zip(heads, row, strict=True)) for row in rows]
    if not lines:
        return "<p>（无）</p>"
    head = "".join(f'<th scope="col">{escape(each)}</th>' for each in heads)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return (
        f'<div class="scroll"><table class="{kind}"><caption>{escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cell(head: str, cell: str | int) -> str:
    if isinstance(cell, int):
        return f'<td class="number" data-label="{escape(head)}">{cell:,}</td>'
    return f'<td data-label="{escape(head)}">{escape(cell)}</td>'
