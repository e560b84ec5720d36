"""Sentences and table lines that all of a report's forms have in common."""

import datetime

from gateway.core.times import parse_instant
from gateway.feedback.history import Step
from gateway.feedback.listed import row_in_chinese
from gateway.feedback.report.model import CaseLine, Flow, Report, RowLine

_CHINA = datetime.timezone(datetime.timedelta(hours=8))
_CHANGES = {"opened": "新发现", "reopened": "再次出现", "marked": "标记"}
_FIELDS = {
    "event": "整条消息", "key": "记录键", "id": "事件标识", "source": "事件来源", "time": "亮证时间", "type": "事件类型",
    "specversion": "规范版本", "datacontenttype": "内容类型", "data": "事件内容",
    "certificate.type_name": "证照名称", "certificate.type_code": "证照类型代码", "certificate.identifier": "电子证照标识",
    "certificate.issuer_name": "签发单位名称", "certificate.issuer_code": "签发单位代码",
    "certificate.valid_from": "证照生效日期", "certificate.valid_until": "证照失效日期",
    "holder.kind": "持证主体类型", "holder.ref": "持证主体引用", "holder.name_masked": "脱敏姓名",
    "display.channel": "亮证渠道", "display.scenario": "应用场景", "display.matter_name": "事项名称",
    "display.matter_code": "事项代码", "display.region_code": "亮证地点区划代码", "display.verifier_name": "核验单位名称",
    "display.verifier_code": "核验单位代码",
}  # fmt: skip
CASE_HEADS = (
    "状态",
    "问题",
    "如何处理",
    "证照（清单行）",
    "问题取值",
    "清单原文",
    "本期（件）",
    "上期（件）",
    "累计（件）",
    "首次与最近",
    "示例事件",
)
UNRESOLVED_HEADS = ("清单行", "电子证照", "未定单元格", "本期退回（件）")
ROW_HEADS = ("清单行", "电子证照", "通过（件）", "退回（件）", "实际使用的渠道与场景", "亮证地区", "最近一次亮证")


def summary(report: Report) -> list[str]:
    """Say what happened, in sentences."""
    now, earlier = report.now, report.earlier
    whose = "川渝两地互认的证照" if report.unit is None else "本单位签发的证照"
    if report.unit is not None and report.unit.endswith("政务服务平台"):
        whose = "本平台发布的证照"
    if not now.shown:
        sentences = [f"本期{whose}没有在对方省市亮证。"]
    else:
        outcome = f"其中通过 {now.recognised:,} 件（{_share(now)}），退回 {now.refused:,} 件"
        sentences = [f"本期{whose}在对方省市亮证 {now.shown:,} 件，{outcome}。"]
    if earlier.shown:
        sentences.append(
            f"上期（{report.before[0]} 至 {report.before[1]}）亮证 {earlier.shown:,} 件，通过率 {_share(earlier)}；"
            f"本期亮证{_change(now.shown, earlier.shown)}，退回{_change(now.refused, earlier.refused)}。"
        )
    else:
        sentences.append(f"上期（{report.before[0]} 至 {report.before[1]}）没有亮证记录，无从比较。")
    if report.cases:
        counts = "，".join(f"{status.zh} {count} 个" for status, count in report.by_status.items())
        sentences.append(f"与之有关的问题共 {len(report.cases)} 个：{counts}。")
    else:
        sentences.append("本期没有需要处理的问题。")
    if report.unit is None and report.unresolved:
        cost = sum(row.cost for row in report.unresolved)
        sentences.append(f"清单中有 {len(report.unresolved)} 行存在未定单元格，本期因此退回 {cost:,} 件。")
    if report.idle:
        sentences.append(f"清单中有 {len(report.idle)} 行本期没有亮证。")
    return sentences


def case_cells(line: CaseLine) -> tuple[str | int, ...]:
    """Return a case as a line of the table ``CASE_HEADS``."""
    problem = line.case.problem
    where = {"sichuan": "四川证照", "chongqing": "重庆证照"}.get(problem.province or "", "")
    certificate = f"{row_in_chinese(problem.ref)} {problem.certificate or ''}".strip() if problem.ref else ""
    detail = "" if problem.zh == line.meaning else f"（{problem.zh.removeprefix(line.meaning).lstrip('：')}）"
    return (
        status_words(line),
        line.meaning + detail,
        line.advice,
        "，".join(part for part in (where, certificate) if part),
        problem.value or field_name(problem.field),
        line.listed or "—",
        line.in_period,
        line.before,
        line.case.count,
        f"{china_time(line.case.first)}\n{china_time(line.case.last)}",
        "\n".join(example.event_id or example.origin for example in line.case.examples),
    )


def idle_areas(report: Report) -> str:
    """Say which areas had no display, in a sentence."""
    if not report.idle_areas:
        return "本期各地均有亮证。"
    return f"本期没有亮证的地区（{len(report.idle_areas)} 个）：{'、'.join(report.idle_areas)}。"


def row_cells(row: RowLine) -> tuple[str | int, ...]:
    """Return a row of the list as a line of the table ``ROW_HEADS``."""
    uses = "\n".join(f"{channel} · {scenario}（{count:,}）" for channel, scenario, count in row.uses)
    return (
        row_in_chinese(row.ref), row.certificate or "（名称缺失）", row.flow.recognised, row.flow.refused, uses or "—",
        "、".join(row.areas) or "—", row.last or "从未",
    )  # fmt: skip


def unresolved_cells(row: RowLine) -> tuple[str | int, ...]:
    """Return a row with unresolved cells as a line of the table ``UNRESOLVED_HEADS``."""
    return row_in_chinese(row.ref), row.certificate or "（名称缺失）", "、".join(row.unresolved), row.cost


def field_name(field: str) -> str:
    """Return what a field of the event is called; the field's own name where it has no other."""
    return _FIELDS.get(field, field)


def status_words(line: CaseLine) -> str:
    """Return the status, and who marked it when with which note."""
    marks = [step for step in line.standing.steps if step.change == "marked"]
    return "\n".join([line.standing.status.zh, *(_mark(step) for step in marks)])


def _mark(step: Step) -> str:
    note = f"：{step.note}" if step.note else ""
    return f"{china_time(step.at)} {step.by or ''}{_CHANGES[step.change]}{step.status.zh}{note}"


def china_time(milliseconds: int) -> str:
    """Format ``milliseconds`` as a time in China, to the minute."""
    return datetime.datetime.fromtimestamp(milliseconds / 1000, _CHINA).strftime("%Y-%m-%d %H:%M")


def made_at(instant: str) -> str:
    """Format an RFC 3339 time as one in China."""
    return china_time((parse_instant(instant) or 0) // 1000)


def _share(flow: Flow) -> str:
    return f"{100 * flow.recognised / flow.shown:.1f}%"


def _change(now: int, before: int) -> str:
    if not before:
        return f"由 0 增至 {now:,} 件" if now else "持平"
    change = 100 * (now - before) / before
    return "持平" if round(change, 1) == 0 else f"{'增加' if change > 0 else '减少'} {abs(change):.1f}%"
