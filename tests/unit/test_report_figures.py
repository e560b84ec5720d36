"""A report's figures add up, and each unit is asked about what is its own matter."""

import datetime
import io
import math
import re
from collections import Counter
from typing import Any

import msgspec
import pytest
from openpyxl import load_workbook

from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import load_settings, packaged_config
from gateway.core.province import COORDINATING_CENTRES, Province
from gateway.feedback.cases import CaseCounter, Share
from gateway.feedback.days import DayShare, Note
from gateway.feedback.flows import Flow
from gateway.feedback.problems import Observation, Problem
from gateway.feedback.report import charts
from gateway.feedback.report.charts import whole_steps
from gateway.feedback.report.figures import NO_AREA, NOT_THE_OTHER_SIDE
from gateway.feedback.report.model import Report, build_report, known_units
from gateway.feedback.report.words import advice_in_words, chinese_period, shown, summary, typeset
from gateway.feedback.report.write import FORMS, file_name
from gateway.feedback.report.xlsx import LINE_POINTS, MOST_POINTS
from gateway.feedback.state import FeedbackTopics, State

LIST = load_recognition(packaged_config() / "recognition")
MADE = "2026-11-28T04:00:00Z"
PERIOD = ("2026-10-30", "2026-11-28")
NOON = 1_795_838_400_000  # 2026-11-28T12:00 in China
SICHUAN, CHONGQING = "四川省交通运输厅", "重庆市交通局"
BOTH = (SICHUAN, CHONGQING)


def problem(code: str, units: tuple[str, ...], **changes: Any) -> Problem:
    made = {"province": "sichuan", "code": code, "batch": 1, "row": 5, "certificate": "道路运输证", "field": "display.channel",
            "value": None, "accepted": (), "zh": "说明", "en": "words", "units": units}  # fmt: skip
    return Problem(**(made | changes))


NOT_CROSS = problem("NOT_CROSS_PROVINCE", (Province.SICHUAN.platform,), batch=None, row=None, value="510104",
                    field="display.region_code")  # fmt: skip
OUT_OF_SCOPE = problem("OUT_OF_PILOT_SCOPE", BOTH, value="510104", field="display.region_code")
CHANNEL = problem("CHANNEL_NOT_RECOGNISED", BOTH, value="微信小程序", accepted=("天府通办", "渝快办"))


@pytest.fixture
def state() -> State:
    """Displays of row 5 of both provinces, refused for several reasons; some passed by a redrive; some in
    their own province."""
    made = State(FeedbackTopics(load_settings(packaged_config() / "gateway.yaml")))
    places = {
        "sichuan": {
            "1/5|500103|forward|": 90, "1/5|500105|reject|CHANNEL_NOT_RECOGNISED": 12, "1/5|500105|redriven|": 2,
            "1/5|510100|reject|NOT_CROSS_PROVINCE": 7, "1/5||reject|INVALID_EVENT": 3, "1/6|500103|reject|LIST_ROW_UNRESOLVED": 5,
            "1/5|500103|duplicate|": 4, "|||": 0, "||dead_letter|": 6, "|500103|reject|CERTIFICATE_NOT_LISTED": 1,
        },
        "chongqing": {"1/5|510100|forward|": 40, "1/5|510100|reject|SCENARIO_NOT_RECOGNISED": 8},
    }  # fmt: skip
    for province, counts in places.items():
        counted = {place: count for place, count in counts.items() if count}
        made.put_day(f"0/{province}/2026-11-28", DayShare(counted, {}, 0, 0))
    put_cases(made, [(CHANNEL,)] * 12 + [(NOT_CROSS, OUT_OF_SCOPE)] * 7)
    return made


def put_cases(state: State, events: list[tuple[Problem, ...]], partition: int = 0) -> None:
    shares: dict[str, Share] = {}
    CaseCounter(shares, partition).count(
        [(n, Observation(f"e{n}", NOON, f"sichuan.display/{partition}/{n}", found)) for n, found in enumerate(events)]
    )
    for key, share in shares.items():
        state.put_share(key, share)


