"""What feedback makes of what anybody may write: bounded cases, shares that are ours or none, beginnings
that are said."""

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.contract.facets import Facets
from gateway.contract.feedback import DigestRecord
from gateway.contract.ledger_entry import (
    UNKNOWN_LOG,
    Acknowledgement,
    EntrySpan,
    build_entry,
    entry_digest,
    read_entry,
)
from gateway.contract.topics import LaneId, Topics
from gateway.core.digest import sha256
from gateway.core.province import Province
from gateway.feedback.announcer import due_messages
from gateway.feedback.beginning import Beginning, ChangelogState, SourceLog, find_beginning, what_is_lost
from gateway.feedback.cases import MAX_FIELDS, MAX_SHARES, OTHER_FIELDS, CaseCounter, Share, merge
from gateway.feedback.changelog import ChangelogReader, Position, ReadTable, Written, encode
from gateway.feedback.counting import Counting
from gateway.feedback.days import DayShare, count_entries, is_countable, merge_days
from gateway.feedback.history import Change, History, Status, case_message
from gateway.feedback.lost import find_lost, notes_of
from gateway.feedback.page.live import shown_rejection
from gateway.operate.examples import examples
from tests.unit.test_feedback import DAY, LIST_OF_TWO, NOON, counted, observation, observed_of, problem


class RecordOfPartition0(NamedTuple):
    """A record of partition 0."""

    key: bytes | None
    value: bytes | None
    partition: int = 0


# -- bounds
# -----------------------------------------------------------------------------------------------------------


def test_fields_that_senders_make_up_are_few_cases() -> None:
    shares: dict[str, Share] = {}
    for number in range(300):  # events, each with a hundred fields of its own
        made_up = [
            problem(None, code="INVALID_EVENT", batch=None, row=None, field=f"data.f{number}x{n}") for n in range(99)
        ]
        known = problem(None, code="INVALID_EVENT", batch=None, row=None, field="certificate.valid_from")
        CaseCounter(shares, 0).count([(number, observation(number, *made_up, known))])
    cases = {case.problem.field: case.count for case in merge(shares.items())}
    assert len(cases) == MAX_FIELDS + 2
    assert cases[OTHER_FIELDS] == 300  # events; of the first one some fields were told apart
    assert cases["certificate.valid_from"] == 300  # what the contract has is told apart all the same


