"""``gateway feedback list|show|mark|rebuild``: cases at a terminal, Chinese first and English beside it."""

import asyncio
import json
import sys
from dataclasses import dataclass
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import Settings
from gateway.core.recognition import RowRef
from gateway.feedback.cases import Case
from gateway.feedback.history import Status
from gateway.feedback.marking import find_case, mark
from gateway.feedback.rebuild import rebuild
from gateway.feedback.shown import case_as_json, time_as_text, today
from gateway.feedback.state import State, read_state
from gateway.operate.rows import require_rows

Output = Literal["text", "json"]


@dataclass(frozen=True, slots=True)
class CaseFilter:
    """Which cases are meant; None is any."""

    status: Status | None = None
    code: str | None = None
    row: RowRef | None = None
    unit: str | None = None

    def admits(self, case: Case, state: State) -> bool:
        """Whether ``case`` is one of them."""
        problem = case.problem
        return (
            self.status in {None, state.standing(case).status}
            and self.code in {None, problem.code}
            and self.row in {None, problem.ref}
            and (self.unit is None or self.unit in problem.units)
        )


def find_row(settings: Settings, text: str) -> RowRef:
    """Find the row of the list that ``--row`` names. Raises UsageError."""
    (row,) = require_rows("--row", load_recognition(settings.recognition_dir), text)
    return row


def list_cases(settings: Settings, which: CaseFilter, output: Output) -> int:
    """Print the cases, the one last seen first; return the exit code."""
    state = asyncio.run(read_state(settings))
    cases = [case for case in state.cases.values() if which.admits(case, state)]
    if output == "json":
        for case in cases:
            _print_json(case_as_json(case, state))
        return 0
    table = Table(show_edge=False, pad_edge=False)
    for heading in (
        "问题 case",
        "状态 status",
        "次数",
        "近7日 / 前7日",
        "最近 last seen",
        "行 row",
        "原因 reason",
        "取值 value",
        "责任单位 units",
    ):
        # What one copies, the id and the reason, stays in one piece on a narrow terminal too.
        table.add_column(
            heading, overflow="fold", no_wrap=heading in {"问题 case", "状态 status", "次数", "原因 reason"}
        )
    for case in cases:
        problem = case.problem
        status, value = state.standing(case).status.zh, problem.value or problem.field
        table.add_row(
            case.id[:8], status, str(case.count), _trend(case), time_as_text(case.last)[:16], str(problem.ref or ""),
            problem.code, value, "、".join(problem.units),
        )  # fmt: skip
    if cases:
        Console(highlight=False, markup=False).print(table)
    Console(stderr=True, highlight=False).print(f"{len(cases)} cases" if cases else "没有问题 no cases")
    return 0


def _trend(case: Case) -> str:
    now, before = case.trend(today())
    return f"{now} / {before}"


def show_case(settings: Settings, case_id: str, output: Output) -> int:
    """Print one case with its history and examples; returns the exit code. Raises UsageError."""
    state = asyncio.run(read_state(settings))
    case = find_case(state, case_id)
    content, ref = case_as_json(case, state), case.problem.ref
    if output == "json":
        _print_json(content)
        return 0
    console = Console(highlight=False, soft_wrap=True, markup=False)
    console.print(f"{content['id']}  {content['status']['zh']} {content['status']['code']}")
    console.print(f"  {content['message']['zh']}")
    console.print(f"  {content['message']['en']}")
    lines = {
        "原因 reason": content["code"],
        "清单 list row": f"{ref} {content['certificate'] or ''}" if ref else None,
        "字段 field": content["field"],
        "取值 value": content["value"],
        "清单原文 accepted": "；".join(content["accepted"]),
        "责任单位 units": "、".join(content["responsible_units"]),
        "次数 count": content["count"],
        "近7日 / 前7日 trend": "{last_7_days} / {7_days_before}".format(**content["trend"]),
        "首次 first seen": content["first_seen"],
        "最近 last seen": content["last_seen"],
    }
    for label, value in lines.items():
        if value:
            console.print(f"  {label}: {value}")
    console.print("  近日 by day: " + ", ".join(f"{day} {n}" for day, n in list(content["days"].items())[-14:]))
    console.print("  示例 examples (gateway trace ID, or --at for those without an id):")
    for example in content["examples"]:
        console.print(f"    {example['id'] or '—'}  {example['origin']}  {example['received']}")
    console.print("  经过 history:")
    for step in content["history"]:
        who = f"  {step['by']}" if step["by"] else ""
        note = f"：{step['note']}" if step["note"] else ""
        console.print(f"    {step['at']}  {step['change']} → {step['status']['zh']}{who}{note}")
    return 0


def mark_case(settings: Settings, case_id: str, status: Status, by: str, note: str | None) -> int:
    """Mark a case; returns the exit code. Raises UsageError."""

    async def read_and_mark() -> Case:
        return await mark(settings, await read_state(settings), case_id, status, by, note)

    case = asyncio.run(read_and_mark())
    Console(stderr=True, highlight=False).print(f"{case.id}: {status.zh} {status}")
    return 0


def rebuild_tables(settings: Settings, *, dry_run: bool, output: Output) -> int:
    """Rebuild the tables; with ``dry_run`` only compare: exit code 1 where they differ."""
    done = asyncio.run(rebuild(settings, dry_run=dry_run))
    if output == "json":
        _print_json(done._asdict())
    else:
        verb = "would change" if dry_run else "changed"
        Console(highlight=False, soft_wrap=True).print(
            f"{done.records:,} records read again: {done.shares} shares of cases, {done.days} of days; "
            f"{done.changed} {verb}, {done.kept} kept that count records no longer in the topics"
        )
    return 1 if dry_run and done.changed else 0


def _print_json(content: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(content, ensure_ascii=False) + "\n")
