"""``gateway audit --archive`` of manifests, closings, lists, settings: what is forged or removed is
found."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.contract.outputs import digest
from gateway.errors import GatewayError
from gateway.operate.archive.expire import expire
from gateway.operate.archive.layout import find_last, require_readable
from gateway.operate.archive.store import open_store
from gateway.operate.archive.trace import trace_archive
from gateway.operate.trace.query import Query
from tests.archives import ArchivedLanes, shipped
from tests.signing import settings_signing
from tests.tampering import DAYS, LANE, PER_DAY, audit, change_json, first_segment, kinds_at


def test_a_forged_manifest_is_found(archive: Path, capsys: Any) -> None:
    segment = first_segment(archive)
    change_json(archive / segment / "manifest.json", lambda content: content.update(records=1))
    found = audit(archive, capsys)
    by_entries, by_chain = found["findings"]
    assert (by_entries["kind"], by_entries["path"]) == ("altered", f"{segment}/manifest.json")
    assert by_entries["detail"].startswith("its `records` is 1, and the segment's entries say ")
    assert (by_chain["kind"], segment in by_chain["detail"]) == ("altered", True)


def test_closings_lists_and_settings_are_held_too(archive: Path, capsys: Any) -> None:
    (edition,) = (archive / "lists").iterdir()
    with (edition / "batch-1.yaml").open("a") as file:
        file.write("# a word\n")
    assert audit(archive, capsys)["ok"] is True  # the same list: a remark says nothing
    text = (edition / "batch-1.yaml").read_text(encoding="utf-8")
    (edition / "batch-1.yaml").write_text(text.replace("天府通办", "天府通", 1), encoding="utf-8")
    (stated,) = (archive / "settings").iterdir()
    stated.write_bytes(stated.read_bytes().replace(b"12", b"13", 1))
    change_json(archive / DAYS[0] / "day.json", lambda content: content.update(version="9"))
    found = audit(archive, capsys)
    assert {(each["kind"], each["path"]) for each in found["findings"]} == {
        ("altered", f"lists/{edition.name}"), ("altered", f"settings/{stated.name}"), ("altered", f"{DAYS[1]}/day.json"),
    }  # fmt: skip
    (archive / DAYS[0] / "day.json").unlink()
    assert ("missing", f"{DAYS[1]}/day.json") in {(e["kind"], e["path"]) for e in audit(archive, capsys)["findings"]}


def test_a_forger_without_the_key_is_found(tmp_path: Path, capsys: Any) -> None:
    settings = settings_signing(shipped(), tmp_path, "ed25519")
    folder = tmp_path / "archive"
    lanes = ArchivedLanes(settings, folder)
    lanes.write_day(DAYS[0], PER_DAY)
    lanes.write_day(DAYS[1], PER_DAY, seed=2, closes=False)

    def unsigned() -> set[str]:
        found = audit(folder, capsys, settings=settings)
        assert found["archive"]["signed_segments"] == found["archive"]["segments"]
        # The records of these lanes are not signed, as nobody closed their turns.
        return {each["path"] for each in found["findings"] if each["path"].endswith(".json")}

    assert unsigned() == set()
    last = max((folder / DAYS[1] / LANE).iterdir()) / "manifest.json"
    raw = last.read_bytes()
    last.write_bytes(raw.replace(b'"version":"', b'"version":"1'))
    assert unsigned() == {str(last.relative_to(folder))}
    for sealed in (
        folder / DAYS[0] / "day.json",
        *folder.glob("lists/*/edition.json"),
        *folder.glob("settings-history/*"),
    ):
        sealed.write_bytes(sealed.read_bytes().replace(b'"version":"', b'"version":"1'))
        assert str(sealed.relative_to(folder)) in unsigned()


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        (lambda closing: closing["lanes"][0].update(lane="nowhere"), "it names a lane that cannot be one"),
        (lambda closing: closing["lanes"].clear(), "its closing does not name segment"),
    ],
    ids=["no lane", "none"],
)
def test_a_forged_closing_is_found(archive: Path, capsys: Any, change: Callable[[Any], object], detail: str) -> None:
    change_json(archive / DAYS[1] / "day.json", change)
    assert [each for each in audit(archive, capsys)["findings"] if detail in each["detail"]]


def test_a_manifest_that_names_another_file_is_found(archive: Path, capsys: Any) -> None:
    manifest = max((archive / DAYS[2] / LANE).iterdir()) / "manifest.json"
    (manifest.with_name("notes.txt")).write_bytes(b"x")
    added = {"name": "notes.txt", "rows": 1, "bytes": 1, "digest": digest("sm3", [b"x"])}
    change_json(manifest, lambda content: content["files"].append(added))
    assert kinds_at(audit(archive, capsys), str(manifest.relative_to(archive))) == {"altered"}


@pytest.mark.parametrize("what", ["the folder", "its description"])
def test_a_list_that_is_removed_is_missed(archive: Path, capsys: Any, what: str) -> None:
    (edition,) = (archive / "lists").iterdir()
    shutil.rmtree(edition) if what == "the folder" else (edition / "edition.json").unlink()
    (finding,) = audit(archive, capsys)["findings"]
    assert (finding["kind"], finding["path"]) == ("not_archived", f"lists/{edition.name}")
    assert "names this list" in finding["detail"]


def test_a_settings_history_that_is_removed_is_missed(archive: Path, capsys: Any) -> None:
    shutil.rmtree(archive / "settings-history")
    shutil.rmtree(archive / "settings")
    found = audit(archive, capsys)
    assert {(each["kind"], each["path"]) for each in found["findings"]} == {("missing", "settings-history")}


def newest_manifest(archive: Path) -> Path:
    """The manifest that no other one is chained to, and no closing names."""
    return max((archive / DAYS[2] / LANE).iterdir()) / "manifest.json"


DIGEST = "sha256:" + 64 * "0"


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"written": "yesterday"}, "its `written` is not a time (RFC 3339)"),
        ({"first_received": ""}, "its `first_received` is not a time (RFC 3339)"),
        ({"last_received": "2026-11-23"}, "its `last_received` is not a time (RFC 3339)"),
        ({"province": "chongqing"}, "its `topic`, `partition` and `province` are not those of its lane"),
        ({"partition": 1}, "its `topic`, `partition` and `province` are not those of its lane"),
        ({"lists": ["../../x"]}, "its `lists` is not a digest"),
        ({"settings": "none"}, "its `settings` is not a digest"),
        ({"chain_head": ""}, "its `chain_head` is not a digest"),
        ({"previous": "sm3:0"}, "its `previous` is not a digest"),
        ({"files": [{"name": "../x", "rows": 1, "bytes": 1, "digest": DIGEST}]}, "it names a file that cannot be one, or one twice"),
        ({"lane": "nowhere"}, "it names a lane or a segment that cannot be one"),
        ({"topic_id": "B" * 22}, f"its `topic_id` is {'B' * 22}, and the segment's entries say {'A' * 22}"),
        ({"ledger": "other"}, "its `ledger` is other, and the segment's entries say gateway.ledger"),
        ({"ledger_first": 0}, "its `ledger_first` is 0, "),
        ({"records": 1}, "its `records` is 1, "),
        ({"entries": 1}, "its `entries` is 1, "),
        ({"unaccounted": 9}, "its `unaccounted` is 9, and the segment's entries say 0"),
        ({"outcomes": {}}, "its `outcomes` is {}, "),
        ({"epoch": 1}, "its `epoch` is 1, and the segment's entries say 0"),
        ({"input_first": None}, "its `input_first` is None, "),
        ({"last_received": "2026-11-29T00:00:00Z"}, "its `last_received` is 2026-11-29T00:00:00Z, "),
        ({"lists": [DIGEST]}, f"its `lists` is ['{DIGEST}'], "),
        ({"next": {"ledger": 9999, "epoch": 0, "input": 9999, "outputs": {}}}, "its `next` is not where the segment's entries end"),
    ],
)  # fmt: skip
def test_no_field_may_say_what_it_likes(archive: Path, capsys: Any, change: dict[str, Any], detail: str) -> None:
    """Unsigned, and the newest one: nothing but its own segment can say that it was changed."""
    path = newest_manifest(archive)
    change_json(path, lambda content: content.update(change))
    found = audit(archive, capsys)
    named = [each["detail"] for each in found["findings"] if each["path"] == str(path.relative_to(archive))]
    assert [each for each in named if each.startswith(detail)]
    assert {each["kind"] for each in found["findings"]} <= {"altered", "not_archived", "missing", "broken_link"}


def test_where_the_lane_goes_on_is_checked(archive: Path, capsys: Any) -> None:
    path = newest_manifest(archive)
    change_json(path, lambda content: content["next"]["outputs"].clear())
    (finding,) = audit(archive, capsys)["findings"]
    assert finding["detail"].startswith("its `next` is not behind offset ")


def test_a_files_size_is_held_against_the_file(archive: Path, capsys: Any) -> None:
    path = newest_manifest(archive)
    change_json(path, lambda content: content["files"][0].update(rows=1_000))
    (finding,) = audit(archive, capsys)["findings"]
    assert (finding["kind"], finding["path"]) == ("altered", str(path.relative_to(archive)))
    assert finding["detail"] == "it says another number of rows or bytes of ledger.parquet than the file has"


@pytest.mark.parametrize("kind", ["day.json", "expired.json", "edition.json", "settings-history"])
def test_what_else_is_sealed_has_a_time_too(archive: Path, capsys: Any, kind: str) -> None:
    expire(shipped(), str(archive), DAYS[1], dry_run=False, confirmed=True, output="json")
    path = {
        "day.json": archive / DAYS[1] / "day.json",
        "expired.json": archive / DAYS[0] / "expired.json",
        "edition.json": next(archive.glob("lists/*/edition.json")),
        "settings-history": archive / "settings-history" / "000001.json",
    }[kind]
    change_json(path, lambda content: content.update(written="soon"))
    (finding,) = audit(archive, capsys)["findings"]
    assert (finding["kind"], finding["path"]) == ("altered", str(path.relative_to(archive)))
    assert finding["detail"] == "its `written` is not a time (RFC 3339)"


def test_who_reads_a_wrong_manifest_is_told(archive: Path, capsys: Any) -> None:
    path = newest_manifest(archive)
    change_json(path, lambda content: content.update(written="soon"))
    store = open_store(str(archive))
    found = find_last(store, LANE)
    assert found is not None
    with pytest.raises(GatewayError, match=r"manifest\.json: its `written` is not a time \(RFC 3339\); `gateway audit"):
        require_readable(store, found)
    story, code = trace_archive(shipped(), str(archive), Query("nobody"))
    assert (code, [each["why"] for each in story["searched"]["unread"]]) == (
        1,
        ["its `written` is not a time (RFC 3339)"],
    )


def test_an_unusable_manifest_is_not_called_missing(archive: Path, capsys: Any) -> None:
    path = archive / first_segment(archive) / "manifest.json"
    change_json(path, lambda content: content.update(written="soon"))
    kinds = {
        (each["kind"], each["path"] == str(path.relative_to(archive))) for each in audit(archive, capsys)["findings"]
    }
    assert kinds == {("altered", True), ("altered", False)}  # it, and the one that was written after another
