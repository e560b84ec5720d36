"""Shows a traced event: Chinese first, English beside it, and readable without colour."""

from typing import Any, Literal

from gateway.adapters.console import Terminal
from gateway.adapters.terminal import write_json
from gateway.core.words import count_of
from gateway.feedback.problems import WORDS
from gateway.operate.times import time_for_people

_OUTCOMES = {
    "forward": "已转发 forwarded",
    "reject": "退回 rejected",
    "duplicate": "重复，未再发送 a repetition: not sent again",
    "dead_letter": "无法识别 dead-lettered",
    "lost": "丢失 lost: the log did not hold it when its lane came to it",
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
_RESULTS = {"match": "✓ 符合", "mismatch": "✗ 不符", "unresolved": "? 待确认 unresolved"}
_KINDS = {"verification": "核验记录 verification", "rejection": "退回记录 rejection", "dead_letter": "死信 dead letter"}


def show_trace(story: dict[str, Any], output: Literal["text", "json"]) -> int:
    """Print the story; returns the exit code: 1 where nothing was found."""
    if output == "json":
        write_json(story)
        return 0 if story["occurrences"] else 1
    console = Terminal()
    for number, occurrence in enumerate(story["occurrences"], start=1):
        _show(console, number, occurrence)
    searched = story["searched"]
    period = _period(searched["since"], searched["until"])
    where = f"{', '.join(searched['topics'])}, partitions {', '.join(map(str, searched['partitions']))}"
    by_key = " (由持证主体确定 by the key)" if searched["partition_by_key"] else ""
    if searched["topics"]:
        many = count_of(searched["records"], "record")
        Terminal(err=True).print(f"查找范围 searched: {where}{by_key}, {period}, {many}")
    if not story["occurrences"]:
        console.print("未找到 not found: it never came in, or is no longer kept, or lies outside of what was searched")
        return 1
    return 0


def _period(since: str | None, until: str | None) -> str:
    if not since and not until:
        return "不限时间 whatever its time"
    return " – ".join(time_for_people(each) if each else "…" for each in (since, until))


def _show(console: Terminal, number: int, occurrence: dict[str, Any]) -> None:
    console.print(f"[{number}] {occurrence['id'] or '(no id)'}: {_OUTCOMES[occurrence['outcome']]}")
    kept = "" if occurrence["input"]["is_kept"] else "  已不在主题中 no longer in its topic"
    console.print(
        f"    收到 received    {_at(occurrence['input'])}  {time_for_people(occurrence['input']['received'])}{kept}"
    )
    for name, label in (
        ("archived_day", "归档 archived   "),
        ("shown_at", "亮证 shown      "),
        ("source", "来源 source     "),
        ("trace_id", "跟踪 trace id   "),
    ):
        if value := occurrence.get(name):
            console.print(f"    {label} {time_for_people(value) if name == 'shown_at' else value}")
    if occurrence["row"]:
        console.print(f"    清单 list row    {occurrence['batch']}/{occurrence['row']}")
    for reason in occurrence["reasons"]:
        console.print(f"    原因 reason      {reason['code']}  {reason['field']}  {reason['message']['zh']}")
        console.print(f"                     {reason['message']['en']}")
    if occurrence["reasons"] and (words := WORDS.get(occurrence["reasons"][0]["code"])) is not None:
        console.print(f"    怎么办 to do     {words.advice_zh}")
        console.print(f"                     {words.advice_en}")
    if occurrence["error"]:
        console.print(f"    错误 error       {occurrence['error']['code']}  {occurrence['error']['message']}")
    if occurrence["outcome"] == "duplicate":
        earlier = occurrence["duplicate_of"] or "不在查找范围内 before what was searched"
        console.print(f"    原件 repeats     {earlier}")
    for check in occurrence["checks"]:
        console.print(_check(check))
    if occurrence["responsible_units"]:
        console.print(f"    责任单位 units   {'、'.join(occurrence['responsible_units'])}")
    unknown = "归档不记办理状态 not in an archive" if occurrence.get("archived_day") else "尚未汇总 not counted yet"
    for case in occurrence["cases"]:
        status = "{zh} {code}".format(**case["status"]) if case["status"] else unknown
        console.print(f"    问题 case        {case['id']}  {status}")
    for each in occurrence["outputs"]:
        redriven = f"  重新处理，取代 redriven, supersedes {each['supersedes']}" if each["redrive"] else ""
        console.print(
            f"    发出 sent        {_KINDS.get(each['kind'], each['kind'])}  {_at(each)}  "
            f"{time_for_people(each['written'])}{redriven}"
        )
    for entry in (*filter(None, [occurrence["ledger"]]), *occurrence["redrives"]):
        epoch = f" (第 {entry['epoch']} 纪元 epoch {entry['epoch']})" if entry["epoch"] else ""
        span = f"{entry['first_offset']}–{entry['last_offset']}{epoch}"
        console.print(f"    台账 ledger      {_at(entry)}  accounts for {span}  {entry['outputs_digest'][:20]}…")
    console.print(f"    判定复验 proved  {occurrence['proved_zh']} {occurrence['proved']}")


def _check(check: dict[str, Any]) -> str:
    line = (
        f"    核对 check       {_RESULTS[check['result']]}  {_DIMENSIONS[check['dimension']]}：{check['found'] or '—'}"
    )
    return line if check["result"] == "match" else f"{line}  （应为 accepted：{'；'.join(check['accepted']) or '—'}）"


def _at(place: dict[str, Any]) -> str:
    return f"{place['topic']}/{place['partition']}/{place['offset']}"
