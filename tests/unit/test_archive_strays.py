"""``gateway audit --archive``: what lies in an archive, and no archiver has put there, is named."""

from pathlib import Path
from typing import Any

import pytest

from gateway.core.digest import canonical, sha256
from tests.archives import shipped
from tests.tampering import DAYS, LANE, audit


def put(archive: Path, path: str) -> None:
    (archive / path).parent.mkdir(parents=True, exist_ok=True)
    (archive / path).write_bytes(b"x")


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("README.txt", None),
        ("ledger.parquet", None),
        (f"{DAYS[1]} copy/{LANE}/000001/verifications.parquet", f"{DAYS[1]} copy"),
        (f".{DAYS[1]}/{LANE}/000001/verifications.parquet", f".{DAYS[1]}"),
        (f"{DAYS[1]}/notes.txt", None),
        (f"{DAYS[1]}/.lane/000001/verifications.parquet", f"{DAYS[1]}/.lane"),
        (f"{DAYS[1]}/no lane/000001/verifications.parquet", f"{DAYS[1]}/no lane"),
        (f"{DAYS[1]}/{LANE}/verifications.parquet", None),
        (f"{DAYS[1]}/{LANE}/1/verifications.parquet", f"{DAYS[1]}/{LANE}/1"),
        (f"{DAYS[1]}/{LANE}/0000001/verifications.parquet", f"{DAYS[1]}/{LANE}/0000001"),
        (f"{DAYS[1]}/{LANE}/.1/verifications.parquet", f"{DAYS[1]}/{LANE}/.1"),
        (f"{DAYS[0]}/{LANE}/000001/copy.parquet", None),
        (f"{DAYS[2]}/{LANE}/000099/notes.txt", None),
        ("lists/README", None),
        ("lists/sha256-0/batch-1.yaml", "lists/sha256-0"),
        ("settings/copy.json", None),
        ("settings/.more/copy.json", "settings/.more"),
        ("settings-history/000009.txt", None),
    ],
)  # fmt: skip
def test_what_nobody_archived_is_named(archive: Path, capsys: Any, path: str, named: str | None) -> None:
    put(archive, path)
    (finding,) = audit(archive, capsys)["findings"]
    kind = "altered" if path.startswith("settings-history") else "foreign"
    assert (finding["kind"], finding["path"]) == (kind, named or path)


def test_a_file_beside_an_editions_is_named(archive: Path, capsys: Any) -> None:
    (edition,) = (archive / "lists").iterdir()
    put(archive, f"lists/{edition.name}/notes.txt")
    (finding,) = audit(archive, capsys)["findings"]
    assert (finding["kind"], finding["path"]) == ("foreign", f"lists/{edition.name}/notes.txt")


def test_settings_that_nobody_was_under_are_named(archive: Path, capsys: Any) -> None:
    content = canonical(shipped().model_dump(mode="json") | {"topic_prefix": "x."})
    path = f"settings/{sha256(content).replace(':', '-')}.json"
    (archive / path).write_bytes(content)
    (finding,) = audit(archive, capsys)["findings"]
    assert (finding["kind"], finding["path"]) == ("foreign", path)
    assert "no entry of the settings' history names it" in finding["detail"]


def test_an_entry_of_the_history_stands_at_its_number(archive: Path, capsys: Any) -> None:
    (archive / "settings-history" / "000001.json").rename(archive / "settings-history" / "000002.json")
    assert ("foreign", "settings-history/000002.json") in {
        (each["kind"], each["path"]) for each in audit(archive, capsys)["findings"]
    }


def test_what_others_rightly_leave_is_not_named(archive: Path, capsys: Any) -> None:
    """Locks and leases, what an archiver was writing when it was killed, what file systems and editors
    leave."""
    for path in (
        ".archive.lock",
        ".archive.lease",
        f"{DAYS[0]}/{LANE}/000001/.inputs.parquet.0123abcd.part",
        f"{DAYS[1]}/.nfs000000000001",
        "lists/.batch-1.yaml.swp",
        f"{DAYS[2]}/{LANE}/000099/inputs.parquet",
        ".snapshot/hourly.0/copy",
    ):
        put(archive, path)
    (archive / "lost+found").mkdir(mode=0o700)
    found = audit(archive, capsys)
    assert found["findings"] == []
    assert found["archive"]["unfinished_segments"] == 1
