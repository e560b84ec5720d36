"""Whatever was displayed, refused and redriven: every table of every report, and the view of effectiveness,
add up to the same figures."""

from collections import Counter
from typing import NamedTuple

import msgspec
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import load_settings, packaged_config
from gateway.contract.ledger_entry import Count, Entry
from gateway.core.province import Province
from gateway.core.reasons import Code
from gateway.core.recognition import RowRef
from gateway.feedback.days import DayShare, count_entries
from gateway.feedback.flows import Cell, Flow, flows_of
from gateway.feedback.page.effectiveness import effectiveness
from gateway.feedback.report.model import Report, build_report
from gateway.feedback.report.tables import areas_table, first_tables, last_tables, reasons_table, trend_table
from gateway.feedback.state import FeedbackTopics, State
from gateway.operate.redrive.lane_redrive import Candidate, _Change
from tests.unit.test_feedback import DAY, NOON, entry

SETTINGS = load_settings(packaged_config() / "gateway.yaml")
LIST = load_recognition(packaged_config() / "recognition")
FIRST, LAST = "2026-11-22", "2026-11-24"
ROWS = {None: None, 5: RowRef(1, 5), 6: RowRef(1, 6), 99: RowRef(1, 99)}
UNITS = (None, "四川政务服务平台", "四川省交通运输厅", "重庆市交通局")
CHANNELS, SCENARIOS = ("天府通办", "渝快办"), ("05-1", "05-2")


class Shown(NamedTuple):
    """Some displays that are alike; ``redriven`` of them passed later, under ``row_then``."""

    province: Province
    days_ago: int
    outcome: str
    row: int | None
    region: str | None
    reason: Code | None
    channel: str | None
    scenario: str | None
    count: int
    redriven: int
    row_then: int


def of_outcome(outcome: str) -> st.SearchStrategy[Shown]:
    """Displays as a relay counts them: what passes has the list's words, what does not may have some."""
    words = (st.sampled_from(CHANNELS), st.sampled_from(SCENARIOS))
    passes, refused = outcome == "forward", outcome == "reject"
    row = st.sampled_from((5, 6)) if passes else st.sampled_from(tuple(ROWS)) if refused else st.none()
    return st.builds(
        Shown, st.sampled_from(Province), st.integers(-1, 1), st.just(outcome), row,
        st.sampled_from(("500103", "500105", "510104", None) if refused else ("500103", "510104")),
        st.sampled_from(Code) if refused else st.none(),
        words[0] if passes else st.none() | words[0], words[1] if passes else st.none() | words[1],
        st.integers(1, 9), st.integers(0, 9) if refused else st.just(0), st.sampled_from((5, 6)),
    )  # fmt: skip


SHOWN = st.lists(
    st.sampled_from(("forward", "reject", "reject", "duplicate", "dead_letter")).flatmap(of_outcome), max_size=25
)


def entries_of(shown: list[Shown]) -> list[Entry]:
    """What the relays write of them, and then the redrives."""
    made = []
    for each in shown:
        ref = ROWS[each.row] if each.region else None
        count = Count(
            each.outcome, ref and ref.batch, ref and ref.row, each.channel if ref else None, each.scenario if ref else None,
            each.region, each.reason and each.reason.value, each.count,
        )  # fmt: skip
        made.append((each, None, count))
    for each in shown:
        if count := min(each.redriven, each.count):
            passed = Count("forward", 1, each.row_then, CHANNELS[0], SCENARIOS[0], each.region or "500103", None, count)
            made.append((each, (0,), passed))
    return [
        msgspec.structs.replace(
            entry(number, received=NOON - each.days_ago * DAY, redriven=redriven),
            province=each.province,
            counts=(count,),
        )
        for number, (each, redriven, count) in enumerate(made)
    ]


