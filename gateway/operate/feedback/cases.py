"""``gateway feedback list|show|mark|rebuild``: cases at a terminal, Chinese first and English beside it."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

from gateway.adapters.console import Terminal
from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import Settings
from gateway.adapters.tables import Column, print_table
from gateway.adapters.terminal import say, write_json
from gateway.core.recognition import RowRef
from gateway.feedback.cases import Case
from gateway.feedback.history import Status
from gateway.feedback.marking import Marked, find_case, mark
from gateway.feedback.rebuild import rebuild
from gateway.feedback.report.model import require_unit
from gateway.feedback.shown import case_as_json, today
from gateway.feedback.state import State, read_state
from gateway.operate.rows import require_rows
from gateway.operate.times import time_for_people

Output = Literal["text", "json"]
BEHIND_SHORT = "暂不需处理"
BEHIND_ZH = "只出现在首要原因属于其他单位的事件中，随其他单位的问题解决，暂不需处理；首要原因见示例事件"
BEHIND_EN = (
    "nothing for now: all of its events are another unit's matter first (see the examples), and it goes away with that"
)

_COLUMNS = (
    Column("问题", "case"),
    Column("状态", "status"),
    Column("件数", "count", right=True),
    Column("原因", "reason"),
    Column("行", "row", drop=1),
    Column("不符内容或字段", "value or field", drop=3, least=8),
    Column("责任单位", "units", drop=2, least=18),
    Column("最近（北京时间）", "last seen", drop=4),
    Column("近7日 / 前7日", "trend", drop=5, right=True),
)


@dataclass(frozen=True, slots=True)
class CaseFilter:
    """Which cases are meant: those of ``statuses``; of the others, None is any."""

    statuses: frozenset[Status] = frozenset(Status)
    code: str | None = None
    row: RowRef | None = None
    unit: str | None = None

    def admits(self, case: Case, state: State) -> bool:
        """Tell whether ``case`` is one of them."""
        problem = case.problem
        return (
            state.standing(case).status in self.statuses
            and self.code in {None, problem.code}
            and self.row in {None, problem.ref}
            and (self.unit is None or self.unit in problem.units)
        )


def find_row(settings: Settings, text: str) -> RowRef:
    """Find the row of the list that ``--row`` names. Raises UsageError."""
    (row,) = require_rows("--row", load_recognition(settings.recognition_dir), text)
    return row


def say_counted_again(state: State) -> None:
    """Say on stderr where counts are not complete."""
    if state.is_counted_again:
        say(
            "正在重新统计，件数可能偏少。 The counts are not complete: a changelog had been lost, and the workers are "
            "counting again; `gateway doctor` says how far they are", err=True,
        )  # fmt: skip


def list_cases(settings: Settings, which: CaseFilter, output: Output) -> int:
    """Print the cases, the one last seen first; return the exit code. Raises UsageError where nobody knows
    the unit."""
    state = asyncio.run(read_state(settings))
    if which.unit is not None:
        require_unit(which.unit, state, load_recognition(settings.recognition_dir))
    say_counted_again(state)
    cases = [case for case in state.cases.values() if which.admits(case, state)]
    if output == "json":
        for case in cases:
            _print_json(case_as_json(case, state))
        return 0
    rows = []
    for case in cases:
        problem = case.problem
        rows.append((
            case.id[:8], _status_of(case, state), f"{case.count:,}", problem.code, str(problem.ref or ""),
            problem.value or problem.field, "、".join(problem.units), time_for_people(case.last)[:16], _trend(case),
        ))  # fmt: skip
    if cases:
        print_table(_COLUMNS, rows)
    Terminal(err=True).print(_count_of(cases))
    return 0


def _status_of(case: Case, state: State) -> str:
    """Return the status, or that nobody has anything to do about the case yet."""
    status = state.standing(case).status
    if not case.is_behind:
        return status.zh
    return BEHIND_SHORT if status is Status.PENDING else f"{status.zh} {BEHIND_SHORT}"


def _count_of(cases: Collection[Case]) -> str:
    """Say how many cases were listed, and how many of them wait."""
    if not cases:
        return "没有问题 no cases"
    said = f"{len(cases):,} 项问题 {'case' if len(cases) == 1 else 'cases'}"
    waiting = sum(case.is_behind for case in cases)
    if not waiting:
        return said
    verb = "waits" if waiting == 1 else "wait"
    return f"{said}，其中 {waiting:,} 项{BEHIND_SHORT}，{waiting:,} {verb} for another unit"


def _trend(case: Case) -> str:
    now, before = case.trend(today())
    return f"{now} / {before}"


def show_case(settings: Settings, case_id: str, output: Output) -> int:
    """Print one case with its history and examples; returns the exit code. Raises UsageError."""
    state = asyncio.run(read_state(settings))
    say_counted_again(state)
    case = find_case(state, case_id)
    content, ref, advice = case_as_json(case, state), case.problem.ref, advice_of(case)
    if output == "json":
        _print_json(content)
        return 0
    console = Terminal()
    waits = f"  {BEHIND_SHORT}" if case.is_behind else ""
    console.print(f"{content['id']}  {content['status']['zh']} {content['status']['code']}{waits}")
    console.print(f"  {content['message']['zh']}")
    console.print(f"  {content['message']['en']}")
    lines = {
        "怎么办 what to do": advice[0],
        "　": advice[1],
        "责任单位 units": "、".join(content["responsible_units"]),
        "清单行 row": f"{ref} {content['certificate'] or ''}" if ref else None,
        "不符内容 value": content["value"],
        "应为 accepted": "；".join(content["accepted"]),
        "字段 field": content["field"],
        "原因 reason": content["code"],
        "件数 count": content["count"],
        "近7日 / 前7日 trend": "{last_7_days} / {7_days_before}".format(**content["trend"]),
        "首次 first seen": time_for_people(content["first_seen"]),
        "最近 last seen": time_for_people(content["last_seen"]),
    }
    for label, value in lines.items():
        if value:
            console.print(f"  {label}: {value}" if label.strip() else f"    {value}")
    console.print("  近日 by day: " + ", ".join(f"{day} {n}" for day, n in list(content["days"].items())[-14:]))
    console.print("  示例 examples (gateway trace ID, or --at for those without an id):")
    for example in content["examples"]:
        console.print(f"    {example['id'] or '—'}  {example['origin']}  {time_for_people(example['received'])}")
    console.print("  处理经过 history:")
    for step in content["history"]:
        who = f"  {step['by']}" if step["by"] else ""
        note = f"：{step['note']}" if step["note"] else ""
        console.print(f"    {time_for_people(step['at'])}  {step['change']} → {step['status']['zh']}{who}{note}")
    return 0


def advice_of(case: Case) -> tuple[str, str]:
    """Say what is to be done about ``case``, in Chinese and English."""
    words = case.problem.words
    return (BEHIND_ZH, BEHIND_EN) if case.is_behind else (words.advice_zh, words.advice_en)


def mark_case(settings: Settings, case_id: str, status: Status, by: str, note: str | None) -> int:
    """Mark a case; returns the exit code. Raises UsageError."""

    async def read_and_mark() -> Marked:
        return await mark(settings, await read_state(settings), case_id, status, by, note)

    done = asyncio.run(read_and_mark())
    for case in done.cases:
        Terminal(err=True).print(f"{case.id}: {status.zh} {status}")
    for case in done.already:
        zh, en = ("已补记备注", "the note was added") if done.is_noted else ("未重复标记", "nothing was written")
        Terminal(err=True).print(f"{case.id}: 此前已是{status.zh}，{zh} was already {status}; {en}")
    return 0


def rebuild_tables(settings: Settings, *, dry_run: bool, output: Output) -> int:
    """Rebuild the tables; with ``dry_run`` only compare: exit code 1 where they differ."""
    done = asyncio.run(rebuild(settings, dry_run=dry_run))
    if output == "json":
        _print_json(done._asdict())
    else:
        verb = "would change" if dry_run else "changed"
        Terminal().print(
            f"{done.records:,} records read again: {done.shares} shares of cases, {done.days} of days; "
            f"{done.changed} {verb}, {done.kept} kept that count records no longer in the topics"
        )
    return 1 if dry_run and done.changed else 0


def _print_json(content: dict[str, Any]) -> None:
    write_json(content)
