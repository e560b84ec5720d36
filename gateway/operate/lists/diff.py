"""``gateway list diff``: what two folders of list files differ in, for people and for programs; and what
that would change."""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from gateway.adapters.console import Terminal
from gateway.adapters.settings import Settings
from gateway.adapters.tables import Column, print_table
from gateway.adapters.terminal import write_json
from gateway.core.recognition import Provenance, RowRef
from gateway.core.recognition.document import UnitRule
from gateway.core.times import format_instant, is_date
from gateway.errors import UsageError
from gateway.operate.lists.changes import CELLS, CellChange, ListChanges, RowChange, compare
from gateway.operate.replay.command import Question, load, replay, summarise
from gateway.operate.unread import report_unread

_IMPACT = (
    Column("行", "row"),
    Column("电子证照", "certificate", least=12),
    Column("涉及事件", "events", right=True),
    Column("判定改变", "changed", right=True),
    Column("新增通过", "forwarded then", right=True),
    Column("不再通过", "no longer", right=True),
)
_DAY_MS = 86_400_000
_DEFAULT_DAYS = 7
_PROVENANCE = {
    Provenance.READ.value: "",
    Provenance.INFERRED.value: "〔推断 inferred〕",
    Provenance.MISSING.value: "〔缺失 missing〕",
}
_KINDS = {"added": "新增 added", "removed": "删除 removed", "changed": "修改 changed"}


def run_diff(
    before: Path, after: Path, date: str, output: Literal["text", "json"], *, settings: Settings | None, days: int | None
) -> int:  # fmt: skip
    """Print what ``after`` says otherwise than ``before``; returns the exit code: 1 where they differ.

    With ``settings``, also what the difference does to the events of the last ``days`` (None: 7). Raises
    UsageError, RecognitionListError, and with ``settings`` ConfigurationError, BrokerUnreachableError.
    """
    if not is_date(date):
        raise UsageError(f"--date: '{date}' is not a date (YYYY-MM-DD)")
    if days is not None and settings is None:
        raise UsageError("--days belongs to --impact")
    changes = compare(load(before), load(after), date)
    impact = None if settings is None else measure(settings, before, after, changes, days or _DEFAULT_DAYS)
    if output == "json":
        for line in to_objects(changes, impact):
            write_json(line)
    else:
        _print(changes, before, after)
        if impact is not None:
            _print_impact(impact)
    return 0 if changes.are_equal else 1


def measure(settings: Settings, before: Path, after: Path, changes: ListChanges, days: int) -> dict[str, Any]:
    """Return what the difference does to the events of the last ``days``: a replay's counts, of the rows
    that differ.

    ``rows`` holds every row that differs on the day, and any other by which a decision would change; fields
    as in `summarise`.
    """
    since = time.time_ns() // 1_000_000 - days * _DAY_MS
    tally = replay(settings, Question(after, before, since, examples=0))
    report_unread(tally.unread)
    result = summarise(tally, load(before), load(after))
    counted = {RowRef(each["batch"], each["row"]): each for each in result["by_row"]}
    nothing = {"events": 0, "changed": 0, "opened": 0, "closed": 0}
    rows: dict[RowRef, dict[str, Any]] = {
        row.ref: {**row.ref._asdict(), "certificate": row.certificate, **nothing} for row in changes.rows
    }
    rows |= {key: each for key, each in counted.items() if key in rows or each["changed"]}
    totals = {name: result[name] for name in ("events", "changed", "opened", "closed")}
    return {"days": days, "since": format_instant(since * 1000), **totals, "rows": [rows[key] for key in sorted(rows)]}


def to_objects(changes: ListChanges, impact: dict[str, Any] | None) -> Iterable[dict[str, Any]]:
    """Yield one object per change, as ``--format json`` prints them.

    ``kind`` is ``edition``, ``rule``, ``row``, ``cell``, and with an ``impact`` also ``impact`` (one per
    row) and ``impact_total``. ``from`` and ``to`` are null for what is not there.

    - ``edition``: ``since`` (YYYY-MM-DD), and the digests of what begins on that day, ``from`` and ``to``
    - ``rule``: ``batch``, ``rule`` (its name), ``from``, ``to``
    - ``row``: ``batch``, ``row``, ``certificate``, ``change`` (``added``, ``removed``, ``changed``);
      ``gains`` and ``loses``: by cell, the words that only the one list accepts; ``opens`` and ``closes``:
      provinces whose certificates only the one passes
    - ``cell``: ``batch``, ``row``, ``cell``, ``name`` (``zh``, ``en``), ``from`` and ``to`` (``provenance``,
      ``value``, ``note``, …), ``document`` (number of the amendment)
    - ``impact``, ``impact_total``: ``events``, ``changed``, ``opened``, ``closed``, as `replay` counts them
    """
    for edition in changes.editions:
        yield {"kind": "edition", "since": edition.since, "from": edition.before, "to": edition.after}
    for rule in changes.rules:
        sides = {"from": _plain_rule(rule.before), "to": _plain_rule(rule.after)}
        yield {"kind": "rule", "batch": rule.batch, "rule": rule.name, **sides}
    for row in changes.rows:
        place = row.ref._asdict()
        yield {
            "kind": "row", **place, "certificate": row.certificate, "change": row.kind, "gains": row.gains, "loses": row.loses,
            "opens": [each.value for each in row.opens], "closes": [each.value for each in row.closes],
        }  # fmt: skip
        for cell in row.cells:
            zh, en = CELLS[cell.name]
            sides = {"from": cell.before, "to": cell.after}
            yield {
                "kind": "cell",
                **place,
                "cell": cell.name,
                "name": {"zh": zh, "en": en},
                **sides,
                "document": _document(cell),
            }
    if impact is not None:
        yield from ({"kind": "impact", **row} for row in impact["rows"])
        yield {"kind": "impact_total"} | {name: value for name, value in impact.items() if name != "rows"}


