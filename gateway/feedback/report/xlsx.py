"""The report as a workbook, with charts that a spreadsheet can change."""

import io
from collections.abc import Iterable, Sequence
from typing import Any

import xlsxwriter

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

_WIDTHS = {
    "状态": 14, "问题": 34, "证照（清单行）": 24, "问题取值": 20, "清单原文": 30, "示例事件": 26, "如何处理": 60,
    "首次与最近": 17, "电子证照": 26, "实际使用的渠道与场景": 36, "亮证地区": 30, "最近一次亮证": 14,
    "未定单元格": 40, "清单行": 14, "责任单位": 32,
}  # fmt: skip


def render_xlsx(report: Report) -> bytes:
    """Render the file. No value becomes a formula or a link, whatever it says."""
    content = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    book = xlsxwriter.Workbook(content, options)
    book.set_properties({"title": report.title})
    sheets = _Sheets(book)
    _summary(book, report)
    if report.unit is None:
        sheets.add("未定的清单行", UNRESOLVED_HEADS, map(unresolved_cells, report.unresolved))
    sheets.add("问题", CASE_HEADS, map(case_cells, report.cases))
    days = [(day, flow.recognised, flow.refused) for day, flow in report.trend]
    sheets.add_chart("每日", ("日期", "通过（件）", "退回（件）"), days, {"type": "column", "subtype": "stacked"})
    reasons = [(meaning, count) for _, meaning, count in report.reasons]
    sheets.add_chart("原因", ("问题", "事件（件）"), reasons, {"type": "bar"})
    areas = [(name, flow.recognised, flow.refused) for name, flow in report.areas]
    sheets.add_chart("地区", ("地区", "通过（件）", "退回（件）"), areas, {"type": "bar", "subtype": "stacked"})
    sheets.add("落地实效", ROW_HEADS, map(row_cells, report.rows))
    if report.departments:
        sheets.add("各部门", ("责任单位", "未复核的问题（个）", "本期事件（件）"), report.departments)
    book.close()
    return content.getvalue()


def _summary(book: Any, report: Report) -> None:
    sheet = book.add_worksheet("概况")
    _for_paper(sheet)
    sheet.set_column(0, 0, 110, book.add_format({"text_wrap": True, "valign": "top"}))
    sheet.write_string(0, 0, report.title, book.add_format({"bold": True, "font_size": 16}))
    sheet.write_string(1, 0, f"统计期：{report.first} 至 {report.last}（北京时间）；生成于 {made_at(report.made)}")
    for number, text in enumerate([*summary(report), idle_areas(report)], start=3):
        sheet.write_string(number, 0, text)


def _for_paper(sheet: Any) -> None:
    """Set a sheet up for printing: a table is as wide as a page."""
    sheet.set_paper(9)  # A4
    sheet.set_landscape()
    sheet.fit_to_pages(1, 0)


class _Sheets:
    """Adds tables, each on a sheet of its own with a head that stays."""

    def __init__(self, book: Any) -> None:
        self._book = book
        self._head = book.add_format({"bold": True, "bg_color": "#E8EEF6", "border": 1, "text_wrap": True})
        self._text = book.add_format({"text_wrap": True, "valign": "top"})
        self._number = book.add_format({"num_format": "#,##0", "valign": "top"})

    def add(self, name: str, heads: Sequence[str], rows: Iterable[Sequence[str | int]]) -> tuple[Any, int]:
        """Add a sheet of this name; return it and its number of rows."""
        sheet = self._book.add_worksheet(name)
        sheet.freeze_panes(1, 0)
        _for_paper(sheet)
        sheet.repeat_rows(0)
        for column, head in enumerate(heads):
            sheet.write_string(0, column, head, self._head)
            sheet.set_column(column, column, _WIDTHS.get(head, 12))
        count = 0
        for count, row in enumerate(rows, start=1):
            for column, cell in enumerate(row):
                if isinstance(cell, int):
                    sheet.write_number(count, column, cell, self._number)
                else:
                    sheet.write_string(count, column, cell, self._text)
        if count:
            sheet.autofilter(0, 0, count, len(heads) - 1)
        return sheet, count

    def add_chart(
        self, name: str, heads: Sequence[str], rows: Sequence[Sequence[str | int]], kind: dict[str, str]
    ) -> None:
        """Add a sheet with a chart beside its table."""
        sheet, count = self.add(name, heads, rows)
        sheet.set_column(0, 0, 36 if name == "原因" else 16)
        if not count:
            return
        chart = self._book.add_chart(kind)
        for column, (head, colour) in enumerate(zip(heads[1:], ("#1B7F4B", "#B3261E"), strict=False), start=1):
            chart.add_series(
                {
                    "name": head,
                    "categories": [name, 1, 0, count, 0],
                    "values": [name, 1, column, count, column],
                    "fill": {"color": colour},
                }
            )
        chart.set_title({"name": f"{name}（件）"})
        chart.set_size({"width": 760, "height": max(320, 26 * count + 120) if kind["type"] == "bar" else 360})
        sheet.insert_chart(1, len(heads) + 1, chart)
