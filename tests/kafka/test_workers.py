"""``gateway run --workers``: several processes as one: they share the lanes, come back, and drain
together."""

import asyncio
import contextlib
import os
import re
import signal
import socket
import urllib.request
from collections.abc import Iterator

import pytest

from gateway.adapters.native import find_kernel
from gateway.adapters.settings import Settings
from gateway.errors import ConfigurationError
from gateway.operate.topics import apply_topics
from tests.kafka.harness import Worker, publish, simulate, wait_until_accounted, with_short_sessions
from tests.kafka.test_metrics import readiness, until
from tests.patience import PATIENCE_S
from tests.ports import neighbouring_ports


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


def answers(port: int) -> bool:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=PATIENCE_S) as answer:
        return bool(answer.status == 200)


async def test_workers_share_lanes_restart_and_drain_together(settings: Settings) -> None:
    settings, port = with_short_sessions(settings), neighbouring_ports(2)
    await apply_topics(settings)
    records = simulate(settings, 3000)
    with two_workers(settings, GATEWAY_WEB__ENABLED="true", GATEWAY_WEB__PORT=str(port)) as both:
        await asyncio.to_thread(both.wait_for, "relay.starting", 2)
        for each in (port, port + 1):  # a lane of its own for each
            await asyncio.to_thread(
                until, each, readiness, lambda answer: answer[0] == 200 and bool(answer[1]["lanes"])
            )
        await publish(settings, records[:1500])
        await wait_until_accounted(settings, 1500)
        assert answers(port)
        assert answers(port + 1)
        pids = [int(str(line["pid"])) for line in both.events("relay.starting")]
        assert len(set(pids)) == 2
        kernel = find_kernel(settings)
        way = ("python" if kernel.module is None else "native", kernel.because)
        assert {(line["kernel"], line["kernel_because"]) for line in both.events("relay.starting")} == {way}
        os.kill(pids[0], signal.SIGKILL)
        await publish(settings, records[1500:])
        await asyncio.to_thread(both.wait_for, "relay.starting", 3)
        (await wait_until_accounted(settings, 3000)).assert_proper(3000)
        (ended,) = both.events("worker.ended")
        assert pids[0] in {line["pid"] for line in both.events("relay.starting") if line["process"] == ended["process"]}
        # Who has a lane shows in the one log of both: each line says which process wrote it.
        owners = {line["process"]: line["worker"] for line in both.events("group.assigned")}
        assert set(owners) == {0, 1} == {line["process"] for line in both.events("lane.opened")}
        assert (ended["exit_code"], ended["restart_in_s"]) == (-signal.SIGKILL, 1.0)
        assert await asyncio.to_thread(both.terminate) == 0
        assert both.events("workers.stopped")[0]["exit_codes"] == [0, 0]
        assert len(both.events("relay.stopped")) == 2


def test_a_configuration_error_ends_all_workers(settings: Settings) -> None:
    with two_workers(settings) as both:  # there are no topics
        assert both.process is not None
        assert both.process.wait(PATIENCE_S) == ConfigurationError.exit_code
        assert "gateway topics apply" in both.log.read_text(encoding="utf-8")
        assert not both.events("worker.ended")


@pytest.mark.parametrize("command", [("run",), ("feedback", "run")])
@pytest.mark.parametrize(
    ("host", "says"), [("127.0.0.1", "the port is taken"), ("192.0.2.7", "this machine does not have that address")]
)
async def test_a_worker_without_its_address_says_so(
    settings: Settings, command: tuple[str, ...], host: str, says: str
) -> None:
    await apply_topics(settings)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        web = {"GATEWAY_WEB__ENABLED": "true", "GATEWAY_WEB__HOST": host, "GATEWAY_WEB__PORT": str(port)}
        worker = Worker(settings, *command, **web).start()
        try:
            assert worker.process is not None
            assert await asyncio.to_thread(worker.process.wait, PATIENCE_S) == 78
            assert f"nothing can listen at {host}:{port}: {says}" in worker.log.read_text()
            (crashed,) = worker.events("worker.crashed")
            assert f"nothing can listen at {host}:{port}: {says}" in str(crashed["error.message"])
            names = {str(line["event"]) for line in worker.lines()}
            assert [name for name in names if not re.fullmatch(r"[a-z]+\.[a-z_]+", name)] == []
        finally:
            worker.discard()
