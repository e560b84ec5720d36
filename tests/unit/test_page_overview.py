"""What the overview and the view of effectiveness say, worked out without Kafka: passing against yesterday,
to do, areas."""

import json
from typing import Any

import pytest

from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import load_settings, packaged_config
from gateway.core.province import Province
from gateway.feedback.cases import Case
from gateway.feedback.changelog import ChangelogReader, encode
from gateway.feedback.days import DayShare, count_entries, day_key, merge_days
from gateway.feedback.history import Change, Status, case_message
from gateway.feedback.page.effectiveness import effectiveness
from gateway.feedback.page.glance import MOST_UNITS, passing, to_do
from gateway.feedback.state import FeedbackTopics, State
from tests.unit.test_feedback import DAY, NOON, counted, entry, observation, problem
from tests.unit.test_feedback_bounds import RecordOfPartition0

HOUR = DAY // 24
LIST = load_recognition(packaged_config() / "recognition")


def test_decisions_are_counted_by_the_hour_once() -> None:
    shares: dict[str, DayShare] = {}
    for _ in range(2):  # and again, as after a crash
        count_entries(shares, 0, [
            (10, entry(0, ("forward", None, 8), ("reject", "STALE_EVENT", 2), ("duplicate", None, 5))),
            (11, entry(1, ("forward", None, 3), received=NOON + HOUR)),
            (12, entry(2, ("forward", None, 1), received=NOON + HOUR, redriven=(3, 4))),  # had been rejected at first
        ])  # fmt: skip
    (share,) = shares.values()
    assert share.forwarded == (*[0] * 12, 8, 3, *[0] * 10)
    assert share.rejected == (*[0] * 12, 2, *[0] * 11)
    (day,) = merge_days([*shares.items(), (day_key(1, "sichuan", "2026-11-23"), share)])
    assert dict(day.hours) == {(12, "forward"): 16, (12, "reject"): 4, (13, "forward"): 6}


@pytest.mark.parametrize("hours", [[1], [0] * 25, [-1] * 24, ["x"] * 24])
def test_a_day_of_other_hours_is_not_read(hours: list[Any]) -> None:
    key = b"0/sichuan/2026-11-23"
    share = DayShare({"1/5|500103|forward|": 2}, {}, 0, 0, (0,) * 24, (0,) * 24)
    reader = ChangelogReader(DayShare)
    assert reader.read(RecordOfPartition0(key, encode(share))) is not None
    assert (
        reader.read(RecordOfPartition0(key, json.dumps(json.loads(encode(share)) | {"rejected": hours}).encode()))
        is None
    )
    older = {name: value for name, value in json.loads(encode(share)).items() if name not in {"forwarded", "rejected"}}
    read = reader.read(RecordOfPartition0(key, json.dumps(older).encode()))
    assert read is not None  # written before hours were counted: a day without them