def report_of(state: State, unit: str | None, **options: Any) -> Report:
    return build_report(state, LIST, unit, *PERIOD, MADE, **options)


def test_later_problems_are_not_in_a_report(state: State) -> None:
    def problems(last: str) -> tuple[int, int]:
        report = build_report(state, LIST, SICHUAN, "2026-11-16", last, MADE)
        return sum(len(group.cases) for group in report.groups), len(report.behind)

    assert problems("2026-11-27") == (0, 0)
    assert problems("2026-11-28") == (1, 1)
    later = build_report(state, LIST, SICHUAN, "2026-11-29", "2026-11-29", MADE)  # open, and from before
    assert [line.in_period for group in later.groups for line in group.cases] == [0]


def test_a_rows_last_day_is_within_the_period(state: State) -> None:
    (shown_in, _) = report_of(state, SICHUAN).rows
    assert shown_in.last is not None
    day_before = (datetime.date.fromisoformat(shown_in.last) - datetime.timedelta(days=1)).isoformat()
    (earlier, _) = build_report(state, LIST, SICHUAN, "2026-01-01", day_before, MADE).rows
    assert earlier.last is None or earlier.last <= day_before
    (later, _) = build_report(state, LIST, SICHUAN, "2027-01-01", "2027-01-31", MADE).rows
    assert later.last == shown_in.last  # before the period is still the last time


def test_every_reports_parts_add_up(state: State) -> None:
    for unit in (None, *known_units(state, LIST)):
        report = report_of(state, unit)
        parts = sum(part.count for part in report.parts if part.is_shown)
        assert parts - report.redriven == report.now.refused, unit
        for flows in (report.areas, report.trend):
            assert sum(flow.recognised for _, flow in flows) == report.now.recognised, unit
            assert sum(flow.refused for _, flow in flows) == report.now.refused, unit
        assert sum(count for _, count in report.reasons) == parts
    assert report_of(state, None).now == Flow(132, 34)


def test_a_units_report_says_who_has_the_rest(state: State) -> None:
    report = report_of(state, SICHUAN)
    assert (report.now, report.redriven) == (Flow(92, 25), 2)
    counts = {(part.code, part.is_shown): part.count for part in report.parts}
    assert counts == {
        ("CHANNEL_NOT_RECOGNISED", True): 12, ("NOT_CROSS_PROVINCE", True): 7, ("LIST_ROW_UNRESOLVED", True): 5,
        ("INVALID_EVENT", True): 3, ("SCENARIO_NOT_RECOGNISED", False): 8,
    }  # fmt: skip
    text = "\n".join(summary(report))
    assert "在对方省市亮证117件，其中通过92件（78.6%），退回25件" in text
    whose = "由本单位处理12件，由四川政务服务平台处理10件，由两个协调中心处理5件，后有2件经重新处理通过"
    assert f"先后退回的27件中，{whose}" in text
    assert "其他单位签发的证照退回8件，须由本单位参与处理，不计入上述件数" in text
    markdown = FORMS["md"].render(report).decode()
    assert "| 减：经重新处理通过 | — | -2 |\n| 合计 | — | 25 |" in markdown
    assert "| 亮证渠道不在清单该行所列渠道内 | 本单位（会同重庆市交通局） | 12 |" in markdown


def test_unreadable_records_are_their_platforms_and_the_centres_matter(state: State) -> None:
    assert report_of(state, None).unread == report_of(state, Province.SICHUAN.platform).unread == 6
    assert report_of(state, Province.CHONGQING.platform).unread == report_of(state, SICHUAN).unread == 0
    assert "另有6条消息未能作为亮证事件判定" in "\n".join(summary(report_of(state, None)))


