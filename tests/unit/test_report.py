"""Reports: the arithmetic, who they are about, and that nothing which an event says becomes markup, a
formula or a link."""

import dataclasses
import io
import json
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import msgspec
import pytest
from openpyxl import load_workbook

from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import load_settings, packaged_config
from gateway.core.dead_letter_codes import DeadLetterCode
from gateway.core.province import Province
from gateway.core.reasons import Code
from gateway.core.recognition import RowRef
from gateway.errors import UsageError
from gateway.feedback.cases import CaseCounter, Share
from gateway.feedback.changelog import Position
from gateway.feedback.days import DayShare, day_key
from gateway.feedback.flows import Flow
from gateway.feedback.history import Change, Status, case_message
from gateway.feedback.page.case_list import CaseQuery, list_cases
from gateway.feedback.page.effectiveness import effectiveness
from gateway.feedback.page.server import STATIC
from gateway.feedback.page.views import codes
from gateway.feedback.problems import Observation, Problem
from gateway.feedback.report.model import build_report
from gateway.feedback.report.write import FORMS, form_of, make_report
from gateway.feedback.state import FeedbackTopics, State
from tests.unit.second_batch import CERTIFICATES, issuer_of, recognition_of_two

LIST = load_recognition(packaged_config() / "recognition")
MADE = "2026-11-23T04:00:00Z"
NOON = 1_795_406_400_000  # 2026-11-23T12:00 in China
DAY = 86_400_000
HOSTILE = '<script>alert(1)</script>|`=cmd|"calc"!A1`\n[x](http://evil.example) &amp; \'"'
TRANSPORT, RIVAL = "四川省交通运输厅", "四川省公安厅"


def problem(**changes: Any) -> Problem:
    made = {"province": "sichuan", "code": "CHANNEL_NOT_RECOGNISED", "batch": 1, "row": 5, "certificate": "道路运输证",
            "field": "display.channel", "value": "微信小程序", "accepted": ("天府通办", "渝快办"), "zh": "亮证渠道不在清单该行所列渠道内",
            "en": "channel", "units": (TRANSPORT, "重庆市交通局")}  # fmt: skip
    return Problem(**(made | changes))


@pytest.fixture
def state() -> State:
    """Two weeks: 10 events of one problem this week and 4 the week before; displays of rows 1 and 5."""
    made = State(FeedbackTopics(load_settings(packaged_config() / "gateway.yaml")))
    shares: dict[str, Share] = {}
    seen = [
        (n, Observation(f"e{n}", NOON - (0 if n < 10 else 8) * DAY, f"sichuan.display/0/{n}", (problem(),)))
        for n in range(14)
    ]
    unresolved = problem(
        code="LIST_ROW_UNRESOLVED", row=6, value=None, units=("四川省大数据中心",), field="display.scenario"
    )
    seen.append((20, Observation("u1", NOON, "sichuan.display/0/20", (unresolved,))))
    CaseCounter(shares, 0).count(seen)
    for key, share in shares.items():
        made.put_share(key, share)
    days = {
        ("sichuan", "2026-11-23"): {"1/5|500103|forward|": 90, "1/5|500105|reject|CHANNEL_NOT_RECOGNISED": 12, "1/5|500105|redriven|": 2,
                                    "1/5|500103|duplicate|": 7, "1/1|500103|forward|": 1000, "1/6||reject|LIST_ROW_UNRESOLVED": 1},
        ("chongqing", "2026-11-23"): {"1/5|510100|forward|": 5000},
        ("sichuan", "2026-11-15"): {"1/5|500103|forward|": 40, "1/5|500105|reject|CHANNEL_NOT_RECOGNISED": 10},
    }  # fmt: skip
    for (province, date), places in days.items():
        made.put_day(day_key(0, province, date), DayShare(places, {"1/5|天府通办|05-1": 90}, 0, 0))
    return made


def test_a_units_displays_are_compared_between_periods(state: State) -> None:
    report = build_report(state, LIST, TRANSPORT, "2026-11-17", "2026-11-23", MADE)
    # Repetitions are not displays; what was refused and then went through is recognised; Chongqing's
    # certificates are not its own.
    assert report.now == Flow(92, 11)
    assert report.before == ("2026-11-10", "2026-11-16")
    assert report.earlier == Flow(40, 10)
    (line,) = report.cases
    assert (line.in_period, line.before, line.case.count) == (10, 4, 14)
    assert line.listed == "天府通办；渝快办"
    assert [str(row.ref) for row in report.rows] == ["1/5", "1/6"]
    assert dict(report.areas)["渝中区"] == Flow(90, 0)
    assert "万州区" in report.idle_areas
    assert not {"渝中区", "成都市"} & set(report.idle_areas)  # shown there; and not where they could be shown
    assert report.trend[-1] == ("2026-11-23", Flow(92, 11))
    assert report.by_status == {Status.PENDING: 1, Status.FED_BACK: 0, Status.VERIFIED: 0}


