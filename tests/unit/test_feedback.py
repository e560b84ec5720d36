"""Feedback without Kafka: what is counted, once, whatever comes again; what is due to be said; whom a
problem concerns."""

import json
import random
from collections import Counter
from types import SimpleNamespace
from typing import Any, ClassVar, NamedTuple

import msgspec
import pytest
from aiokafka import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from gateway.contract.feedback import CaseRecord, DigestRecord
from gateway.contract.ledger_entry import Count, Entry
from gateway.contract.topics import LaneId, Topics
from gateway.core.dead_letter_codes import DeadLetterCode
from gateway.core.province import COORDINATING_CENTRES, Province
from gateway.core.recognition import RowRef
from gateway.errors import ConfigurationError
from gateway.feedback.agents import next_in_line
from gateway.feedback.announcer import due_messages
from gateway.feedback.areas import ELSEWHERE, area_name, area_of, areas_of
from gateway.feedback.cases import MAX_EXAMPLES, MAX_VALUES, OTHER_VALUES, Case, CaseCounter, Share, merge
from gateway.feedback.days import KEPT_DAYS, REDRIVEN, DayShare, Place, count_entries, merge_days
from gateway.feedback.history import Change, History, Status, case_message, digest_messages
from gateway.feedback.problems import Observation, Problem, observe
from gateway.feedback.tables import ShareTable
from gateway.operate.examples import display_event
from gateway.relay.horizon import Horizon
from gateway.relay.turn import take_turn
from tests.unit.second_batch import issuer_of, recognition_of_two, second_batch_event

LIST_OF_TWO = recognition_of_two()
NOON = 1_795_406_400_000  # 2026-11-23T12:00 in China
DAY = 86_400_000
ROW = RowRef(1, 5)


def problem(value: str | None = "微信小程序", **changes: Any) -> Problem:
    made = {"province": "sichuan", "code": "CHANNEL_NOT_RECOGNISED", "batch": 1, "row": 5, "certificate": "道路运输证",
            "field": "display.channel", "value": value, "accepted": ("天府通办",), "zh": "渠道", "en": "channel",
            "units": ("四川省交通运输厅", "重庆市交通局")}  # fmt: skip
    return Problem(**(made | changes))


def observation(number: int, *problems: Problem, received: int = NOON) -> Observation:
    return Observation(f"e{number}", received, f"sichuan.display/0/{number}", problems or (problem(),))


def counted(observations: list[tuple[int, Observation]], partition: int = 0) -> dict[str, Share]:
    shares: dict[str, Share] = {}
    CaseCounter(shares, partition).count(observations)
    return shares


class ReadRecord(NamedTuple):
    """A record of a partition, as it was read: all before ``read_from`` came before it, or was left to
    others."""

    offset: int
    read_from: int | None


@given(st.lists(st.tuples(st.integers(0, 90), st.integers(1, 40)), max_size=12), st.integers(1, 30), st.data())
def test_dropped_or_reordered_deliveries_leave_no_record_out(
    reads: list[tuple[int, int]], batch: int, data: st.DataObject
) -> None:
    log = [offset for offset in range(100) if offset % 7 != 6]  # gaps, as transactions' markers leave
    delivered: list[ReadRecord] = []
    for start, length in [*reads, (0, 100)]:  # each from somewhere; what Faust does with it on the way is up to chance
        read_from = start
        for offset in [offset for offset in log if start <= offset < start + length]:
            if data.draw(st.integers(0, 9)) or (start == 0 and length == 100):
                delivered.append(ReadRecord(offset, read_from))
            read_from = offset + 1
    counted: list[int] = []
    for first in range(0, len(delivered), batch):
        messages = delivered[first : first + batch]
        next_offset = counted[-1] + 1 if counted else 0
        due, ahead = next_in_line(messages, next_offset)
        counted += [message.offset for message in due]
        # What is ahead is read again: the caller's part, which the last read stands for here.
        assert ahead == (messages[-1].offset >= 0 and max(m.offset for m in messages) > (counted or [-1])[-1])
    assert counted == log