def test_cases_are_bounded_separately_for_each_province() -> None:
    shares: dict[str, Share] = {}
    codes = ("CHANNEL_NOT_RECOGNISED", "SCENARIO_NOT_RECOGNISED", "ISSUER_NOT_RECOGNISED", "OUT_OF_PILOT_SCOPE")
    seen = [
        observation(n, problem(f"v{n}", code=codes[n % 4], row=n // 4 % 20 + 1)) for n in range(MAX_SHARES * 2)
    ]  # fmt: skip
    CaseCounter(shares, 0).count(list(enumerate(seen)))
    CaseCounter(shares, 0).count([(10**6, observation(0, problem("v", province="chongqing")))])
    assert MAX_SHARES <= len(shares) <= MAX_SHARES + len(codes) + 1
    assert sum(share.count for share in shares.values()) == 2 * MAX_SHARES + 1
    assert [share.problem.row for share in shares.values() if share.problem.province == "chongqing"] == [5]


def test_what_a_rejection_says_at_length_is_cut() -> None:
    event = {"data": {"x" * 3000: 1}, "id": "long", "source": "urn:chuanyu:sichuan", "specversion": "1.0"}
    found = observed_of(b"", json.dumps(event).encode())
    assert max(len(each.field) for each in found.problems) <= 100


# -- digests
# ----------------------------------------------------------------------------------------------------------


def test_successive_digests_count_no_case_twice() -> None:
    cases = merge(counted([(n, observation(n, problem(f"v{n}", units=("四川省公安厅",)))) for n in range(150)]).items())
    history = History()
    for case in cases:
        history.take(case_message(case, Change.OPENED, Status.PENDING, NOON).value, NOON)
    grown = merge(
        counted([(n, observation(n, problem(f"v{n // 3}", units=("四川省公安厅",)))) for n in range(450)]).items()
    )
    added: Counter[str] = Counter()
    total = 0
    for now in (NOON + DAY, NOON + 2 * DAY, NOON + 3 * DAY):  # each hour, and nothing has come meanwhile
        for message in due_messages(grown, history, now, digest_s=60):
            history.take(message.value, now)
            digest = DigestRecord.model_validate_json(message.value).data
            added.update({each.id: each.added for each in digest.cases})
            total += digest.added
            assert digest.added == sum(each.added for each in digest.cases)
    assert total == added.total() == 300
    assert set(added.values()) == {2}


# -- changelogs
# -------------------------------------------------------------------------------------------------------


def own_shares() -> tuple[tuple[str, Share], tuple[str, DayShare]]:
    ((key, share), *_) = counted([(0, observation(0))]).items()
    return (key, share), ("0/sichuan/2026-11-23", DayShare({"1/5|500103|forward|": 2}, {"1/5|天府通办|05-1": 2}, 0, 0))


def test_a_changelogs_own_records_are_read_back() -> None:
    for key, share in own_shares():
        reader = ChangelogReader(type(share))
        assert reader.read(RecordOfPartition0(key.encode(), encode(share))) == Written(key, share)
        assert reader.read(RecordOfPartition0(key.encode(), None)) == Written(key, None)
        assert reader.read(RecordOfPartition0(b"0/@", encode(Position({"t": 3}, 1)))) == Position({"t": 3}, 1)


@pytest.mark.parametrize("kind", [Share, DayShare])
@pytest.mark.parametrize(
    "value",
    [b"", b"{", b"[" * 100_000, b'{"problem":' * 50_000, b"\xff", b"{}", b"null", b'{"next":{"t":-9},"keys":1}'],
)
def test_foreign_changelog_records_are_not_read(kind: Any, value: bytes) -> None:
    for key in (
        None,
        b"",
        b"\xff",
        b"0/@",
        b"0/" + b"a" * 16,
        b"0/sichuan/2026-11-23",
        b"1/@",
        b"x/@",
        b"9" * 5000 + b"/@",
    ):
        assert ChangelogReader(kind).read(RecordOfPartition0(key, value)) is None


@pytest.mark.parametrize(
    ("index", "change"),
    [
        (0, {"first": 10**15}), (0, {"last": -1}), (0, {"count": 2**60}), (0, {"problem": {}}), (0, {"since": 2**64}),
        (0, {"examples": [["e", 10**18, "x"]]}),
        (1, {"places": {"1/5|500103|forward": 1}}), (1, {"places": {"1/5|500103|x|": 1}}), (1, {"uses": {"x": 1}}),
        (1, {"places": {f"1/{'9' * 5000}|500103|forward|": 1}}), (1, {"places": {"1/5|500103|forward|": -1}}),
    ],
)  # fmt: skip
def test_a_share_that_cannot_be_shown_is_not_read(index: int, change: dict[str, Any]) -> None:
    key, share = own_shares()[index]
    value = json.dumps(json.loads(encode(share)) | change).encode()
    assert ChangelogReader(type(share)).read(RecordOfPartition0(key.encode(), value)) is None


def test_outdated_or_misplaced_shares_are_not_read() -> None:
    (key, share), _ = own_shares()
    older = json.loads(encode(share))
    del older["problem"]["batch"]
    reader = ChangelogReader(Share)
    assert reader.read(RecordOfPartition0(key.encode(), json.dumps(older).encode())) is None
    assert reader.read(RecordOfPartition0(b"0/" + b"a" * 16, encode(share))) is None
    assert reader.read(RecordOfPartition0(key.encode(), encode(share), partition=1)) is None
    table = ReadTable(Share)
    table.take(RecordOfPartition0(key.encode(), json.dumps(older).encode()))
    assert (table.foreign, table.shares) == (1, {})


# -- beginnings
# -------------------------------------------------------------------------------------------------------

POSITION = Position({"t": 50}, 3, {"t": 1000})


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        (SourceLog(50, 0, 60, 900), Beginning(50)),
        (SourceLog(None, 0, 60, 900), Beginning(50)),  # committing comes after the changelog
        (SourceLog(60, 0, 60, 900), Beginning(50, ChangelogState.BEHIND)),
        (SourceLog(50, 70, 90, 2000), Beginning(70, ChangelogState.REMOVED)),
        (SourceLog(50, 50, 90, 2000), Beginning(50)),  # all that was counted has expired
        (SourceLog(50, 0, 40, 900), Beginning(0, ChangelogState.CUT)),
        (SourceLog(50, 0, 40, 1001), Beginning(0, ChangelogState.OTHER_LOG)),
        (SourceLog(None, 0, 90, 1001), Beginning(0, ChangelogState.OTHER_LOG)),  # it has outgrown the one before
        (SourceLog(50, 0, 0), Beginning(0, ChangelogState.OTHER_LOG)),
    ],
)
def test_where_counting_begins(log: SourceLog, expected: Beginning) -> None:
    assert find_beginning("t", POSITION, log) == expected
    assert find_beginning("new", POSITION, log) == Beginning(log.start)


def test_what_a_changelog_lacks_is_said() -> None:
    new, committed = {"t": SourceLog(None, 0, 9)}, {"t": SourceLog(0, 0, 9)}
    assert what_is_lost(None, 0, new) is None
    assert what_is_lost(None, 0, committed)
    assert what_is_lost(None, 2, new)
    assert what_is_lost(POSITION, 2, new) == "it holds 2 shares of 3"
    assert what_is_lost(POSITION, 4, committed) is None  # written, and then the worker ended


# -- ledger entries, and what was lost
# --------------------------------------------------------------------------------


