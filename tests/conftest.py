"""A real broker for the tests: the configured one, else one started here. Where none can be started, the tests fail."""

import os
import secrets
import signal
from collections.abc import Iterator
from typing import Protocol

import hypothesis
import pytest

from gateway.adapters.settings import Settings, load_settings, packaged_config
from gateway.operate.local_kafka import LocalKafka, local_kafka

# A job in a shell's background has SIGINT ignored, and every process that a test starts would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Brokers of minutes: a third of what starting one takes is a compiler's work that never pays.
os.environ.setdefault("KAFKA_HEAP_OPTS", "-Xms128m -Xmx512m -XX:TieredStopAtLevel=1")

# How long an example takes says more of what else the machine does than of the code.
hypothesis.settings.register_profile("unhurried", hypothesis.settings.default, deadline=None)
hypothesis.settings.load_profile("unhurried")


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
    """One broker for the whole run; a test keeps to topics of its own (see ``settings``) and leaves the broker alone."""
    if configured := os.environ.get("GATEWAY_BOOTSTRAP_SERVERS"):
        yield ConfiguredBroker(configured)
        return
    with local_kafka(announce=print) as broker:
        yield broker


@pytest.fixture
def settings(kafka_broker: Broker) -> Settings:
    """The shipped settings, for the shared broker, with 4 partitions and topics, groups and transactions of this test alone."""
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
