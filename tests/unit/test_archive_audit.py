"""``gateway audit --archive``: what somebody does to an archive is found, and named with its place."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiokafka.structs import ConsumerRecord

from gateway.contract.ledger_entry import Previous
from gateway.errors import UsageError
from gateway.operate.archive.audit import audit_archive
from gateway.operate.archive.expire import expire
from gateway.operate.archive.parquet import read_rows
from gateway.operate.archive.rows import COLUMNS
from gateway.operate.archive.store import open_store
from gateway.operate.archive.trace import trace_archive
from gateway.operate.times import parse_since
from gateway.operate.trace.query import Query
from tests.archives import ArchivedLanes, shipped
from tests.tampering import DAYS, LANE, PER_DAY, Rows, altered, audit, change_rows, first_segment, kinds_at


def test_an_untouched_archive_proves_itself(archive: Path, capsys: Any) -> None:
    found = audit(archive, capsys, prove=1)
    assert found["findings"] == []
    assert (found["ok"], found["offsets"], found["proved"]) == (True, 3 * PER_DAY, 3 * PER_DAY)
    assert found["unprovable"] == {}
    about = found["archive"]
    assert (about["first_day"], about["last_day"], about["closed_until"]) == (DAYS[0], DAYS[2], DAYS[1])
    assert about["head"]["day"] == DAYS[1]


@pytest.mark.parametrize("forges", [False, True], ids=["the file alone", "the manifest too"])
@pytest.mark.parametrize(
    ("file", "change", "kind"),
    [
        ("verifications.parquet", altered("value", b'"region_code":"5', b'"region_code":"6'), "altered"),
        ("verifications.parquet", lambda rows: rows[0].update(region="510100"), "altered"),
        ("verifications.parquet", lambda rows: rows.pop(0), "missing"),
        ("verifications.parquet", lambda rows: rows.append(rows[0]), "doubled"),
        ("ledger.parquet", altered("value", b'"outputs":', b'"outputs":1'), "broken_link"),
        ("ledger.parquet", lambda rows: rows.pop(0), "broken_link"),
        ("inputs.parquet", lambda rows: rows[0].update(timestamp=rows[0]["timestamp"] + 1), "unaccounted"),
        ("inputs.parquet", lambda rows: rows.pop(0), "missing"),
        ("inputs.parquet", lambda rows: rows[0].update(value=b"{}"), "altered"),
        ("inputs.parquet", lambda rows: rows[0].update(outcome="forward" * 2), "altered"),
        ("rejections.parquet", lambda rows: rows[0].update(entry=70_000), "foreign"),
    ],
    ids=["value", "column", "removed", "doubled", "entry", "no entry", "input", "no input", "bytes", "outcome", "moved"],
)  # fmt: skip
def test_an_altered_row_is_found(
    archive: Path, capsys: Any, file: str, change: Callable[[Rows], object], kind: str, *, forges: bool
) -> None:
    path = next(each / file for each in sorted((archive / DAYS[1] / LANE).iterdir()) if (each / file).exists())
    segment = str(path.parent.relative_to(archive))
    change_rows(path, change, forges=forges)
    found = audit(archive, capsys)
    assert found["ok"] is False
    assert kind in kinds_at(found, segment)
    if not forges:
        assert "altered" in kinds_at(found, f"{segment}/{file}")
    else:
        # The manifest behind it, or the day's closing, was written after another one.
        chained = [each["detail"] for each in found["findings"] if "not the one" in each["detail"]]
        assert chained


def test_entries_lost_before_the_archive_began_are_named(tmp_path: Path, capsys: Any) -> None:
    lanes = ArchivedLanes(shipped(), tmp_path)
    lanes._previous = dict.fromkeys(lanes.lanes, Previous(None, 1))
    lanes.write_day(DAYS[0], 20)
    found = audit(tmp_path, capsys)
    assert {(each["kind"], each["detail"]) for each in found["findings"]} == {
        ("broken_link", "the entry does not follow from the lane's entry before it")
    }
    assert len(found["findings"]) == len(lanes.lanes)


def test_files_that_are_dropped_or_added_are_named(archive: Path, capsys: Any) -> None:
    segment = first_segment(archive)
    (archive / segment / "verifications.parquet").unlink()
    (archive / segment / "notes.txt").write_text("x")
    found = audit(archive, capsys)
    assert {(each["kind"], each["path"]) for each in found["findings"]} == {
        ("missing", f"{segment}/verifications.parquet"), ("foreign", f"{segment}/notes.txt"),
    }  # fmt: skip
    topic = {each["topic"] for each in found["findings"]}
    assert topic == {LANE.rpartition("-")[0]}


def test_days_that_change_places_are_found(archive: Path, capsys: Any) -> None:
    one, other = archive / DAYS[0], archive / DAYS[1]
    one.rename(archive / "aside")
    other.rename(one)
    (archive / "aside").rename(other)
    found = audit(archive, capsys)
    assert kinds_at(found, f"{DAYS[0]}/day.json") == {"foreign"}
    assert "foreign" in kinds_at(found, f"{DAYS[0]}/{LANE}")
    assert "foreign" in kinds_at(found, f"{DAYS[1]}/{LANE}")


@pytest.mark.parametrize("which", ["first", "last"])
def test_a_segment_that_is_removed_is_missed(archive: Path, capsys: Any, which: str) -> None:
    segments = sorted((archive / DAYS[1] / LANE).iterdir())
    gone = segments[0 if which == "first" else -1]
    shutil.rmtree(gone)
    found = audit(archive, capsys)
    assert found["missing"] >= 1
    named = [each["detail"] for each in found["findings"] if each["kind"] == "missing"]
    if which == "last":
        assert any(f"{DAYS[1]}/day.json names this segment" in each for each in named)
    assert any(f"segments {int(gone.name)} to {int(gone.name)} are not there" in each for each in named)


def test_a_days_whole_lane_that_is_removed_is_missed(archive: Path, capsys: Any) -> None:
    for day in DAYS[1:]:
        shutil.rmtree(archive / day / LANE)
    found = audit(archive, capsys)
    assert [each["detail"] for each in found["findings"] if "names this segment" in each["detail"]]


def test_a_period_looks_at_its_days_only(archive: Path, capsys: Any) -> None:
    (archive / first_segment(archive) / "verifications.parquet").unlink()
    begin = parse_since(DAYS[2])
    found = audit(archive, capsys, since=begin, prove=1)
    assert (found["ok"], found["offsets"], found["proved"]) == (True, PER_DAY, PER_DAY)
    assert audit(archive, capsys, until=begin)["missing"] > 0


def test_without_bytes_decisions_are_not_proved(tmp_path: Path, capsys: Any) -> None:
    lanes = ArchivedLanes(shipped(), tmp_path)
    lanes.write_day(DAYS[0], PER_DAY)
    found = audit(tmp_path, capsys, prove=1)
    assert (found["ok"], found["proved"]) == (True, 0)
    assert found["unprovable"] == {"the inputs' bytes are not archived (archive.input_bytes)": PER_DAY}
    for path in tmp_path.rglob("inputs.parquet"):
        assert all(row[-1] is None and row[-2] is None for row in read_rows("inputs.parquet", path.read_bytes()))


def test_keys_that_may_be_names_are_left_out(tmp_path: Path, capsys: Any) -> None:
    settings = shipped()
    lanes = ArchivedLanes(settings, tmp_path)
    real = lanes._place
    lanes._place = lambda topic, at, key, value, headers: real(  # type: ignore[method-assign]
        topic, at, b"zhang san" if topic == "sichuan.display" and lanes._offsets[topic] == 3 else key, value, headers
    )
    lanes.write_day(DAYS[0], PER_DAY)
    assert not any(b"zhang san" in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    rows = [row for path in tmp_path.rglob("inputs.parquet") for row in read_rows("inputs.parquet", path.read_bytes())]
    names = list(COLUMNS["inputs.parquet"])
    withheld = [row for row in rows if row[names.index("key_digest")] is not None]
    assert [row[names.index("offset")] for row in withheld] == [3]
    assert withheld[0][names.index("key")] is None
    found = audit(tmp_path, capsys)
    assert (found["ok"], found["archive"]["keys_withheld"]) == (True, 1)


@pytest.mark.parametrize(
    ("key", "ref"),
    [(b"zhang san", None), (b"zhang san", "zhang san"), (b"zhang san", "li si"), (b"", None), (None, "li si")],
    ids=["of nobody", "as the event has it", "of another", "empty", "none"],
)
def test_decisions_on_withheld_keys_are_proved(key: bytes | None, ref: str | None, tmp_path: Path, capsys: Any) -> None:
    write_with_key(tmp_path, key, ref)
    found = audit(tmp_path, capsys, prove=1)
    assert (found["findings"], found["proved"], found["unprovable"]) == ([], PER_DAY, {})
    assert found["archive"]["keys_withheld"] == int(key is not None)


def test_a_record_too_large_by_its_withheld_key(tmp_path: Path, capsys: Any) -> None:
    write_with_key(tmp_path, b"k" * 262_144, None)
    found = audit(tmp_path, capsys, prove=1)
    assert (found["findings"], found["proved"]) == ([], PER_DAY - 1)
    assert found["unprovable"] == {"the key, which counts for its size, is not archived": 1}


def write_with_key(folder: Path, key: bytes | None, ref: str | None) -> None:
    """Archive a day with bytes, on which one input of Sichuan's has this key, and this for its holder."""
    lanes = ArchivedLanes(shipped(input_bytes=True), folder)
    real = lanes._place

    def place(topic: str, at: int, own: bytes | None, value: bytes, headers: Any) -> ConsumerRecord:
        if (topic, lanes._offsets[topic]) != ("sichuan.display", 3):
            return real(topic, at, own, value, headers)
        assert own is not None
        assert own in value
        return real(topic, at, key, value if ref is None else value.replace(own, ref.encode()), headers)

    lanes._place = place  # type: ignore[method-assign]
    lanes.write_day(DAYS[0], PER_DAY)