def test_a_record_with_unknown_predecessors_is_fetched_again() -> None:
    assert next_in_line([ReadRecord(5, None)], 5) == ([], True)
    assert next_in_line([ReadRecord(5, 4), ReadRecord(6, 6)], 4) == ([ReadRecord(5, 4), ReadRecord(6, 6)], False)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=20), st.randoms(use_true_random=False))
def test_redelivery_of_any_suffix_counts_nothing_twice(steps: list[int], chance: random.Random) -> None:
    log = [
        (offset, observation(offset, problem(chance.choice("abc")))) for offset in range(0, 200, 2)
    ]  # gaps, as after markers
    shares: dict[str, Share] = {}
    position = 0
    for step in steps:
        CaseCounter(shares, 0).count(log[position : position + step])
        position = max(0, position + step - chance.randrange(0, step + 1))  # goes on from before what was counted
    CaseCounter(shares, 0).count(log)
    assert shares == counted(log)
    assert sum(share.count for share in shares.values()) == len(log)


def test_shares_of_all_partitions_add_up_to_the_case() -> None:
    first = counted([(n, observation(n, received=NOON - DAY)) for n in range(3)], partition=0)
    second = counted([(n, observation(100 + n)) for n in range(7)], partition=1)
    (case,) = merge((first | second).items())
    assert (case.count, case.first, case.last) == (10, NOON - DAY, NOON)
    assert case.days == {"2026-11-22": 3, "2026-11-23": 7}
    assert len(case.examples) == MAX_EXAMPLES
    assert {example.received for example in case.examples} == {NOON}
    assert case.in_days("2026-11-23", "2026-11-23") == 7
    assert case.trend("2026-11-29") == (7, 3)
    assert case.trend("2026-11-28") == (10, 0)


def test_an_event_counts_in_each_of_its_cases() -> None:
    two = problem(), problem(None, code="CERTIFICATE_EXPIRED", field="certificate.valid_until")
    again = [(n, Observation("same", NOON + n, f"t/0/{n}", two)) for n in range(4)]
    cases = list(merge(counted(again).items()))
    assert sorted(case.count for case in cases) == [4, 4]
    assert all([example.event_id for example in case.examples] == ["same"] for case in cases)


def test_values_beyond_the_bound_are_one_case() -> None:
    cases = list(merge(counted([(n, observation(n, problem(f"渠道{n}"))) for n in range(MAX_VALUES + 50)]).items()))
    assert len(cases) == MAX_VALUES + 1
    assert {case.problem.value: case.count for case in cases}[OTHER_VALUES] == 50


def entry(
    offset: int, *counts: tuple[str, str | None, int], received: int = NOON, redriven: Any = None, batch: int = 1
) -> Entry:
    items = tuple(
        Count(outcome, batch, 5, "天府通办", "05-1", "500103", reason, count) for outcome, reason, count in counts
    )
    return Entry(
        province=Province.SICHUAN, topic="sichuan.display", topic_id=None, epoch=0, partition=0, first_offset=offset,
        last_offset=offset, records=1, inputs_digest="", last_input=None, counts=items, outputs=0, outputs_digest="",
        list_digest="", engine_version="", remembered_digest=None, previous=None, previous_time=None, redriven=redriven,
        received=received,
    )  # fmt: skip


def test_days_count_entries_once_and_redriven_as_recognised() -> None:
    shares: dict[str, DayShare] = {}
    for _ in range(2):  # and again, as after a crash
        count_entries(shares, 0, [(10, entry(0, ("forward", None, 8), ("reject", "STALE_EVENT", 2)))])
        redriven = entry(1, ("forward", None, 1), ("reject", "STALE_EVENT", 1), redriven=(3, 4))
        count_entries(shares, 0, [(10, entry(0, ("forward", None, 8))), (11, redriven)])
    (day,) = merge_days(shares.items())
    assert (day.province, day.date) == ("sichuan", "2026-11-23")
    assert day.places == Counter({
        Place(ROW, "500103", "forward", None): 8,
        Place(ROW, "500103", "reject", "STALE_EVENT"): 2,
        Place(ROW, "500103", REDRIVEN, None): 1,
    })  # fmt: skip
    assert day.uses.total() == 9  # what is recognised: neither what was refused, nor a redrive's event twice


