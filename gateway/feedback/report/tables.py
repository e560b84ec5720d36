"""The tables of a report, which all of its forms have in common: heads, lines and what each is called."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gateway.core.province import Province
from gateway.core.visible import visible
from gateway.feedback.areas import region_names
from gateway.feedback.history import Step
from gateway.feedback.listed import row_in_chinese
from gateway.feedback.problems import WORDS
from gateway.feedback.report.case_groups import CaseGroup, CaseLine
from gateway.feedback.report.figures import Part
from gateway.feedback.report.model import Report, RowLine
from gateway.feedback.report.words import advice_in_words, china_time, lost_cells, typeset, units_in_words, whose_matter

Line = Sequence[str | int]
_EXAMPLES = 3
NO_NAME = "（名称缺失）"
_CHANGES = {"opened": "新发现", "reopened": "再次出现", "marked": "标记"}
_FIELDS = {
    "event": "整条消息", "key": "消息键", "id": "事件标识", "source": "事件来源", "time": "亮证时间", "type": "事件类型",
    "specversion": "规范版本", "datacontenttype": "内容类型", "data": "事件内容",
    "subject": "事件主题", "dataschema": "内容结构", "data_base64": "事件内容（Base64）",
    "traceparent": "链路上下文", "tracestate": "链路状态",
    "certificate.type_name": "证照名称", "certificate.type_code": "证照类型代码", "certificate.identifier": "电子证照标识",
    "certificate.issuer_name": "签发单位名称", "certificate.issuer_code": "签发单位代码",
    "certificate.valid_from": "证照生效日期", "certificate.valid_until": "证照失效日期",
    "holder.kind": "持证主体类型", "holder.ref": "持证主体标识", "holder.name_masked": "脱敏姓名",
    "display.channel": "亮证渠道", "display.scenario": "应用场景", "display.matter_name": "事项名称",
    "display.matter_code": "事项代码", "display.region_code": "亮证地点区划代码", "display.verifier_name": "核验单位名称",
    "display.verifier_code": "核验单位代码",
}  # fmt: skip
CASE_HEADS = (
    "状态", "证照（清单行）", "不符内容", "应为", "本期（件）", "上期（件）", "累计（件）", "首次与最近", "示例事件",
)  # fmt: skip
FLOW_HEADS = ("通过（件）", "退回（件）")


@dataclass(frozen=True, slots=True)
class Table:
    """A table: its title, what is said of it, its heads and its lines; ``name`` is short enough for a
    workbook's sheet."""

    name: str
    title: str
    caption: str
    heads: tuple[str, ...]
    lines: Sequence[Line]


def first_tables(report: Report) -> list[Table]:
    """Return what stands before the cases: what was lost, the list's unresolved rows, and whose matter the
    refused events are."""
    tables = []
    if report.lost:
        caption = "网关读取前已从Kafka（消息系统）中删除，未作判定；可以原标识重新发布"
        lost_heads = ("日期", "发布省市", "丢失（条）", "其中已登记确认（条）")
        tables.append(Table("丢失的输入消息", "丢失的输入消息", caption, lost_heads, [*map(lost_cells, report.lost)]))
    if report.unit is None:
        caption = "这些单元格在公布文本中缺失或系推断，须以修订文件确认；确认前，所涉亮证一律退回"
        heads = ("清单行", "电子证照", "待确认单元格", "推断内容（待确认）", "本期退回（件）")
        lines = [line for row in report.unresolved for line in _unresolved(row)]
        tables.append(Table("待确认的清单行", "待确认的清单行（请优先处理）", caption, heads, lines))
    part_heads = ("首要原因", "责任单位", "退回（件）")
    shown = [part for part in report.parts if part.is_shown]
    if shown:
        lines = [*_parts(shown, report.unit)]
        if report.redriven:
            lines.append(("减：经重新处理通过", "—", -report.redriven))
        lines.append(("合计", "—", report.now.refused))
        caption = "每件只按首要原因计一次，合计即退回件数"
        tables.append(Table("退回构成", "退回件数的构成", caption, part_heads, lines))
    if others := [*_parts([part for part in report.parts if not part.is_shown], report.unit)]:
        caption = "其他单位签发的证照，按清单须由本单位参与处理；不计入退回件数的构成"
        tables.append(Table("参与处理", "其他单位证照中须由本单位参与处理的", caption, part_heads, others))
    return tables


def last_tables(report: Report) -> list[Table]:
    """Return what stands behind the charts: the rows of the list, and all units."""
    caption = "各行证照的亮证情况；无亮证的，请核实是否已推广应用。渠道与场景按通过的件数列出"
    heads = ("清单行", "电子证照", *FLOW_HEADS, "实际使用的渠道与场景", "亮证地区", "最近一次亮证")
    lines: list[Line] = [*map(_row, report.rows)]
    if report.no_row.shown:
        lines.append(("—", "不对应现行清单任何一行的", report.no_row.recognised, report.no_row.refused, "—", "—", "—"))
    if len(lines) > 1:
        lines.append(("合计", "—", report.now.recognised, report.now.refused, "—", "—", "—"))
    tables = [Table("落地实效", "落地实效", caption, heads, lines)]
    if report.departments:
        caption = "按责任单位；退回件数按首要原因计，由多个单位共同负责的，各单位分别计入，不可相加"
        unit_heads = ("责任单位", "未复核的问题（项）", "本期退回（件）")
        tables.append(Table("各部门", "各部门", caption, unit_heads, list(report.departments)))
    return tables


