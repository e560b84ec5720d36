"""The folder of dated reports: a set is there whole or not at all, once for each period, and the indexes
lead to all of it."""

import datetime
import re
from pathlib import Path
from urllib.parse import unquote

import pytest
from typer.testing import CliRunner

from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import Settings, load_settings, packaged_config
from gateway.cli.main import app
from gateway.core.province import COORDINATING_CENTRES
from gateway.errors import UsageError
from gateway.feedback.days import DayShare
from gateway.feedback.report import folder as folders
from gateway.feedback.report.folder import MANIFEST, find_report, is_written, read_sets, write_index, write_set
from gateway.feedback.report.model import Report, build_report, known_units
from gateway.feedback.state import FeedbackTopics, State
from gateway.operate.feedback import report as reports
from gateway.operate.feedback.report import period_of_set, write_all
from gateway.operate.feedback.schedule import Every, due_at, due_period, parse_clock, period_after

LIST = load_recognition(packaged_config() / "recognition")
SETTINGS = load_settings(packaged_config() / "gateway.yaml")
NOW = datetime.datetime(2026, 11, 28, 4, tzinfo=datetime.UTC)
CHINA = datetime.timezone(datetime.timedelta(hours=8))
WEEK = ("2026-11-16", "2026-11-22")


@pytest.fixture
def state() -> State:
    made = State(FeedbackTopics(SETTINGS))
    made.put_day(
        "0/sichuan/2026-11-20", DayShare({"1/5|500103|forward|": 9, "1/5|500103|reject|STALE_EVENT": 1}, {}, 0, 0)
    )
    return made


def make(state: State, unit: str | None = None, period: tuple[str, str] = WEEK) -> Report:
    return build_report(state, LIST, unit, *period, "2026-11-28T04:00:00Z")


def test_a_set_has_every_unit_in_every_form(state: State, tmp_path: Path) -> None:
    written = write_all(SETTINGS, state, LIST, WEEK, NOW, tmp_path, ["html", "md", "md"])
    assert written == tmp_path / "2026-11-16_2026-11-22"
    ((found,), unreadable) = read_sets(tmp_path)
    assert not unreadable
    units = [line.unit for line in found.reports]
    assert units[0] == "汇总"
    assert set(units[1:]) == known_units(state, LIST) - set(COORDINATING_CENTRES)
    names = {path.name for path in written.iterdir()}
    assert names == {"index.html", MANIFEST, *(name for line in found.reports for name in line.files.values())}
    assert all(set(line.files) == {"html", "md"} for line in found.reports)
    assert (found.reports[0].shown, found.reports[0].refused) == (10, 1)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_the_indexes_lead_to_every_file(state: State, tmp_path: Path) -> None:
    for period in (WEEK, ("2026-11-20", "2026-11-20")):
        write_set(
            tmp_path, [None, "四川省交通运输厅"], lambda unit, days=period: make(state, unit, days), ["html", "xlsx"]
        )
    index = (tmp_path / "index.html").read_text()
    assert index.index("2026年11月16日至11月22日") < index.index("2026年11月20日</a>")
    linked = re.findall(r'href="([^"]+)"', index)
    assert linked == ["2026-11-16_2026-11-22/index.html", "2026-11-20/index.html"]
    assert "90.0%" in index
    for page in linked:
        links = [unquote(link) for link in re.findall(r'href="([^"]+)"', (tmp_path / page).read_text())]
        assert len(links) == 5
        for link in links:
            assert (tmp_path / page).parent.joinpath(link).is_file()