def state_of(shown: list[Shown]) -> State:
    state, shares = State(FeedbackTopics(SETTINGS)), dict[str, DayShare]()
    count_entries(shares, 0, list(enumerate(entries_of(shown))))
    for key, share in shares.items():
        state.put_day(key, share)
    return state


def sums(lines: object, *columns: int) -> tuple[int, ...]:
    found = list(lines)  # type: ignore[call-overload]
    return tuple(sum(int(line[column]) for line in found) for column in columns)


def check(report: Report) -> None:
    now = (report.now.recognised, report.now.refused)
    assert sums(trend_table(report).lines, 1, 2) == now
    assert sums(areas_table(report).lines, 1, 2) == now
    effect = last_tables(report)[0].lines
    assert sums([line for line in effect if line[0] != "合计"], 2, 3) == now
    assert [line[2:4] for line in effect if line[0] == "合计"] in ([], [now])
    for row in report.rows:
        assert sum(count for *_, count in row.uses) == row.flow.recognised, row.ref
    first_refused = sum(sums(reasons_table(report).lines, 1))
    for table in first_tables(report):
        if table.name == "退回构成":
            *parts, total = table.lines
            assert (sum(sums(parts, 2)), total[2]) == (report.now.refused, report.now.refused)
    assert first_refused - report.redriven == report.now.refused
    assert report.redriven >= 0


@settings(max_examples=60, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(SHOWN)
def test_every_table_adds_up_to_the_summary(shown: list[Shown]) -> None:
    state = state_of(shown)
    for unit in UNITS:
        check(build_report(state, LIST, unit, FIRST, LAST, "2026-11-28T04:00:00Z"))
    whole = build_report(state, LIST, None, FIRST, LAST, "2026-11-28T04:00:00Z")
    assert whole.now.shown == sum(each.count for each in shown if each.outcome in {"forward", "reject"})
    passed = sum(each.count for each in shown if each.outcome == "forward")
    assert whole.now.recognised == passed + sum(min(each.redriven, each.count) for each in shown)
    for province in Province:
        view = effectiveness(state, LIST, province, FIRST, LAST)
        for row in view["rows"]:
            by_area = Counter[str]()
            for cell in row["areas"].values():
                by_area.update(cell)
            assert by_area["forwarded"] <= sum(use["count"] for use in row["uses"])


def test_a_redrive_is_taken_off_where_it_was_refused() -> None:
    """The list had no row for the certificate when it was refused, and has one when it passes."""
    not_listed = Shown(Province.SICHUAN, 0, "reject", None, "500103", Code.CERTIFICATE_NOT_LISTED, None, None, 5, 3, 5)
    elsewhere = not_listed._replace(row=5, region="500105", reason=Code.CHANNEL_NOT_RECOGNISED, redriven=0)
    (day,) = state_of([not_listed, elsewhere]).days
    assert flows_of(day) == {
        Cell(RowRef(1, 5), "500103"): Flow(3, 0), Cell(RowRef(1, 5), "500105"): Flow(0, 5), Cell(None, "500103"): Flow(0, 2),
    }  # fmt: skip


def test_what_was_a_dead_letter_is_one_display_more() -> None:
    letter = Shown(Province.SICHUAN, 0, "dead_letter", None, None, None, None, None, 2, 1, 5)
    (day,) = state_of([letter]).days
    assert flows_of(day)[Cell(RowRef(1, 5), "500103")] == Flow(1, 0)


def test_a_redrive_s_entry_is_of_one_day() -> None:
    """Feedback counts an entry on the day of its last record: of several days it would be counted on one."""

    class Received(NamedTuple):
        timestamp: int

    candidate = Candidate("t", 0, 0, 1, 0, 0, "", None, frozenset(), None, frozenset())
    days = [_Change(candidate, "forward", None, Received(at)).epoch_and_day for at in (NOON, NOON + 1, NOON + DAY)]  # type: ignore[arg-type]
    assert days == [(1, "2026-11-23"), (1, "2026-11-23"), (1, "2026-11-24")]
