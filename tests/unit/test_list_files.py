"""What YAML and file systems let people write in the list's folder, and what is said of it."""

import os
from pathlib import Path

import pytest
import yaml

from gateway.adapters.list_files import load_recognition
from gateway.adapters.list_watch import ListWatch, ReloadResult
from gateway.operate.lists.show import validate_list
from tests.unit.list_folder import AMENDMENT, SHIPPED, problems_of, write


def amendment_text(line: str) -> str:
    """The amendment as its file would say it, with one line of another kind at its end."""
    return yaml.safe_dump(AMENDMENT, allow_unicode=True, sort_keys=False) + line


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("no such day", amendment_text("effective_until: 2026-11-31\n"),
         "effective_until: 2026-11-31 is not a date (YYYY-MM-DD) (line 15)"),
        ("a date that is a number", amendment_text("effective_until: 1767225600\n"), "effective_until: not a date"),
        ("a time for a date", amendment_text("effective_until: 2026-12-31T08:00:00\n"), "is not a date (YYYY-MM-DD)"),
        ("octal row", amendment_text("").replace("row: 19", "row: 010"), "line 10, column 8: set.#1.row: YAML may take"),
        ("row with an underscore", amendment_text("").replace("row: 19", "row: 1_9"), "set.#1.row: YAML may take this"),
        ("hexadecimal row", amendment_text("").replace("row: 19", "row: 0x13"), "set.#1.row: YAML may take this"),
        ("sexagesimal row", amendment_text("").replace("row: 19", "row: 0:19"), "set.#1.row: YAML may take this"),
        ("a yes for a row", amendment_text("").replace("row: 19", "row: yes"), "row True: row: must be a whole number"),
        ("a text for a row", amendment_text("").replace("row: 19", "row: '19'"), "row: must be a whole number"),
        ("a list as a key", amendment_text("rules: {[a]: b}\n"), "line 15, column 9: rules: a key has to be one word"),
        ("a mapping as a key", amendment_text("? {a: b}\n: c\n"), "a key has to be one word"),
        ("too deep", amendment_text("rules: " + "[" * 5000), "nested more than 40 deep"),
        ("an alias of itself", amendment_text("rules: &a {x: *a}\n"), "rules.x: holds itself, by an alias"),
        ("aliases of aliases", amendment_text(
            "a0: &a0 [x, x, x, x, x, x, x, x]\n"
            + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 8)}]\n" for n in range(1, 9))), "more than 1,000,000"),
        ("a value of another kind", amendment_text("x: !!int y\n"), "not a value of its kind"),
        ("a tag", amendment_text("x: !!timestamp y\n"), "x: tags (`!…`) are not supported"),
        ("a control character", amendment_text("x: \x07\n"), "line 15: a control character"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 30 else "",
)  # fmt: skip
def test_what_yaml_would_guess_at_is_refused_by_name(name: str, text: str, expected: str, tmp_path: Path) -> None:
    problems = problems_of(write(tmp_path, batch=SHIPPED, change=text))
    assert all(problem.startswith("change.yaml: ") for problem in problems), name
    assert any(expected in problem for problem in problems), problems


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("# 修订\namends: 1\n".encode("gbk"), "not UTF-8: line 1: it seems to be GBK: save it as UTF-8"),
        ("amends: 1\n# 修订\n".encode("gbk"), "not UTF-8: line 2: it seems to be GBK"),
        ("amends: 1\n".encode("utf-16"), "it seems to be UTF-16"),
        ("amends: 1\n".encode("utf-16-le"), "it seems to be UTF-16"),
        (b"amends: 1\n\n\xff\xfe\xff", "not UTF-8: line 3: save the file as UTF-8"),
    ],
)
def test_file_in_another_encoding_gets_a_hint(raw: bytes, expected: str, tmp_path: Path) -> None:
    write(tmp_path, batch=SHIPPED)
    (tmp_path / "change.yaml").write_bytes(raw)
    (problem,) = problems_of(tmp_path)
    assert problem.startswith("change.yaml: ")
    assert expected in problem