def test_the_centres_see_everything_and_unresolved_rows_first(state: State) -> None:
    report = build_report(state, LIST, None, "2026-11-17", "2026-11-23", MADE)
    assert report.now == Flow(92 + 1000 + 5000, 11)
    assert report.cases[0].case.problem.code == "LIST_ROW_UNRESOLVED"
    assert report.unresolved[0].ref == (1, 6)
    assert report.unresolved[0].cost == 1
    assert len(report.rows) == 20
    units = {TRANSPORT, "重庆市交通局", "四川省大数据中心", "重庆市人民政府电子政务中心"}
    assert {unit for unit, *_ in report.departments} == units
    assert build_report(state, LIST, "四川省大数据中心", "2026-11-17", "2026-11-23", MADE) == report


def test_empty_reports_say_so_and_unknown_units_are_refused(
    state: State,
) -> None:
    report = build_report(state, LIST, "四川省司法厅", "2026-11-17", "2026-11-23", MADE)
    for form in FORMS.values():
        assert form.render(report)
    assert "本期没有需要处理的问题" in FORMS["md"].render(report).decode()
    with pytest.raises(UsageError, match=TRANSPORT):
        build_report(state, LIST, "四川交通运输厅", "2026-11-17", "2026-11-23", MADE)


def test_effectiveness_says_what_unresolved_rows_cost(state: State) -> None:
    shown = effectiveness(state, LIST, Province.SICHUAN, "2026-11-17", "2026-11-23")
    costs = {row["row"]: (row["unresolved"], row["cost"]) for row in shown["rows"] if row["batch"] == 1}
    assert costs[6] == (True, 1)  # the place is not known: it stands in no area
    assert costs[5] == (False, 0)
    assert costs[10] == (True, 0)


def test_the_page_offers_every_code_with_advice() -> None:
    offered = codes()["items"]
    assert [each["code"] for each in offered] == [*Code, *DeadLetterCode]
    assert all(each["zh"] and each["en"] for each in offered)
    assert all(problem(code=code).words.advice_zh for code in (*Code, *DeadLetterCode))
    # The page's programs keep no list of codes of their own.
    programs = "".join(file.read_text(encoding="utf-8") for file in STATIC.glob("*.js"))
    assert not [code for code in (*Code, *DeadLetterCode) if code in programs]


def two_batches(state: State) -> State:
    """The same, and displays and a problem of the second batch's row 5."""
    second = problem(batch=2, certificate=CERTIFICATES[5], units=(issuer_of(Province.SICHUAN, 5),))
    shares: dict[str, Share] = {}
    CaseCounter(shares, 2).count(
        [(n, Observation(f"s{n}", NOON, f"sichuan.display/2/{n}", (second,))) for n in range(3)]
    )
    for key, share in shares.items():
        state.put_share(key, share)
    places = {"2/5|500103|forward|": 7, "2/5|500106|reject|CHANNEL_NOT_RECOGNISED": 3}
    state.put_day(day_key(2, "sichuan", "2026-11-23"), DayShare(places, {"2/5|渝快办|05-1": 7}, 0, 0))
    return state


def test_equal_row_numbers_of_batches_are_reported_separately(state: State) -> None:
    lists, period = recognition_of_two(), ("2026-11-17", "2026-11-23")
    report = build_report(two_batches(state), lists, None, *period, MADE)
    rows = {str(row.ref): row for row in report.rows}
    assert len(report.rows) == len(rows) == 20 + len(CERTIFICATES)
    assert (rows["1/5"].certificate, rows["2/5"].certificate) == ("道路运输证", CERTIFICATES[5])
    assert (rows["1/5"].flow, rows["2/5"].flow) == (Flow(92 + 5000, 10), Flow(7, 3))
    assert rows["2/5"].uses == (("渝快办", "05-1 监督检查", 7),)
    assert rows["2/6"].last is None
    assert rows["2/6"].cost == 0
    assert {(str(line.case.problem.ref), line.in_period) for line in report.cases} == {
        ("1/5", 10),
        ("1/6", 1),
        ("2/5", 3),
    }
    assert report.now == Flow(92 + 1000 + 5000 + 7, 11 + 3)

    # A unit has the displays and the rows of the certificates that it issues, and no others.
    theirs = build_report(state, lists, issuer_of(Province.SICHUAN, 5), *period, MADE)
    assert theirs.now == Flow(7, 3)
    assert [str(row.ref) for row in theirs.rows] == ["2/5"]
    assert build_report(state, lists, TRANSPORT, *period, MADE).now == Flow(92, 11)
    for name, form in FORMS.items():
        content = form.render(theirs)
        if name != "xlsx":
            assert "第2批第5行" in content.decode()
            assert "第1批" not in content.decode()


def test_effectiveness_and_the_pages_filters_keep_the_batches_apart(state: State) -> None:
    shown = effectiveness(two_batches(state), recognition_of_two(), Province.SICHUAN, "2026-11-17", "2026-11-23")
    rows = {(row["batch"], row["row"]): row for row in shown["rows"]}
    assert rows[1, 5]["areas"]["500103"] == {"forwarded": 90, "refused": 0}
    assert rows[2, 5]["areas"] == {"500103": {"forwarded": 7, "refused": 0}, "500106": {"forwarded": 0, "refused": 3}}
    assert [use["channel"] for use in rows[2, 5]["uses"]] == ["渝快办"]
    assert (rows[1, 6]["cost"], rows[2, 6]["cost"]) == (1, 0)
    (case,) = list_cases(state, CaseQuery(row=RowRef(2, 5)))["items"]
    assert (case["batch"], case["row"], case["count"]) == (2, 5, 3)
    assert list_cases(state, CaseQuery())["total"] == 3


def test_lost_records_stand_first_in_reports(state: State) -> None:
    state.put_day("1/sichuan/2026-11-22", DayShare({"||lost|": 1200}, {}, 0, 0))
    state.put_day("1/sichuan/2026-10-01", DayShare({"||lost|": 7}, {}, 0, 0))  # before the period
    period = ("2026-11-17", "2026-11-23")
    centres = build_report(state, LIST, None, *period, MADE)
    assert [tuple(each) for each in centres.lost] == [("sichuan", "2026-11-22", 1200, 0, ())]
    assert centres.now == Flow(92 + 1000 + 5000, 11)  # not decided, and so no display
    for name, form in FORMS.items():
        content = form.render(centres)
        if name == "xlsx":
            book = load_workbook(io.BytesIO(content))
            assert [cell.value for cell in book["丢失的输入消息"][2]] == ["2026-11-22", "四川", 1200, 0]
            assert str(book["概况"]["A4"].value).startswith("注意：本期有1,200条输入消息")
        else:
            text = content.decode()
            assert text.index("1,200条输入消息") < text.index("在对方省市亮证")
            assert "丢失的输入消息" in text
    assert build_report(state, LIST, Province.SICHUAN.platform, *period, MADE).lost == centres.lost
    for unit in (Province.CHONGQING.platform, TRANSPORT):
        report = build_report(state, LIST, unit, *period, MADE)
        assert report.lost == ()
        assert "丢失" not in FORMS["md"].render(report).decode()


def test_a_report_says_that_counts_are_not_complete(state: State) -> None:
    state.positions["changelog", 0] = Position({"t": 5}, 1, until={"t": 90})
    report = build_report(state, LIST, TRANSPORT, "2026-11-17", "2026-11-23", MADE)
    assert "正在重新统计" in FORMS["md"].render(report).decode()
    state.positions["changelog", 0] = Position({"t": 90}, 1)
    report = build_report(state, LIST, TRANSPORT, "2026-11-17", "2026-11-23", MADE)
    assert "正在重新统计" not in FORMS["md"].render(report).decode()


def test_a_report_says_that_its_data_are_old(state: State) -> None:
    report = build_report(state, LIST, TRANSPORT, "2026-11-17", "2026-11-23", MADE)
    assert "无响应" not in FORMS["md"].render(report).decode()
    old = dataclasses.replace(report, is_current=False, data_of="2026-11-23T04:05:00Z")
    said = "生成本报告时Kafka（消息系统）无响应，数据截至2026-11-23 12:05，其后的亮证和标记未计入"
    assert all(said in FORMS[form].render(old).decode() for form in ("html", "md"))
    unknown = dataclasses.replace(report, is_current=False)
    assert "数据可能不是最新的" in FORMS["md"].render(unknown).decode()


