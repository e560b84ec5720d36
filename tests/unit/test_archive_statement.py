"""``gateway audit --archive`` with ``--export`` and ``--statement``: differences are placed, and what an
archive does not have is none."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.adapters.settings import Settings
from gateway.cli.main import app
from gateway.contract.outputs import digest
from gateway.core.digest import canonical
from gateway.errors import UsageError
from gateway.operate.archive.audit import Export, audit_archive
from gateway.operate.archive.expire import expire
from gateway.operate.archive.parquet import read_rows, write_rows
from gateway.operate.archive.rows import COLUMNS
from gateway.operate.archive.statement_check import check_archive_statement
from gateway.operate.audit import account
from gateway.operate.audit.statement import read_statement
from gateway.operate.times import parse_since, parse_until
from tests.archives import ArchivedLanes, shipped

DAYS = ("2026-11-21", "2026-11-22", "2026-11-23")
PER_DAY = 120
LANE, TOPIC = "sichuan.display-0", "chongqing.verification"


def make(folder: Path, **kind: Any) -> Path:
    """Three days of both lanes, the last one not closed; on the second one Sichuan's first rejections of
    the first day were put through again."""
    lanes = ArchivedLanes(shipped(), folder, **kind)
    for number, day in enumerate(DAYS):
        lanes.write_day(day, PER_DAY, seed=number + 1, closes=False)
        if number == 1:
            lanes.redrive(lanes.lanes[0], day)
        if number < 2:
            lanes.close_day(day)
    return folder


@pytest.fixture(scope="module", autouse=True)
def _small_blocks() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(account, "RECORDS_A_BLOCK", 10)
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("made") / "archive")


@pytest.fixture
def archive(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "archive"))


def export(archive: Path, path: Path, since: str | None, until: str | None, expect: int = 0) -> dict[str, Any]:
    times = parse_since(since), parse_until(until)
    assert audit_archive(shipped(), str(archive), *times, 0.0, "json", Export(path, "值班室")) == expect
    return dict(json.loads(path.read_bytes()))


def check(archive: Path, path: Path, capsys: Any, settings: Settings | None = None) -> dict[str, Any]:
    """What the check says; its exit code must say the same."""
    capsys.readouterr()
    code = check_archive_statement(settings or shipped(), str(archive), path, "json")
    found = dict(json.loads(capsys.readouterr().out))
    assert (code == 0) is found["ok"]
    return found


def output_of(statement: dict[str, Any], topic: str) -> dict[str, Any]:
    (found,) = [each for each in statement["outputs"] if each["topic"] == topic]
    return dict(found)


def change(path: Path, statement: dict[str, Any]) -> None:
    """Write a changed statement with its digest."""
    path.write_text(json.dumps(statement), encoding="utf-8")
    statement = json.loads(path.read_bytes())
    del statement["digest"]
    path.write_text(json.dumps(statement | {"digest": digest("sha256", [canonical(statement)])}), encoding="utf-8")


def test_a_past_day_is_stated_as_another_archives(archive: Path, tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "statement.json"
    stated = export(archive, path, DAYS[1], DAYS[1])
    assert (stated["signed_by"], stated["archive"]) == (
        "值班室", {"first_day": DAYS[1], "last_day": DAYS[1], "lacking": []},
    )  # fmt: skip
    assert (parse_since(stated["since"]), parse_until(stated["until"])) == (parse_since(DAYS[1]), parse_until(DAYS[1]))
    lane = next(each for each in stated["lanes"] if each["topic"] == "sichuan.display")
    sent = output_of(stated, TOPIC)
    assert sent["records"] == lane["outcomes"]["forward"] == sum(each["records"] for each in sent["blocks"])
    redriven = [
        each["records"] for topic in (TOPIC, "sichuan.rejection") for each in output_of(stated, topic)["redriven"]
    ]
    assert redriven == [1, 1]
    # Cut into other segments, by another archiver.
    other = make(tmp_path / "other", per_segment=3)
    for each in (archive, other):
        found = check(each, path, capsys)
        assert found["findings"] == []
        assert (found["ok"], found["absent"], found["archive"]["not_compared"]) == (True, [], [])
        assert found["records"] == sum(each["records"] for each in stated["outputs"]) + 2
    page = path.with_suffix(".md").read_text(encoding="utf-8")
    assert f"依据归档 from the archive of: {DAYS[1]} – {DAYS[1]}" in page


def test_a_difference_is_placed(archive: Path, tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "statement.json"
    export(archive, path, DAYS[1], DAYS[1])
    segment = min((archive / DAYS[1] / LANE).iterdir())
    file = segment / "verifications.parquet"
    names, rows = list(COLUMNS[file.name]), list(read_rows(file.name, file.read_bytes()))
    place = names.index("value")
    changed = (
        *rows[1][:place],
        rows[1][place].replace(b'"region_code":"5', b'"region_code":"6'),
        *rows[1][place + 1 :],
    )
    content = write_rows(file.name, [rows[0], changed, *rows[2:]])
    file.write_bytes(content)
    manifest = json.loads((segment / "manifest.json").read_bytes())
    (facts,) = [each for each in manifest["files"] if each["name"] == file.name]
    facts |= {"bytes": len(content), "digest": digest("sm3", [content])}
    (segment / "manifest.json").write_bytes(canonical(manifest))
    of_blocks = [each for each in check(archive, path, capsys)["findings"] if "block" in each["detail"]]
    assert [(each["kind"], each["topic"], each["partition"]) for each in of_blocks] == [("altered", TOPIC, 0)]
    assert of_blocks[0]["path"] == str(file.relative_to(archive))
    assert of_blocks[0]["offset"] == rows[0][2]
    assert of_blocks[0]["detail"].startswith("block 1 of ")


@pytest.mark.parametrize("lacks", ["a block", "a redrive", "another redrive"])
def test_what_only_one_side_has_is_a_difference(archive: Path, tmp_path: Path, capsys: Any, lacks: str) -> None:
    path = tmp_path / "statement.json"
    stated = export(archive, path, *((DAYS[0], DAYS[2]) if lacks == "a redrive" else (DAYS[1], DAYS[1])))
    if lacks == "a block":
        output_of(stated, TOPIC)["blocks"].pop()
    redriven = output_of(stated, "sichuan.rejection")["redriven"]
    if lacks == "a redrive":
        redriven.clear()
    if lacks == "another redrive":
        redriven.append(redriven[0] | {"entry": "f" * 32})
    change(path, stated)
    found = check(archive, path, capsys)
    kinds = {(each["kind"], each["topic"]) for each in found["findings"]}
    assert (
        kinds
        == {
            "a block": {("foreign", TOPIC)},
            "a redrive": {("foreign", "sichuan.rejection")},
            "another redrive": {("missing", "sichuan.rejection")},
        }[lacks]
    )


def test_what_is_expired_is_said_and_is_no_difference(archive: Path, tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "statement.json"
    stated = export(archive, path, None, None)
    assert expire(shipped(), str(archive), DAYS[1], dry_run=False, confirmed=True, output="json") == 0
    found = check(archive, path, capsys)
    assert (found["ok"], found["findings"]) == (True, [])
    left = found["archive"]["not_compared"]
    assert {each["why"] for each in left} == {"removed by `gateway archive expire`"}
    assert {each["topic"] for each in left} == {each["topic"] for each in stated["outputs"]}
    # Days end blocks: those of the others are compared all the same.
    later = export(archive, tmp_path / "later.json", DAYS[1], DAYS[2])
    assert found["records"] == sum(each["records"] + len(each["redriven"]) for each in later["outputs"])
    assert sum(each["records"] for each in left) == sum(
        one["records"] - other["records"] for one, other in zip(stated["outputs"], later["outputs"], strict=True)
    )
    assert check(archive, tmp_path / "later.json", capsys)["archive"]["not_compared"] == []
    assert expire(shipped(), str(archive), DAYS[2], dry_run=False, confirmed=True, output="json") == 0
    shutil.rmtree(archive / DAYS[2])
    found = check(archive, path, capsys)
    # Nothing could be compared: that is no difference, and not well either.
    assert (found["ok"], found["findings"], found["records"]) == (False, [], 0)


def test_what_is_not_archived_is_no_difference(archive: Path, tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "statement.json"
    export(archive, path, None, None)
    shutil.rmtree(archive / DAYS[2])
    found = check(archive, path, capsys)
    assert (found["ok"], found["findings"]) == (True, [])
    assert {each["why"] for each in found["archive"]["not_compared"]} == {"not archived, or not yet"}


def test_what_the_archive_lacks_its_statement_says(made: Path, archive: Path, tmp_path: Path, capsys: Any) -> None:
    assert expire(shipped(), str(archive), DAYS[2], dry_run=False, confirmed=True, output="json") == 0
    shutil.rmtree(archive / DAYS[0])
    shutil.copytree(made / DAYS[0], archive / DAYS[0])
    path = tmp_path / "statement.json"
    stated = export(archive, path, None, None)
    said = {(each["topic"], each["why"]) for each in stated["archive"]["lacking"]}
    assert (TOPIC, "removed by `gateway archive expire`") in said
    found = check(made, path, capsys)
    assert (found["ok"], found["findings"]) == (True, [])
    assert found["records"] == sum(each["records"] + len(each["redriven"]) for each in stated["outputs"])
    whole, first = export(made, tmp_path / "whole.json", None, None), stated["archive"]["lacking"][0]
    left = found["archive"]["not_compared"]
    assert {each["why"] for each in left} == {f"the statement's archive lacked them: {first['why']}"}
    assert sum(each["records"] for each in left) == sum(
        one["records"] - other["records"] for one, other in zip(whole["outputs"], stated["outputs"], strict=True)
    )
    assert "归档缺失" in path.with_suffix(".md").read_text(encoding="utf-8")
    with pytest.raises(UsageError, match="nothing of that period"):
        export(archive, path, DAYS[1], DAYS[1])


def test_another_deployments_archive_is_refused(archive: Path, tmp_path: Path) -> None:
    path = tmp_path / "statement.json"
    export(archive, path, None, None)
    other = shipped().model_copy(update={"topic_prefix": "test."})
    with pytest.raises(UsageError, match="topic_prefix"):
        check_archive_statement(other, str(archive), path, "json")


def test_a_statement_without_the_archives_part_keeps_its_digest(archive: Path, tmp_path: Path) -> None:
    path = tmp_path / "statement.json"
    stated = export(archive, path, None, None)
    del stated["archive"]
    change(path, stated)
    read = read_statement(path)
    assert read.archive is None
    assert "archive" not in json.loads(read.as_json())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--every", "5"], "--every"),
        (["--statement", "s.json", "--since", DAYS[0]], "--statement says itself"),
        (["--statement", "s.json", "--export", "t.json"], "--statement says itself"),
        (["--statement", "s.json", "--prove"], "--statement says itself"),
        (["--signed-by", "值班室"], "--signed-by belongs to --export"),
        (["--statement", "s.json"], "s.json cannot be read"),
    ],
)
def test_what_does_not_go_together_is_refused(archive: Path, options: list[str], message: str) -> None:
    done = CliRunner().invoke(app, ["audit", "--archive", str(archive), *options])
    assert isinstance(done.exception, UsageError)
    assert message in str(done.exception)