@pytest.mark.parametrize("forges", [False, True], ids=["the file alone", "the manifest too"])
@pytest.mark.parametrize(
    ("file", "cells"),
    [
        ("ledger.parquet", {"headers": None}),
        ("ledger.parquet", {"headers": [(None, b"x")]}),
        ("inputs.parquet", {"offset": None}),
        ("inputs.parquet", {"digest": None}),
        ("verifications.parquet", {"topic": None}),
        ("verifications.parquet", {"value": None}),
        ("rejections.parquet", {"timestamp": None}),
    ],
    ids=["headers", "name of a header", "offset", "digest", "topic", "value", "timestamp"],
)
def test_a_row_that_is_no_record_is_found(
    archive: Path, capsys: Any, file: str, cells: dict[str, Any], *, forges: bool
) -> None:
    path = next(each / file for each in sorted((archive / DAYS[1] / LANE).iterdir()) if (each / file).exists())
    change_rows(path, lambda rows: rows[0].update(cells), forges=forges)
    found = audit(archive, capsys, prove=1)
    named = [each["detail"] for each in found["findings"] if each["path"] == str(path.relative_to(archive))]
    assert [each for each in named if f"its column {next(iter(cells))} lacks values" in each]


def test_days_that_are_not_archived_are_no_proof(archive: Path) -> None:
    with pytest.raises(UsageError, match="it holds 2026-11-21 to 2026-11-23"):
        audit_archive(shipped(), str(archive), parse_since("2026-12-01"), None, 0.0, "json")


