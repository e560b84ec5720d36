"""Several brokers on this machine's Java that are one cluster: every partition has a copy on each of
them."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Self

from gateway.errors import LocalKafkaError
from gateway.operate.local_kafka.broker import free_ports
from gateway.operate.local_kafka.jars import java_obstacle
from gateway.operate.local_kafka.java import JavaKafka

_INTERNAL_TOPICS = ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic")


class LocalCluster:
    """``count`` brokers, each a controller too, known by their node ids from 1 on; a context manager.

    A write is acknowledged once all but one of the copies have it, so that one broker may be down. Whoever
    creates topics asks for a replication factor of ``count``. ``properties`` override
    config/kafka/broker.properties on each of them. Raises LocalKafkaError where Java or Maven is missing.
    """

    def __init__(
        self, count: int = 3, *, properties: Mapping[str, str] | None = None,
        announce: Callable[[str], None] = lambda _: None,
    ) -> None:  # fmt: skip
        obstacle = java_obstacle()
        if obstacle is not None:
            raise LocalKafkaError(f"no Kafka cluster can be started here ({obstacle}): install Java 17 and Maven.")
        ports = free_ports(2 * count)
        pairs = dict(enumerate(zip(ports[:count], ports[count:], strict=True), start=1))
        common = {
            "controller.quorum.voters": ",".join(f"{node}@127.0.0.1:{pair[1]}" for node, pair in pairs.items()),
            "default.replication.factor": str(count),
            "min.insync.replicas": str(count - 1),
            # A broker that is gone is to be missed within seconds, not in Kafka's nine.
            "broker.session.timeout.ms": "3000",
            "broker.heartbeat.interval.ms": "500",
        }
        for topic in _INTERNAL_TOPICS:
            common |= {f"{topic}.replication.factor": str(count)}
            common |= {f"{topic}.min.isr": str(count - 1)} if topic != "offsets.topic" else {}
        self.nodes = {
            node: JavaKafka({**common, **(properties or {}), "node.id": str(node)}, announce, None, None, ports=pair)
            for node, pair in pairs.items()
        }
        self.bootstrap_servers = ",".join(node.bootstrap_servers for node in self.nodes.values())

    def start(self) -> None:
        """Start all brokers together: a lone one waits for the others."""
        with ThreadPoolExecutor(len(self.nodes)) as threads:
            for started in [threads.submit(node.start) for node in self.nodes.values()]:
                started.result()

    def close(self) -> None:
        """End all brokers and remove what was made for them."""
        with ExitStack() as all_of_them:
            for node in self.nodes.values():
                all_of_them.callback(node.close)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
