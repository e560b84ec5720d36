"""`gateway top` on a terminal of its own (a pty), against real traffic; what it shows is what the topics
say."""

import asyncio
import contextlib
import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from gateway.adapters.settings import Settings, load_settings, packaged_config
from gateway.core.province import Province
from gateway.operate.local_kafka import LocalKafka
from gateway.operate.topics import apply_topics
from tests.kafka.harness import publish, read_topics, simulate, wait_until_accounted, workers
from tests.patience import PATIENCE_S

ROOT = Path(__file__).parents[2]
# The terminal is the process's own, so that Ctrl-C reaches it as it does a person's.
PROGRAM = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); from gateway.__main__ import main; main()"


class Terminal:
    """A terminal of 150 by 40 with `gateway top` on it."""

    def __init__(self, settings: Settings) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 150, 0, 0))
        self.before = termios.tcgetattr(theirs)
        self._theirs = theirs
        # Where a size stands in the environment it counts, and not the terminal's.
        ours = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES"}}
        environment = ours | settings.as_environment() | {"PYTHONPATH": str(ROOT), "TERM": "xterm-256color"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, "top", "--every", "0.3"], stdin=theirs, stdout=theirs, stderr=theirs,
            start_new_session=True, env=environment,
        )  # fmt: skip
        self.seen = ""
        self._bytes = b""

    def read(self, timeout_s: float = 0.2) -> None:
        """Take in what is drawn, without colours and cursor movements."""
        while select.select([self._ours], [], [], timeout_s)[0]:
            with contextlib.suppress(OSError):
                self._bytes += os.read(self._ours, 65536)
            timeout_s = 0
        self.seen = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self._bytes.decode("utf-8", "ignore"))

    def wait_for(self, pattern: str, timeout_s: float = PATIENCE_S) -> str:
        """Until the newest picture has it."""
        deadline = time.monotonic() + timeout_s
        while not (found := re.search(pattern, self.newest)):
            assert self.process.poll() is None, self.seen[-3000:]
            assert time.monotonic() < deadline, f"no {pattern} in:\n{self.newest}"
            self.read()
        return found.group()

    @property
    def newest(self) -> str:
        """The last picture that is whole, and what of the next one is there."""
        return "gateway top".join(self.seen.rsplit("gateway top", 2)[-2:])

    def press(self, key: bytes) -> int:
        """Press a key that ends it; the exit code. The terminal must be as it was."""
        os.write(self._ours, key)
        deadline = time.monotonic() + PATIENCE_S
        while self.process.poll() is None:
            assert time.monotonic() < deadline
            self.read()
        self.read()
        assert termios.tcgetattr(self._theirs) == self.before
        return self.process.returncode

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._ours)
        os.close(self._theirs)


@contextlib.contextmanager
def terminal(settings: Settings) -> Iterator[Terminal]:
    opened = Terminal(settings)
    try:
        yield opened
    finally:
        opened.close()


async def _outcomes(settings: Settings) -> Counter[tuple[str, str]]:
    counts: Counter[tuple[str, str]] = Counter()
    async for record in read_topics(settings, [settings.topic_names.ledger]):
        data = json.loads(record.value)["data"]
        for item in data["counts"]:
            counts[data["province"], item["outcome"]] += item["count"]
    return counts


def test_top_shows_directions_and_rejections_until_quit(own_broker: LocalKafka) -> None:
    shipped = load_settings(packaged_config() / "gateway.yaml", bootstrap_servers=own_broker.bootstrap_servers)
    settings = shipped.model_copy(update={"topics": shipped.topics.model_copy(update={"partitions": 2})})
    asyncio.run(apply_topics(settings))
    events = simulate(settings, 600, seed=5)
    asyncio.run(publish(settings, events))
    with terminal(settings) as top:
        # Nobody works yet: events wait in every lane, and no worker has one.
        top.wait_for("lanes: 0/4 · 处理进程 workers: 0")
        top.wait_for(r"四川 0:\d+ +无人")
        published = Counter(event.province for event in events)
        for province in Province:
            top.wait_for(rf"{province.chinese} → {province.other.chinese} .* {published[province]} ")
        with workers(settings, 1):
            asyncio.run(wait_until_accounted(settings, len(events)))
            counts = asyncio.run(_outcomes(settings))
            for province in Province:
                forwarded, rejected = (counts[province.value, each] for each in ("forward", "reject"))
                line = rf"{province.chinese} → {province.other.chinese} .* {forwarded} \d+% +{rejected} \d+% .* 0 "
                top.wait_for(line)
            top.wait_for("lanes: 4/4 · 处理进程 workers: 1")
            top.wait_for(r"\d\d:\d\d:\d\d +(四川|重庆) +[A-Z_]{8,} ")
            top.wait_for("已连接 connected")
            assert "sm3:" not in top.seen
            assert not re.search(r"\w\*\*\w", top.seen)  # a masked name
            assert top.press(b"q") == 0
    with terminal(settings) as top:
        top.wait_for("已连接 connected")
        assert top.press(b"\x03") == 130
    with terminal(settings) as top:
        top.wait_for("已连接 connected")
        own_broker.kill()
        top.wait_for("未连接 not connected")
        top.wait_for(r"Kafka does not answer; what follows is as of \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \(Beijing time\)")
        assert "Traceback" not in top.seen
        assert top.press(b"q") == 0
    with terminal(settings) as top:
        assert top.process.wait(PATIENCE_S) == 69
        top.read()
        assert "cannot reach Kafka" in top.seen