def passed(*entries: tuple[int, int, int]) -> dict[str, Any]:
    """The answer at 12:30 for ``entries``: hours from now, forwarded, rejected; all of Sichuan."""
    shares: dict[str, DayShare] = {}
    made = [
        (n, entry(n, ("forward", None, forward), ("reject", "STALE_EVENT", reject), received=NOON + hours * HOUR))
        for n, (hours, forward, reject) in enumerate(entries)
    ]
    count_entries(shares, 0, made)
    return passing(merge_days(shares.items()), NOON + HOUR // 2)


def test_today_is_compared_with_yesterday_s_same_hours() -> None:
    # Of yesterday what came by the end of this hour counts, and neither its evening nor the day before.
    answer = passed((-48, 900, 900), (-24 - 12, 10, 1), (-24, 20, 2), (-23, 500, 500), (-12, 7, 3), (0, 4, 1))
    assert answer["hours"] == 13
    assert answer["provinces"]["sichuan"] == {
        "today": {"forward": 11, "reject": 4}, "yesterday": {"forward": 30, "reject": 3},
    }  # fmt: skip
    assert answer["provinces"]["chongqing"]["today"] == {"forward": 0, "reject": 0}


def state_of(*cases: tuple[Case, list[tuple[Change, Status, int]]]) -> State:
    """A state with cases of one share each, and what was said of them: change, status, days ago."""
    state = State(FeedbackTopics(load_settings(packaged_config() / "gateway.yaml")))
    for case, steps in cases:
        for key, share in counted([(0, observation(0, case.problem, received=case.first))]).items():
            state.put_share(key, share)
        for change, status, days in steps:
            at = NOON - days * DAY
            by = "省大数据中心" if change is Change.MARKED else None
            state.history.take(case_message(case, change, status, at, by=by).value, at)
    return state


def case_of(value: str, days_ago: int = 20, units: tuple[str, ...] = ("甲厅",)) -> Case:
    state = State(FeedbackTopics(load_settings(packaged_config() / "gateway.yaml")))
    for key, share in counted(
        [(0, observation(0, problem(value, units=units), received=NOON - days_ago * DAY))]
    ).items():
        state.put_share(key, share)
    (case,) = state.cases.values()
    return case


def test_units_with_most_open_cases_come_first() -> None:
    opened, marked = (Change.OPENED, Status.PENDING), (Change.MARKED, Status.FED_BACK)
    done = (Change.MARKED, Status.VERIFIED)
    state = state_of(
        (case_of("old"), [(*opened, 11)]),
        (case_of("fed back", units=("甲厅", "乙局")), [(*opened, 12), (*marked, 1)]),  # until it is verified it is open
        (case_of("ten days"), [(*opened, 10)]),
        (case_of("back again", units=("乙局",)), [(*opened, 15), (*done, 9), (Change.REOPENED, Status.PENDING, 2)]),
        (case_of("done", units=("丙局",)), [(*opened, 15), (*done, 1)]),
        (case_of("not announced", units=("丁局",)), []),
    )
    answer = to_do(state, NOON, overdue_days=10)
    assert answer["units"] == [
        {"unit": "甲厅", "open": 3, "pending": 2, "overdue": 2},
        {"unit": "乙局", "open": 2, "pending": 1, "overdue": 1},
        {"unit": "丁局", "open": 1, "pending": 1, "overdue": 1},
    ]
    assert (answer["overdue"], answer["units_with_open"]) == (3, 3)
    assert answer["cases"] == {"pending": 4, "fed_back": 1, "verified": 1}
    assert to_do(state, NOON, overdue_days=30)["overdue"] == 0


def test_cases_that_wait_for_another_unit_are_counted_apart() -> None:
    first, waiting = problem("first", units=("甲厅",)), problem("waiting", units=("乙局",))
    state = State(FeedbackTopics(load_settings(packaged_config() / "gateway.yaml")))
    for key, share in counted([(0, observation(0, first, waiting, received=NOON))]).items():
        state.put_share(key, share)
    answer = to_do(state, NOON, 10)
    assert (answer["behind"], answer["cases"]["pending"]) == (1, 1)
    assert [each["unit"] for each in answer["units"]] == ["甲厅"]


def test_a_few_units_are_listed_all_counted() -> None:
    state = state_of(*((case_of(f"v{n}", units=(f"{n}局",)), []) for n in range(MOST_UNITS + 3)))
    answer = to_do(state, NOON, 10)
    assert (len(answer["units"]), answer["units_with_open"]) == (MOST_UNITS, MOST_UNITS + 3)


def test_areas_are_the_other_side_s() -> None:
    state = State(FeedbackTopics(load_settings(packaged_config() / "gateway.yaml")))
    places = {
        "1/5|500103|forward|": 9, "1/5|500000|reject|CHANNEL_NOT_RECOGNISED": 1, "1/5|510100|reject|NOT_CROSS_PROVINCE": 4,
        "|510100|reject|NOT_CROSS_PROVINCE": 1, "1/5|000000|reject|NOT_CROSS_PROVINCE": 2, "|500106|reject|CERTIFICATE_NOT_LISTED": 7,
        "1/5|510100|redriven|": 1,
    }  # fmt: skip
    state.put_day(
        day_key(0, "sichuan", "2026-11-23"), DayShare(places, {"1/5|天府通办|05-2": 9, "1/5|天府通办|05-9": 1}, 0, 0)
    )
    answer = effectiveness(state, LIST, Province.SICHUAN, "2026-11-23", "2026-11-23")
    assert [area["name"] for area in answer["areas"]] == ["重庆市（未细分）", "渝中区"]
    assert answer["elsewhere"] == [{"name": "成都市", "count": 4}, {"name": "川渝以外", "count": 2}]
    assert answer["unlisted"] == 7
    (row,) = [row for row in answer["rows"] if row["row"] == 5]
    assert row["areas"] == {"500000": {"forwarded": 0, "refused": 1}, "500103": {"forwarded": 9, "refused": 0}}
    assert [(use["scenario"], use["scenario_text"]) for use in row["uses"]] == [("05-2", "执法场景"), ("05-9", None)]
