"""Sentences that all of a report's forms have in common, and how dates, units and numbers are written in
them."""

import datetime
import re
from collections import Counter
from collections.abc import Sequence

from gateway.core.province import COORDINATING_CENTRES, Province
from gateway.core.times import parse_instant
from gateway.core.visible import visible
from gateway.feedback.flows import Flow
from gateway.feedback.lost import LostOnDay
from gateway.feedback.report.figures import is_platform
from gateway.feedback.report.model import Report

_CHINA = datetime.timezone(datetime.timedelta(hours=8))
_BETWEEN_SCRIPTS = re.compile(r"(?<=[\u3007-\u9fff]) (?=[0-9A-Za-z])|(?<=[0-9A-Za-z]) (?=[\u3007-\u9fff])")
_STANDARD = re.compile(r"(?<=GB/T) (?=[0-9])")
TERMS = (
    "亮证：持证主体在对方省市出示电子证照。通过：按互认清单予以认可。退回：不符合清单或事件有误，未予认可。重复发送的事件不计。"
    "首要原因：一件退回事件有多个原因的，只按其中第一个计入构成，每件计一次；同一件可涉及多个问题，各问题的件数不可相加。"
)


def typeset(text: str) -> str:
    """Set our own Chinese text in one way: no space between Chinese and numbers or Latin letters."""
    return _BETWEEN_SCRIPTS.sub("", text)


def shown(text: str) -> str:
    """Return ``text`` as a report shows it: hidden characters as escapes, and a standard's number not broken
    over lines."""
    return _STANDARD.sub("\u00a0", visible(text, lines=True))


def chinese_period(first: str, last: str) -> str:
    """Write a period as sentences do: 2026年10月29日至11月27日; one day, where it is one. Days as
    YYYY-MM-DD."""
    begins, ends = chinese_day(first), chinese_day(last)
    if first == last:
        return begins
    return f"{begins}至{ends.partition('年')[2] if first[:4] == last[:4] else ends}"


def chinese_day(day: str) -> str:
    """Write a day, YYYY-MM-DD, as 2026年11月7日."""
    year, month, date = day.split("-")
    return f"{int(year)}年{int(month)}月{int(date)}日"


def subtitle(report: Report) -> str:
    """Say which days the report is on, and when it was made."""
    return f"统计期：{chinese_period(report.first, report.last)}（北京时间）；生成时间：{made_in_words(report.made)}"


