"""The report as one HTML file: no script, nothing from outside, everything escaped."""

import re
from collections.abc import Iterable, Sequence
from itertools import groupby

from gateway.feedback.report.charts import area_chart, reason_chart, trend_chart
from gateway.feedback.report.model import Report
from gateway.feedback.report.page import escape, page
from gateway.feedback.report.tables import (
    CASE_HEADS,
    Line,
    Table,
    areas_table,
    behind_table,
    case_cells,
    first_tables,
    group_advice,
    group_title,
    last_tables,
    reasons_table,
    trend_table,
)
from gateway.feedback.report.words import TERMS, answer_sentence, idle_areas, subtitle, summary, units_in_words

_BREAKS = re.compile(r"(?<=[0-9A-Za-z]_)(?=[0-9A-Za-z])|(?<=[a-z][./])(?=[0-9A-Za-z])|(?<=[0-9]/)(?=[0-9])")
"""Where an id, a place or a code may be broken: behind "_", "." and "/", and not within a word."""


def render_html(report: Report) -> bytes:
    """Render the file."""
    behind, answer = behind_table(report), answer_sentence(report)
    parts = [
        f"<h1>{escape(report.title)}</h1>",
        f'<p class="soft">{escape(subtitle(report))}</p>',
        '<section class="summary" aria-label="概况">' + "".join(f"<p>{escape(text)}</p>" for text in summary(report)),
        "</section>",
        *(_titled(table) for table in first_tables(report)),
        "<h2>需要处理的问题</h2>",
        *_cases(report),
        *([_titled(behind)] if behind else ()),
        "<h2>趋势、原因与地区分布</h2>",
        *_charts(report),
        *(_titled(table) for table in last_tables(report)),
        f"<p>{escape(idle_areas(report))}</p>",
        *([f'<p class="answer">{escape(answer)}</p>'] if answer else ()),
        f'<p class="soft">{escape(TERMS)}</p>',
    ]
    return page(report.title, parts)


def _cases(report: Report) -> Iterable[str]:
    """Render the cases: by unit in the centres' report, then by reason, each with its advice once."""
    if not report.groups:
        yield "<p>（无）</p>"
        return
    yield '<p class="soft">本期发生或尚未复核的问题，件数多的在前；示例事件可凭标识查询全过程。</p>'
    for units, groups in groupby(report.groups, key=lambda group: group.units):
        if units:
            yield f"<h3>责任单位：{escape(units_in_words(units))}</h3>"
        level = "h4" if units else "h3"
        for group in groups:
            title = group_title(group)
            yield f'<div class="problem"><{level}>{escape(title)}</{level}><p>{escape(group_advice(group, report))}</p></div>'
            yield _table(title, CASE_HEADS, map(case_cells, group.cases), "wide", is_titled=True)


def _charts(report: Report) -> Iterable[str]:
    if report.now.shown:
        yield _figure(trend_chart(report), "每日亮证情况", "newest")
        yield _folded(trend_table(report))
    if report.reasons:
        yield _figure(reason_chart(report), "退回事件的首要原因")
        yield _folded(reasons_table(report))
    if report.areas:
        yield _figure(area_chart(report), "各地亮证情况")
        yield _folded(areas_table(report))
    if not report.now.shown and not report.reasons:
        yield "<p>本期没有可供统计的亮证。</p>"


def _titled(table: Table) -> str:
    return f"<h2>{escape(table.title)}</h2>" + _table(table.caption, table.heads, table.lines)


def _figure(svg: str, label: str, kind: str = "") -> str:
    return f'<figure class="{kind}" role="img" aria-label="{escape(label)}" tabindex="0">{svg}</figure>'


def _folded(table: Table) -> str:
    return (
        f"<details><summary>{escape(table.title)}</summary>{_table(table.caption, table.heads, table.lines)}</details>"
    )


def _table(caption: str, heads: Sequence[str], rows: Iterable[Line], kind: str = "", *, is_titled: bool = False) -> str:
    """Render a table that scrolls by itself where it is too wide; ``is_titled``: a heading says already what
    its caption does."""
    lines = ["".join(_cell(head, cell) for head, cell in zip(heads, row, strict=True)) for row in rows]
    if not lines:
        return "<p>（无）</p>"
    head = "".join(f'<th scope="col">{escape(each)}</th>' for each in heads)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    shown = "" if is_titled else f"<caption>{escape(caption)}</caption>"
    return (
        f'<div class="scroll" role="region" aria-label="{escape(caption)}" tabindex="0"><table class="cards {kind}">{shown}'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cell(head: str, cell: str | int) -> str:
    if isinstance(cell, int):
        return f'<td class="number" data-label="{escape(head)}">{cell:,}</td>'
    return f'<td data-label="{escape(head)}">{_BREAKS.sub("<wbr>", escape(cell))}</td>'
