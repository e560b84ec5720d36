"""What the page is told of an event that the topics no longer have: the archive's story, or why not."""

import asyncio
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from gateway.adapters.settings import Settings
from gateway.operate.archive.parquet import read_rows
from gateway.operate.archive.rows import COLUMNS
from gateway.operate.feedback.trace import look_in_archive
from tests.archives import ArchivedLanes, shipped

DAY = "2026-11-21"
TOPICS_STORY: dict[str, Any] = {
    "id": "x", "trace_id": None, "occurrences": [], "searched": {"records": 7, "unread": [], "topics": ["sichuan.display"]},
}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "archive"
    ArchivedLanes(shipped(), folder).write_day(DAY, 40)
    return folder


def archived_ids(folder: Path, file: str) -> list[str]:
    place = list(COLUMNS[file]).index("event_id")
    return [row[place] for path in sorted(folder.rglob(file)) for row in read_rows(file, path.read_bytes())]


def look(settings: Settings, event_id: str, **limit: float) -> dict[str, Any]:
    return asyncio.run(look_in_archive(settings, TOPICS_STORY, ["--", event_id], **limit))


def test_what_topics_no_longer_have_the_archive_tells(made: Path) -> None:
    settings = shipped(place=str(made))
    rejected = archived_ids(made, "rejections.parquet")[0]
    story = look(settings, rejected)
    (found,) = story["occurrences"]
    assert (found["id"], found["outcome"], found["archived_day"]) == (rejected, "reject", DAY)
    assert (story["searched"]["archive"], story["searched"]["records"]) == ("searched", 7 + 40)
    # Where the archive lies is nobody's business on the page.
    assert str(made) not in str(story)
    nobody = look(settings, "nobody")
    assert (nobody["occurrences"], nobody["searched"]["archive"]) == ([], "searched")


def test_where_nothing_is_archived_yet_nothing_is_said(made: Path, tmp_path: Path) -> None:
    """As in a volume to which no archiver has written; or of a lane of which nothing is archived."""
    assert look(shipped(place=str(tmp_path)), "x") == TOPICS_STORY
    one_lane = Path(shutil.copytree(made, tmp_path / "one"))
    shutil.rmtree(one_lane / DAY / "chongqing.display-0")
    settings = shipped(place=str(one_lane))
    found = asyncio.run(look_in_archive(settings, TOPICS_STORY, ["--at=chongqing.display/0/3"]))
    assert found == TOPICS_STORY


def test_an_unreadable_archive_does_not_stop_the_story(made: Path, tmp_path: Path) -> None:
    story = look(shipped(place=str(tmp_path / "none")), "x")
    assert story == TOPICS_STORY | {"searched": TOPICS_STORY["searched"] | {"archive": "failed"}}
    damaged = Path(shutil.copytree(made, tmp_path / "damaged"))
    next(damaged.rglob("verifications.parquet")).write_bytes(b"damaged")
    assert look(shipped(place=str(damaged)), "nobody")["searched"]["archive"] == "partly"


def test_a_slow_archive_is_left_after_its_time(tmp_path: Path) -> None:
    # Whoever opens a file that nobody writes to waits for ever, as for a file system without answer.
    lane = tmp_path / DAY / "sichuan.display-0" / "000001"
    lane.mkdir(parents=True)
    os.mkfifo(lane / "manifest.json")
    story = look(shipped(place=str(tmp_path)), "x", limit_s=6)
    assert story == TOPICS_STORY | {"searched": TOPICS_STORY["searched"] | {"archive": "timeout"}}
    assert not [pid for pid in filter(str.isdecimal, os.listdir("/proc")) if is_looking(Path("/proc", pid), tmp_path)]


def is_looking(process: Path, archive: Path) -> bool:
    try:
        return str(archive).encode() in (process / "cmdline").read_bytes()
    except OSError:
        return False
