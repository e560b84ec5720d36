"""Statements of past days, held against archives that are not the same: cut differently, later, with other
lacks, tampered with."""

import dataclasses
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.operate.archive.audit import Export, audit_archive
from gateway.operate.archive.collect import Collected
from gateway.operate.archive.expire import expire
from gateway.operate.archive.manifest import Lost
from gateway.operate.archive.statement_check import check_archive_statement
from gateway.operate.audit import account
from gateway.operate.times import parse_since, parse_until
from tests.archives import ArchivedLanes, shipped
from tests.unit.second_batch import recognition_of_two

DAYS = ("2026-11-20", "2026-11-21", "2026-11-22", "2026-11-23")
PER_DAY = 60
TOPIC = "chongqing.verification"


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account, "RECORDS_A_BLOCK", 10)


def make(
    folder: Path,
    *,
    per_segment: int = 2,
    late: frozenset[str] = frozenset(),
    loses: Callable[[Collected], Collected] | None = None,
    after: Callable[[ArchivedLanes, str], object] = lambda _, __: None,
) -> Path:
    """Archive four days, the last one not closed, with redrives on the second one; ``late`` ones under the
    day after. ``after`` is called when a day is written, before it is closed."""
    lanes = ArchivedLanes(shipped(), folder, per_turn=7, per_segment=per_segment)
    if loses is not None:
        lanes.loses = loses
    for number, day in enumerate(DAYS):
        under = DAYS[number + 1] if day in late else day
        lanes.write_day(day, PER_DAY, seed=number + 1, closes=False, archived_on=under)
        if number == 1:
            for lane in lanes.lanes:
                lanes.redrive(lane, under)
        after(lanes, day)
        if number < 3:
            lanes.close_day(day)
    return folder


def losing(share: float, seed: int) -> Callable[[Collected], Collected]:
    """Let a ``share`` of the entries lose what they wrote into one of their topics."""
    dice = random.Random(seed)

    def lose(each: Collected) -> Collected:
        if dice.random() >= share or not each.outputs:
            return each
        file, some = dice.choice(list(each.outputs))
        kept = [output for output in each.outputs if output[0] != file]
        lost = Lost("outputs", some.topic, 0, None, None, len(each.outputs) - len(kept), each.record.offset)
        return dataclasses.replace(each, outputs=kept, lost=[lost])

    return lose


def export(archive: Path, path: Path, first: str, last: str) -> dict[str, Any]:
    times = parse_since(first), parse_until(last)
    audit_archive(shipped(), str(archive), *times, 0.0, "json", Export(path, None))
    return dict(json.loads(path.read_bytes()))


def check(archive: Path, path: Path, capsys: Any) -> dict[str, Any]:
    capsys.readouterr()
    code = check_archive_statement(shipped(), str(archive), path, "json")
    found = dict(json.loads(capsys.readouterr().out))
    assert (code == 0) is found["ok"]
    return found


def records_of(stated: dict[str, Any]) -> int:
    return sum(
        each["records"] + sum(one["records"] for one in each["redriven"]) for each in stated["outputs"]
    )  # fmt: skip


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("ours") / "archive")


@pytest.mark.parametrize("day", DAYS)
def test_a_day_that_was_archived_later_is_the_same(ours: Path, tmp_path: Path, capsys: Any, day: str) -> None:
    stated = export(ours, tmp_path / "s.json", day, day)
    theirs = make(tmp_path / "theirs", per_segment=9, late=frozenset(DAYS[:2]))
    found = check(theirs, tmp_path / "s.json", capsys)
    assert (found["ok"], found["findings"], found["archive"]["not_compared"]) == (True, [], [])
    assert found["records"] == records_of(stated)


def test_a_day_that_is_still_open_goes_on(tmp_path: Path, capsys: Any) -> None:
    ours = make(tmp_path / "ours")
    stated = export(ours, tmp_path / "s.json", DAYS[3], DAYS[3])

    def go_on(lanes: ArchivedLanes, day: str) -> None:
        if day == DAYS[3]:
            lanes.write_day(day, 30, seed=9, closes=False)
            lanes.redrive(lanes.lanes[0], day, 4)

    theirs = make(tmp_path / "theirs", per_segment=3, after=go_on)
    found = check(theirs, tmp_path / "s.json", capsys)
    assert (found["ok"], found["findings"], found["records"]) == (True, [], records_of(stated))
    # And the reverse: what they state, we do not have yet.
    export(theirs, tmp_path / "t.json", DAYS[2], DAYS[3])
    found = check(ours, tmp_path / "t.json", capsys)
    assert (found["ok"], found["findings"]) == (True, [])
    assert {each["why"] for each in found["archive"]["not_compared"]} == {"not archived, or not yet"}


