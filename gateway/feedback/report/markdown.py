"""The report as Markdown."""

import re
from collections.abc import Iterable, Sequence
from itertools import groupby

from gateway.feedback.report.model import Report
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
from gateway.feedback.report.words import TERMS, answer_sentence, idle_areas, shown, subtitle, summary, units_in_words

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~!&])")


def render_markdown(report: Report) -> bytes:
    """Render the file."""
    behind, answer = behind_table(report), answer_sentence(report)
    lines = [f"# {_plain(report.title)}", "", _plain(subtitle(report)), ""]
    lines += [f"- {_plain(text)}" for text in summary(report)]
    for table in first_tables(report):
        lines += _titled(table)
    lines += ["", "## 需要处理的问题", *_cases(report)]
    for each in (behind, trend_table(report), reasons_table(report), areas_table(report), *last_tables(report)):
        if each:
            lines += _titled(each)
    lines += ["", _plain(idle_areas(report))]
    lines += ["", _plain(answer)] if answer else []
    return ("\n".join([*lines, "", _plain(TERMS)]) + "\n").encode()


def _cases(report: Report) -> Iterable[str]:
    if not report.groups:
        yield from ("", "（无）")
    for units, groups in groupby(report.groups, key=lambda group: group.units):
        if units:
            yield from ("", f"### 责任单位：{_plain(units_in_words(units))}")
        for group in groups:
            yield from ("", f"{'####' if units else '###'} {_plain(group_title(group))}", "")
            yield from (_plain(group_advice(group, report)), "", *_table(CASE_HEADS, map(case_cells, group.cases)))


def _titled(table: Table) -> list[str]:
    return ["", f"## {table.title}", "", _plain(table.caption), "", *_table(table.heads, table.lines)]


def _table(heads: Sequence[str], rows: Iterable[Line]) -> list[str]:
    lines = ["| " + " | ".join(_plain(str(cell)) for cell in row) + " |" for row in rows]
    head = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return [*head, *lines] if lines else ["（无）"]


def _plain(text: str) -> str:
    """Escape ``text`` so that Markdown shows it as it is, on one line, hidden characters too."""
    return _SPECIAL.sub(r"\\\1", shown(text)).replace("\n", "；")
