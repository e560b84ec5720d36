"""A real Apache Kafka on this machine: by a Docker engine where one answers, else on the machine's own Java."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from gateway.adapters.local_kafka.broker import KAFKA_VERSION, LocalKafka
from gateway.adapters.local_kafka.docker import DockerKafka, docker_answers
from gateway.adapters.local_kafka.jars import java_obstacle
from gateway.adapters.local_kafka.java import JavaKafka
from gateway.errors import LocalKafkaError

__all__ = ["KAFKA_VERSION", "LocalKafka", "local_kafka"]


def local_kafka(
    *,
    prefer: Literal["auto", "docker", "java"] = "auto",
    data_dir: Path | None = None,
    properties: Mapping[str, str] | None = None,
    announce: Callable[[str], None] = lambda _: None,
) -> LocalKafka:
    """A broker, not started yet: use it as a context manager. ``properties`` override config/kafka/broker.properties.

    ``announce`` is told what takes time. Raises LocalKafkaError where neither Docker nor Java with Maven is there.
    """
    if prefer == "docker" or (prefer == "auto" and docker_answers()):
        return DockerKafka(properties or {}, announce)
    if obstacle := java_obstacle():
        raise LocalKafkaError(f"No Kafka can be started here: no Docker engine answers, and {obstacle}.")
    return JavaKafka(properties or {}, announce, data_dir)