def test_an_acknowledged_loss_asks_for_nothing(state: State) -> None:
    lost = DayShare({"||lost|": 9}, {}, 0, 0, (), (), {"sha256:a": 9})
    state.put_day("1/sichuan/2026-11-20", lost)
    assert "四川9条。请发布平台重新发布，请运维人员查明原因。" in summary(report_of(state, None))[0]
    note = Note("值班室", "已请川方重发")
    state.put_day("1/sichuan/2026-11-21", DayShare({}, {}, 0, 0, notes={"sha256:a": note}))
    report = report_of(state, None)
    assert "四川9条。均已由值班室登记确认。" in summary(report)[0]
    assert "| 2026-11-20 | 四川 | 9 | 9 |" in FORMS["md"].render(report).decode()
    state.put_day("1/sichuan/2026-11-22", DayShare({"||lost|": 1}, {}, 0, 0, lost={"sha256:b": 1}))
    rest = "其中9条已由值班室登记确认；其余请发布平台重新发布，请运维人员查明原因。"
    assert f"四川10条。{rest}" in summary(report_of(state, None))[0]


def test_an_event_with_several_cases_counts_once(state: State) -> None:
    fields = ("certificate.type_name", "certificate.issuer_name", "display.channel", "display.scenario")
    cells = tuple(problem("LIST_ROW_UNRESOLVED", COORDINATING_CENTRES, row=6, field=field) for field in fields)
    put_cases(state, [cells] * 5, partition=1)
    report = report_of(state, None)
    assert dict(report.reasons)["LIST_ROW_UNRESOLVED"] == 5
    assert {unit: events for unit, _, events in report.departments} == {
        COORDINATING_CENTRES[0]: 6, COORDINATING_CENTRES[1]: 6, Province.SICHUAN.platform: 10, SICHUAN: 20, CHONGQING: 20,
    }  # fmt: skip
    assert {unit: cases for unit, cases, _ in report.departments}[COORDINATING_CENTRES[0]] == 4


def test_areas_are_the_other_sides(state: State) -> None:
    report = report_of(state, SICHUAN)
    assert report.areas == (
        ("渝中区", Flow(90, 5)), ("江北区", Flow(2, 10)),
        (NOT_THE_OTHER_SIDE, Flow(0, 7)), (NO_AREA, Flow(0, 3)),
    )  # fmt: skip
    (row, _) = report.rows
    assert "成都市" not in row.areas
    assert "渝中区" in row.areas
    (row, _) = report_of(state, CHONGQING).rows
    assert row.areas == ("成都市",)
    assert row.flow == Flow(40, 8)


def test_a_unit_is_not_asked_about_anothers_mistake(state: State) -> None:
    report = report_of(state, CHONGQING)
    assert [line.case.problem for line in report.cases] == [CHANNEL]
    assert [(line.case.problem, line.behind) for line in report.behind] == [(OUT_OF_SCOPE, 7)]
    assert "| 成都市锦江区（510104） | 7 |" in FORMS["md"].render(report).decode()
    for form in ("html", "md"):
        text = FORMS[form].render(report).decode()
        assert text.index("510104") > text.index("暂不需处理的"), form
    # Where the same problem is also an event's first, it is asked about; with those events only.
    put_cases(state, [(OUT_OF_SCOPE,)] * 2, partition=1)
    report = report_of(state, CHONGQING)
    assert {line.case.problem.code: (line.in_period, line.behind) for line in report.cases} == {
        "CHANNEL_NOT_RECOGNISED": (12, 0), "OUT_OF_PILOT_SCOPE": (2, 7),
    }  # fmt: skip
    assert report.behind == ()


def test_reasons_of_the_same_units_are_not_behind(state: State) -> None:
    scenario = problem("SCENARIO_NOT_RECOGNISED", BOTH, value="网上购物", field="display.scenario")
    put_cases(state, [(CHANNEL, scenario)], partition=1)
    assert "SCENARIO_NOT_RECOGNISED" in {line.case.problem.code for line in report_of(state, SICHUAN).cases}


def test_shares_of_earlier_versions_have_nothing_behind(state: State) -> None:
    for key, share in list(state.shares.items()):
        written = msgspec.json.decode(msgspec.json.encode(share))
        del written["behind"]
        earlier = msgspec.json.decode(msgspec.json.encode(written), type=Share)
        state.put_share(key, earlier)
    assert report_of(state, CHONGQING).behind == ()
    assert len(report_of(state, CHONGQING).cases) == 2