def made_in_words(instant: str) -> str:
    """Format an RFC 3339 time as one in China, to the minute."""
    return china_time((parse_instant(instant) or 0) // 1000)


def china_time(milliseconds: int) -> str:
    """Format ``milliseconds`` as a time in China, to the minute."""
    return datetime.datetime.fromtimestamp(milliseconds / 1000, _CHINA).strftime("%Y-%m-%d %H:%M")


def units_in_words(units: tuple[str, ...], unit: str | None = None) -> str:
    """Name responsible units; in the report of ``unit`` that one is 本单位."""
    if unit is not None and unit in units:
        others = [each for each in units if each != unit]
        return f"本单位（会同{'、'.join(others)}）" if others else "本单位"
    return "两个协调中心" if units == COORDINATING_CENTRES else "、".join(units)


def advice_in_words(advice: str, unit: str | None) -> str:
    """Word the advice as it is said to ``unit`` itself; in the centres' report as it is said of all."""
    if unit is not None:
        advice = advice.replace("请平台", "请贵平台") if is_platform(unit) else advice.replace("请签发单位", "请贵单位")
    return typeset(advice)


def summary(report: Report) -> list[str]:
    """Say what happened, in sentences."""
    now = report.now
    if now.shown:
        outcome = f"其中通过{now.recognised:,}件（{_share(now)}），退回{now.refused:,}件"
        sentences = [f"本期{_whose(report)}在对方省市亮证{now.shown:,}件，{outcome}。"]
    else:
        sentences = [f"本期{_whose(report)}没有在对方省市亮证。"]
    sentences += [*_composition(report), _comparison(report)]
    if report.cases:
        counts = "，".join(f"{status.zh}{count}项" for status, count in report.by_status.items())
        sentences.append(f"需要处理的问题共{len(report.cases)}项：{counts}。")
    else:
        sentences.append("本期没有需要处理的问题。")
    if report.unit is None and report.unresolved:
        cost = sum(row.cost for row in report.unresolved)
        sentences.append(f"清单中有{len(report.unresolved)}行存在待确认单元格，本期因此退回{cost:,}件。")
    if report.idle:
        sentences.append(f"清单中有{len(report.idle)}行本期没有亮证。")
    return [*_warnings(report), *sentences]


def _whose(report: Report) -> str:
    if report.unit is None:
        return "川渝两地互认的证照"
    return "本平台发布的证照" if is_platform(report.unit) else "本单位签发的证照"


def _composition(report: Report) -> list[str]:
    """Say whose matter the refused events are; their numbers add up to those of the first sentence."""
    sentences = []
    counts: Counter[str] = Counter()
    for part in report.parts:
        if part.is_shown:
            counts[whose_matter(part.units, report.unit)] += part.count
    if total := counts.total():
        whose = "，".join(f"由{name}处理{count:,}件" for name, count in counts.most_common())
        passed = f"，后有{report.redriven:,}件经重新处理通过" if report.redriven else ""
        sentences.append(f"按首要原因，先后退回的{total:,}件中，{whose}{passed}。")
    if others := sum(part.count for part in report.parts if not part.is_shown):
        sentences.append(f"此外，其他单位签发的证照退回{others:,}件，须由本单位参与处理，不计入上述件数。")
    if report.unread:
        sentences.append(f"另有{report.unread:,}条消息未能作为亮证事件判定或转发，列入问题，不计入上述件数。")
    return sentences


def whose_matter(units: tuple[str, ...], unit: str | None) -> str:
    """Say whose matter it is, shortly: 本单位, another unit by its name; in the centres' report the kind of
    unit."""
    if unit is not None and unit in units:
        return "本单位"
    if unit is not None or units == COORDINATING_CENTRES:
        return units_in_words(units)
    return "发布平台" if any(map(is_platform, units)) else "签发单位"


def _comparison(report: Report) -> str:
    now, earlier = report.now, report.earlier
    period = f"上期（{chinese_period(*report.before)}）"
    if not earlier.shown:
        return f"{period}无亮证记录，不作环比。"
    return (
        f"{period}亮证{earlier.shown:,}件，通过率{_share(earlier)}；"
        f"本期亮证{_change(now.shown, earlier.shown)}，退回{_change(now.refused, earlier.refused)}。"
    )


def _warnings(report: Report) -> list[str]:
    """Say first what makes the report's figures other than they should be."""
    sentences = []
    if report.lost:
        counts: Counter[str] = Counter()
        for lost in report.lost:
            counts[lost.province] += lost.records
        whose = "，".join(f"{Province(province).chinese}{count:,}条" for province, count in counts.items())
        sentences.append(
            f"注意：本期有{counts.total():,}条输入消息在网关读取前已从Kafka（消息系统）中删除（丢失），未作判定，不计入以下件数："
            f"{whose}。{_noted(report.lost)}"
        )
    if report.is_counted_again:
        sentences.append(
            "注意：统计存储曾被删除或不完整，正在重新统计，以下件数可能偏少；请在统计完成后重新生成本报告。"
        )
    if not report.is_current:
        until = (
            f"数据截至{made_in_words(report.data_of)}，其后的亮证和标记未计入"
            if report.data_of
            else "数据可能不是最新的"
        )
        sentences.append(f"注意：生成本报告时Kafka（消息系统）无响应，{until}；请在恢复后重新生成本报告。")
    return sentences


def _noted(lost: Sequence[LostOnDay]) -> str:
    """Say who has taken note of what was lost, and what is to be done about the rest."""
    acknowledged, still_open = sum(each.acknowledged for each in lost), sum(each.open for each in lost)
    by = "、".join(dict.fromkeys(note.by for each in lost for note in each.notes))
    rest = "请发布平台重新发布，请运维人员查明原因。"
    if not acknowledged:
        return rest
    return f"其中{acknowledged:,}条已由{by}登记确认；其余{rest}" if still_open else f"均已由{by}登记确认。"


def answer_sentence(report: Report) -> str | None:
    """Ask for an answer, by when and where; None where the report asks for none."""
    if report.answer is None:
        return None
    return f"请于{chinese_day(report.answer.by)}前将处理情况反馈至{report.answer.to}。"


def idle_areas(report: Report) -> str:
    """Say which areas had no display, in a sentence."""
    if not report.idle_areas:
        return "本期各地均有亮证。"
    return f"本期没有亮证的地区（{len(report.idle_areas)}个）：{'、'.join(report.idle_areas)}。"


def lost_cells(lost: LostOnDay) -> tuple[str | int, ...]:
    """Return what was lost on a day as a line of its table."""
    return lost.date, Province(lost.province).chinese, lost.records, lost.acknowledged


def _share(flow: Flow) -> str:
    return f"{100 * flow.recognised / flow.shown:.1f}%"


def _change(now: int, before: int) -> str:
    if not before:
        return f"由0增至{now:,}件" if now else "持平"
    change = 100 * (now - before) / before
    return "持平" if round(change, 1) == 0 else f"{'增加' if change > 0 else '减少'}{abs(change):.1f}%"