def test_byte_order_mark_is_no_part_of_the_file(tmp_path: Path) -> None:
    write(tmp_path, batch=SHIPPED)
    text = yaml.safe_dump(AMENDMENT, allow_unicode=True)
    (tmp_path / "change.yaml").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert len(load_recognition(tmp_path).editions) == 2


@pytest.mark.parametrize("name", ["a.YAML", "a.yml", "a.Yml", "batch-2.yaml.txt", "batch-2.yaml.bak", "yaml"])
def test_name_that_is_nearly_a_list_files_is_refused(name: str, tmp_path: Path) -> None:
    write(tmp_path, batch=SHIPPED)
    (tmp_path / name).write_text("amends: 1\n", encoding="utf-8")
    assert problems_of(tmp_path) == [f"{name}: list files end with .yaml; rename it, or move it away"]


def test_only_visible_ignored_files_are_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, batch=SHIPPED)
    for name in ("notes.txt", "amendment.json", ".batch-1.yaml.swp", "batch.yaml~", "#batch.yaml#"):
        (tmp_path / name).write_text("x", encoding="utf-8")
    assert validate_list(tmp_path, "text") == 0
    said = capsys.readouterr().err
    assert "not read, as list files end with .yaml: amendment.json, notes.txt\n" in said


def test_reload_refuses_file_names_that_are_not_utf8(tmp_path: Path) -> None:
    watch = ListWatch(write(tmp_path, batch=SHIPPED))
    name = os.fsencode(tmp_path) + b"/" + "修订.yaml".encode("gbk")
    Path(os.fsdecode(name)).write_text(yaml.safe_dump(AMENDMENT, allow_unicode=True), encoding="utf-8")
    assert [watch.reload(), watch.reload()] == [ReloadResult.NOTHING_NEW, ReloadResult.REFUSED]
    (problem,) = watch.problems
    assert "the file's name is not UTF-8 but seems to be GBK (修订.yaml); rename it" in problem
    problem.encode()  # it can be logged and printed
    assert len(watch.current.editions) == 1
    os.rename(name, tmp_path / "修订.yaml")
    assert [watch.reload(), watch.reload()] == [ReloadResult.NOTHING_NEW, ReloadResult.LOADED]
    assert len(watch.current.editions) == 2


@pytest.mark.parametrize("name", ["a.YAML", "x.yaml.txt"])
def test_reload_refuses_a_file_with_a_wrong_name(name: str, tmp_path: Path) -> None:
    watch = ListWatch(write(tmp_path, batch=SHIPPED))
    (tmp_path / name).write_text("amends: 1\n", encoding="utf-8")
    assert [watch.reload(), watch.reload()] == [ReloadResult.NOTHING_NEW, ReloadResult.REFUSED]
    assert watch.problems == [f"{name}: list files end with .yaml; rename it, or move it away"]


def test_worker_keeps_the_list_when_the_folder_goes(tmp_path: Path) -> None:
    folder = tmp_path / "list"
    folder.mkdir()
    watch = ListWatch(write(folder, batch=SHIPPED))
    folder.rename(tmp_path / "gone")
    assert [watch.reload(), watch.reload()] == [ReloadResult.NOTHING_NEW, ReloadResult.REFUSED]
    assert "does not exist" in watch.problems[0]
    assert watch.current.editions


def test_an_unusable_list_folder_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert "does not exist" in problems_of(tmp_path / "nowhere")[0]
    assert "is not a folder" in problems_of(tmp_path / "file")[0]
    write(tmp_path, batch=SHIPPED)
    os.mkfifo(tmp_path / "pipe.yaml")  # reading one waits for ever
    assert problems_of(tmp_path) == ["pipe.yaml: not a file"]
