"""``gateway run --workers``: several processes as one: they share the lanes, come back, and drain together."""

import asyncio
import contextlib
import os
import signal
import socket
import urllib.request
from collections.abc import Iterator

from gateway.adapters.settings import Settings
from gateway.errors import ConfigurationError
from gateway.operate.topics import apply_topics
from tests.kafka.harness import Worker, publish, wait_until_accounted, with_short_sessions
from tests.kafka.test_relay import simulate


@contextlib.contextmanager
def two_workers(settings: Settings, **environment: str) -> Iterator[Worker]:
    both = Worker(settings, "run", "--workers", "2", **environment).start()
    try:
        yield both
    finally:
        for line in both.events("relay.starting"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(str(line["pid"])), signal.SIGKILL)
        both.discard()


def two_free_ports() -> int:
    """The first of two neighbours that nobody uses."""
    while True:
        with socket.socket() as first, socket.socket() as second, contextlib.suppress(OSError):
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            second.bind(("127.0.0.1", port + 1))
            return port


def answers(port: int) -> bool:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
        return bool(answer.status == 200)


async def test_workers_share_the_lanes_come_back_when_killed_and_drain_together(settings: Settings) -> None:
    settings, port = with_short_sessions(settings), two_free_ports()
    await apply_topics(settings)
    records = simulate(settings, 3000)
    with two_workers(settings, GATEWAY_WEB__ENABLED="true", GATEWAY_WEB__PORT=str(port)) as both:
        await asyncio.to_thread(both.wait_for, "relay.starting", 2)
        await publish(settings, records[:1500])
        await wait_until_accounted(settings, 1500, 60)
        assert answers(port)
        assert answers(port + 1)
        pids = [int(str(line["pid"])) for line in both.events("relay.starting")]
        assert len(set(pids)) == 2
        os.kill(pids[0], signal.SIGKILL)
        await publish(settings, records[1500:])
        await asyncio.to_thread(both.wait_for, "relay.starting", 3)
        (await wait_until_accounted(settings, 3000, 60)).assert_proper(3000)
        (ended,) = both.events("worker.ended")
        assert (ended["exit_code"], ended["restart_in_s"]) == (-signal.SIGKILL, 1.0)
        assert await asyncio.to_thread(both.terminate, 30) == 0
        assert both.events("workers.stopped")[0]["exit_codes"] == [0, 0]
        assert len(both.events("relay.stopped")) == 2


def test_what_no_restart_can_mend_ends_all_with_its_exit_code(settings: Settings) -> None:
    with two_workers(settings) as both:  # there are no topics
        assert both.process is not None
        assert both.process.wait(60) == ConfigurationError.exit_code
        assert "gateway topics apply" in both.log.read_text(encoding="utf-8")
        assert not both.events("worker.ended")
