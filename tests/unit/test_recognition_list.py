"""The list as files: every mistake is named by file, row and cell; amendments; as of a date."""

import copy
import itertools
import json
import random
from pathlib import Path
from typing import Any

import pytest

from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import packaged_config
from gateway.core.decision import Outcome, row_of
from gateway.core.province import Province
from gateway.core.recognition import RowRef
from gateway.decide import decide_bytes
from gateway.errors import RecognitionListError
from gateway.operate.examples import display_event
from gateway.operate.times import parse_time
from tests.unit.list_folder import AMENDMENT, SHIPPED, SHIPPED_TEXT, problems_of, write
from tests.unit.second_batch import second_batch_content


def batch(row: int, /, **changes: Any) -> dict[str, Any]:
    """The shipped batch with parts of a row replaced."""
    content = copy.deepcopy(SHIPPED)
    content["rows"][row - 1] |= changes
    return content


MISTAKES = {
    "a read cell without a value": (batch(5, channels={"provenance": "read"}), "row 5: channels:"),
    "a missing cell with a value": (batch(5, channels={"provenance": "missing", "value": ["x"]}), "row 5: channels:"),
    "an unknown provenance": (
        batch(5, channels={"provenance": "guessed", "value": ["x"]}),
        "row 5: channels.provenance:",
    ),
    "an unknown column": (batch(5, colour="red"), "row 5: colour:"),
    "a scenario code of another row": (
        batch(5, scenarios={"provenance": "read", "value": [{"code": "06-1", "text": "x"}]}),
        "row 5: scenarios: code 06-1 stands where 05-1 belongs",
    ),
    "two scenarios of one name": (
        batch(
            5,
            scenarios={"provenance": "read", "value": [{"code": "05-1", "text": "x"}, {"code": "05-2", "text": " x "}]},
        ),
        "row 5:",
    ),
    "a rule that is not there": (
        batch(
            5,
            scope={
                side: {"provenance": "read", "value": {"text": "x", "rule": "无"}} for side in ("sichuan", "chongqing")
            },
        ),
        "row 5: scope.sichuan: no rule is called 无",
    ),
    "a scope of two kinds": (
        batch(
            5,
            scope={
                side: {"provenance": "read", "value": {"text": "x", "whole": True, "units": ["y"]}}
                for side in ("sichuan", "chongqing")
            },
        ),
        "row 5: scope.sichuan.value",
    ),
    "a row twice": (batch(5, row=4, scenarios={"provenance": "missing"}), "the numbers must rise"),
    "no date": ({name: value for name, value in SHIPPED.items() if name != "effective_from"}, "effective_from:"),
    "a key twice": ("batch: 1\nbatch: 2\n", "batch stands twice in one mapping"),
    "no YAML": ("rows: [", "not readable YAML: line"),
    "a list at the top": ("- 1\n", "mapping of names"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake_is_named_by_file_row_and_cell(mistake: str, tmp_path: Path) -> None:
    content, expected = MISTAKES[mistake]
    with pytest.raises(RecognitionListError) as caught:
        load_recognition(write(tmp_path, broken=content))
    assert len(caught.value.problems) >= 1
    assert any(problem.startswith("broken.yaml: ") and expected in problem for problem in caught.value.problems), (
        caught.value
    )


AMENDMENT_MISTAKES = {
    "no such batch": ({"amends": 7}, "amends: there is no batch 7"),
    "before the batch": ({"effective_from": "2022-01-01"}, "effective_from: lies before"),
    "no such row": (
        {"set": [{"row": 99, "cell": "channels", "value": ["x"]}]},
        "row 99: channels: batch 1 has no such row",
    ),
    "no such cell": ({"set": [{"row": 5, "cell": "colour", "value": ["x"]}]}, "row 5: cell:"),
    "a value of the wrong shape": (
        {"set": [{"row": 5, "cell": "channels", "value": {"x": 1}}]},
        "row 5: channels: channels.value",
    ),
    "no document": ({"document": None}, "document:"),
}


@pytest.mark.parametrize("mistake", AMENDMENT_MISTAKES)
def test_mistake_in_an_amendment_is_named(mistake: str, tmp_path: Path) -> None:
    change, expected = AMENDMENT_MISTAKES[mistake]
    with pytest.raises(RecognitionListError) as caught:
        load_recognition(write(tmp_path, batch=SHIPPED, change=AMENDMENT | change))
    assert any(problem.startswith("change.yaml: ") and expected in problem for problem in caught.value.problems), (
        caught.value
    )


def test_all_mistakes_of_all_files_are_reported_at_once(tmp_path: Path) -> None:
    broken = copy.deepcopy(SHIPPED)
    broken["rows"][1]["channels"] = {"provenance": "read"}
    broken["rows"][8]["colour"] = "red"
    with pytest.raises(RecognitionListError) as caught:
        load_recognition(write(tmp_path, one=broken, two="rows: ["))
    assert len(caught.value.problems) == 3


def test_list_file_with_another_ending_is_refused(tmp_path: Path) -> None:
    write(tmp_path, batch=SHIPPED)
    (tmp_path / "amendment.yml").write_text("amends: 1\n", encoding="utf-8")
    with pytest.raises(RecognitionListError, match=r"amendment\.yml: list files end with \.yaml"):
        load_recognition(tmp_path)


def test_empty_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(RecognitionListError, match="holds no list file"):
        load_recognition(tmp_path)


def test_amendment_makes_an_edition_from_its_date_on(tmp_path: Path) -> None:
    recognition = load_recognition(write(tmp_path, batch=SHIPPED, change=AMENDMENT))
    assert [edition.since for edition in recognition.editions] == ["2022-10-23", "2026-12-01"]
    before, after = recognition.edition_on("2026-11-30"), recognition.edition_on("2026-12-01")
    assert before.digest != after.digest
    cell = after.rows[18].row.scope.chongqing
    assert cell.resolved
    assert cell.document == "测试1号"
    assert not before.rows[18].row.scope.chongqing.resolved
    assert not after.rows[18].row.scope.sichuan.resolved
    assert recognition.edition_on("2022-10-22").rows == ()


def test_list_digest_depends_on_content_only(tmp_path: Path) -> None:
    shipped = load_recognition(write(tmp_path, shipped=SHIPPED_TEXT))
    (tmp_path / "rewritten").mkdir()
    rewritten = load_recognition(write(tmp_path / "rewritten", other_name=SHIPPED))
    assert shipped.digest == rewritten.digest
    (tmp_path / "changed").mkdir()
    changed = load_recognition(
        write(tmp_path / "changed", batch=batch(5, channels={"provenance": "read", "value": ["天府通办"]}))
    )
    assert changed.digest != shipped.digest


def test_row_that_has_ended_is_no_longer_in_force(tmp_path: Path) -> None:
    recognition = load_recognition(write(tmp_path, batch=batch(5, effective_until="2025-12-31")))
    assert 5 in {each.row.row for each in recognition.edition_on("2025-12-31").rows}
    assert 5 not in {each.row.row for each in recognition.edition_on("2026-01-01").rows}


def test_shipped_list_is_what_the_seed_supports() -> None:
    """Every cell's provenance, as read from the damaged notice: what is not listed here is read."""
    rows = load_recognition(packaged_config() / "recognition").editions[0].rows
    unresolved = {each.row.row: each.row.unresolved() for each in rows if each.row.unresolved()}
    all_cells = list(rows[0].row.CELLS)
    assert [each.row.row for each in rows] == list(range(1, 21))
    assert unresolved == {
        6: ["scope.sichuan", "scope.chongqing"],
        7: ["certificate", "issuers.sichuan", "issuers.chongqing", "channels"],
        10: all_cells[:-1],
        14: all_cells,
        16: ["matters", "scope.sichuan", "scope.chongqing"],
        17: ["certificate", "issuers.sichuan", "issuers.chongqing", "channels", "scenarios"],
        19: ["scenarios", "matters", "scope.sichuan", "scope.chongqing"],
        20: ["certificate", "issuers.sichuan", "issuers.chongqing", "channels", "scenarios"],
    }


def added_row(number: int = 21, **changes: Any) -> dict[str, Any]:
    """A row as an amendment adds it: row 5's cells under another number and certificate."""
    row = copy.deepcopy(SHIPPED["rows"][4]) | {"row": number}
    row["certificate"] = {"provenance": "read", "value": f"新增证照{number}"}
    row["scenarios"] = {"provenance": "read", "value": [{"code": f"{number:02d}-1", "text": "执法场景"}]}
    return row | changes


def adding(*rows: dict[str, Any], **more: Any) -> dict[str, Any]:
    content = {name: value for name, value in AMENDMENT.items() if name != "set"}
    return content | {"add": list(rows)} | more


def setting(row: int, cell: str, value: Any, **more: Any) -> dict[str, Any]:
    return AMENDMENT | {"set": [{"row": row, "cell": cell, "value": value}]} | more


def test_amendment_adds_a_row_from_its_day_on(tmp_path: Path) -> None:
    later = setting(21, "channels", ["渝快办"], effective_from="2026-12-15")
    recognition = load_recognition(write(tmp_path, batch=SHIPPED, a=adding(added_row()), b=later))
    assert [edition.since for edition in recognition.editions] == ["2022-10-23", "2026-12-01", "2026-12-15"]
    assert len(recognition.edition_on("2026-11-30").rows) == 20
    row = recognition.edition_on("2026-12-01").rows[20].row
    assert (row.row, row.certificate.value, row.channels.document) == (21, "新增证照21", "测试1号")
    assert recognition.edition_on("2026-12-15").rows[20].row.channels.value == ("渝快办",)


def test_added_row_ends_with_its_day_or_document(tmp_path: Path) -> None:
    rows = added_row(21), added_row(22, effective_from="2026-12-10", effective_until="2026-12-20")
    recognition = load_recognition(
        write(tmp_path, batch=SHIPPED, a=adding(*rows, effective_until="2026-12-31"))
    )  # fmt: skip
    days = {day: [each.row.row for each in recognition.edition_on(day).rows[20:]] for day in (
        "2026-12-01", "2026-12-10", "2026-12-21", "2026-12-31", "2027-01-01",
    )}  # fmt: skip
    assert list(days.values()) == [[21], [21, 22], [21], [21], []]


def test_event_passes_by_an_added_row(tmp_path: Path) -> None:
    recognition = load_recognition(write(tmp_path, batch=SHIPPED, change=adding(added_row())))
    event = display_event(Province.SICHUAN)
    event["time"] = "2026-12-02T08:00:00+08:00"
    event["data"]["certificate"] |= {"type_name": "新增证照21", "type_code": None}
    event["data"]["display"]["scenario"] = "21-1"
    received = parse_time("", event["time"])
    decision = decide_bytes(json.dumps(event).encode(), Province.SICHUAN, received, recognition)
    assert (decision.outcome, row_of(decision)) == (Outcome.FORWARD, RowRef(1, 21))


RULE = {"description": "测试", "ends_with": ["局"]}
SAME_DAY = {
    "one cell": (
        setting(19, "channels", ["天府通办"]), setting(19, "channels", ["渝快办"]),
        "row 19: channels: sets what a.yaml sets too, from 2026-12-01 on",
    ),
    "one rule": (
        setting(19, "channels", ["天府通办"], rules={"测试": RULE}),
        setting(18, "channels", ["天府通办"], rules={"测试": RULE | {"ends_with": ["处"]}}),
        "rules: 测试: a.yaml defines it in another way, from 2026-12-01 on too",
    ),
    "one row": (adding(added_row()), adding(added_row()), "row 21: add: a.yaml adds this row too"),
    "a row and its cell": (
        adding(added_row()), setting(21, "channels", ["渝快办"]), "row 21: channels: sets what a.yaml sets too",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", SAME_DAY)
def test_amendments_of_one_day_may_not_contradict_each_other(kind: str, tmp_path: Path) -> None:
    first, second, expected = SAME_DAY[kind]
    assert any(expected in problem for problem in problems_of(write(tmp_path, batch=SHIPPED, a=first, b=second)))


@pytest.mark.parametrize(
    "changes",
    [
        (setting(19, "channels", ["天府通办"], rules={"测试": RULE}),
         setting(18, "channels", ["天府通办"], rules={"测试": RULE})),
        (setting(19, "channels", ["天府通办"]), setting(19, "channels", ["渝快办"], effective_from="2026-12-02")),
        (adding(added_row(21)), adding(added_row(22)), setting(5, "channels", ["渝快办"])),
    ],
    ids=["one rule in the same words", "one cell on two days", "two rows and a cell"],
)  # fmt: skip
def test_amendments_combine_alike_under_any_file_names(changes: tuple[dict[str, Any], ...], tmp_path: Path) -> None:
    digests = set()
    for order in itertools.permutations(changes):
        folder = tmp_path / f"{len(digests)}-{random.random()}"
        folder.mkdir()
        files = {f"amendment-{number}": change for number, change in enumerate(order)}
        digests.add(load_recognition(write(folder, batch=SHIPPED, **files)).digest)
    assert len(digests) == 1


ADDING_MISTAKES = {
    "a row that is there": (adding(added_row(5)), "row 5: add: batch 1 has this row already; change its cells by `set`"),
    "numbers that fall": (adding(added_row(22), added_row(21)), "add: the numbers must rise, each once"),
    "a row before its document": (
        adding(added_row(effective_from="2026-11-01")), "row 21: effective_from: lies before that of the amendment",
    ),
    "a row that ends before it begins": (
        adding(added_row(effective_from="2026-12-09", effective_until="2026-12-08")),
        "row 21: effective_until lies before effective_from",
    ),
    "an unknown rule": (
        adding(added_row(scope={
            side: {"provenance": "read", "value": {"text": "x", "rule": "无"}} for side in ("sichuan", "chongqing")
        })),
        "row 21: scope.sichuan: no rule is called 无 in this file or in batch 1",
    ),
    "a cell that is wrong": (adding(added_row(channels={"provenance": "read"})), "row 21: channels: a missing cell"),
    "nothing at all": ({name: AMENDMENT[name] for name in ("amends", "document", "effective_from")}, "changes nothing"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", ADDING_MISTAKES)
def test_mistake_in_an_added_row_is_named(mistake: str, tmp_path: Path) -> None:
    change, expected = ADDING_MISTAKES[mistake]
    problems = problems_of(write(tmp_path, batch=SHIPPED, change=change))
    assert any(each.startswith("change.yaml: ") and expected in each for each in problems), problems


def test_setting_a_cell_before_its_row_is_refused(tmp_path: Path) -> None:
    early = setting(21, "channels", ["渝快办"], effective_from="2026-11-15")
    (problem,) = problems_of(write(tmp_path, batch=SHIPPED, early=early, late=adding(added_row())))
    assert problem == "early.yaml: row 21: channels: late.yaml adds the row from 2026-12-01 on only"


def test_rules_of_another_batch_are_not_usable(tmp_path: Path) -> None:
    second = second_batch_content()
    second["rows"][0]["scope"]["sichuan"] = {"provenance": "read", "value": {"text": "x", "rule": "公证机构"}}
    (problem,) = problems_of(write(tmp_path, one=SHIPPED, two=second))
    assert "two.yaml: row 1: scope.sichuan: no rule is called 公证机构 in this file" in problem


def test_the_last_day_of_the_calendar_is_no_end(tmp_path: Path) -> None:
    recognition = load_recognition(write(tmp_path, batch=SHIPPED | {"effective_until": "9999-12-31"}))
    assert [edition.since for edition in recognition.editions] == ["2022-10-23"]