def test_a_batch_of_entries_puts_each_share_once() -> None:
    class Puts(dict[str, DayShare]):
        put: ClassVar[list[str]] = []

        def __setitem__(self, key: str, share: DayShare) -> None:
            self.put.append(key)
            super().__setitem__(key, share)

    shares = Puts()
    entries = [(n, entry(n, ("forward", None, 1), received=NOON + n // 50 * DAY)) for n in range(100)]
    count_entries(shares, 3, entries)
    assert shares.put == ["3/sichuan/2026-11-23", "3/sichuan/2026-11-24"]
    assert [(each.since, each.applied, each.places) for each in shares.values()] == [
        (0, 49, {"1/5|500103|forward|": 50}),
        (50, 99, {"1/5|500103|forward|": 50}),
    ]
    one_by_one: dict[str, DayShare] = {}
    for each in entries:
        count_entries(one_by_one, 3, [each])
    assert one_by_one == shares


def test_four_hundred_days_are_kept() -> None:
    shares: dict[str, DayShare] = {}
    for number in range(KEPT_DAYS + 5):
        count_entries(shares, 0, [(number, entry(number, ("forward", None, 1), received=NOON + number * DAY))])
    assert len(shares) == KEPT_DAYS
    assert min(shares) == "0/sichuan/2026-11-28"


def case(count: int = 1, last: int = NOON) -> Case:
    (made,) = merge(counted([(n, observation(n, received=last)) for n in range(count)]).items())
    return made


def test_a_case_opens_once_and_reopens_when_recurring() -> None:
    history = History()

    def say(now: int, *cases: Case) -> list[str]:
        messages = due_messages(cases, history, now, digest_s=60)
        for message in messages:
            history.take(message.value, now)
            history.take(message.value, now)  # read back: the same message is one step
        return [json.loads(message.value)["data"].get("change", "digest") for message in messages]

    assert say(NOON, case(1)) == ["opened"]
    assert say(NOON + 1_000, case(900)) == []
    assert say(NOON + 61_000, case(10_000)) == ["digest", "digest"]  # one to each unit
    assert history.reported("重庆市交通局", case().id) == (10_000, 10_000)
    assert say(NOON + 200_000, case(10_000)) == []
    for status in (Status.FED_BACK, Status.VERIFIED):
        history.take(
            case_message(case(), Change.MARKED, status, NOON + 300_000, by="省大数据中心").value, NOON + 300_000
        )
    assert history.standing(case(10_000)).status is Status.VERIFIED
    assert say(NOON + 400_000, case(10_000)) == []
    back = case(10_001, last=NOON + 350_000)
    assert history.standing(back).status is Status.PENDING
    assert say(NOON + 400_000, back) == ["reopened"]
    assert say(NOON + 401_000, back) == []


def waiting_case(waiting: int, own: int = 0, *, last: int = NOON) -> Case:
    """A case of ``waiting`` events which another unit has to see to first, and ``own`` others."""
    others = problem("510104", code="NOT_CROSS_PROVINCE", units=("四川政务服务平台",))
    log = [observation(n, others, problem(), received=last) for n in range(waiting)]
    log += [observation(waiting + n, received=last) for n in range(own)]
    (made,) = (each for each in merge(counted(list(enumerate(log))).items()) if each.problem == problem())
    return made


def test_a_case_that_waits_is_not_announced() -> None:
    """Its units have nothing to do until an event is their own matter first."""
    history = History()

    def say(now: int, case: Case) -> list[dict[str, Any]]:
        messages = [message.value for message in due_messages([case], history, now, digest_s=60)]
        for message in messages:
            history.take(message, now)
        return [json.loads(message)["data"] for message in messages]

    assert say(NOON, waiting_case(5)) == []
    assert say(NOON + 61_000, waiting_case(500)) == []
    (opened,) = say(NOON + 62_000, waiting_case(500, 1))
    assert (opened["change"], opened["case"]["count"], opened["case"]["behind"]) == ("opened", 501, 500)
    assert say(NOON + 200_000, waiting_case(900, 1)) == []
    digest, _ = say(NOON + 200_000, waiting_case(900, 2))  # one to each unit
    assert [(each["added"], each["count"], each["behind"]) for each in digest["cases"]] == [(401, 902, 900)]


@pytest.mark.parametrize(("case", "is_back"), [((3, 0), False), ((0, 1), True), ((3, 1), True)])
def test_a_verified_case_reopens_for_its_own_events(case: tuple[int, int], is_back: bool) -> None:
    history = History()
    before = waiting_case(0, 1, last=NOON - 2 * DAY)
    for status in (Status.FED_BACK, Status.VERIFIED):
        history.take(case_message(before, Change.MARKED, status, NOON - DAY, by="省大数据中心").value, NOON - DAY)
    later = waiting_case(*case)
    back = msgspec.structs.replace(later, count=later.count + 1, days=before.days | later.days)
    assert (history.due(back) is Change.REOPENED, history.standing(back).status is Status.PENDING) == (is_back, is_back)


@pytest.mark.parametrize(
    "value", [None, b"", b"{", b'{"type":"x"}', b'{"type":"cn.chuanyu.certificate.rejected.v1","data":{}}', b"[1]"]
)
def test_foreign_records_are_no_observations(value: bytes | None) -> None:
    assert observe(value, [], Province.SICHUAN) is None
    history = History()
    history.take(value, NOON)
    assert history.steps == {}


def observed(made: dict[str, Any] | None = None, /, **display: str) -> Observation:
    made = made or display_event(Province.SICHUAN)
    for path, text in display.items():
        section, _, name = path.partition("__")
        made["data"][section][name] = text
    return observed_of(made["data"]["holder"]["ref"].encode(), json.dumps(made).encode())


def observed_of(key: bytes, value: bytes) -> Observation:
    record = type("R", (), {"offset": 0, "timestamp": NOON - 4 * 3_600_000 + 3_000, "headers": [],
                            "key": key, "value": value})()  # fmt: skip
    lane = LaneId(Province.SICHUAN, "sichuan.display", 0)
    turn = take_turn(lane, [record], LIST_OF_TWO, Horizon(10**9, 10), None, topics=Topics(), algorithm="sha256")
    found = observe(turn.outputs[0].value, turn.outputs[0].headers, Province.SICHUAN)
    assert found is not None
    return found


def test_each_problem_goes_to_its_responsible_units() -> None:
    found = observed(
        display__channel="微信小程序", certificate__issuer_name="四川交通厅", certificate__valid_until="2025-01-01"
    )
    units = {each.code: each.units for each in found.problems}
    assert set(units["CHANNEL_NOT_RECOGNISED"]) == {"四川省交通运输厅", "重庆市交通局"}
    assert units["ISSUER_NOT_RECOGNISED"] == COORDINATING_CENTRES
    assert units["CERTIFICATE_EXPIRED"] == ("四川省交通运输厅",)
    assert observed(display__region_code="510104").problems[0].units == ("四川政务服务平台",)
    # The value at fault tells cases apart only where it is the fault.
    values = {each.code: each.value for each in found.problems}
    assert values["CHANNEL_NOT_RECOGNISED"] == "微信小程序"
    assert values["CERTIFICATE_EXPIRED"] is None


def test_a_dead_letter_goes_to_the_publishing_platform() -> None:
    found = observed_of(b"", b"{")
    (letter,) = found.problems
    words = DeadLetterCode.NOT_JSON.entry
    assert (found.event_id, found.origin) == (None, "sichuan.display/0/0")
    assert (letter.code, letter.field, letter.units) == ("NOT_JSON", "event", (Province.SICHUAN.platform,))
    assert letter.zh == words.zh
    assert letter.en.startswith(f"{words.en}: ")
    assert letter.words == words


def test_equal_row_numbers_of_batches_have_separate_cases() -> None:
    second = second_batch_event(Province.SICHUAN)
    first = observed(display__channel="微信小程序")
    other = observed(second, display__channel="微信小程序")
    (one,), (two,) = first.problems, other.problems
    assert (one.ref, two.ref) == (RowRef(1, 5), RowRef(2, 5))
    assert one.case_id != two.case_id
    assert two.certificate == second["data"]["certificate"]["type_name"]
    assert two.units == tuple(issuer_of(province, 5) for province in Province)
    cases = merge(counted([(0, first), (1, other), (2, other)]).items())
    assert {each.problem.ref: each.count for each in cases} == {RowRef(1, 5): 1, RowRef(2, 5): 2}
    # The bound on values is each row's own.
    many = [observation(n, problem(f"渠道{n}", batch=n % 2 + 1)) for n in range(2 * MAX_VALUES)]
    assert OTHER_VALUES not in {each.problem.value for each in merge(counted(list(enumerate(many))).items())}


def test_announcements_name_rows_by_batch_and_number() -> None:
    (made,) = merge(counted([(0, observation(0, problem(batch=2)))]).items())
    message = case_message(made, Change.OPENED, Status.PENDING, NOON)
    sent = CaseRecord.model_validate_json(message.value)
    assert (sent.data.case.batch, sent.data.case.row) == (2, 5)
    (digest,) = [
        DigestRecord.model_validate_json(each.value)
        for each in digest_messages("重庆市交通局", [(made, 0)], None, NOON)
    ]
    assert [(each.batch, each.row, each.added) for each in digest.data.cases] == [(2, 5, 1)]


def test_days_keep_the_batches_apart() -> None:
    shares: dict[str, DayShare] = {}
    entries = [(n, entry(n, ("forward", None, n), batch=n)) for n in (1, 2)]
    count_entries(shares, 0, entries)
    (day,) = merge_days(shares.items())
    assert {place.row: count for place, count in day.places.items()} == {RowRef(1, 5): 1, RowRef(2, 5): 2}
    assert {use.row: count for use, count in day.uses.items()} == {RowRef(1, 5): 1, RowRef(2, 5): 2}


def test_areas_are_few_and_named() -> None:
    assert area_name(area_of("500103")) == "渝中区"
    assert area_name(area_of("510104")) == "成都市"
    assert area_of("110101") == area_of(None) == area_of("no code") == ELSEWHERE
    assert len({area_of(f"{number:06}") for number in range(500_000, 520_000)}) < 120
    sichuan = [area_name(area) for area in areas_of(Province.SICHUAN)]
    assert len(sichuan) == 21  # 18 cities and 3 prefectures
    assert "渡口市" not in sichuan  # called otherwise since 1987
    assert "长寿县" not in {area_name(area) for area in areas_of(Province.CHONGQING)}  # a district since 2001


def test_no_source_is_counted_into_anothers_shares() -> None:
    """While topics differ in partitions, Faust shares out sources and changelogs apart from one another."""
    assigned = {TopicPartition("rejections", 1), TopicPartition("shares", 1), TopicPartition("ledger", 3)}
    table = ShareTable.__new__(ShareTable)
    table.sources = ("rejections",)
    table.app = SimpleNamespace(consumer=SimpleNamespace(assignment=lambda: assigned))
    table._require_sources_of({TopicPartition("shares", 1), TopicPartition("shares", 2)})
    with pytest.raises(ConfigurationError, match=r"partitions \[1\] are shared out again"):
        table._require_sources_of({TopicPartition("shares", 2)})
