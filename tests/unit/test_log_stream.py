"""A log that nobody can write to: what it costs, and what it says once it can be written to again."""

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.adapters.log_stream import LogStream

ROOT = Path(__file__).parents[2]


FULL = os.open("/dev/full", os.O_WRONLY)


def describe(lines: int) -> str:
    return f"{lines} lost"


def test_a_stuck_reader_costs_lines_and_no_time() -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as pipe:
        stream = LogStream(pipe, describe)
        began, line = time.monotonic(), "x" * 3999 + "\n"
        written = sum(stream.write(line) for _ in range(100))
        assert time.monotonic() - began < 20  # it waited for the first line that was lost, and for no other
        assert written == 400_000
        assert 0 < stream.lost < 100
        whole = 100 - stream.lost
        os.read(reading, 1_000_000)
        stream.write("again\n")
        assert os.read(reading, 1_000_000).decode().splitlines()[-2:] == [f"{100 - whole} lost", "again"]
        assert stream.lost == 100 - whole
        stream.write("and again\n")
        assert os.read(reading, 1000) == b"and again\n"
        os.close(reading)
        stream.write("nobody reads\n")
        assert stream.lost == 101 - whole


def test_a_truncated_line_is_ended_before_the_next() -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as pipe:
        stream = LogStream(pipe, describe)
        for _ in range(4):
            stream.write("y" * 20_000 + "\n")
        assert stream.lost == 1
        lines = os.read(reading, 1_000_000)
        assert 3 * 20_001 < len(lines) < 4 * 20_001  # what a pipe holds: the fourth line is cut
        stream.write("whole\n")
        assert os.read(reading, 1_000_000) == b"\n1 lost\nwhole\n"
        os.close(reading)


def test_a_full_disk_and_a_closed_file() -> None:
    with Path("/dev/full").open("w") as full:
        stream = LogStream(full, describe)
        stream.write("no room\n")
        assert stream.lost == 1
    memory = io.StringIO()
    stream = LogStream(memory, describe)
    stream.write("\ud800 half a character\n")
    assert memory.getvalue() == "\ud800 half a character\n"
    memory.close()
    stream.write("closed\n")
    assert stream.lost == 1


SCRIPT = """
import logging, sys
import structlog
from gateway.adapters.log_stream import LostLines
from gateway.adapters.logs import configure_logs
from gateway.adapters.setting_groups import LogSettings

class Unprintable:
    def __str__(self):
        raise RuntimeError

configure_logs(LogSettings(format="json"))
log = structlog.get_logger("gateway.test")
for number in range(3):
    log.info("ours", number=number)
    logging.getLogger("library").error("theirs %s", number)
log.info("unprintable", what=Unprintable())
logging.getLogger("library").error("a %s too many", 1, 2)
log.info("last")
(family,) = LostLines().collect()
print(family.name, family.samples[0].value)
"""


@pytest.mark.parametrize(("close", "lost"), [(lambda: os.close(2), 9), (lambda: os.dup2(FULL, 2), 9), (None, 2)])
def test_nothing_raises_whatever_is_logged_and_wherever_it_goes(close: Callable[[], object] | None, lost: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, cwd=ROOT, check=False, preexec_fn=close
    )
    assert (done.returncode, done.stdout) == (0, f"gateway_log_lines_lost {lost}\n"), done.stderr
    if close is None:
        lines = [json.loads(line) for line in done.stderr.splitlines()]
        assert [line["event"] for line in lines] == [*["ours", "library.message"] * 3, "log.lost", "last"]
        assert [line["message"] for line in lines if "message" in line] == ["theirs 0", "theirs 1", "theirs 2"]
        assert lines[-2]["lines"] == 2