def test_no_other_folder_is_taken_for_an_archive(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    with pytest.raises(UsageError, match="there is no archive"):
        audit_archive(shipped(), str(tmp_path), None, None, 0.0, "json")
    with pytest.raises(UsageError, match="there is no archive"):
        expire(shipped(), str(tmp_path), DAYS[1], dry_run=True, confirmed=True, output="json")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UsageError, match="is not a folder"):
        open_store(str(tmp_path / "file"))


def test_a_trace_does_not_trust_an_altered_file(archive: Path, capsys: Any) -> None:
    path = next(each for each in sorted((archive / DAYS[1] / LANE).rglob("verifications.parquet")))
    names = list(COLUMNS[path.name])
    event = next(iter(read_rows(path.name, path.read_bytes())))[names.index("event_id")]
    query = Query(event, None, None, None, None, None, None)
    story, code = trace_archive(shipped(), str(archive), query)
    assert (len(story["occurrences"]), story["searched"]["unread"], code) == (1, [], 0)
    change_rows(path, altered("value", b'"region_code":"5', b'"region_code":"6'))
    story, code = trace_archive(shipped(), str(archive), query)
    assert (code, {each["path"] for each in story["searched"]["unread"]}) == (1, {str(path.relative_to(archive))})
    assert str(path) in capsys.readouterr().err
    (path.with_name("manifest.json")).write_bytes(b"{}")
    story, code = trace_archive(shipped(), str(archive), query)
    manifest = str(path.with_name("manifest.json").relative_to(archive))
    assert (code, manifest) == (1, story["searched"]["unread"][0]["path"])
