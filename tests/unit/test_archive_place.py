"""Where the archive lies, by command and by settings."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from gateway.adapters.settings import ArchiveSettings, Settings, load_settings
from gateway.cli.main import app
from gateway.errors import UsageError
from gateway.operate.archive.parquet import read_rows
from gateway.operate.archive.place import place_of


def settings_with(place: str | None) -> Settings:
    settings = load_settings()
    return settings.model_copy(update={"archive": ArchiveSettings(place=place)})


def test_a_command_names_the_place_or_the_settings_do() -> None:
    settings = settings_with("archive")
    assert place_of(settings, None, "--to") == str(settings.file.parent / "archive")
    assert place_of(settings, "here", "--to") == "here"
    assert place_of(settings_with("/srv/archive"), None, "--to") == str(Path("/srv/archive").resolve())
    assert place_of(settings_with("s3://bucket/prefix"), None, "--to") == "s3://bucket/prefix"
    with pytest.raises(UsageError, match=r"--to, or archive\.place"):
        place_of(settings_with(None), None, "--to")


def test_a_value_that_is_left_out_is_the_settings(archive: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setenv("GATEWAY_ARCHIVE__PLACE", str(archive))
    for arguments in (
        ["audit", "--archive", "--format", "json"],
        ["audit", "--format", "json", "--archive"],
        ["audit", "--archive=", "--format", "json"],
        ["audit", "--archive", str(archive), "--format", "json"],
    ):
        done = CliRunner().invoke(app, arguments)
        assert (done.exit_code, json.loads(done.stdout)["archive"]["place"]) == (0, str(archive))
    done = CliRunner().invoke(app, ["trace", "nobody", "--archive", "--format", "json"])
    assert (done.exit_code, json.loads(done.stdout)["searched"]["archive"]) == (1, str(archive))
    done = CliRunner().invoke(app, ["trace", "--archive", "--format", "json", "--", "nobody"])
    assert json.loads(done.stdout)["searched"]["archive"] == str(archive)
    done = CliRunner().invoke(app, ["trace", "--archive", "nobody"])
    assert "nobody is taken for the archive's place: put the ID before --archive" in str(done.exception)
    monkeypatch.delenv("GATEWAY_ARCHIVE__PLACE")
    for arguments in (["audit", "--archive", "--since", "2026-11-21"], ["trace", "nobody", "--archive"]):
        done = CliRunner().invoke(app, arguments)
        assert isinstance(done.exception, UsageError)
        assert str(done.exception) == ("say where the archive lies: --archive FOLDER, or archive.place in the settings")


def test_what_is_not_archived_is_not_found(archive: Path, tmp_path: Path) -> None:
    for place, words in (
        (archive, "it holds 2026-11-21 to 2026-11-23"),
        (tmp_path / "new", "nothing is archived there yet"),
    ):
        place.mkdir(exist_ok=True)
        done = CliRunner().invoke(app, ["trace", "x", "--archive", str(place), "--since", "2026-12-01"])
        assert (done.exit_code, "未找到" in done.stdout) == (1, True)
        assert words in done.stderr.replace("\n", " ")


def test_an_archive_knows_no_status_of_a_case(archive: Path) -> None:
    path = next(archive.rglob("rejections.parquet"))
    ((event,), *_) = read_rows(path.name, path.read_bytes(), columns=["event_id"])
    done = CliRunner().invoke(app, ["trace", event, "--archive", str(archive)])
    (line,) = {each.split("  ")[-1] for each in done.stdout.splitlines() if each.startswith("    问题 case")}
    assert line == "归档不记办理状态 not in an archive"


def test_settings_hold_no_credentials() -> None:
    """They are archived themselves, and printed."""
    with pytest.raises(ValidationError, match="an address holds no credentials"):
        ArchiveSettings(place="s3://key:hidden@bucket/prefix")
    assert ArchiveSettings(place="/srv/a@b").place == "/srv/a@b"
