"""The log: nothing of an error's words, and no character that commands a terminal."""

import asyncio
import json
import logging
import logging.config
import subprocess
import sys

import pytest
import structlog

from gateway.adapters.logs import configure_logs
from gateway.adapters.setting_groups import LogSettings

PERSON = "张三 13800138000"


def test_a_librarys_line_quotes_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither mode's line quotes it, which has the error among its arguments, nor asyncio's, which has the
    task's."""
    configure_logs(LogSettings(format="json"))
    try:
        int(PERSON)
    except ValueError as error:
        logging.getLogger("faust.worker").exception("Error: %r", error)  # noqa: TRY401 — as mode does

    async def leave_a_task() -> None:
        async def fail() -> None:
            raise KeyError(PERSON)

        asyncio.ensure_future(fail())  # noqa: RUF006 — that nobody asks for it is what is tried
        await asyncio.sleep(0)

    asyncio.run(leave_a_task())
    said = capsys.readouterr().err
    assert "13800138000" not in said
    events = [json.loads(line) for line in said.splitlines()]
    assert {each["event"] for each in events} == {"library.message"}
    assert [(each["message"], each["error.type"]) for each in events] == [
        ("Error: <class 'ValueError'>", "ValueError"), ("Task exception was never retrieved", "KeyError"),
    ]  # fmt: skip


def test_a_commands_log_lines_leave_stdout_to_its_data() -> None:
    logging_command = (
        "import structlog; from gateway.cli.options import load; load(None); "
        "structlog.get_logger('x').warning('record.foreign', value='\\x1b[2K')"
    )
    done = subprocess.run([sys.executable, "-c", logging_command], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert json.loads(done.stderr)["event"] == "record.foreign"
    assert "\x1b" not in done.stderr


@pytest.mark.parametrize("form", ["json", "pretty"])
def test_no_line_commands_a_terminal(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(LogSettings.model_validate({"format": form}))
    value = "x\x1b[2K\x9b31m\u202e\n✓"
    structlog.get_logger("gateway.test").warning("record.rejected", value=value)
    said = capsys.readouterr().err
    assert "\x1b[2K" not in said
    assert not {"\x9b", "\u202e"} & set(said)
    assert said.count("\n") == 1
    if form == "json":
        assert json.loads(said)["value"] == value


def test_json_lines_begin_with_time_level_and_event(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(LogSettings(format="json"))
    structlog.get_logger("gateway.test").warning("record.rejected", code="STALE_EVENT")
    logging.getLogger("urllib3").warning("somebody else's")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [[*line][:3] for line in lines] == [["timestamp", "level", "event"]] * 2
    assert lines[0]["code"] == "STALE_EVENT"


def test_services_and_timers_of_mode_are_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    """What mode says of each service that starts has no stable name; that a timer overlaps is no fault of
    anybody's."""
    configure_logs(LogSettings(format="json"))
    logging.getLogger("gateway.feedback.reading").info("[^--CountedConsumer]: Starting...")
    logging.getLogger("mode.timers").warning("Timer %s is overlapping (interval=%r runtime=%r)", "announce", 2, 3)
    assert capsys.readouterr().err == ""
