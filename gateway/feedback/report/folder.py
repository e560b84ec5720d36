"""A folder of dated report sets: one report per department and the centres', an index of each set, and one
of all sets.

A set stands in a folder that is named by its period. It is written aside and renamed, so that it is there
whole or not at all.
"""

import os
import re
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from urllib.parse import quote

import msgspec

from gateway.errors import UsageError
from gateway.feedback.history import Status
from gateway.feedback.report.model import ALL_UNITS, Report
from gateway.feedback.report.page import POLICY, escape, page
from gateway.feedback.report.words import chinese_period, made_in_words
from gateway.feedback.report.write import FORMS, file_name

__all__ = [
    "INDEX",
    "POLICY",
    "ReportLine",
    "ReportSet",
    "find_report",
    "is_written",
    "read_sets",
    "write_index",
    "write_set",
]

INDEX = "index.html"
MANIFEST = "reports.json"
PERIOD = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(_[0-9]{4}-[0-9]{2}-[0-9]{2})?")
"""How a set's folder is called: its day, or its first and last day."""
_FIGURE = re.compile(r"[0-9,.]+%?")


class ReportLine(msgspec.Struct, frozen=True):
    """A report as the indexes show it; ``open`` are its cases that are not verified, ``files`` its files by
    form."""

    unit: str
    shown: int
    recognised: int
    refused: int
    open: int
    files: dict[str, str]


class ReportSet(msgspec.Struct, frozen=True):
    """A set: its period (days in UTC+8), when it was made (RFC 3339), and its reports, the centres'
    first."""

    first: str
    last: str
    made: str
    reports: tuple[ReportLine, ...]


def period_name(first: str, last: str) -> str:
    """Name a period's folder."""
    return first if first == last else f"{first}_{last}"


def is_written(folder: Path, first: str, last: str) -> bool:
    """Tell whether the period's set is there."""
    return (folder / period_name(first, last)).exists()


def write_set(
    folder: Path, units: Iterable[str | None], make: Callable[[str | None], Report], forms: Sequence[str]
) -> Path:
    """Write a report for each of ``units`` (None: the centres'), in each of ``forms``; return the set's
    folder.

    ``make`` makes a unit's report; all are on the same period. Raises UsageError where the period's set is
    there already, or the folder cannot be written.
    """
    reports = [make(unit) for unit in units]
    first, last = reports[0].first, reports[0].last
    name = period_name(first, last)
    target, aside = folder / name, folder / f".{name}.part"
    if target.exists():
        raise UsageError(
            f"--to: {target} is there already; a set is never written over. Remove it, or choose other days."
        )
    try:
        shutil.rmtree(aside, ignore_errors=True)  # what a process left that was killed
        aside.mkdir(parents=True)
        lines = [_write_report(aside, report, forms) for report in reports]
        made = ReportSet(first, last, reports[0].made, tuple(sorted(lines, key=_order)))
        _write(aside / MANIFEST, msgspec.json.encode(made))
        _write(aside / INDEX, _render_set(made))
        aside.rename(target)
        write_index(folder)
    except OSError as error:
        shutil.rmtree(aside, ignore_errors=True)
        raise UsageError(f"--to: {folder} cannot be written ({error.strerror})") from None
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    return target


def write_index(folder: Path) -> None:
    """Write the index of all sets again, from what is there. Raises OSError."""
    aside = folder / f".{INDEX}.part"
    _write(aside, _render_index(*read_sets(folder)))
    aside.replace(folder / INDEX)


def read_sets(folder: Path) -> tuple[list[ReportSet], list[str]]:
    """Return the sets, newest first, and the names of folders that look like one and cannot be read."""
    sets, unreadable = [], []
    for each in sorted(folder.iterdir(), reverse=True):
        if not PERIOD.fullmatch(each.name):
            continue
        try:
            found = msgspec.json.decode((each / MANIFEST).read_bytes(), type=ReportSet)
        except (OSError, msgspec.MsgspecError):
            found = None
        if found is None or not found.reports:
            unreadable.append(each.name)
        else:
            sets.append(found)
    return sorted(sets, key=lambda each: (each.last, each.first), reverse=True), unreadable


