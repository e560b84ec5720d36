"""``gateway archive expire``: data go, what proves them stays; killed anywhere, nothing is missing."""

import itertools
import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from gateway.core.digest import canonical
from gateway.operate.archive.expire import expire
from gateway.operate.archive.parquet import read_rows
from gateway.operate.archive.rows import COLUMNS, VERIFICATIONS
from gateway.operate.archive.trace import trace_archive
from gateway.operate.trace.query import Query
from tests.archives import ArchivedLanes, shipped
from tests.tampering import DAYS, LANE, PER_DAY, audit, change_json, first_segment, kinds_at


def test_what_is_removed_by_expire_is_no_finding(archive: Path, capsys: Any) -> None:
    settings = shipped()
    kept = expire(settings, str(archive), DAYS[1], dry_run=True, confirmed=True, output="json")
    plan = json.loads(capsys.readouterr().out)
    assert (kept, plan["days"], plan["removed"]) == (0, [DAYS[0]], False)
    assert audit(archive, capsys)["archive"]["expired_segments"] == 0
    assert expire(settings, str(archive), "2026-12-01", dry_run=False, confirmed=True, output="json") == 0
    done = json.loads(capsys.readouterr().out)
    assert (done["days"], done["left"], done["removed"]) == ([DAYS[0], DAYS[1]], [DAYS[2]], True)
    assert not list((archive / DAYS[0]).rglob("*.parquet"))
    found = audit(archive, capsys, prove=1)
    assert found["findings"] == []
    assert (found["offsets"], found["archive"]["expired_days"]) == (PER_DAY, 2)
    assert found["archive"]["expired_segments"] == len(list((archive / DAYS[0]).rglob("manifest.json"))) + len(
        list((archive / DAYS[1]).rglob("manifest.json"))
    )
    # The manifests that stay are still held against each other.
    change_json(archive / first_segment(archive) / "manifest.json", lambda content: content.update(records=1))
    assert [each["kind"] for each in audit(archive, capsys)["findings"]] == ["altered"]


@pytest.mark.parametrize(
    ("day", "before"), [(DAYS[2], "2026-12-01"), (DAYS[0], DAYS[0])], ids=["not closed", "not meant"]
)
def test_a_forged_expiry_is_found(archive: Path, capsys: Any, day: str, before: str) -> None:
    expire(shipped(), str(archive), DAYS[1], dry_run=False, confirmed=True, output="json")
    content = json.loads((archive / DAYS[0] / "expired.json").read_bytes())
    for path in (archive / day).rglob("*.parquet"):
        path.unlink()
    (archive / day / "expired.json").write_bytes(canonical(content | {"day": day, "before": before}))
    assert kinds_at(audit(archive, capsys), f"{day}/expired.json")


def test_killed_anywhere_nothing_is_missing(tmp_path: Path, capsys: Any) -> None:
    """An expiry that is killed at each of its steps: the audit finds nothing, and the next one ends it."""
    lanes = ArchivedLanes(shipped(), tmp_path / "made")
    lanes.write_day(DAYS[0], 12)
    lanes.write_day(DAYS[1], 12, seed=2)
    partly = 0
    for step in itertools.count(1):
        archive = Path(shutil.copytree(tmp_path / "made", tmp_path / str(step)))
        is_killed = die_at(step, archive)
        found = audit(archive, capsys)
        assert found["findings"] == [], f"killed at step {step}"
        partly += found["archive"]["expiring_segments"] > 0
        if not is_killed:
            break
        assert expire(shipped(), str(archive), DAYS[1], dry_run=False, confirmed=True, output="json") == 0
        assert not list((archive / DAYS[0]).rglob("*.parquet"))
        assert not list(archive.rglob("*.part"))
    assert partly > 4


def die_at(step: int, archive: Path) -> bool:
    """Expire the first day in a process that is killed at its n-th step of writing; tell whether it got
    there."""
    child = os.fork()
    if child == 0:
        left = [step]

        def dying(real: Any) -> Any:
            def change(*arguments: Any, **more: Any) -> Any:
                left[0] -= 1
                if not left[0]:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*arguments, **more)

            return change

        for name in ("fsync", "link", "unlink"):
            setattr(os, name, dying(getattr(os, name)))
        try:
            expire(shipped(), str(archive), DAYS[1], dry_run=False, confirmed=True, output="json")
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def test_who_expires_is_told_what_stays(archive: Path, capsys: Any) -> None:
    (archive / DAYS[0] / LANE / "000001" / "manifest.json").write_bytes(b"{}")
    assert expire(shipped(), str(archive), DAYS[1], dry_run=False, confirmed=True, output="text") == 1
    said = capsys.readouterr().err
    assert f"{DAYS[0]}/{LANE}/000001: it has no manifest that can be read: its files stay" in said
    assert {each.parent.name for each in (archive / DAYS[0]).rglob("*.parquet")} == {"000001"}


def test_a_trace_says_what_has_expired(archive: Path, capsys: Any) -> None:
    """It is no file that could not be read: the answer is complete, as far as anything is kept."""
    names = list(COLUMNS[VERIFICATIONS])
    path = next((archive / DAYS[0]).rglob(VERIFICATIONS))
    event = next(iter(read_rows(VERIFICATIONS, path.read_bytes())))[names.index("event_id")]
    story, code = trace_archive(shipped(), str(archive), Query(event))
    assert (len(story["occurrences"]), story["searched"]["expired"], code) == (1, [], 0)
    assert expire(shipped(), str(archive), DAYS[1], dry_run=False, confirmed=True, output="json") == 0
    capsys.readouterr()
    story, code = trace_archive(shipped(), str(archive), Query(event))
    assert (story["occurrences"], story["searched"]["unread"], code) == ([], [], 0)
    assert story["searched"]["expired"] == [DAYS[0]]
    assert f"data of 1 day ({DAYS[0]} to {DAYS[0]}) were removed" in capsys.readouterr().err.replace("\n", " ")
