"""A task that is repeated until a signal: what `audit --every`, `report --every` and `archive run` do."""

import asyncio
import os
import signal
import socket
import time
import urllib.request
from collections.abc import Coroutine
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter

from gateway.adapters.metrics_server import serving_metrics
from gateway.adapters.repeating import repeat_until, set_by_signals
from gateway.adapters.settings import WebSettings
from gateway.errors import ConfigurationError
from tests.patience import PATIENCE_S
from tests.ports import free_port


async def test_a_signal_ends_the_task_that_runs() -> None:
    done, cancelled = list[float](), list[bool]()

    async def work() -> None:
        done.append(time.monotonic())
        if len(done) < 3:
            return
        os.kill(os.getpid(), signal.SIGTERM)
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    await asyncio.wait_for(repeat_until(set_by_signals(signal.SIGTERM), work, 0.05), PATIENCE_S)
    asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)
    assert (len(done), cancelled) == (3, [True])
    assert done[1] - done[0] >= 0.05


@pytest.mark.parametrize(("counts_pauses", "least_s"), [(False, 0.3), (True, 0.5)])
async def test_a_pause_is_counted_from_start_or_end(
    monkeypatch: pytest.MonkeyPatch, *, counts_pauses: bool, least_s: float
) -> None:
    stopping, began, pauses, wait_for = asyncio.Event(), list[float](), list[float](), asyncio.wait_for

    async def work() -> None:
        began.append(time.monotonic())
        await asyncio.sleep(0.2)
        if len(began) == 2:
            stopping.set()

    async def note(waited_for: Coroutine[Any, Any, Any], pause_s: float) -> Any:
        pauses.append(pause_s)
        return await wait_for(waited_for, pause_s)

    monkeypatch.setattr(asyncio, "wait_for", note)
    await wait_for(repeat_until(stopping, work, 0.3, counts_pauses=counts_pauses), PATIENCE_S)
    assert began[1] - began[0] >= least_s - 0.01
    assert pauses[0] == 0.3 if counts_pauses else pauses[0] <= 0.3 - 0.2 + 0.01


async def test_what_the_task_raises_ends_it() -> None:
    async def work() -> None:
        raise ValueError("a defect")

    with pytest.raises(ValueError, match="a defect"):
        await asyncio.wait_for(repeat_until(asyncio.Event(), work, 60), PATIENCE_S)


def test_metrics_are_served_as_long_as_it_lasts() -> None:
    port = free_port()
    registry = CollectorRegistry()
    Counter("gateway_tests", "Counts tests.", registry=registry).inc()
    web = WebSettings(enabled=True, host="127.0.0.1", port=port)
    for _ in range(2):  # the port is free again after each
        with serving_metrics(web, registry):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE_S) as answer:
                assert b"gateway_tests_total 1.0" in answer.read()
            with pytest.raises(ConfigurationError, match=rf"127\.0\.0\.1:{port}"), serving_metrics(web, registry):
                pytest.fail("two listen at one port")
    with serving_metrics(WebSettings(enabled=False, port=port), registry), socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
