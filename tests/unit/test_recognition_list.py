"""The list as files: every mistake is named by file, row and cell; amendments; as of a date."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import packaged_config
from gateway.errors import RecognitionListError

SHIPPED = yaml.safe_load((packaged_config() / "recognition" / "batch-1.yaml").read_text(encoding="utf-8"))
AMENDMENT = {
    "amends": 1,
    "document": {"number": "测试1号", "title": "说明", "issued_by": ["四川省人民政府办公厅"], "signed": "2026-11-01"},
    "effective_from": "2026-12-01",
    "set": [{"row": 19, "cell": "scope.chongqing", "value": {"text": "重庆全市范围内", "whole": True}}],
}


def write(folder: Path, **files: Any) -> Path:
    for name, content in files.items():
        text = content if isinstance(content, str) else yaml.safe_dump(content, allow_unicode=True)
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder


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
    "a list at the top": ("- 1\n", "valid dictionary"),
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


def test_list_file_under_another_ending_is_not_left_out_silently(tmp_path: Path) -> None:
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
    assert cell.settled
    assert cell.document == "测试1号"
    assert not before.rows[18].row.scope.chongqing.settled
    assert not after.rows[18].row.scope.sichuan.settled
    assert recognition.edition_on("2022-10-22").rows == ()


def test_digest_is_of_what_the_list_says_not_of_how_it_is_written(tmp_path: Path) -> None:
    shipped = load_recognition(packaged_config() / "recognition")
    rewritten = load_recognition(write(tmp_path, other_name=SHIPPED))
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