def find_report(folder: Path | None, name: str) -> Path | None:
    """Return the file that ``name`` names: the index, or a file of a set; None where there is no such
    file."""
    period, _, file = name.rpartition("/")
    if folder is None or file.startswith(".") or not (PERIOD.fullmatch(period) or name == INDEX):
        return None
    found = folder / name
    return found if found.is_file() and found.resolve().is_relative_to(folder.resolve()) else None


def _write_report(folder: Path, report: Report, forms: Sequence[str]) -> ReportLine:
    files = {form: file_name(report, form) for form in forms}
    if taken := [name for name in files.values() if (folder / name).exists()]:
        raise UsageError(f"two departments have the same file name, {taken[0]}: correct their names in the list")
    for form, name in files.items():
        _write(folder / name, FORMS[form].render(report))
    open_cases = len(report.cases) - report.by_status[Status.VERIFIED]
    now = report.now
    return ReportLine(report.unit or ALL_UNITS, now.shown, now.recognised, now.refused, open_cases, files)


def _order(line: ReportLine) -> tuple[bool, int, str]:
    return line.unit != ALL_UNITS, -line.open, line.unit


def _write(file: Path, content: bytes) -> None:
    """Write a file so that it is on the disk before its folder is renamed."""
    with file.open("wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    file.chmod(0o644)


def _render_index(sets: Iterable[ReportSet], unreadable: Sequence[str]) -> bytes:
    title = "部门报告"
    rows = []
    for each in sets:
        whole = each.reports[0]
        link = _link(f"{period_name(each.first, each.last)}/{INDEX}", chinese_period(each.first, each.last))
        rows.append((link, made_in_words(each.made), f"{len(each.reports):,}", *_figures(whole)))
    heads = ("统计期", "生成时间", "报告（份）", "亮证（件）", "通过率", "退回（件）", "未复核的问题（项）")
    parts = [
        f"<h1>{title}</h1>",
        _table("各期报告，新的在前；件数为各单位汇总", heads, rows) if rows else "<p>暂无报告。</p>",
    ]
    if unreadable:
        parts.append(f"<p>以下文件夹缺少完整的报告目录（{MANIFEST}），未列出：{escape('、'.join(unreadable))}。</p>")
    return page(title, parts)


def _render_set(made: ReportSet) -> bytes:
    period = chinese_period(made.first, made.last)
    rows = [
        (
            escape(each.unit),
            *_figures(each),
            " · ".join(_file_link(each, form, name) for form, name in each.files.items()),
        )
        for each in made.reports
    ]
    heads = ("单位", "亮证（件）", "通过率", "退回（件）", "未复核的问题（项）", "下载")
    parts = [
        f"<h1>部门报告（{period}）</h1>",
        f'<p class="soft">生成时间：{made_in_words(made.made)} · {_link(f"../{INDEX}", "各期报告")}</p>',
        _table("汇总在前，其余按未复核的问题排列", heads, rows),
    ]
    return page(f"部门报告（{period}）", parts)


def _figures(line: ReportLine) -> tuple[str, str, str, str]:
    share = f"{100 * line.recognised / line.shown:.1f}%" if line.shown else "—"
    return f"{line.shown:,}", share, f"{line.refused:,}", f"{line.open:,}"


def _file_link(line: ReportLine, form: str, name: str) -> str:
    return _link(name, form.upper(), f"{line.unit} {form.upper()}")


def _link(path: str, text: str, label: str = "") -> str:
    named = f' aria-label="{escape(label)}"' if label else ""
    return f'<a href="{quote(path)}"{named}>{escape(text)}</a>'


def _table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Render a table whose cells are markup; figures stand to the right."""
    head = "".join(f'<th scope="col">{escape(each)}</th>' for each in heads)
    lines = (
        "<tr>" + "".join(
            f'<td class="{"number" if _FIGURE.fullmatch(cell) else ""}" data-label="{escape(name)}">{cell}</td>'
            for name, cell in zip(heads, row, strict=True)
        ) + "</tr>"
        for row in rows
    )  # fmt: skip
    return (
        f'<div class="scroll" role="region" aria-label="{escape(caption)}" tabindex="0"><table class="cards">'
        f"<caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )
