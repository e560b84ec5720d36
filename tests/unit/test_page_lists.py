"""What the page lists, without Kafka: cases filtered, searched and sorted; which rejections are held; words
for each error."""

import asyncio
import json
import re
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import Settings, load_settings, packaged_config
from gateway.cli.feedback import _statuses
from gateway.contract.topics import LaneId, Topics
from gateway.core.province import Province
from gateway.core.recognition import RowRef
from gateway.core.times import parse_instant
from gateway.errors import UsageError
from gateway.feedback.cases import CaseCounter, Share
from gateway.feedback.history import Change, Status, case_message
from gateway.feedback.marking import mark_all
from gateway.feedback.page.answers import period
from gateway.feedback.page.case_list import OPEN, TREND_DAYS, CaseQuery, list_cases, units_named
from gateway.feedback.page.glance import to_do
from gateway.feedback.page.live import KEPT_REJECTIONS, Live
from gateway.feedback.page.rejection_list import list_rejections
from gateway.feedback.page.server import STATIC
from gateway.feedback.page.views import codes, recognition_list
from gateway.feedback.problems import Observation, Problem
from gateway.feedback.report.model import known_units
from gateway.feedback.shown import today
from gateway.feedback.state import FeedbackTopics, State
from gateway.operate.examples import display_event
from gateway.operate.feedback import cases as commands
from gateway.operate.feedback.cases import BEHIND_EN, BEHIND_ZH, advice_of
from gateway.operate.trace.search import parse_at
from gateway.relay.horizon import Horizon
from gateway.relay.turn import take_turn

SETTINGS = load_settings(packaged_config() / "gateway.yaml")
LIST = load_recognition(packaged_config() / "recognition")
NOON = 1_795_406_400_000  # 2026-11-23T12:00 in China
DAY = 86_400_000


def problem(**changes: Any) -> Problem:
    made = {"province": "sichuan", "code": "CHANNEL_NOT_RECOGNISED", "batch": 1, "row": 5, "certificate": "道路运输证",
            "field": "display.channel", "value": "微信小程序", "accepted": ("天府通办",), "zh": "亮证渠道不在清单该行所列渠道内",
            "en": "channel", "units": ("四川省交通运输厅", "重庆市交通局")}  # fmt: skip
    return Problem(**(made | changes))


CHANNEL = problem()
REGION = problem(
    code="NOT_CROSS_PROVINCE", province="chongqing", row=1, certificate="中华人民共和国机动车驾驶证",
    field="display.region_code", value="510104", zh="亮证地区不在对方省市", units=("重庆政务服务平台",),
)  # fmt: skip
STALE = problem(code="STALE_EVENT", batch=None, row=None, certificate=None, field="time", value=None, zh="过早")


@pytest.fixture
def state() -> State:
    """Three cases: 3 events 40 days ago to yesterday, 2 events today, 1 event a week ago."""
    made, shares = State(FeedbackTopics(SETTINGS)), dict[str, Share]()
    seen = [(CHANNEL, 40), (CHANNEL, 20), (CHANNEL, 1), (REGION, 0), (REGION, 0), (STALE, 7)]
    CaseCounter(shares, 0).count([
        (n, Observation(f"e{n}", NOON - days * DAY, f"sichuan.display/0/{n}", (each,)))
        for n, (each, days) in enumerate(seen)
    ])  # fmt: skip
    for key, share in shares.items():
        made.put_share(key, share)
    return made


def asked(query: str) -> web.Request:
    return make_mocked_request("GET", f"/api/cases?{query}")


def listed(state: State, sort: str = "last-desc", **wanted: Any) -> list[str]:
    return [each["code"] for each in list_cases(state, CaseQuery(**wanted), sort)["items"]]


@pytest.mark.parametrize(
    ("sort", "codes"),
    [
        ("last-desc", [REGION, CHANNEL, STALE]),
        ("last-asc", [STALE, CHANNEL, REGION]),
        ("first-desc", [REGION, STALE, CHANNEL]),
        ("events-desc", [CHANNEL, REGION, STALE]),
        ("reason-asc", [STALE, REGION, CHANNEL]),
    ],
)
def test_cases_are_sorted_as_asked(state: State, sort: str, codes: list[Problem]) -> None:
    assert listed(state, sort) == [each.code for each in codes]


@pytest.mark.parametrize("sort", ["last", "count-desc", "last-up", "-desc"])
def test_an_unknown_order_is_refused(state: State, sort: str) -> None:
    with pytest.raises(UsageError) as refused:
        list_cases(state, CaseQuery(), sort)
    assert refused.value.code == "sort_invalid"


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"text": "微信"}, [CHANNEL]),
        ({"text": "交通运输厅 channel_not"}, [CHANNEL]),  # each word, in any case
        ({"text": "锦江区"}, [REGION]),  # the name of a place that is found as a code
        ({"text": "72小时"}, [STALE]),  # the reason's own words
        ({"text": "第1批第5行"}, [CHANNEL]),
        ({"text": "1/1"}, [REGION]),
        ({"text": "微信 驾驶证"}, []),
        ({"certificate": "驾驶证"}, [REGION]),
        ({"unit": "交通局"}, [CHANNEL, STALE]),
        ({"province": "chongqing"}, [REGION]),
        ({"row": RowRef(1, 5)}, [CHANNEL]),
        ({"status": "verified"}, []),
    ],
)
def test_filters_and_search_find_what_they_name(state: State, wanted: dict[str, Any], found: list[Problem]) -> None:
    assert listed(state, **wanted) == [each.code for each in found]


def test_a_period_means_cases_with_events_in_it(state: State) -> None:
    def in_period(*period: str) -> dict[str, int]:
        answer = list_cases(state, CaseQuery(period=(period[0], period[1])), "events-desc")
        return {each["code"]: each["in_period"] for each in answer["items"]}

    assert in_period("2026-11-22", "2026-11-23") == {"NOT_CROSS_PROVINCE": 2, "CHANNEL_NOT_RECOGNISED": 1}
    assert list(in_period("2026-11-22", "2026-11-23")) == ["NOT_CROSS_PROVINCE", "CHANNEL_NOT_RECOGNISED"]
    assert in_period("2026-11-16", "2026-11-16") == {"STALE_EVENT": 1}
    assert in_period("2026-11-17", "2026-11-21") == {}
    assert "in_period" not in list_cases(state, CaseQuery())["items"][0]


def report_meant(state: State, unit: str | None) -> dict[str, Any]:
    return dict(list_cases(state, CaseQuery(unit=unit), known_units=known_units(state, LIST))["report"])


def test_the_report_follows_the_filter_of_units(state: State) -> None:
    assert report_meant(state, "四川省交通") == {"units": ["四川省交通运输厅"], "count": 1, "of_all": False}
    several = report_meant(state, "交通")
    assert several["count"] == len(several["units"]) > 1
    assert {"四川省交通运输厅", "重庆市交通局"} <= set(several["units"])
    assert report_meant(state, "四川省司法厅")["units"] == ["四川省司法厅"]  # in the list, without a case
    assert report_meant(state, "大数据中心")["of_all"] is True  # a coordinating centre's report is on all units
    assert report_meant(state, "无此单位") == {"units": [], "count": 0, "of_all": False}


def test_a_units_whole_name_means_that_unit_only(state: State) -> None:
    shares: dict[str, Share] = {}
    other = problem(value="支付宝", units=("四川省交通运输厅执法总队",))
    CaseCounter(shares, 3).count([(0, Observation("o", NOON, "sichuan.display/3/0", (other,)))])
    for key, share in shares.items():
        state.put_share(key, share)

    def found(unit: str) -> set[str]:
        return {each["value"] for each in list_cases(state, CaseQuery(unit=unit, code=other.code))["items"]}

    assert found("四川省交通运输厅") == {"微信小程序"}
    assert found("交通运输厅") == {"微信小程序", "支付宝"}
    assert units_named({"甲厅", "甲厅二处"}, "甲厅") == {"甲厅"}
    assert units_named({"甲厅", "甲厅二处"}, "甲") == {"甲厅", "甲厅二处"}


def put_waiting(state: State) -> None:
    """Add a case whose only event is another unit's matter first."""
    shares: dict[str, Share] = {}
    found = (REGION, problem(code="OUT_OF_PILOT_SCOPE", value="510104", field="display.region_code", zh="不在试点范围"))
    CaseCounter(shares, 1).count([(0, Observation("both", NOON, "chongqing.display/1/0", found))])
    for key, share in shares.items():
        state.put_share(key, share)


def test_a_case_that_others_see_to_first_says_so(state: State) -> None:
    put_waiting(state)
    items = {item["code"]: item for item in list_cases(state, CaseQuery())["items"]}
    behind, first = (items[code] for code in ("OUT_OF_PILOT_SCOPE", "NOT_CROSS_PROVINCE"))
    assert (behind["behind"], behind["count"]) == (1, 1)
    assert (first["behind"], first["count"]) == (0, 3)
    cases = {case.problem.code: case for case in state.cases.values()}
    assert advice_of(cases["OUT_OF_PILOT_SCOPE"]) == (BEHIND_ZH, BEHIND_EN)
    assert advice_of(cases["NOT_CROSS_PROVINCE"])[0].startswith("请平台只发布在对方省市的亮证")


def test_lists_have_as_many_cases_as_the_overview_counts(state: State) -> None:
    put_waiting(state)
    for change, status in ((Change.OPENED, Status.PENDING), (Change.MARKED, Status.FED_BACK)):
        message = case_message(state.cases[CHANNEL.case_id], change, status, NOON, by="省大数据中心")
        state.history.take(message.value, NOON)
    counted = to_do(state, NOON, 10)
    assert counted["cases"] == {"pending": 2, "fed_back": 1, "verified": 0}
    for status, count in counted["cases"].items():
        assert len(listed(state, status=status, own_matter=True)) == count
    assert len(listed(state)) == 4
    for each in counted["units"]:
        assert len(listed(state, status=OPEN, own_matter=True, unit=each["unit"])) == each["open"]
    message = case_message(state.cases[CHANNEL.case_id], Change.MARKED, Status.VERIFIED, NOON, by="省大数据中心")
    state.history.take(message.value, NOON)
    assert "CHANNEL_NOT_RECOGNISED" not in listed(state, status=OPEN)