def behind_table(report: Report) -> Table | None:
    """Return the cases that nobody is asked about, as another mistake comes first in all their events; None
    without any."""
    if not report.behind:
        return None
    lines = [(typeset(line.case.problem.words.zh), *_what(line), line.behind) for line in report.behind]
    caption = "这些问题只出现在首要原因属于其他单位的事件中，随其他单位的问题解决，不需答复"
    heads = ("问题", "证照（清单行）", "不符内容", "本期（件）")
    return Table("随附问题", "随其他单位的问题出现，暂不需处理的", caption, heads, lines)


def trend_table(report: Report, *, idle_days: bool = False) -> Table:
    """Return the displays by day; with ``idle_days`` also those without any."""
    lines = [(day, flow.recognised, flow.refused) for day, flow in report.trend if flow.shown or idle_days]
    return Table("每日", "每日数据", "每日亮证情况", ("日期", *FLOW_HEADS), lines)


def reasons_table(report: Report) -> Table:
    """Return the refused events by primary reason."""
    lines = [(meaning_of(code), count) for code, count in report.reasons]
    return Table("原因", "各类问题数据", "退回事件的首要原因", ("首要原因", "退回（件）"), lines)


def areas_table(report: Report) -> Table:
    """Return the displays by area."""
    lines = [(name, flow.recognised, flow.refused) for name, flow in report.areas]
    return Table("地区", "各地数据", "各地亮证情况", ("地区", *FLOW_HEADS), lines)


def group_title(group: CaseGroup) -> str:
    """Say which problem a group's cases are, and how many there are."""
    return f"{typeset(group.meaning)}（{len(group.cases)}项）"


def group_advice(group: CaseGroup, report: Report) -> str:
    """Say what is to be done about a group's cases."""
    return f"如何处理：{advice_in_words(group.advice, report.unit)}"


def meaning_of(code: str) -> str:
    """Say what a reason code means."""
    words = WORDS.get(code)
    return typeset(words.zh) if words else code


def case_cells(line: CaseLine) -> Line:
    """Return a case as a line of the table ``CASE_HEADS``."""
    case = line.case
    return (
        _status(line),
        *_what(line),
        line.listed or "—",
        line.in_period,
        line.before,
        case.count,
        f"首次：{china_time(case.first)}\n最近：{china_time(case.last)}",
        "\n".join(visible(example.event_id or example.origin) for example in case.examples[:_EXAMPLES]),
    )


def _what(line: CaseLine) -> tuple[str, str]:
    """Return the certificate that a case is about, and what is wrong with its events."""
    problem = line.case.problem
    side = f"{Province(problem.province).chinese}签发" if problem.province else ""
    certificate = problem.certificate or NO_NAME
    where = (
        f"{visible(certificate)}（{row_in_chinese(problem.ref)}，{side}）"
        if problem.ref
        else side.replace("签发", "发布")
    )
    # What the message says beyond the reason's own words: which cell, which rule.
    detail = problem.zh.removeprefix(problem.words.zh).lstrip("：")
    found = problem.value or detail or field_name(problem.field)
    if place := region_names().get(found) if problem.field == "display.region_code" else None:
        found = f"{place}（{found}）"
    return where or "—", visible(found)


def _unresolved(row: RowLine) -> list[Line]:
    """Return a row's unresolved cells, a line each; what the row costs stands in the first."""
    return [
        (row_in_chinese(row.ref), row.certificate or NO_NAME, cell, words, row.cost if number == 0 else "同上")
        for number, (cell, words) in enumerate(row.unresolved)
    ]


def _parts(parts: Iterable[Part], unit: str | None) -> Iterable[Line]:
    """Return a line for each reason and the units whose matter it is; in the centres' report for the kind of
    unit."""
    counts: Counter[tuple[str, str]] = Counter()
    for part in parts:
        whose = whose_matter(part.units, unit) if unit is None else units_in_words(part.units, unit)
        counts[meaning_of(part.code), whose] += part.count
    return ((meaning, whose, count) for (meaning, whose), count in counts.most_common())


def _row(row: RowLine) -> Line:
    uses = "\n".join(f"{visible(channel)} · {visible(scenario)}（{count:,}）" for channel, scenario, count in row.uses)
    return (
        row_in_chinese(row.ref), row.certificate or NO_NAME, row.flow.recognised, row.flow.refused, uses or "—",
        "、".join(row.areas) or "—", row.last or "从未亮证",
    )  # fmt: skip


def field_name(field: str) -> str:
    """Return what a field of the event is called; the field's own name where it has no other."""
    return _FIELDS.get(field, field)


def _status(line: CaseLine) -> str:
    """Return the status, and who marked it when with which note."""
    marks = [step for step in line.standing.steps if step.change == "marked"]
    return "\n".join([line.standing.status.zh, *(_mark(step) for step in marks)])


def _mark(step: Step) -> str:
    note = f"：{step.note}" if step.note else ""
    return visible(f"{china_time(step.at)} {step.by or ''}{_CHANGES[step.change]}{step.status.zh}{note}")
