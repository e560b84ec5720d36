"""A replay's result as a department reads it: tables, Chinese first, on the terminal and in Markdown."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from gateway.adapters.console import Terminal
from gateway.adapters.tables import Column, print_table
from gateway.core.decision import Outcome
from gateway.core.reasons import Code
from gateway.core.recognition import RowRef
from gateway.core.visible import visible

OUTCOMES = {
    Outcome.FORWARD.value: "通过 forward",
    Outcome.REJECT.value: "退回 reject",
    Outcome.DUPLICATE.value: "重复 duplicate",
    Outcome.DEAD_LETTER.value: "无法识别 dead letter",
}
_MOST_LINES = 20
_LEAST = 12
_FLOWS = ("判定改变 changed", "新增通过 forwarded then", "不再通过 no longer")
_CHANGES = "判定如何改变 What would change"


class _Table(NamedTuple):
    title: str
    headings: tuple[str, ...]
    lines: Sequence[tuple[str | int, ...]]


def print_report(result: dict[str, Any]) -> None:
    """Print ``result`` (as `summarise` makes it) to stdout; of long lists the first lines."""
    console = Terminal()
    for sentence in _opening(result):
        console.print(sentence)
    if result["changes"]:
        console.print()
        console.print(_CHANGES, style="bold")
    # Sentences, not a table: ids stay whole, to be copied.
    for each in result["changes"][:_MOST_LINES]:
        console.print(f"  {each['count']:>9,} 件  行 {_rows(each)}")
        console.print(f"{'':13}{_decision(each['from'], ' ')}")
        console.print(f"{'':11}→ {_decision(each['to'], ' ')}")
        if each["examples"]:
            console.print(f"{'':13}如 e.g. {'、'.join(each['examples'])}")
    _print_rest(console, len(result["changes"]))
    for title, headings, lines in _tables(result):
        console.print()
        console.print(title, style="bold")
        print_table(_columns(headings, lines[0]), [[*map(_word, line)] for line in lines[:_MOST_LINES]])
        _print_rest(console, len(lines))


def _columns(headings: Sequence[str], first: Sequence[str | int]) -> list[Column]:
    """Return the columns of a table, words and counts; on a narrow terminal words are cut, and the last
    counts give way."""
    columns = []
    for number, (heading, cell) in enumerate(zip(headings, first, strict=True)):
        zh, _, en = heading.partition(" ")
        is_count = isinstance(cell, int)
        columns.append(Column(zh, en, max(0, number - 2) if is_count else 0, None if is_count else _LEAST, is_count))
    return columns


def _print_rest(console: Terminal, lines: int) -> None:
    if lines > _MOST_LINES:
        console.print(
            f"  … 其余 {lines - _MOST_LINES:,} 行见 --output 或 --format json · {lines - _MOST_LINES:,} more lines there"
        )


def to_markdown(result: dict[str, Any]) -> str:
    """Return ``result`` as a whole Markdown page."""
    parts = ["# 互认清单重放报告 · Replay under another list", ""]
    parts += [f"- {sentence.strip()}" for sentence in _opening(result)]
    for title, headings, lines in [*_changes(result), *_tables(result)]:
        align = [("---:" if isinstance(cell, int) else "---") for cell in lines[0]]
        parts += ["", f"## {title}", "", _markdown_line(headings), _markdown_line(align)]
        parts += [_markdown_line([_word(cell) for cell in line]) for line in lines]
    return "\n".join(parts) + "\n"


def _opening(result: dict[str, Any]) -> list[str]:
    events, changed = result["events"], result["changed"]
    lines = [
        f"现行清单 against: {result['lists']['against']}",
        f"试用清单 list:    {result['lists']['list']}",
        f"重放事件 events:  {events:,}",
    ]
    for each in result["unread"]:
        place = f"{each['topic']}/{each['partition']}/{'—' if each['offset'] is None else each['offset']}"
        lines.append(f"未能读取，未计入 not read, and not counted: {place} {each['why']}")
    if not changed:
        lines.append("判定均不改变 no decision would change")
    else:
        share = f"{changed / events:.1%}"
        lines.append(f"判定将改变 decisions that would change: {changed:,} ({share})")
        lines.append(f"  新增通过 forwarded then: {result['opened']:,}")
        lines.append(f"  不再通过 no longer forwarded: {result['closed']:,}")
        if other := changed - result["opened"] - result["closed"]:
            lines.append(f"  其他：主要原因、行号或是否重复改变 else (primary reason, row, repetition): {other:,}")
    if further := result["further_reasons"]:
        lines.append(
            f"另有仅次要原因改变者 only reasons behind the primary one differ (not counted above): {further:,}"
        )
    return lines


def _changes(result: dict[str, Any]) -> list[_Table]:
    """Return the kinds of change as a table; none where there is no change."""
    lines = [
        (
            each["count"],
            _rows(each),
            _decision(each["from"], "\n"),
            _decision(each["to"], "\n"),
            "\n".join(each["examples"]),
        )
        for each in result["changes"]
    ]
    headings = ("件数 events", "行 row", "现行判定 today", "试用判定 then", "事件示例 examples")
    return [_Table(_CHANGES, headings, lines)] if lines else []


def _tables(result: dict[str, Any]) -> list[_Table]:
    """Return the tables that have lines; counts stay numbers."""
    tables = [
        _Table(
            "按清单行 By row of the list",
            ("行 row", "电子证照 certificate", "涉及事件 events", *_FLOWS),
            [
                (_row(each), each["certificate"] or "〔缺失〕", each["events"], *_flows(each))
                for each in result["by_row"]
                if each["changed"]
            ],
        ),
        _Table(
            "按主要原因 By primary reason (of the decisions that change)",
            ("原因 reason", "现行 today", "试用 then"),
            [
                (f"{Code(each['reason']).entry.zh} {each['reason']}", each["from"], each["to"])
                for each in result["by_reason"]
            ],
        ),
        _Table(
            "按责任单位 By responsible unit (rejections of the decisions that change)",
            ("责任单位 unit", "现行 today", "试用 then"),
            [(each["unit"], each["from"], each["to"]) for each in result["by_unit"]],
        ),
        _Table(
            "按亮证地区 By place of display (GB/T 2260)",
            ("地区代码 region", *_FLOWS),
            [(each["region"], *_flows(each)) for each in result["by_region"]],
        ),
    ]
    return [table for table in tables if table.lines]


def _flows(counts: dict[str, Any]) -> tuple[int, int, int]:
    return counts["changed"], counts["opened"], counts["closed"]


def _decision(side: dict[str, Any], separator: str) -> str:
    words = (Code(side["reason"]).entry.zh, side["reason"]) if side["reason"] else ()
    return separator.join((OUTCOMES[side["outcome"]], *words))


def _rows(change: dict[str, Any]) -> str:
    before, after = _row(change["from"]), _row(change["to"])
    return before if before == after else f"{before} → {after}"


def _row(place: dict[str, Any]) -> str:
    return "—" if place["row"] is None else str(RowRef(place["batch"], place["row"]))


def _word(cell: str | int) -> str:
    return f"{cell:,}" if isinstance(cell, int) else cell


def _markdown_line(cells: Sequence[str]) -> str:
    return (
        "| " + " | ".join(visible(cell, lines=True).replace("|", "\\|").replace("\n", "<br>") for cell in cells) + " |"
    )
