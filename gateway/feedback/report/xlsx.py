"""The report as a workbook, with charts that a spreadsheet can change."""

import io
import math
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

import xlsxwriter

from gateway.core.visible import visible
from gateway.feedback.report.charts import whole_steps
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
    last_tables,
    meaning_of,
    reasons_table,
    trend_table,
)
from gateway.feedback.report.words import TERMS, answer_sentence, idle_areas, shown, subtitle, summary, units_in_words

_WIDTHS = {
    "状态": 14, "问题": 28, "证照（清单行）": 24, "不符内容": 24, "应为": 30, "示例事件": 24, "如何处理": 80,
    "首次与最近": 22, "本期（件）": 9, "上期（件）": 9, "累计（件）": 9, "电子证照": 26, "实际使用的渠道与场景": 40,
    "亮证地区": 40, "最近一次亮证": 14, "待确认单元格": 18, "推断内容（待确认）": 60, "清单行": 14, "责任单位": 30,
    "首要原因": 54, "地区": 24, "日期": 14,
}  # fmt: skip
_USUAL_WIDTH = 13
_SUMMARY_WIDTH = 110
LINE_POINTS = 18
"""A line's height: the tallest of the usual Chinese fonts at the body's size."""
MOST_POINTS = 409
"""The height of a row that a spreadsheet does not exceed."""
_FONT = {"font_name": "Microsoft YaHei", "font_size": 10}
_LINES = {"border": 1, "border_color": "#D9DEE6"}


def render_xlsx(report: Report) -> bytes:
    """Render the file. No value becomes a formula or a link, whatever it says."""
    content = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    book = xlsxwriter.Workbook(content, options)
    book.set_properties({"title": visible(report.title)})
    sheets = _Sheets(book)
    sheets.add_summary(report)
    for table in first_tables(report):
        sheets.add(table)
    sheets.add(_advice(report))
    sheets.add(_cases(report))
    if behind := behind_table(report):
        sheets.add(behind)
    sheets.add_chart(trend_table(report, idle_days=True), {"type": "column", "subtype": "stacked"})
    sheets.add_chart(reasons_table(report), {"type": "bar"})
    sheets.add_chart(areas_table(report), {"type": "bar", "subtype": "stacked"})
    for table in last_tables(report):
        sheets.add(table)
    book.close()
    return content.getvalue()


def _advice(report: Report) -> Table:
    """Return what is to be done, once for each group of cases."""
    heads = ("责任单位", "问题", "问题数（项）", "如何处理")
    lines: list[Line] = [
        (
            _units(group.units, report), meaning_of(group.code), len(group.cases),
            group_advice(group, report).removeprefix("如何处理："),
        )
        for group in report.groups
    ]  # fmt: skip
    return Table("处理意见", "处理意见", "", heads, lines)


def _cases(report: Report) -> Table:
    """Return the cases, each with its responsible units and reason: a sheet is sorted and filtered."""
    lines: list[Line] = [
        (_units(line.case.problem.units, report), meaning_of(group.code), *case_cells(line))
        for group in report.groups
        for line in group.cases
    ]
    return Table("问题", "问题", "", ("责任单位", "问题", *CASE_HEADS), lines)


def _units(units: tuple[str, ...], report: Report) -> str:
    return units_in_words(units, report.unit) if units else "本单位"


def _for_paper(sheet: Any) -> None:
    """Set a sheet up for printing: a table is as wide as a page."""
    sheet.set_paper(9)  # A4
    sheet.set_landscape()
    sheet.fit_to_pages(1, 0)
    sheet.set_margins(left=0.4, right=0.4, top=0.5, bottom=0.5)


def width_of(head: str) -> int:
    """Return the width of the column with this head, in digits."""
    return _WIDTHS.get(head, _USUAL_WIDTH)


def lines_of(text: str, width: int) -> int:
    """Return how many lines ``text`` takes in a column that is ``width`` digits wide; a Chinese character is
    two wide."""
    usable = width - 1  # a cell's own margins, and what a line leaves free at its end
    return sum(max(1, math.ceil(_columns(line) / usable)) for line in text.split("\n"))


def _columns(text: str) -> float:
    return sum(1.95 if unicodedata.east_asian_width(letter) in "WFA" else 1.05 for letter in text)


def _points(lines: int) -> int:
    return min(MOST_POINTS, lines * LINE_POINTS + 4)


