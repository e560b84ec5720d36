"""Shows a traced event: Chinese first, English beside it, and readable without colour."""

import json
import sys
from typing import Any, Literal

from rich.console import Console

_OUTCOMES = {
    "forward": "已转发 forwarded",
    "reject": "未通过 rejected",
    "duplicate": "重复，未再发送 a repetition: not sent again",
    "dead_letter": "无法识别 dead-lettered",
    "pending": "待处理 pending: not decided yet",
    "unknown": "台账中没有 not in the ledger that is kept",
}
_DIMENSIONS = {
    "certificate": "电子证照 certificate",
    "issuer": "签发单位 issuer",
    "channel": "亮证渠道 channel",
    "scenario": "应用场景 scenario",
    "scope": "试点范围 scope",
}
_RESULTS = {"match": "✓ 符合", "mismatch": "✗ 不符", "unresolved": "? 未定 unresolved"}
_KINDS = {"verification": "核验记录 verification", "rejection": "驳回 rejection", "dead_letter": "死信 dead letter"}


def show_trace(story: dict[str, Any], output: Literal["text", "json"]) -> int:
    """Print the story; returns the exit code: 1 where nothing was found."""
    if output == "json":
        sys.stdout.write(json.dumps(story, ensure_ascii=False) + "\n")
        return 0 if story["occurrences"] else 1
    console = Console(highlight=False, soft_wrap=True)
    for number, occurrence in enumerate(story["occurrences"], start=1):
        _show(console, number, occurrence)
    searched = story["searched"]
    period = f"{searched['since'] or '…'} – {searched['until'] or '…'}"
    where = f"{', '.join(searched['topics'])}, partitions {', '.join(map(str, searched['partitions']))}"
    by_key = " (由持证主体确定 by the key)" if searched["partition_by_key"] else ""
    Console(stderr=True, highlight=False, soft_wrap=True).print(
        f"查找范围 searched: {where}{by_key}, {period}, {searched['records']:,} records"
    )
    if not story["occurrences"]:
        console.print("未找到 not found: it never came in, or is no longer kept, or lies outside of what was searched")
        return 1
    return 0


def _show(console: Console, number: int, occurrence: dict[str, Any]) -> None:
    console.print(f"[{number}] {occurrence['id'] or '(no id)'}: {_OUTCOMES[occurrence['outcome']]}", markup=False)
    console.print(f"    收到 received   {_at(occurrence['input'])}  {occurrence['input']['received']}")
    for name, label in (
        ("shown_at", "亮证 shown      "),
        ("source", "来源 source     "),
        ("trace_id", "跟踪 trace id   "),
    ):
        if occurrence[name]:
            console.print(f"    {label} {occurrence[name]}")
    if occurrence["row"]:
        console.print(f"    清单 list row    {occurrence['batch']}/{occurrence['row']}")
    for reason in occurrence["reasons"]:
        console.print(f"    原因 reason      {reason['code']}  {reason['field']}  {reason['message']['zh']}")
        console.print(f"                     {reason['message']['en']}")
    if occurrence["error"]:
        console.print(f"    错误 error       {occurrence['error']['code']}  {occurrence['error']['message']}")
    if occurrence["duplicate_of"]:
        console.print(f"    原件 repeats     {occurrence['duplicate_of']}")
    for check in occurrence["checks"]:
        console.print(_check(check), markup=False)
    if occurrence["responsible_units"]:
        console.print(f"    责任单位 units   {'、'.join(occurrence['responsible_units'])}")
    for case in occurrence["cases"]:
        console.print(f"    问题 case        {case['id']}  {case['status'] or '尚未汇总 not counted yet'}")
    for each in occurrence["outputs"]:
        redriven = f"  重新处理，取代 redriven, supersedes {each['supersedes']}" if each["redrive"] else ""
        console.print(
            f"    发出 sent        {_KINDS.get(each['kind'], each['kind'])}  {_at(each)}  {each['written']}{redriven}"
        )
    for entry in (*filter(None, [occurrence["ledger"]]), *occurrence["redrives"]):
        span = f"{entry['first_offset']}–{entry['last_offset']}"
        console.print(f"    台账 ledger      {_at(entry)}  accounts for {span}  {entry['outputs_digest'][:20]}…")
    console.print(f"    复核 proved      {occurrence['proved']}")


def _check(check: dict[str, Any]) -> str:
    line = (
        f"    核对 check       {_RESULTS[check['result']]}  {_DIMENSIONS[check['dimension']]}：{check['found'] or '—'}"
    )
    return line if check["result"] == "match" else f"{line}  （可接受 accepted：{'；'.join(check['accepted']) or '—'}）"


def _at(place: dict[str, Any]) -> str:
    return f"{place['topic']}/{place['partition']}@{place['offset']}"