def test_a_set_is_whole_or_not_there(state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_down(_: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folders, "write_index", break_down)
    monkeypatch.setattr(folders.Path, "rename", lambda *_: break_down(tmp_path))
    with pytest.raises(UsageError, match="No space left"):
        write_set(tmp_path, [None], lambda unit: make(state, unit), ["md"])
    assert list(tmp_path.iterdir()) == []
    assert not is_written(tmp_path, *WEEK)


def test_what_a_killed_process_left_is_replaced(state: State, tmp_path: Path) -> None:
    left = tmp_path / ".2026-11-16_2026-11-22.part"
    left.mkdir()
    (left / "half.html").write_text("half")
    written = write_set(tmp_path, [None], lambda unit: make(state, unit), ["md"])
    assert not (written / "half.html").exists()
    assert not left.exists()


def test_a_period_is_not_written_twice(state: State, tmp_path: Path) -> None:
    write_set(tmp_path, [None], lambda unit: make(state, unit), ["md"])
    with pytest.raises(UsageError, match="2026-11-16_2026-11-22 is there already"):
        write_set(tmp_path, [None], lambda unit: make(state, unit), ["md"])
    assert is_written(tmp_path, *WEEK)


def test_units_with_one_file_name_are_refused(state: State, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the same file name"):
        write_set(tmp_path, [None, None], lambda unit: make(state, unit), ["md"])
    assert list(tmp_path.iterdir()) == []


def test_folders_that_are_no_sets_are_named(state: State, tmp_path: Path) -> None:
    write_set(tmp_path, [None], lambda unit: make(state, unit), ["md"])
    (tmp_path / "2026-01-01").mkdir()
    (tmp_path / "2026-01-02").mkdir()
    (tmp_path / "2026-01-02" / MANIFEST).write_text('{"first":"a","last":"b","made":"c","reports":[]}')
    (tmp_path / "notes").mkdir()
    write_index(tmp_path)
    index = (tmp_path / "index.html").read_text()
    assert "2026-01-02、2026-01-01" in index
    assert "notes" not in index


def test_only_reports_are_served(state: State, tmp_path: Path) -> None:
    folder = tmp_path / "reports"
    written = write_set(folder, [None], lambda unit: make(state, unit), ["md"])
    (tmp_path / "secret").write_text("secret")
    (folder / "other.html").write_text("other")
    (written / "link").symlink_to(tmp_path / "secret")
    assert find_report(folder, "index.html") == folder / "index.html"
    name = next(path.name for path in written.glob("*.md"))
    assert find_report(folder, f"{written.name}/{name}") == written / name
    for refused in (
        "../secret", f"{written.name}/../../secret", f"{written.name}/link", "other.html", written.name, f"{written.name}/",
        f"{written.name}/.x", "/etc/passwd",
    ):  # fmt: skip
        assert find_report(folder, refused) is None, refused
    assert find_report(None, "index.html") is None


@pytest.mark.parametrize(
    ("every", "now", "expected"),
    [
        (Every.DAY, "2026-11-28T07:00", ("2026-11-27", "2026-11-27")),
        (Every.DAY, "2026-11-28T06:59", ("2026-11-26", "2026-11-26")),
        (Every.WEEK, "2026-11-28T12:00", WEEK),  # a Saturday
        (Every.WEEK, "2026-11-23T07:00", WEEK),  # Monday, when it is due
        (Every.WEEK, "2026-11-23T06:59", ("2026-11-09", "2026-11-15")),
        (Every.WEEK, "2026-11-30T07:00", ("2026-11-23", "2026-11-29")),
        (Every.WEEK, "2027-01-04T07:00", ("2026-12-28", "2027-01-03")),
    ],
)
def test_periods_are_due_on_the_day_after(every: Every, now: str, expected: tuple[str, str]) -> None:
    here = datetime.datetime.fromisoformat(now).replace(tzinfo=CHINA)
    assert due_period(every, parse_clock("07:00"), here.astimezone(datetime.UTC)) == expected


def test_the_next_period_and_when_it_is_due() -> None:
    assert period_after(Every.DAY, ("2026-11-30", "2026-11-30")) == ("2026-12-01", "2026-12-01")
    assert period_after(Every.WEEK, WEEK) == ("2026-11-23", "2026-11-29")
    assert due_at(parse_clock("07:30"), WEEK) == "2026-11-23T07:30+08:00"


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        (None, None, ("2026-10-29", "2026-11-27")),
        ("2026-11-20", None, ("2026-11-20", "2026-11-27")),
        ("2026-11-01", "2026-11-27", ("2026-11-01", "2026-11-27")),
        (None, "2026-11-28", "--until: 2026-11-28 is not over in Beijing"),
        ("2026-11-29", None, "--since: 2026-11-29 is not over in Beijing"),
    ],
)
def test_a_set_takes_days_that_are_over(since: str | None, until: str | None, expected: tuple[str, str] | str) -> None:
    """It is written once; in Beijing it is already the 28th."""
    now = datetime.datetime(2026, 11, 27, 17, tzinfo=datetime.UTC)
    if isinstance(expected, str):
        with pytest.raises(UsageError, match=expected):
            period_of_set(since, until, now)
    else:
        assert period_of_set(since, until, now) == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "--output FILE, or --each --to FOLDER"),
        (["--each"], "by --to FOLDER"),
        (["--to", "reports"], "--to belongs to --each"),
        (["--form", "md", "--output", "a.md"], "--form belongs to --each"),
        (["--every", "day", "--output", "a.md"], "--every belongs to --each"),
        (["--each", "--to", "reports", "--at", "07:00"], "--at belongs to --every"),
        (["--each", "--to", "reports", "--unit", "某局"], "leave --unit and --output out"),
        (["--each", "--to", "reports", "--every", "month"], "month is not day or week"),
        (["--each", "--to", "reports", "--every", "day", "--at", "24:00"], "24:00 is not a time of day"),
        (["--each", "--to", "reports", "--every", "day", "--since", "2026-01-01"], "leave --since and --until out"),
        (["--each", "--to", "reports", "--form", "pdf"], "unsupported format pdf"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options: list[str], message: str) -> None:
    result = CliRunner().invoke(app, ["report", *options])
    assert isinstance(result.exception, UsageError), result.output
    assert message in str(result.exception)


@pytest.mark.parametrize(("until", "so_far"), [(None, True), ("2026-11-22", False)])
def test_one_report_says_that_today_is_not_over(
    until: str | None, so_far: bool, state: State, monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    async def read(_: Settings) -> State:
        return state

    monkeypatch.setattr(reports, "read_state", read)
    assert reports.write_report(SETTINGS, None, None, until, tmp_path / "r.md", "text") == 0
    assert ("今日数据尚不完整" in capsys.readouterr().err) is so_far