def _plain_rule(rule: UnitRule | None) -> dict[str, Any] | None:
    return rule.model_dump(mode="json") if rule else None


def _document(cell: CellChange) -> str | None:
    """Return the amendment that made the cell what it is after, or where there is none any more, what it was
    before."""
    after, before = ((side or {}).get("document") for side in (cell.after, cell.before))
    return after or before


def _print(changes: ListChanges, before: Path, after: Path) -> None:
    console = Terminal()
    console.print(f"互认清单比较 list diff · {changes.date}", style="bold")
    console.print(f"  A {before}  {changes.before}")
    console.print(f"  B {after}  {changes.after}")
    if changes.are_equal:
        console.print("两份清单在任何日期均相同 the lists say the same on every day")
        return
    console.print()
    console.print("版本 editions that differ", style="bold")
    for edition in changes.editions:
        words = "内容不同 the contents differ" if edition.before and edition.after else None
        words = words or ("仅 A 有 only A has one" if edition.before else "仅 B 有 only B has one")
        console.print(f"  {edition.since} 起 from that day on: {words}  (--date {edition.since})")
    if not changes.rows and not changes.rules:
        console.print()
        console.print(
            f"{changes.date} 当日两份清单内容相同 on {changes.date} they say the same; --date shows another day"
        )
    for rule in changes.rules:
        console.print()
        console.print(f"规则 rule {rule.name}（第{rule.batch}批 batch {rule.batch}）", style="bold")
        console.print(f"  A {_rule(rule.before)}")
        console.print(f"  B {_rule(rule.after)}")
    for row in changes.rows:
        _print_row(console, row)


def _print_row(console: Terminal, row: RowChange) -> None:
    console.print()
    console.print(
        f"第{row.ref.batch}批第{row.ref.row}行 row {row.ref}  {row.certificate or '〔缺失〕'}  {_KINDS[row.kind]}",
        style="bold",
    )
    for province in row.opens:
        console.print(f"  {province.chinese}签发、{province.other.chinese}亮证：可以互认 can pass now", style="green")
    for province in row.closes:
        console.print(
            f"  {province.chinese}签发、{province.other.chinese}亮证：不再互认 can no longer pass", style="red"
        )
    for cell in row.cells:
        zh, en = CELLS[cell.name]
        document = f"  依据 {_document(cell)}" if _document(cell) else ""
        console.print(f"  {zh} {en}{document}")
        console.print(f"    A {_words(cell.before)}")
        console.print(f"    B {_words(cell.after)}")
        if more := row.gains.get(cell.name):
            console.print(f"    ＋ 增加 gains: {'；'.join(more)}", style="green")
        if less := row.loses.get(cell.name):
            console.print(f"    － 减少 loses: {'；'.join(less)}", style="red")


def _words(cell: dict[str, Any] | None) -> str:
    """Return a cell's content in a line: its words, where they come from, its note."""
    if cell is None:
        return "—"
    value = cell.get("value", "")
    words = value["text"] if isinstance(value, dict) else value
    if isinstance(value, list):
        words = "、".join(_scenario(each) if isinstance(each, dict) else each for each in value) or "（无 none）"
    if isinstance(value, dict) and value.get("units"):
        words = "、".join(value["units"])
    aliases = f"（亦作 {'、'.join(cell['aliases'])}）" if cell.get("aliases") else ""
    note = f"  注 note: {cell['note']}" if cell.get("note") else ""
    return f"{words}{aliases}{_PROVENANCE.get(cell.get('provenance', ''), '')}{note}"


def _scenario(scenario: dict[str, Any]) -> str:
    aliases = f"（亦作 {'、'.join(scenario['aliases'])}）" if scenario.get("aliases") else ""
    return f"{scenario['code']} {scenario['text']}{aliases}"


def _rule(rule: UnitRule | None) -> str:
    if rule is None:
        return "—"
    contains = f"含 contains {'、'.join(rule.contains)}；" if rule.contains else ""
    return f"{rule.description}：{contains}以…结尾 ends with {'、'.join(rule.ends_with)}"


def _print_impact(impact: dict[str, Any]) -> None:
    console = Terminal()
    console.print()
    console.print(f"影响 impact · 近 {impact['days']} 日 (days: {impact['days']})", style="bold")
    console.print(
        f"  事件 events: {impact['events']:,}；判定将改变 decisions that would change: {impact['changed']:,}"
        f"；新增通过 forwarded then: {impact['opened']:,}；不再通过 no longer: {impact['closed']:,}"
    )
    if not impact["rows"]:
        return
    lines = []
    for row in impact["rows"]:
        counts = [f"{row[name]:,}" for name in ("events", "changed", "opened", "closed")]
        lines.append([str(RowRef(row["batch"], row["row"])), row["certificate"] or "〔缺失〕", *counts])
    print_table(_IMPACT, lines)