@pytest.fixture
def hostile(state: State) -> State:
    """The same, with a problem that says something evil wherever words from outside can stand."""
    evil = problem(
        value=HOSTILE, certificate=HOSTILE, accepted=(HOSTILE,), zh=HOSTILE, field=HOSTILE, batch=None, row=None
    )
    shares: dict[str, Share] = {}
    CaseCounter(shares, 1).count([(0, Observation("=1+1" + HOSTILE, NOON, HOSTILE, (evil,)))])
    for key, share in shares.items():
        state.put_share(key, share)
    (case,) = [each for each in state.cases.values() if each.problem.value == HOSTILE]
    for status in (Status.FED_BACK, Status.VERIFIED):
        state.history.take(
            case_message(case, Change.MARKED, status, NOON - 1, by=HOSTILE, note=HOSTILE).value, NOON - 1
        )
    return state


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_html_report_holds_no_script_or_external_resource(hostile: State) -> None:
    parsed = Tags()
    parsed.feed(FORMS["html"].render(build_report(hostile, LIST, None, "2026-11-17", "2026-11-23", MADE)).decode())
    assert "<script>alert(1)</script>" in parsed.text  # shown, as text
    names = {tag for tag, _ in parsed.tags}
    assert {"svg", "table"} <= names
    assert not names & {"script", "link", "img", "iframe", "object", "base", "form"}
    for tag, attributes in parsed.tags:
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            assert name not in {"src", "href", "xlink:href"} or (value or "").startswith("#"), (tag, name, value)
    policy = next(attributes["content"] for tag, attributes in parsed.tags if attributes.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'")


@pytest.mark.parametrize("form", ["html", "md", "xlsx"])
def test_names_that_look_alike_can_be_told_apart(state: State, form: str) -> None:
    """Whatever cannot be seen, or turns a text round, is shown: in values, ids and notes, of every form."""
    hidden = "天府\u200b通办\u202e\x1b[2K\x9b"
    shares: dict[str, Share] = {}
    found = problem(value=hidden, zh=f"渠道不符：{hidden}", certificate=hidden, accepted=(hidden,))
    CaseCounter(shares, 1).count([(0, Observation(f"id-{hidden}", NOON, "sichuan.display/0/1", (found,)))])
    for key, share in shares.items():
        state.put_share(key, share)
    content = FORMS[form].render(build_report(state, LIST, None, "2026-11-17", "2026-11-23", MADE))
    if form == "xlsx":
        sheets = load_workbook(io.BytesIO(content))
        text = "\n".join(str(cell.value) for sheet in sheets for row in sheet.iter_rows() for cell in row)
    else:
        text = content.decode()
    assert not {"\u200b", "\u202e", "\x1b", "\x9b"} & set(text)
    assert text.replace("\\\\", "\\").count(r"天府\u200b通办\u202e\x1b") >= 2


def test_markdown_keeps_its_tables(hostile: State) -> None:
    text = FORMS["md"].render(build_report(hostile, LIST, None, "2026-11-17", "2026-11-23", MADE)).decode()
    assert "<script" not in text.replace("\\<script", "")
    for table in _tables(text):
        bars = {line.replace("\\|", "").count("|") for line in table}
        assert len(bars) == 1, table[0]


def _tables(text: str) -> Iterator[list[str]]:
    lines: list[str] = []
    for line in [*text.splitlines(), ""]:
        if line.startswith("|"):
            lines.append(line)
        elif lines:
            yield lines
            lines = []


def test_workbook_values_are_never_formulas_or_links(hostile: State) -> None:
    book = load_workbook(
        io.BytesIO(FORMS["xlsx"].render(build_report(hostile, LIST, None, "2026-11-17", "2026-11-23", MADE)))
    )
    assert book.sheetnames == [
        "概况", "待确认的清单行", "退回构成", "处理意见", "问题", "每日", "原因", "地区", "落地实效", "各部门",
    ]  # fmt: skip
    cells = [cell for sheet in book for row in sheet.iter_rows() for cell in row if cell.value is not None]
    assert any("=1+1" in str(cell.value) for cell in cells)
    assert all(cell.data_type != "f" and cell.hyperlink is None for cell in cells)
    assert len(book["每日"]._charts) == 1
    for sheet in book:  # printed, a table is as wide as a page
        assert (sheet.page_setup.orientation, sheet.page_setup.fitToHeight) == ("landscape", 0), sheet.title


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        (None, None, ("2026-10-25", "2026-11-23")),
        ("2026-10-01", None, ("2026-10-01", "2026-11-23")),
        ("2026-10-01T20:00:00Z", "2026-10-31", ("2026-10-02", "2026-10-31")),
    ],
)
def test_days_are_chinas(state: State, since: str | None, until: str | None, expected: tuple[str, str]) -> None:
    from datetime import datetime

    report = make_report(state, LIST, None, since, until, datetime.fromisoformat(MADE))
    assert (report.first, report.last) == expected
    assert report.trend[0][0] == expected[0]


@pytest.mark.parametrize(("since", "until"), [("yesterday", None), ("2026-02-30", None), ("2026-11-02", "2026-11-01")])
def test_invalid_days_are_refused(state: State, since: str, until: str | None) -> None:
    from datetime import datetime

    with pytest.raises(UsageError):
        make_report(state, LIST, None, since, until, datetime.fromisoformat(MADE))


def test_other_endings_are_refused() -> None:
    with pytest.raises(UsageError, match=r"\.html, \.md or \.xlsx"):
        form_of(".pdf")


def test_shares_and_days_survive_their_json(state: State) -> None:
    for share in state.shares.values():
        assert msgspec.json.decode(msgspec.json.encode(share), type=Share) == share
    assert json.loads(msgspec.json.encode(next(iter(state.day_shares.values()))))
