"""A lane's history under two lists, without Kafka: every decision is what ``decide`` says, and is counted
once."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.adapters.list_files import load_recognition
from gateway.contract.topics import LaneId
from gateway.core.decision import NOTHING_FORWARDED, Decision, Forward, codes_of, row_of
from gateway.core.province import Province
from gateway.core.recognition import Recognition, RowRef
from gateway.decide import decide_bytes
from gateway.operate.replay.command import summarise
from gateway.operate.replay.lane_replay import LaneReplay, ReplaySummary, merge
from gateway.operate.replay.report import to_markdown
from gateway.operate.simulate import Simulator
from gateway.relay.horizon import Horizon
from tests.unit.test_cli import gateway
from tests.unit.test_recognition_list import AMENDMENT, SHIPPED, batch, write

NOW = 1_795_400_000_000
LANE = LaneId(Province.SICHUAN, "sichuan.display", 0)


@dataclass
class Record:
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes
    headers: Sequence[tuple[str, bytes]]


@pytest.fixture
def before(tmp_path: Path) -> Recognition:
    (tmp_path / "before").mkdir()
    return load_recognition(write(tmp_path / "before", batch=SHIPPED))


@pytest.fixture
def after(tmp_path: Path) -> Recognition:
    """Row 5 without 渝快办, row 6's area in Chongqing resolved, row 12 gone."""
    (tmp_path / "after").mkdir()
    fewer = batch(5, channels={"provenance": "read", "value": ["天府通办"]})
    fewer["rows"] = [row for row in fewer["rows"] if row["row"] != 12]
    resolution = {"row": 6, "cell": "scope.chongqing", "value": {"text": "重庆全市范围内", "whole": True}}
    change = AMENDMENT | {"effective_from": "2026-11-01", "set": [resolution]}
    return load_recognition(write(tmp_path / "after", batch=fewer, change=change))


def history(recognition: Recognition, count: int, seed: int = 3) -> list[Record]:
    simulator = Simulator(recognition, seed, reject_share=0.5, duplicate_share=0.1)
    records = (simulator.next_event(NOW + number) for number in range(count))
    mine = [each for each in records if each.province is LANE.province]
    return [Record(n, NOW + n, each.key, each.value, each.headers) for n, each in enumerate(mine)]


def decided(records: Sequence[Record], recognition: Recognition) -> list[Decision]:
    """Decide by the decision alone, with every event that it forwards remembered."""
    forwarded: dict[Any, tuple[str, ...]] = {}
    decisions = []
    for each in records:
        decision = decide_alone(each, recognition, forwarded)
        if isinstance(decision, Forward):
            known = forwarded.get(decision.reading.identity, ())
            forwarded[decision.reading.identity] = (*known, decision.reading.content_digest)
        decisions.append(decision)
    return decisions


def decide_alone(record: Record, recognition: Recognition, forwarded: Any = NOTHING_FORWARDED) -> Decision:
    return decide_bytes(
        record.value, LANE.province, record.timestamp, recognition,
        key=record.key, headers=record.headers, forwarded=forwarded,
    )  # fmt: skip


def replayed(
    records: Sequence[Record], before: Recognition, after: Recognition, *, start: int = 0, examples: int = 3
) -> ReplaySummary:
    replay = LaneReplay(LANE, before, after, (Horizon(10**9, 10**6), Horizon(10**9, 10**6)), examples)
    for first in range(0, len(records), 100):
        replay.take(records[first : first + 100], start)
    return replay.tally


def test_replay_counts_each_event_and_each_change_once(before: Recognition, after: Recognition) -> None:
    records = history(before, 4000)
    tally = replayed(records, before, after)
    expected: Counter[Any] = Counter()
    further = 0
    for old, new in zip(decided(records, before), decided(records, after), strict=True):
        sides = [(each.outcome.value, codes_of(each)[:1], row_of(each)) for each in (old, new)]
        if sides[0] != sides[1]:
            expected[tuple(sides)] += 1
        else:
            further += codes_of(old) != codes_of(new)
    found = Counter(
        {
            tuple((s.outcome, (s.reason,) if s.reason else (), s.row) for s in change): count
            for change, count in tally.changes.items()
        }
    )
    assert found == expected
    assert (tally.events, tally.further) == (len(records), further)
    assert tally.before.total() == tally.after.total() == len(records)
    # Other rows change only where other content was forwarded under an id, or no longer is.
    assert {change.row for change in tally.changes if change.row} >= {RowRef(1, row) for row in (5, 6, 12)}
    assert {change.flow for change in tally.changes} == {"opened", "closed", "other"}


