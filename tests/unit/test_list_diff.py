"""What two lists differ in: editions, cells, and what is accepted from then on or no longer."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.adapters.list_files import load_recognition
from gateway.core.province import Province
from gateway.core.recognition import RowRef
from gateway.operate.lists.changes import CellChange, ListChanges, RowChange, compare
from gateway.operate.lists.diff import to_objects
from tests.unit.test_cli import gateway
from tests.unit.test_recognition_list import AMENDMENT, SHIPPED, batch, write

DAY = "2026-12-01"
READ = {"provenance": "read"}


def lists(folder: Path, before: dict[str, Any], after: dict[str, Any]) -> tuple[Path, Path]:
    (folder / "a").mkdir()
    (folder / "b").mkdir()
    return write(folder / "a", **before), write(folder / "b", **after)


def compared(folder: Path, *, before: Any = SHIPPED, date: str = DAY, **after: Any) -> ListChanges:
    old, new = lists(folder, {"batch": before}, {"batch": SHIPPED} | after)
    return compare(load_recognition(old), load_recognition(new), date)


def only_row(changes: ListChanges) -> RowChange:
    (row,) = changes.rows
    return row


def amend(*changes: dict[str, Any], **more: Any) -> dict[str, Any]:
    return AMENDMENT | {"set": list(changes)} | more


def test_file_names_make_no_difference_to_a_list(tmp_path: Path) -> None:
    old, new = lists(tmp_path, {"batch": SHIPPED}, {"other": SHIPPED})
    changes = compare(load_recognition(old), load_recognition(new), DAY)
    assert changes.are_equal
    assert list(to_objects(changes, None)) == []


def test_resolved_cell_shows_old_new_provenance_and_document(tmp_path: Path) -> None:
    area = {"row": 6, "cell": "scope.chongqing", "value": {"text": "重庆全市范围内", "whole": True}}
    row = only_row(compared(tmp_path, change=amend(area)))
    assert (row.ref, row.certificate, row.kind) == (RowRef(1, 6), "道路运输从业资格证", "changed")
    (cell,) = row.cells
    assert cell.name == "scope.chongqing"
    assert cell.before == {
        "provenance": "inferred", "value": {"text": "重庆全市范围内", "whole": True}, "note": "该单元格被截断；参照第5行",
    }  # fmt: skip
    assert cell.after == {
        "provenance": "read",
        "value": {"text": "重庆全市范围内", "whole": True},
        "document": "测试1号",
    }
    assert (row.gains, row.loses) == ({"scope.chongqing": ("重庆全市范围内",)}, {})
    # Sichuan's certificates are shown in Chongqing, so they can pass; the other side's area is still
    # inferred.
    assert (row.opens, row.closes) == ((Province.SICHUAN,), ())


def test_day_decides_which_editions_are_compared(tmp_path: Path) -> None:
    changes = compared(tmp_path, change=AMENDMENT, date="2026-11-30")
    assert not changes.are_equal
    assert changes.rows == ()
    assert changes.before == changes.after
    ((since, before, after),) = changes.editions
    assert (since, before) == ("2026-12-01", None)
    assert after is not None


def test_moved_amendment_date_changes_editions_and_cells(tmp_path: Path) -> None:
    old, new = lists(
        tmp_path,
        {"batch": SHIPPED, "change": AMENDMENT},
        {"batch": SHIPPED, "change": AMENDMENT | {"effective_from": "2026-12-15"}},
    )
    early, late = load_recognition(old), load_recognition(new)
    changes = compare(early, late, DAY)
    assert [(each.since, each.before is None, each.after is None) for each in changes.editions] == [
        ("2026-12-01", False, True), ("2026-12-15", True, False),
    ]  # fmt: skip
    assert only_row(changes).loses == {"scope.chongqing": ("重庆全市范围内",)}
    assert compare(early, late, "2026-12-15").rows == ()


WORDS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "a channel less": (
        {"row": 5, "cell": "channels", "value": ["天府通办"]},
        {},
        {"channels": ("渝快办",)},
    ),
    "a channel written otherwise": ({"row": 5, "cell": "channels", "value": ["天府通办APP", "“渝快办”"]}, {}, {}),
    "an issuer for another": (
        {"row": 5, "cell": "issuers.sichuan", "value": ["四川省道路运输局"]},
        {"issuers.sichuan": ("四川省道路运输局",)},
        {"issuers.sichuan": ("四川省交通运输厅",)},
    ),
    "a scenario more": (
        {
            "row": 5,
            "cell": "scenarios",
            "value": [
                {"code": "05-1", "text": "政务服务", "aliases": ["政务服务场景"]},
                {"code": "05-2", "text": "执法场景", "aliases": ["执法", "行政执法", "路检路查"]},
                {"code": "05-3", "text": "事故处理"},
            ],
        },
        {"scenarios": ("05-3 事故处理",)},
        {},
    ),
    "named units for a whole city": (
        {"row": 5, "cell": "scope.chongqing", "value": {"text": "重庆市交通局", "units": ["重庆市交通局"]}},
        {},
        {"scope.chongqing": ("重庆全市范围内",)},
    ),
    "a whole city for named units": (
        {"row": 8, "cell": "scope.chongqing", "value": {"text": "重庆全市", "whole": True}},
        {"scope.chongqing": ("重庆全市",)},
        {},
    ),
    "a whole city by other words": (
        {"row": 5, "cell": "scope.chongqing", "value": {"text": "重庆全域", "whole": True}},
        {},
        {},
    ),
    "an alias less": (
        {"row": 6, "cell": "certificate", "value": "道路运输从业资格证"},
        {},
        {"certificate": ("从业资格证",)},
    ),
}


@pytest.mark.parametrize("case", WORDS)
def test_what_is_accepted_from_then_on_and_no_longer(case: str, tmp_path: Path) -> None:
    change, gains, loses = WORDS[case]
    row = only_row(compared(tmp_path, change=amend(change)))
    assert (row.gains, row.loses) == (gains, loses)
    assert (row.opens, row.closes) == ((), ())


def test_cell_that_is_no_longer_read_accepts_nothing(tmp_path: Path) -> None:
    inferred = batch(5, channels={"provenance": "inferred", "value": ["天府通办", "渝快办"], "note": "存疑"})
    row = only_row(compared(tmp_path, batch=inferred))
    assert (row.gains, row.loses) == ({}, {"channels": ("天府通办", "渝快办")})
    assert row.closes == (Province.SICHUAN, Province.CHONGQING)


def test_note_alone_is_a_difference_that_gains_nothing(tmp_path: Path) -> None:
    row = only_row(
        compared(tmp_path, batch=batch(5, channels=READ | {"value": ["天府通办", "渝快办"], "note": "核对无误"}))
    )
    assert [cell.name for cell in row.cells] == ["channels"]
    assert (row.gains, row.loses, row.opens, row.closes) == ({}, {}, (), ())


def test_row_that_ends_is_removed_from_the_day_after(tmp_path: Path) -> None:
    changes = compared(tmp_path, batch=batch(5, effective_until="2026-11-30"))
    row = only_row(changes)
    assert (row.kind, row.ref, row.gains) == ("removed", RowRef(1, 5), {})
    assert row.loses["channels"] == ("天府通办", "渝快办")
    assert row.closes == (Province.SICHUAN, Province.CHONGQING)
    assert all(cell.after is None for cell in row.cells)
    assert [each.since for each in changes.editions] == ["2022-10-23", "2026-12-01"]


def test_row_dates_are_cells_and_added_rows_gain(tmp_path: Path) -> None:
    ends = batch(5, effective_until="2026-11-30")
    changes = compared(tmp_path, before=ends, date="2026-11-30")
    assert only_row(changes).cells == (CellChange("effective_until", {"value": "2026-11-30"}, None),)
    after = compared_again(tmp_path)
    assert (after.kind, after.loses, after.opens) == ("added", {}, (Province.SICHUAN, Province.CHONGQING))


def compared_again(folder: Path) -> RowChange:
    return only_row(compare(load_recognition(folder / "a"), load_recognition(folder / "b"), DAY))


def test_rule_over_unit_names_is_named(tmp_path: Path) -> None:
    rules = SHIPPED["rules"] | {"公证机构": SHIPPED["rules"]["公证机构"] | {"ends_with": ["公证处"]}}
    changes = compared(tmp_path, batch=SHIPPED | {"rules": rules})
    ((number, name, before, after),) = changes.rules
    assert (number, name, changes.rows) == (1, "公证机构", ())
    assert before is not None
    assert after is not None
    assert (before.ends_with, after.ends_with) == (("公证处", "公证机构", "公证中心"), ("公证处",))


def test_command_prints_one_object_a_change_and_exits_one(tmp_path: Path) -> None:
    old, new = lists(tmp_path, {"batch": SHIPPED}, {"batch": SHIPPED, "change": AMENDMENT})
    done = gateway("list", "diff", str(old), str(new), "--date", DAY, "--format", "json")
    assert (done.returncode, done.stderr) == (1, b"")
    objects = [json.loads(line) for line in done.stdout.splitlines()]
    assert [each["kind"] for each in objects] == ["edition", "row", "cell"]
    assert objects[2] == {
        "kind": "cell", "batch": 1, "row": 19, "cell": "scope.chongqing",
        "name": {"zh": "试点范围·重庆", "en": "pilot area, Chongqing"},
        "from": objects[2]["from"],
        "to": {"provenance": "read", "value": {"text": "重庆全市范围内", "whole": True}, "document": "测试1号"},
        "document": "测试1号",
    }  # fmt: skip
    assert objects[2]["from"]["provenance"] != "read"
    text = gateway("list", "diff", str(old), str(new), "--date", DAY).stdout.decode()
    assert "第1批第19行 row 1/19" in text
    assert "试点范围·重庆 pilot area, Chongqing  依据 测试1号" in text
    assert "仅 B 有 only B has one" in text


def test_command_on_equal_lists_exits_zero(tmp_path: Path) -> None:
    old, new = lists(tmp_path, {"batch": SHIPPED}, {"other": SHIPPED})
    done = gateway("list", "diff", str(old), str(new), "--format", "json")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert "任何日期均相同" in gateway("list", "diff", str(old), str(new)).stdout.decode()


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--date", "2026-02-30"], 2, "--date"),
        (["--days", "3"], 2, "--days belongs to --impact"),
        (["--impact", "--bootstrap-servers", "127.0.0.1:1"], 69, "127.0.0.1:1"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_incompatible_options_are_refused(options: list[str], code: int, said: str, tmp_path: Path) -> None:
    old, new = lists(tmp_path, {"batch": SHIPPED}, {"batch": SHIPPED, "change": AMENDMENT})
    done = gateway("list", "diff", str(old), str(new), *options)
    assert (done.returncode, done.stdout) == (code, b"")
    assert said in done.stderr.decode()


def test_folder_without_a_list_is_refused(tmp_path: Path) -> None:
    done = gateway("list", "diff", str(tmp_path), str(tmp_path))
    assert done.returncode == 78
    assert "holds no list file" in done.stderr.decode()