class _Sheets:
    """Adds tables, each on a sheet of its own with a head that stays; rows are as high as their text."""

    def __init__(self, book: Any) -> None:
        self._book = book
        self._head = book.add_format(_FONT | {"bold": True, "bg_color": "#E8EEF6", "border": 1, "text_wrap": True})
        self._text = book.add_format(_FONT | _LINES | {"text_wrap": True, "valign": "top"})
        self._number = book.add_format(_FONT | _LINES | {"num_format": "#,##0", "valign": "top"})
        self._sentence = book.add_format(_FONT | {"text_wrap": True, "valign": "top"})

    def add_summary(self, report: Report) -> None:
        """Add the first sheet: what happened, in sentences."""
        sheet = self._book.add_worksheet("概况")
        _for_paper(sheet)
        sheet.set_column(0, 0, _SUMMARY_WIDTH)
        sheet.set_row(0, 30)
        sheet.write_string(0, 0, visible(report.title), self._book.add_format(_FONT | {"bold": True, "font_size": 16}))
        answer = answer_sentence(report)
        texts = [subtitle(report), "", *summary(report), idle_areas(report), *([answer] if answer else ()), "", TERMS]
        for number, text in enumerate(texts, start=1):
            sheet.set_row(number, _points(lines_of(text, _SUMMARY_WIDTH)))
            sheet.write_string(number, 0, shown(text), self._sentence)

    def add(self, table: Table) -> Any:
        """Add a table's sheet; return it."""
        sheet = self._book.add_worksheet(table.name)
        sheet.freeze_panes(1, 0)
        _for_paper(sheet)
        sheet.repeat_rows(0)
        widths = [width_of(head) for head in table.heads]
        for column, (head, width) in enumerate(zip(table.heads, widths, strict=True)):
            sheet.write_string(0, column, head, self._head)
            sheet.set_column(column, column, width)
        # A filter's button takes two digits of the head's width.
        sheet.set_row(
            0, _points(max(lines_of(head, width - 2) for head, width in zip(table.heads, widths, strict=True)))
        )
        for number, row in enumerate(table.lines, start=1):
            cells = [cell if isinstance(cell, int) else shown(cell) for cell in row]
            sheet.set_row(number, _points(_most_lines(cells, widths)))
            for column, cell in enumerate(cells):
                if isinstance(cell, int):
                    sheet.write_number(number, column, cell, self._number)
                else:
                    sheet.write_string(number, column, cell, self._text)
        if table.lines:
            sheet.autofilter(0, 0, len(table.lines), len(table.heads) - 1)
        return sheet

    def add_chart(self, table: Table, kind: dict[str, str]) -> None:
        """Add a sheet with a chart beside its table; its axis has whole numbers."""
        sheet, count = self.add(table), len(table.lines)
        if not count:
            return
        chart = self._book.add_chart(kind)
        for column, (head, colour) in enumerate(zip(table.heads[1:], _colours(table), strict=True), start=1):
            chart.add_series(
                {
                    "name": head,
                    "categories": [table.name, 1, 0, count, 0],
                    "values": [table.name, 1, column, count, column],
                    "fill": {"color": colour},
                }
            )
        most = max(sum(cell for cell in line if isinstance(cell, int)) for line in table.lines)
        steps = whole_steps(most)
        axis = {"num_format": "#,##0", "min": 0, "max": steps[-1], "major_unit": steps[1]}
        if kind["type"] == "bar":
            chart.set_x_axis(axis)
            chart.set_y_axis({"reverse": True})  # the first line of the table at the top
        else:
            chart.set_y_axis(axis)
        chart.set_title({"name": f"{table.caption}（件）", "name_font": {"size": 12}})
        chart.set_size({"width": 760, "height": max(320, 26 * count + 120) if kind["type"] == "bar" else 360})
        chart.set_legend({"position": "bottom"} if len(table.heads) > 2 else {"none": True})
        sheet.insert_chart(1, len(table.heads) + 1, chart)


def _colours(table: Table) -> Sequence[str]:
    return ("#1B7F4B", "#B3261E") if len(table.heads) > 2 else ("#B3261E",)


def _most_lines(cells: Iterable[str | int], widths: Iterable[int]) -> int:
    return max(1 if isinstance(cell, int) else lines_of(cell, width) for cell, width in zip(cells, widths, strict=True))