def test_the_same_list_changes_nothing(before: Recognition) -> None:
    tally = replayed(history(before, 1000), before, before)
    assert (tally.changed, tally.further) == (0, 0)
    assert tally.before == tally.after


def test_records_before_the_start_are_remembered_and_not_counted(before: Recognition, after: Recognition) -> None:
    records = history(before, 3000)
    whole, rest = replayed(records, before, after), replayed(records, before, after, start=1000)
    assert rest.events == len(records) - 1000
    first = Counter(each.outcome.value for each in decided(records, before)[1000:])
    assert rest.before == first
    assert rest.before["duplicate"] > replayed(records[1000:], before, after).before["duplicate"]
    assert whole.changed > rest.changed > 0


def test_what_was_rejected_and_came_again_is_no_repetition(before: Recognition, after: Recognition) -> None:
    # Row 6 is resolved in the second list alone: there the second one of each repeats a forward.
    twice = [each for each in history(before, 3000) if row_of(decide_alone(each, before)) == RowRef(1, 6)]
    opened = [each for each in twice if isinstance(decide_alone(each, after), Forward)]
    assert opened
    again = [Record(10**4 + each.offset, each.timestamp, each.key, each.value, each.headers) for each in opened]
    distinct = len({each.value for each in opened})
    tally = replayed([*opened, *again], before, after)
    assert tally.before == {"reject": 2 * len(opened)}
    assert tally.after == {"forward": distinct, "duplicate": 2 * len(opened) - distinct}


def test_examples_are_bounded_and_merged_counts_add_up(before: Recognition, after: Recognition) -> None:
    records = history(before, 3000)
    one, two = replayed(records, before, after, examples=2), replayed(history(before, 3000, 4), before, after)
    whole = merge([one, two], 2)
    assert whole.events == one.events + two.events
    assert whole.changes == one.changes + two.changes
    assert whole.touched == one.touched + two.touched
    assert all(1 <= len(ids) <= 2 for ids in whole.examples.values())
    assert whole.examples.keys() == whole.changes.keys()
    assert not replayed(records, before, after, examples=0).examples.popitem()[1]


def test_summary_adds_up_and_names_nobody(before: Recognition, after: Recognition) -> None:
    records = history(before, 4000)
    tally = replayed(records, before, after)
    result = summarise(tally, before, after)
    assert result["lists"] == {"against": before.digest, "list": after.digest}
    assert result["changed"] == sum(change["count"] for change in result["changes"])
    assert result["changed"] == sum(region["changed"] for region in result["by_region"])
    for name in ("changed", "opened", "closed"):
        assert sum(row[name] for row in result["by_row"]) <= result[name]
    assert {row["batch"] for row in result["by_row"]} == {1}
    rows = {row["row"]: row for row in result["by_row"]}
    assert (rows[12]["certificate"], rows[12]["closed"] > 0, rows[12]["opened"]) == (
        SHIPPED["rows"][11]["certificate"]["value"], True, 0,
    )  # fmt: skip
    assert rows[6]["changed"] >= rows[6]["opened"] > rows[6]["closed"] == 0
    reasons = {each["reason"]: (each["from"], each["to"]) for each in result["by_reason"]}
    assert reasons["LIST_ROW_UNRESOLVED"][0] == rows[6]["changed"]
    units = {each["unit"]: (each["from"], each["to"]) for each in result["by_unit"]}
    assert units["重庆市交通局"][1] > units["重庆市交通局"][0]
    page = to_markdown(result)
    assert "## 按责任单位" in page
    assert not any(words in page + repr(result) for words in ("sm3:", "**", "某**"))


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        ([], 2, "Missing option"),
        (["--list", "config/recognition", "--since", "yesterday"], 2, "--since"),
        (
            ["--list", "config/recognition", "--since", "2026-11-23T00:00:00Z", "--until", "2026-11-22T00:00:00Z"],
            2,
            "--until must be later",
        ),
        (["--list", "config/recognition", "--examples", "-1"], 2, "--examples"),
        (["--list", "config/recognition", "--output", "no/such/folder.md"], 2, "--output"),
        (["--list", "no-such-folder"], 78, "no-such-folder"),
        (["--list", "config/recognition", "--against", "no-such-folder"], 78, "no-such-folder"),
        (["--list", "config/recognition", "--bootstrap-servers", "127.0.0.1:1"], 69, "127.0.0.1:1"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_replay_exit_codes_and_messages(options: list[str], code: int, said: str) -> None:
    done = gateway("replay", *options)
    assert done.returncode == code, done.stderr.decode()
    assert said in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()
    assert done.stdout == b""