def entry(counts: Iterable[tuple[Facets, int]], received: int = NOON) -> bytes:
    span = EntrySpan(LaneId(Province.SICHUAN, "sichuan.display", 0), UNKNOWN_LOG, 10, 12, received)
    return build_entry(span, dict(counts), (), sha256(b""), None, algorithm="sha256")


def test_lost_records_count_by_day_without_being_displays() -> None:
    read = read_entry(entry([(Facets("lost", None, None, None, None, None, None), 3)]))
    assert read is not None
    assert is_countable(read)
    shares: dict[str, DayShare] = {}
    count_entries(shares, 0, [(5, read)])
    ((key, share),) = shares.items()
    assert ChangelogReader(DayShare).read(RecordOfPartition0(key.encode(), encode(share))) == Written(key, share)
    days = merge_days(shares.items())
    assert [tuple(each) for each in find_lost(days, {})] == [("sichuan", "2026-11-23", 3, 0, ())]
    assert find_lost(merge_days([("0/sichuan/2026-11-23", own_shares()[1][1])]), {}) == []


class LedgerRecord(NamedTuple):
    """A ledger record, as far as it is counted."""

    offset: int
    value: bytes
    headers: tuple[()] = ()


def test_an_acknowledged_loss_is_known_by_its_entry() -> None:
    lost = Facets("lost", None, None, None, None, None, None)
    first, second = entry([(lost, 3)]), entry([(lost, 4)], NOON + 1)
    read = read_entry(first)
    assert read is not None
    # Taken note of two days later; what a stranger says at length is cut.
    noted = Acknowledgement(entry_digest(read, first), "值班室", "已请川方重发" * 200)
    span = EntrySpan(LaneId(Province.SICHUAN, "sichuan.display", 0), UNKNOWN_LOG, 13, 12, NOON + 2 * DAY)
    note = build_entry(span, {}, (), sha256(b""), None, algorithm="sha256", acknowledged=noted)
    shares: dict[str, DayShare] = {}
    for _ in range(2):  # and again, as after a crash
        records = [LedgerRecord(number, each) for number, each in enumerate((first, second, note))]
        Counting(Topics(), {}, shares).count("gateway.ledger", 0, records)
    for key, share in shares.items():
        assert ChangelogReader(DayShare).read(RecordOfPartition0(key.encode(), encode(share))) == Written(key, share)
    days = merge_days(shares.items())
    (found,) = find_lost(days, notes_of(days))
    assert (found.date, found.records, found.acknowledged, found.open) == ("2026-11-23", 7, 3, 4)
    assert [(each.by, len(each.why)) for each in found.notes] == [("值班室", 500)]
    older = {
        name: value for name, value in json.loads(encode(shares["0/sichuan/2026-11-23"])).items() if name != "lost"
    }
    assert ChangelogReader(DayShare).read(RecordOfPartition0(b"0/sichuan/2026-11-23", json.dumps(older).encode()))


@given(
    st.sampled_from(["outcome", "reason", "batch", "row", "count", "channel", "region"]),
    st.one_of(st.none(), st.text(max_size=20), st.integers(-(2**70), 2**70), st.just(10**400), st.just("a|b|c")),
)
def test_days_of_any_entry_can_be_read_back(member: str, odd: Any) -> None:
    made = json.loads(entry([(Facets("forward", 1, 5, "天府通办", "05-1", "500103", None), 3)]))
    made["data"]["counts"][0][member] = odd
    read = read_entry(json.dumps(made).encode())
    if read is None or not is_countable(read):
        return
    shares: dict[str, DayShare] = {}
    count_entries(shares, 0, [(5, read)])
    for key, share in shares.items():
        assert ChangelogReader(DayShare).read(RecordOfPartition0(key.encode(), encode(share))) == Written(key, share)
    assert sum(day.places.total() for day in merge_days(shares.items())) > 0


def test_a_rejection_with_missing_parts_is_not_shown() -> None:
    record = type(
        "R", (), {"topic": "sichuan.rejection", "partition": 0, "offset": 0, "headers": [("chuanyu-origin", None)]}
    )()
    made = examples(LIST_OF_TWO)["rejection-record"]
    record.value = json.dumps(made).encode()
    shown = shown_rejection(record, Province.SICHUAN)
    assert shown is not None
    assert shown["nearest_row"]["checks"]
    for path, value in ((("nearest_row", "checks"), [1]), (("reasons",), []), (("event", "id"), 3)):
        changed = json.loads(json.dumps(made))
        part = changed["data"]
        for step in path[:-1]:
            part = part[step]
        part[path[-1]] = value
        record.value = json.dumps(changed).encode()
        assert shown_rejection(record, Province.SICHUAN) is None
    del made["data"]["event"]["time"]
    record.value = json.dumps(made).encode()
    shown = shown_rejection(record, Province.SICHUAN)
    assert shown is not None
    assert shown["shown"] is None