def test_feedback_list_marks_cases_that_wait(
    state: State, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put_waiting(state)

    async def read(_: Settings) -> State:
        return state

    monkeypatch.setattr(commands, "read_state", read)
    assert commands.list_cases(Settings(), commands.CaseFilter(), "text") == 0
    said = capsys.readouterr()
    lines = {line.split("\t")[3]: line.split("\t")[1] for line in said.out.splitlines()}
    assert lines["OUT_OF_PILOT_SCOPE"] == "暂不需处理"
    assert lines["NOT_CROSS_PROVINCE"] == "待处理"
    assert "其中 1 项暂不需处理，1 waits for another unit" in said.err


def test_feedback_list_has_open_cases(
    state: State, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for code, status in (("CHANNEL", Status.FED_BACK), ("NOT_CROSS", Status.VERIFIED)):
        (case,) = [each for each in state.cases.values() if each.problem.code.startswith(code)]
        message = case_message(case, Change.MARKED, status, case.last + DAY, by="省大数据中心")
        state.history.take(message.value, case.last + DAY)

    async def read(_: Settings) -> State:
        return state

    monkeypatch.setattr(commands, "read_state", read)
    found = {}
    for status in (None, "open", "未办结", "已反馈"):
        assert commands.list_cases(Settings(), commands.CaseFilter(_statuses(status)), "json") == 0
        found[status] = {json.loads(line)["code"] for line in capsys.readouterr().out.splitlines()}
    assert found["open"] == found["未办结"] == found[None] - {"NOT_CROSS_PROVINCE"}
    assert found["已反馈"] == {"CHANNEL_NOT_RECOGNISED"} < found["open"]
    with pytest.raises(UsageError, match="use open"):
        _statuses("x")


def test_a_case_that_came_back_is_marked_as_reopened(state: State) -> None:
    case = state.cases[CHANNEL.case_id]

    def note(change: Change, status: Status, at: int) -> None:
        state.history.take(case_message(case, change, status, at, by="省大数据中心").value, at)

    note(Change.OPENED, Status.PENDING, NOON - 40 * DAY)
    note(Change.MARKED, Status.FED_BACK, NOON - 30 * DAY)
    assert listed(state, reopened=True) == []
    note(Change.MARKED, Status.VERIFIED, NOON - 10 * DAY)  # it was last seen after that
    assert listed(state, reopened=True, status="pending") == ["CHANNEL_NOT_RECOGNISED"]
    note(Change.REOPENED, Status.PENDING, NOON)
    (shown,) = list_cases(state, CaseQuery(reopened=True))["items"]
    assert (shown["reopened"], shown["status"]["code"]) == (True, "pending")
    note(Change.MARKED, Status.FED_BACK, NOON + DAY)
    assert listed(state, reopened=True) == ["CHANNEL_NOT_RECOGNISED"]
    note(Change.MARKED, Status.VERIFIED, NOON + 2 * DAY)
    assert listed(state, reopened=True) == []


def test_what_is_marked_already_is_not_marked_again(state: State) -> None:
    case = state.cases[CHANNEL.case_id]
    for change, status in ((Change.OPENED, Status.PENDING), (Change.MARKED, Status.FED_BACK)):
        state.history.take(case_message(case, change, status, NOON, by="省大数据中心").value, NOON)
    nowhere = SETTINGS.model_copy(update={"bootstrap_servers": "127.0.0.1:1"})  # nothing is to be written
    done = asyncio.run(mark_all(nowhere, state, [case.id], Status.FED_BACK, "省大数据中心", " "))
    assert (done.cases, [each.id for each in done.already], done.refused, done.is_noted) == ([], [case.id], [], False)


def test_an_answer_is_bounded_and_says_so(state: State) -> None:
    shares: dict[str, Share] = {}
    many = [problem(value=f"渠道{n}") for n in range(150)]
    seen = [(n, Observation(f"m{n}", NOON - n * DAY, "sichuan.display/1/0", (many[0],))) for n in range(60)]
    seen += [(100 + n, Observation(f"n{n}", NOON, "sichuan.display/1/0", (each,))) for n, each in enumerate(many)]
    CaseCounter(shares, 1).count(seen)
    for key, share in shares.items():
        state.put_share(key, share)
    answer = list_cases(state, CaseQuery(), "events-desc", limit=20)
    assert (len(answer["items"]), answer["total"], answer["all"]) == (20, 153, 153)
    assert len(answer["items"][0]["days"]) == TREND_DAYS
    assert answer["certificates"] == ["中华人民共和国机动车驾驶证", "道路运输证"]
    assert "重庆政务服务平台" in answer["units"]


def rejection(live: Live, number: int, received: int) -> None:
    event = display_event(Province.SICHUAN)
    event["id"] = f"e{number}"
    event["data"]["display"]["channel"] = "微信小程序"
    record: Any = SimpleNamespace(
        offset=number, timestamp=received, headers=[], key=event["data"]["holder"]["ref"].encode(),
        value=json.dumps(event, ensure_ascii=False).encode(),
    )  # fmt: skip
    lane = LaneId(Province.SICHUAN, "sichuan.display", 0)
    turn = take_turn(lane, [record], LIST, Horizon(10**9, 10), None, topics=Topics(), algorithm="sha256")
    out = turn.outputs[0]
    live._take(SimpleNamespace(topic=out.topic, partition=0, offset=number, value=out.value, headers=out.headers))  # type: ignore[arg-type]


def test_the_rejections_say_what_is_held() -> None:
    live = Live(SETTINGS)
    begin = live.complete_since // 1000
    for number in range(3):
        rejection(live, number, begin + number * 1000)
    answer = list_rejections(live, {}, None, None, 2)
    assert [each["id"] for each in answer["items"]] == ["e2", "e1"]
    assert (answer["total"], answer["held"]["count"], answer["held"]["dropped"]) == (3, 3, 0)
    assert answer["held"]["dead_letters"] == 0
    live.rejections.append({"kind": "dead_letter", "seq": 4, "units": [], "codes": [], "province": None, "place": "d"})
    assert list_rejections(live, {}, None, None, 1)["held"]["dead_letters"] == 1  # they are held too, and named
    live.rejections.pop()
    assert parse_instant(answer["held"]["since"]) == live.complete_since
    units = ["四川省司法厅"]
    told = [list_rejections(live, {"unit": unit}, None, None, 2, units)["no_such_unit"] for unit in ("司法", "司法所")]
    assert told == [False, True]
    (one,) = list_rejections(live, {"place": "sichuan.rejection/0/1"}, None, None, 2)["items"]
    assert one["id"] == "e1"
    # Partitions are read side by side: what is dropped first may be newer than what follows it.
    live.rejections[0]["received"], template = "2030-01-01T00:00:00Z", dict(live.rejections[2])
    for number in range(3, KEPT_REJECTIONS):
        live.rejections.append(template | {"place": f"p/{number}", "seq": number + 1})
    live.seq = KEPT_REJECTIONS
    rejection(live, KEPT_REJECTIONS, begin + 4000)
    held = list_rejections(live, {}, None, None, 1)["held"]
    assert (held["count"], held["dropped"]) == (KEPT_REJECTIONS, 1)
    assert held["since"] == "2030-01-01T00:00:00.001Z"


def test_the_list_names_its_documents() -> None:
    today = recognition_list(LIST, "2026-11-23")
    assert [each["number"] for each in today["documents"]] == ["川办便函〔2022〕260号"]
    before = recognition_list(LIST, "2020-01-01")
    assert (before["rows"], before["documents"], before["first"]) == ([], [], LIST.editions[0].since)


def test_fields_and_places_have_names() -> None:
    named = codes()
    assert named["fields"]["display.region_code"] == "亮证地点区划代码"
    places = {"510104": "成都市锦江区", "500103": "重庆市渝中区", "510100": "成都市", "500000": "重庆市"}
    assert {code: named["regions"][code] for code in places} == places


def test_a_period_that_ends_before_it_begins_is_refused() -> None:
    assert period(asked("since=2026-11-01&until=2026-11-01")) == ("2026-11-01", "2026-11-01")
    assert period(asked("since=2026-11-01")) == ("2026-11-01", today())
    assert period(asked("until=2026-11-01")) == ("0001-01-01", "2026-11-01")
    assert period(asked("since=")) is None
    with pytest.raises(UsageError) as refused:
        period(asked("since=2026-11-02&until=2026-11-01"))
    assert refused.value.code == "period_reversed"


@pytest.mark.parametrize("text", ["sichuan.display/3/1207", "sichuan.display/3@1207", "test-1.sichuan.display/3/1207"])
def test_a_place_is_taken_as_commands_print_it(text: str) -> None:
    assert parse_at(text, "test-1.")[:3] == ("sichuan.display", 3, 1207)


@pytest.mark.parametrize("text", ["sichuan.display/3", "gateway.ledger/3/1", "sichuan.display/3/-1", "3/1207"])
def test_other_places_are_refused(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_at(text)
    assert refused.value.code == "place_invalid"


def test_the_page_has_words_for_every_error() -> None:
    raised = {
        code
        for file in STATIC.parents[2].rglob("*.py")
        for found in re.findall(
            r'(?<!-)\bcode ?= ?"([a-z_]+)"|refuse\(\s*"([a-z_]+)"', file.read_text(encoding="utf-8")
        )
        for code in found
        if code
    } - {"failed"}
    words = (STATIC / "errors.js").read_text(encoding="utf-8")
    assert len(raised) > 20
    assert [code for code in sorted(raised) if f"\n  {code}: [" not in words] == []


def test_each_word_of_the_page_is_there() -> None:
    words = (STATIC / "text.js").read_text(encoding="utf-8")
    used = {
        name
        for file in STATIC.glob("*.js")
        for name in re.findall(r'\bt\("([A-Za-z_]+)"', file.read_text(encoding="utf-8"))
    }
    assert len(used) > 100
    assert [name for name in sorted(used) if not re.search(rf"\b{name}: \[", words)] == []
