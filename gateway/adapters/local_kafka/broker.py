"""What the two kinds of local broker have in common: a port of their own, and the wait until the broker works."""

import asyncio
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from gateway.adapters.settings import packaged_config
from gateway.errors import LocalKafkaError

KAFKA_VERSION = "4.1.1"
CLUSTER_ID = "5L6g3nShT-eMCtK--X86sw"
_READY_TIMEOUT_S = 90


class LocalKafka(ABC):
    """A single-node Kafka (KRaft) on the loopback interface; a context manager that starts it, and cleans up behind it."""

    bootstrap_servers: str
    description: str

    @abstractmethod
    def start(self) -> None:
        """Start, or start again after ``stop`` or ``kill`` with the same port and data. Raises LocalKafkaError."""

    @abstractmethod
    def stop(self) -> None:
        """Shut down in order; the data stays until the context ends."""

    @abstractmethod
    def kill(self) -> None:
        """SIGKILL."""

    @abstractmethod
    def freeze(self) -> None:
        """SIGSTOP, until ``thaw``."""

    @abstractmethod
    def thaw(self) -> None:
        """SIGCONT."""

    @abstractmethod
    def close(self) -> None:
        """Stop, and remove what was made."""

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def broker_properties() -> dict[str, str]:
    """The settings of config/kafka/broker.properties."""
    lines = (packaged_config() / "kafka" / "broker.properties").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def wait_until_ready(bootstrap_servers: str, is_alive: Callable[[], bool], last_words: Callable[[], str]) -> None:
    """Return once the broker answers and its transaction coordinator works. Raises LocalKafkaError, with Kafka's last words."""
    deadline = time.monotonic() + _READY_TIMEOUT_S
    host, _, port = bootstrap_servers.rpartition(":")
    while time.monotonic() < deadline and is_alive():
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
            asyncio.run(_make_a_transactional_producer(bootstrap_servers))
        except (OSError, TimeoutError, KafkaError):
            time.sleep(0.1)
        else:
            return
    problem = "did not become ready" if is_alive() else "ended"
    raise LocalKafkaError(f"Kafka {problem} at {bootstrap_servers}. Its last words:\n{last_words()}")


async def _make_a_transactional_producer(bootstrap_servers: str) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers, transactional_id="readiness")
    try:
        async with asyncio.timeout(5):
            await producer.start()
            await producer.begin_transaction()
            await producer.abort_transaction()
    finally:
        await producer.stop()
