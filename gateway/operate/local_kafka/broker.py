"""What the two kinds of local broker have in common: a port of their own, and the wait until the broker
works."""

import asyncio
import os
import secrets
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, Self

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, for_code

from gateway.errors import LocalKafkaError

KAFKA_VERSION = "4.1.1"
_READY_TIMEOUT_S = 90
_LAST_LINES = 15


class LocalKafka(ABC):
    """A single-node Kafka (KRaft) on the loopback interface; a context manager that starts it, and cleans up
    behind it."""

    bootstrap_servers: str
    """``127.0.0.1:PORT``; the port stays the same through every restart."""
    description: str
    """What runs, for people: ``Apache Kafka 4.1.1 on Java 17``."""

    @abstractmethod
    def start(self) -> None:
        """Start, or start again after ``stop`` or ``kill`` with the same port and data. Raises
        LocalKafkaError."""

    @abstractmethod
    def stop(self) -> None:
        """Shut down in order; the data stays until the context ends."""

    @abstractmethod
    def kill(self) -> None:
        """Kill with SIGKILL; the data stays until the context ends."""

    @abstractmethod
    def freeze(self) -> None:
        """Freeze with SIGSTOP, until ``thaw``."""

    @abstractmethod
    def thaw(self) -> None:
        """Continue after ``freeze``, with SIGCONT."""

    @abstractmethod
    def close(self) -> None:
        """End the broker and remove what was made for it."""

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def free_ports(count: int) -> list[int]:
    """Return ``count`` different TCP ports of the loopback interface that nobody listens on now.

    They lie below the range from which systems choose the ports of outgoing connections: while a broker is
    down, a client that tries again and again from within that range would sooner or later take the broker's
    own port.
    """
    ports: list[int] = []
    with ExitStack() as held:
        while len(ports) < count:
            probe = held.enter_context(socket.socket())
            try:
                probe.bind(("127.0.0.1", 20_000 + secrets.randbelow(12_000)))
            except OSError:
                continue
            ports.append(probe.getsockname()[1])
    return ports


def is_free(port: int) -> bool:
    """Tell whether nobody listens on this port of the loopback interface now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that have just ended do not count
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def heap_options() -> str:
    """Return the options for the JVM's heap: ``$KAFKA_HEAP_OPTS`` (Kafka's own variable), else at most 1
    GB."""
    return os.environ.get("KAFKA_HEAP_OPTS") or "-Xms256m -Xmx1g"


def performance_options() -> str:
    """Return more options for the JVM: ``$KAFKA_JVM_PERFORMANCE_OPTS`` (Kafka's own variable), else none."""
    return os.environ.get("KAFKA_JVM_PERFORMANCE_OPTS") or ""


def last_lines(text: str) -> str:
    """Return the end of a log, for an error message."""
    return "\n".join(text.splitlines()[-_LAST_LINES:])


def wait_until_ready(
    is_alive: Callable[[], bool],
    last_words: Callable[[], str],
    options: Mapping[str, Any],
) -> None:
    """Return once the broker answers and its transaction and group coordinators work; ``options`` are those
    of its admin.

    Raises LocalKafkaError, with Kafka's last words, when the broker ends or is not ready in time.
    """
    deadline = time.monotonic() + _READY_TIMEOUT_S
    bootstrap_servers = options["bootstrap_servers"]
    host, _, port = bootstrap_servers.rpartition(":")
    while time.monotonic() < deadline and is_alive():
        try:
            # First a bare connection: aiokafka logs each one that is refused.
            socket.create_connection((host, int(port)), timeout=1).close()
            _run(_use_coordinators(options))
        except (OSError, TimeoutError, KafkaError, AssertionError):
            # The last is aiokafka's where a broker that is starting answers before it knows its own
            # metadata: "Did we not perform bootstrap?" It is not ready.
            time.sleep(0.1)
        else:
            return
    problem = f"was not ready within {_READY_TIMEOUT_S} s" if is_alive() else "ended"
    raise LocalKafkaError(f"Kafka {problem} at {bootstrap_servers}; its last words:\n{last_words()}")


def _run(work: Coroutine[Any, Any, None]) -> None:
    """Run ``work`` to its end, whether or not this thread has an event loop already."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, work).result()


async def _use_coordinators(options: Mapping[str, Any]) -> None:
    async with asyncio.timeout(10):
        producer = AIOKafkaProducer(**options, transactional_id="readiness")
        try:
            await producer.start()  # asks the transaction coordinator for a producer id
        finally:
            await producer.stop()
        admin = AIOKafkaAdminClient(**options)
        try:
            await admin.start()
            for response in await admin.describe_consumer_groups(["readiness"]):
                for code, *_ in response.groups:
                    if code and for_code(code).retriable:  # "no such group" is an answer of a working coordinator
                        raise for_code(code)
        finally:
            await admin.close()