def test_a_lane_that_is_not_archived_is_named(ours: Path, tmp_path: Path, capsys: Any) -> None:
    export(ours, tmp_path / "s.json", DAYS[1], DAYS[1])
    theirs = Path(shutil.copytree(ours, tmp_path / "theirs"))
    for each in theirs.glob("*/chongqing.display-0"):
        shutil.rmtree(each)
    found = check(theirs, tmp_path / "s.json", capsys)
    assert (found["ok"], found["findings"]) == (True, [])
    assert found["absent"] == ["chongqing.rejection/0", "sichuan.verification/0"]


def test_one_who_began_later_compares_what_he_has(ours: Path, tmp_path: Path, capsys: Any) -> None:
    stated = export(ours, tmp_path / "s.json", DAYS[0], DAYS[1])
    theirs = Path(shutil.copytree(ours, tmp_path / "theirs"))
    shutil.rmtree(theirs / DAYS[0])
    found = check(theirs, tmp_path / "s.json", capsys)
    assert (found["ok"], found["findings"]) == (True, [])
    assert 0 < found["records"] < records_of(stated)
    # A day that he has nothing of is neither the same nor different.
    export(ours, tmp_path / "t.json", DAYS[0], DAYS[0])
    found = check(theirs, tmp_path / "t.json", capsys)
    assert (found["ok"], found["findings"], found["records"]) == (False, [], 0)


@pytest.mark.parametrize("change", ["another day's segment", "a day in another's place", "a segment removed"])
def test_what_was_done_to_an_archive_is_found(ours: Path, tmp_path: Path, capsys: Any, change: str) -> None:
    export(ours, tmp_path / "s.json", DAYS[1], DAYS[1])
    theirs = Path(shutil.copytree(ours, tmp_path / "theirs"))
    first, second = theirs / DAYS[1] / "sichuan.display-0", theirs / DAYS[2] / "sichuan.display-0"
    if change == "another day's segment":
        one, other = min(first.iterdir()), min(second.iterdir())
        shutil.rmtree(one)
        shutil.copytree(other, one)
    elif change == "a day in another's place":
        shutil.rmtree(first)
        shutil.copytree(second, first)
    else:
        shutil.rmtree(min(first.iterdir()))
    found = check(theirs, tmp_path / "s.json", capsys)
    if change == "a segment removed":
        # The audit of that archive names it; whoever compares is told what he could not.
        assert {each["topic"] for each in found["archive"]["not_compared"]} >= {TOPIC}
    else:
        assert (found["ok"], "foreign" in {each["kind"] for each in found["findings"]}) == (False, True)


def test_an_edition_that_changes_amid_the_day_changes_nothing(tmp_path: Path, capsys: Any) -> None:
    """Records name the edition that decided them; both sides have the same ones."""

    def amend(lanes: ArchivedLanes, day: str) -> None:
        if day == DAYS[1]:
            lanes.recognition = recognition_of_two()
            lanes.write_day(day, 30, seed=8, closes=False)

    ours, theirs = (make(tmp_path / name, per_segment=many, after=amend) for name, many in (("ours", 2), ("theirs", 3)))
    stated = export(ours, tmp_path / "s.json", DAYS[1], DAYS[1])
    found = check(theirs, tmp_path / "s.json", capsys)
    assert (found["ok"], found["findings"], found["records"]) == (True, [], records_of(stated))


@pytest.mark.parametrize("seed", range(4))
def test_lacks_of_either_side_are_no_difference(tmp_path: Path, capsys: Any, seed: int) -> None:
    """Records that were gone before they were archived, days that expired, on both sides."""
    dice = random.Random(seed)
    ours, theirs = (
        make(
            tmp_path / name, per_segment=dice.choice([1, 2, 3, 9]), loses=losing(0.15, dice.randrange(1000)),
            late=frozenset(day for day in DAYS[:3] if dice.random() < 0.3),
        )
        for name in ("ours", "theirs")
    )  # fmt: skip
    first, last = sorted(dice.choices(DAYS[1:], k=2))
    side = dice.choice([ours, theirs])
    expire(shipped(), str(side), DAYS[1], dry_run=False, confirmed=True, output="json")
    export(ours, tmp_path / "s.json", DAYS[0] if side is theirs else first, last)
    found = check(theirs, tmp_path / "s.json", capsys)
    assert found["findings"] == []
