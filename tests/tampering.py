"""What tests of the archive's audit share: an archive of three days, changes of it, what the audit says."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.adapters.settings import Settings
from gateway.contract.outputs import digest
from gateway.core.digest import canonical
from gateway.operate.archive.audit import audit_archive
from gateway.operate.archive.parquet import read_rows, write_rows
from gateway.operate.archive.rows import COLUMNS
from tests.archives import shipped

DAYS = ("2026-11-21", "2026-11-22", "2026-11-23")
PER_DAY = 60
LANE = "sichuan.display-0"
Rows = list[dict[str, Any]]


def audit(
    archive: Path, capsys: pytest.CaptureFixture[str], *, prove: float = 0.0, since: int | None = None,
    until: int | None = None, settings: Settings | None = None,
) -> dict[str, Any]:  # fmt: skip
    """The audit's object; its exit code must say the same."""
    capsys.readouterr()
    code = audit_archive(settings or shipped(), str(archive), since, until, prove, "json")
    found = dict(json.loads(capsys.readouterr().out))
    assert (code == 0) is found["ok"]
    return found


def change_rows(path: Path, change: Callable[[Rows], object], *, forges: bool = False) -> None:
    """Write a file again with its rows changed; whoever ``forges`` lets the manifest say so too."""
    names = list(COLUMNS[path.name])
    rows = [dict(zip(names, row, strict=True)) for row in read_rows(path.name, path.read_bytes())]
    change(rows)
    content = write_rows(path.name, [tuple(row[name] for name in names) for row in rows])
    path.write_bytes(content)
    if forges:

        def forge(manifest: dict[str, Any]) -> None:
            (facts,) = [each for each in manifest["files"] if each["name"] == path.name]
            facts |= {"rows": len(rows), "bytes": len(content), "digest": digest("sm3", [content])}

        change_json(path.with_name("manifest.json"), forge)


def change_json(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(path.read_bytes())
    change(content)
    path.write_bytes(canonical(content))


def altered(name: str, old: bytes, new: bytes) -> Callable[[Rows], object]:
    """Change bytes in the first row's ``name``."""

    def change(rows: Rows) -> None:
        assert old in rows[0][name]
        rows[0][name] = rows[0][name].replace(old, new, 1)

    return change


def kinds_at(found: dict[str, Any], path: str) -> set[str]:
    return {each["kind"] for each in found["findings"] if each["path"].startswith(path)}


def first_segment(archive: Path) -> str:
    return str(min((archive / DAYS[1] / LANE).iterdir()).relative_to(archive))
