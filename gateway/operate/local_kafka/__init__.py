"""A real Apache Kafka on this machine: by a Docker engine where one answers, else on the machine's own
Java."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from gateway.errors import LocalKafkaError
from gateway.operate.local_kafka.broker import KAFKA_VERSION, LocalKafka
from gateway.operate.local_kafka.docker import DockerKafka, docker_obstacle
from gateway.operate.local_kafka.jars import java_obstacle
from gateway.operate.local_kafka.java import JavaKafka
from gateway.operate.local_kafka.users import has_tls

__all__ = ["KAFKA_VERSION", "LocalKafka", "local_kafka"]


def local_kafka(
    *,
    prefer: Literal["auto", "docker", "java"] = "auto",
    data_dir: Path | None = None,
    properties: Mapping[str, str] | None = None,
    passwords_dir: Path | None = None,
    announce: Callable[[str], None] = lambda _: None,
) -> LocalKafka:
    """Return a broker, not started yet: use it as a context manager.

    With ``passwords_dir`` (see ``gateway.operate.secret_files``) the broker knows its admin, and denies
    everyone else what nobody granted; without it, it is open. ``properties`` override
    config/kafka/broker.properties; ``announce`` gets a line about what takes time. The data live in a folder
    (a container, with Docker) that goes when the broker does, unless ``data_dir`` names one to keep, which
    asks for Java, as a certificate beside the passwords does, with which every listener has TLS. Raises
    LocalKafkaError, in one sentence that says what to install, where neither Docker nor Java with Maven is
    there.
    """
    obstacles = []
    if prefer == "docker" or (prefer == "auto" and data_dir is None and not has_tls(passwords_dir)):
        obstacle = docker_obstacle(announce)
        if obstacle is None:
            return DockerKafka(properties or {}, announce, passwords_dir)
        obstacles.append(obstacle)
    if prefer != "docker":
        obstacle = java_obstacle()
        if obstacle is None:
            return JavaKafka(properties or {}, announce, data_dir, passwords_dir)
        obstacles.append(obstacle)
    remedy = {"auto": "Docker, or Java 17 and Maven", "docker": "Docker", "java": "Java 17 and Maven"}[prefer]
    raise LocalKafkaError(f"no Kafka can be started here ({'; '.join(obstacles)}): install {remedy}.")
