"""The pool's processes end with their parent, even where that was killed and could tell them nothing."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.patience import PATIENCE_S

PARENT = """
import os, time
from gateway.operate.lane_pool import run_lanes

def work(job):
    os.write(1, b"%d\\n" % os.getpid())  # whole, though two write at once
    time.sleep(60)

run_lanes(work, [1, 2], name="test", size=1)
"""


def runs(pid: int) -> bool:
    """Whether ``pid`` is a process that has not ended; one that has may wait to be reaped by nobody."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_processes_of_a_pool_end_with_their_parent(how: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        wanted = min(2, os.cpu_count() or 1)
        children = [int(parent.stdout.readline()) for _ in range(wanted)]
        assert all(map(runs, children))
        parent.send_signal(how)
        parent.wait()
        deadline = time.monotonic() + PATIENCE_S
        while any(map(runs, children)):
            assert time.monotonic() < deadline, "they still wait for work"
            time.sleep(0.05)