def test_inferred_words_are_shown(state: State) -> None:
    unresolved = {str(row.ref): dict(row.unresolved) for row in report_of(state, None).rows if row.unresolved}
    assert unresolved["1/6"] == {"四川试点范围": "〔推断〕四川全省范围内", "重庆试点范围": "〔推断〕重庆全市范围内"}
    place = problem("LIST_ROW_UNRESOLVED", COORDINATING_CENTRES, row=6, field="display.region_code")
    put_cases(state, [(place,)], partition=1)
    report = report_of(state, None)
    assert [line.listed for line in report.groups[0].cases] == ["〔推断〕重庆全市范围内"]
    for name, form in FORMS.items():
        content = form.render(report)
        text = content.decode() if name != "xlsx" else str(sheet_texts(content))
        assert text.count("〔推断〕重庆全市范围内") >= 2, name


def sheet_texts(content: bytes) -> list[str]:
    book = load_workbook(io.BytesIO(content))
    return [str(cell.value) for sheet in book for row in sheet.iter_rows() for cell in row if cell.value is not None]


def test_the_centres_cases_are_grouped_by_unit_and_reason(state: State) -> None:
    values = [problem("CHANNEL_NOT_RECOGNISED", BOTH, value=f"渠道{n}") for n in range(30)]
    put_cases(state, [(value,) for value in values], partition=1)
    report = report_of(state, None)
    kinds = [(group.units, group.code, len(group.cases)) for group in report.groups]
    assert kinds == [(BOTH, "CHANNEL_NOT_RECOGNISED", 31), ((Province.SICHUAN.platform,), "NOT_CROSS_PROVINCE", 1)]
    advice = "请签发单位确认该渠道是否可以亮证"
    for name, form in FORMS.items():
        content = form.render(report)
        text = content.decode() if name != "xlsx" else "\n".join(sheet_texts(content))
        assert text.count(advice) == 1, name
    assert "责任单位：四川省交通运输厅、重庆市交通局" in FORMS["html"].render(report).decode()
    sheet = load_workbook(io.BytesIO(FORMS["xlsx"].render(report)))["问题"]
    assert Counter(cell.value for cell in sheet["A"][1:]) == {
        "四川省交通运输厅、重庆市交通局": 31,
        "四川政务服务平台": 1,
    }


def test_a_department_is_addressed_and_asked_for_an_answer(state: State) -> None:
    report = report_of(state, SICHUAN, answer=("四川省大数据中心数据处", 15))
    for name, form in FORMS.items():
        content = form.render(report)
        text = content.decode() if name != "xlsx" else "\n".join(sheet_texts(content))
        assert "请于2026年12月13日前将处理情况反馈至四川省大数据中心数据处。" in text, name
        assert "请贵单位确认该渠道是否可以亮证" in text, name
    assert "前将处理情况反馈至" not in FORMS["md"].render(report_of(state, SICHUAN)).decode()
    assert report_of(state, None, answer=("某处", 15)).answer is None  # the centres are asked by nobody
    assert report_of(state, "四川省司法厅", answer=("某处", 15)).answer is None  # nothing to answer
    assert advice_in_words("请平台校准服务器时钟", Province.SICHUAN.platform) == "请贵平台校准服务器时钟"


def test_ids_break_behind_their_marks_only(state: State) -> None:
    shares: dict[str, Share] = {}
    seen = Observation("sim_2026.b/1_Ab", NOON + 1, "sichuan.display/3/1207", (CHANNEL,))
    dead = Observation(None, NOON, "sichuan.display/3/1207", (problem("NOT_JSON", (Province.SICHUAN.platform,)),))
    CaseCounter(shares, 3).count([(0, seen), (1, dead)])
    for key, share in shares.items():
        state.put_share(key, share)
    text = FORMS["html"].render(report_of(state, None)).decode()
    assert "sim_<wbr>2026.b/<wbr>1_<wbr>Ab" in text
    assert "sichuan.<wbr>display/<wbr>3/<wbr>1207" in text
    assert "GB/T" not in re.sub(r"GB/T\u00a0", "", text)  # a standard's number stays whole


