"""A real broker for the tests: the configured one, else one started here. Where none can be started, the
tests fail."""

import importlib.util
import logging
import os
import secrets
import signal
from collections.abc import Iterator
from typing import Protocol

import hypothesis
import pytest
import structlog

from gateway.adapters.settings import Settings, load_settings, packaged_config
from gateway.operate.local_kafka import LocalKafka, local_kafka

# A job in a shell's background has SIGINT ignored, and every process that a test starts would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
# So has one under nohup SIGHUP, which a worker then leaves ignored.
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Brokers of minutes: a third of what starting one takes is a compiler's work that never pays.
os.environ.setdefault("KAFKA_HEAP_OPTS", "-Xms128m -Xmx512m -XX:TieredStopAtLevel=1")

# How long an example takes says more of what else the machine does than of the code.
hypothesis.settings.register_profile("unhurried", hypothesis.settings.default, deadline=None)
hypothesis.settings.load_profile("unhurried")

_HAS_KERNEL = importlib.util.find_spec("gateway_kernel") is not None
collect_ignore_glob = [] if _HAS_KERNEL else ["kernel/*"]  # a path of testpaths itself is never ignored


def pytest_report_header() -> str:
    """Say which way the lanes of this run work."""
    left_out = "not installed, so tests/kernel is left out: `make kernel` builds it"
    return f"native kernel: {'installed' if _HAS_KERNEL else left_out}"


@pytest.fixture(autouse=True)
def _logging_of_its_own(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let each test begin with logging as a fresh process has it, whatever ran before it in this one.

    A logger that has written once under ``cache_logger_on_first_use`` keeps that configuration for good, so
    that where a line of a later test went would depend on which tests came before.
    """
    configure, root = structlog.configure, logging.getLogger()
    handlers, level = root.handlers[:], root.level
    monkeypatch.setattr(
        structlog, "configure", lambda **options: configure(**options | {"cache_logger_on_first_use": False})
    )
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


class Broker(Protocol):
    """What a test needs to know of the broker that it shares with others."""

    bootstrap_servers: str
    description: str


class ConfiguredBroker:
    """The broker that GATEWAY_BOOTSTRAP_SERVERS names."""

    def __init__(self, bootstrap_servers: str) -> None:
        self.bootstrap_servers = bootstrap_servers
        self.description = f"the Kafka at {bootstrap_servers}"


@pytest.fixture(scope="session")
def kafka_broker() -> Iterator[Broker]:
    """One broker for the whole run; a test keeps to topics of its own (see ``settings``) and leaves the
    broker alone."""
    if configured := os.environ.get("GATEWAY_BOOTSTRAP_SERVERS"):
        yield ConfiguredBroker(configured)
        return
    with local_kafka(announce=print) as broker:
        yield broker


@pytest.fixture
def settings(kafka_broker: Broker) -> Settings:
    """The shipped settings, for the shared broker, with 4 partitions and topics, groups and transactions of
    this test alone."""
    return settings_apart(kafka_broker)


def settings_apart(kafka_broker: Broker) -> Settings:
    """Return settings as ``settings`` has them, with names that nobody else uses."""
    shipped = load_settings(
        packaged_config() / "gateway.yaml",
        bootstrap_servers=kafka_broker.bootstrap_servers,
        topic_prefix=f"test-{secrets.token_hex(4)}.",
    )
    return shipped.model_copy(update={"topics": shipped.topics.model_copy(update={"partitions": 4})})


@pytest.fixture
def own_broker() -> Iterator[LocalKafka]:
    """A fresh broker that the test may stop, kill and freeze."""
    with local_kafka(announce=print) as broker:
        yield broker
