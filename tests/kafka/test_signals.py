"""What SIGTERM, SIGHUP and a second SIGTERM do to real workers, with a broker that is silent and with a page
that is open."""

import asyncio
import signal
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gateway.adapters.drain import NOT_DRAINED
from gateway.adapters.settings import Settings, load_settings, packaged_config
from gateway.core.province import Province
from gateway.operate.local_kafka import LocalKafka
from gateway.operate.topics import apply_topics
from tests.kafka.harness import Worker, publish, wait_until_accounted
from tests.kafka.test_metrics import readiness, until
from tests.kafka.test_stuck import events_of, with_partitions
from tests.patience import PATIENCE_S
from tests.ports import neighbouring_ports

DRAIN_S = 8.0
"""At most so long, as it ships; a busy machine may need all of it."""
KINDS = {"relay": ("run",), "relays": ("run", "--workers", "2"), "feedback": ("feedback", "run")}


@contextmanager
def running(settings: Settings, kind: str, port: int, drain_s: float = PATIENCE_S) -> Iterator[Worker]:
    """A worker, or two from one command, that is ready."""
    worker = Worker(
        settings, *KINDS[kind], GATEWAY_WEB__ENABLED="true", GATEWAY_WEB__PORT=str(port),
        GATEWAY_RELAY__DRAIN_TIMEOUT_S=str(drain_s),
    )  # fmt: skip
    try:
        worker.start()
        for each in range(2 if kind == "relays" else 1):
            until(port + each, readiness, lambda answer: answer[0] == 200)
        yield worker
    finally:
        worker.discard()


def end(worker: Worker, *numbers: signal.Signals) -> int:
    """Send the signals a moment apart; the exit code."""
    for number in numbers:
        worker.signal(number)
        time.sleep(0.3)
    assert worker.process is not None
    return worker.process.wait(PATIENCE_S / 2)


def end_at_once(worker: Worker, *numbers: signal.Signals) -> int:
    """Send the signals a moment apart; the exit code. One that comes before the first was seen is the
    first."""
    for number in numbers:
        worker.signal(number)
        time.sleep(0.3)
    assert worker.process is not None
    deadline = time.monotonic() + PATIENCE_S / 2
    while worker.process.poll() is None:
        assert time.monotonic() < deadline
        worker.signal(numbers[-1])
        time.sleep(0.3)
    return worker.process.returncode


@pytest.fixture
def settings(own_broker: LocalKafka) -> Settings:
    shipped = load_settings(packaged_config() / "gateway.yaml", bootstrap_servers=own_broker.bootstrap_servers)
    settings = with_partitions(shipped, 2)
    asyncio.run(apply_topics(settings))
    return settings


def test_sighup_drains_like_sigterm_also_with_a_page_open(settings: Settings) -> None:
    port = neighbouring_ports(2)
    for kind, numbers in {
        "relay": [signal.SIGHUP], "relays": [signal.SIGHUP], "feedback": [signal.SIGTERM, signal.SIGHUP],
    }.items():  # fmt: skip
        for number in numbers:
            with running(settings, kind, port) as worker:
                page = f"http://127.0.0.1:{port}/{'api/events' if kind == 'feedback' else 'metrics'}"
                with urllib.request.urlopen(page, timeout=PATIENCE_S) as stream:
                    assert stream.readline()
                    assert end(worker, number) == 0, (kind, number)
                stopped = worker.events("feedback.stopped" if kind == "feedback" else "relay.stopped")
                assert [line.get("drained", True) for line in stopped] == [True] * (2 if kind == "relays" else 1)


def test_what_is_in_hand_is_finished(settings: Settings) -> None:
    port, events = neighbouring_ports(2), events_of(settings, Province.SICHUAN, 3000)
    for number in (signal.SIGTERM, signal.SIGHUP):
        with running(settings, "relay", port) as worker:
            asyncio.run(publish(settings, events))
            worker.wait_for("turn.committed")
            assert end(worker, number) == 0
            assert not [line for line in worker.lines() if line["level"] in {"error", "warning"}
                        and str(line["event"]).startswith(("lane.", "drain."))]  # fmt: skip
    with running(settings, "relay", port):
        account = asyncio.run(wait_until_accounted(settings, 2 * len(events)))
    account.assert_proper(2 * len(events))


@pytest.mark.parametrize("kind", KINDS)
def test_silent_broker_delays_shutdown_at_most_drain_time(
    settings: Settings, own_broker: LocalKafka, kind: str
) -> None:
    port, events = neighbouring_ports(2), events_of(settings, Province.SICHUAN, 500)
    with running(settings, kind, port, DRAIN_S) as worker:
        own_broker.freeze()
        try:
            assert end(worker, signal.SIGTERM) == NOT_DRAINED
        finally:
            own_broker.thaw()
    if kind == "relay":  # the same with a transaction in hand
        with running(settings, kind, port, DRAIN_S) as worker:
            asyncio.run(publish(settings, events))
            worker.wait_for("turn.committed")
            own_broker.freeze()
            try:
                assert end(worker, signal.SIGHUP) == NOT_DRAINED
            finally:
                own_broker.thaw()
        with running(settings, kind, port):
            asyncio.run(wait_until_accounted(settings, len(events))).assert_proper(len(events))


def test_a_second_sigterm_ends_at_once(settings: Settings, own_broker: LocalKafka) -> None:
    port = neighbouring_ports(2)
    for kind, *numbers in (
        ("relay", signal.SIGTERM, signal.SIGTERM),
        ("relays", signal.SIGHUP, signal.SIGTERM, signal.SIGINT),
        ("feedback", signal.SIGINT, signal.SIGTERM),
    ):
        with running(settings, kind, port) as worker:
            own_broker.freeze()
            try:  # the first alone would wait twice as long for the broker
                assert end_at_once(worker, *numbers) != 0, (kind, numbers)
            finally:
                own_broker.thaw()