def test_sentences_write_dates_and_numbers_in_one_way(state: State) -> None:
    assert chinese_period("2026-10-29", "2026-11-27") == "2026年10月29日至11月27日"
    assert chinese_period("2025-12-29", "2026-01-04") == "2025年12月29日至2026年1月4日"
    assert chinese_period("2026-11-09", "2026-11-09") == "2026年11月9日"
    assert typeset("校验位按 GB/T 36904 计算，共 5 个") == "校验位按GB/T 36904计算，共5个"
    assert shown("GB/T 36904") == "GB/T\u00a036904"
    for unit in (None, SICHUAN, Province.SICHUAN.platform):
        for sentence in summary(report_of(state, unit)):
            assert not re.search(r"[\u4e00-\u9fff] [0-9]|[0-9] [\u4e00-\u9fff]", sentence), sentence


def test_files_are_named_by_unit_and_period(state: State) -> None:
    assert (
        file_name(report_of(state, SICHUAN), ".xlsx") == "亮证互认情况反馈_四川省交通运输厅_2026-10-30至2026-11-28.xlsx"
    )
    assert file_name(report_of(state, None), "html") == "亮证互认情况反馈_汇总_2026-10-30至2026-11-28.html"
    hostile = "../../etc/" + "部" * 400
    put_cases(state, [(problem("CHANNEL_NOT_RECOGNISED", (hostile,)),)], partition=1)
    name = file_name(report_of(state, hostile), "html")
    assert "/" not in name
    assert len(name.encode()) < 255


@pytest.mark.parametrize(
    ("most", "steps"), [(0, [0, 1]), (2, [0, 1, 2]), (7, [0, 2, 4, 6, 8]), (160, [0, 50, 100, 150, 200])]
)
def test_axes_have_few_whole_numbers(most: int, steps: list[int]) -> None:
    assert whole_steps(most) == steps


def test_an_axis_of_few_displays_has_whole_numbers(state: State) -> None:
    for key in list(state.day_shares):
        state.put_day(key, None)
    state.put_day("0/sichuan/2026-11-28", DayShare({"1/5|500103|forward|": 2}, {}, 0, 0))
    svg = charts.trend_chart(report_of(state, SICHUAN))
    assert re.findall(r">([0-9.,]+)</text>", svg)[:3] == ["0", "1", "2"]


def test_labels_of_charts_are_legible() -> None:
    style = charts._STYLE
    assert style.opacity == "1"  # a bar that shows through is paler than its colour
    for bar, label in zip(style.colors, style.value_colors, strict=True):
        assert contrast(bar, label) >= 4.5
    assert contrast(style.foreground, "#ffffff") >= 4.5


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2)."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_workbook_rows_are_as_high_as_their_text(state: State) -> None:
    """A Chinese letter of 10 points takes 13.3 pixels, a digit of the column's width 7; nothing may need
    more lines than fit."""
    put_cases(
        state, [(problem("CHANNEL_NOT_RECOGNISED", BOTH, value="渠道" * 50, accepted=("天府通办" * 40,)),)], partition=1
    )
    book = load_workbook(io.BytesIO(FORMS["xlsx"].render(report_of(state, None))))
    looked_at = 0
    for sheet in book:
        columns = sheet.column_dimensions.values()  # neighbours of one width are one entry
        widths = {number: each.width for each in columns for number in range(each.min, each.max + 1)}
        for row in sheet.iter_rows():
            height = sheet.row_dimensions[row[0].row].height
            for cell in row:
                if not isinstance(cell.value, str) or (sheet.title, cell.coordinate) == ("概况", "A1"):
                    continue
                pixels = widths[cell.column] * 7
                lines = sum(
                    max(1, math.ceil(sum(13.3 if ord(letter) > 0x2E80 else 6.7 for letter in line) / pixels))
                    for line in cell.value.split("\n")
                )
                assert height >= min(MOST_POINTS, lines * (LINE_POINTS - 1)), (sheet.title, cell.coordinate, cell.value)
                looked_at += lines > 1
    assert looked_at > 5
