"""Apache Kafka as a container, by testcontainers, where a Docker engine answers."""

import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gateway.adapters.local_kafka.broker import (
    KAFKA_VERSION,
    LocalKafka,
    broker_properties,
    free_port,
    wait_until_ready,
)
from gateway.errors import LocalKafkaError

IMAGE = f"apache/kafka:{KAFKA_VERSION}"
_PORT = 9092


def docker_answers() -> bool:
    """Whether a Docker engine answers within two seconds."""
    import docker  # noqa: PLC0415 — slow to import, and seldom needed
    from docker.errors import DockerException  # noqa: PLC0415

    try:
        client = docker.from_env(timeout=2)
    except DockerException:
        return False
    try:
        return bool(client.ping())
    except DockerException:
        return False
    finally:
        client.close()


class DockerKafka(LocalKafka):
    """The official image with our broker properties mounted, its port published on the loopback interface only."""

    def __init__(self, properties: Mapping[str, str], announce: Callable[[str], None]) -> None:
        self._announce = announce
        port = free_port()
        self.bootstrap_servers = f"127.0.0.1:{port}"
        self.description = f"{IMAGE} in Docker"
        own = {
            "listeners": f"PLAINTEXT://0.0.0.0:{_PORT},CONTROLLER://127.0.0.1:9093",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap_servers}",
            "controller.quorum.voters": "1@127.0.0.1:9093",
            "log.dirs": "/tmp/kafka",  # noqa: S108 — in the container
        }
        self._config = tempfile.TemporaryDirectory(prefix="chuanyu-kafka-")
        os.chmod(self._config.name, 0o755)  # noqa: S103 — the container's user is another one, and it holds no secret
        content = broker_properties() | own | dict(properties)
        path = Path(self._config.name) / "server.properties"
        path.write_text("".join(f"{key}={value}\n" for key, value in content.items()), encoding="utf-8")
        self._port = port
        self._container: Any = None

    def start(self) -> None:
        """See LocalKafka."""
        from docker.errors import DockerException  # noqa: PLC0415
        from testcontainers.core.container import DockerContainer  # noqa: PLC0415

        if self._container is None:
            self._announce(f"starting {IMAGE} in Docker")
            try:
                container = DockerContainer(IMAGE).with_volume_mapping(self._config.name, "/mnt/shared/config", "ro")
                # with_bind_ports would publish on every interface.
                loopback: Any = {f"{_PORT}/tcp": ("127.0.0.1", self._port)}
                container.ports = loopback
                self._container = container.start().get_wrapped_container()
            except DockerException as error:
                raise LocalKafkaError(
                    f"{IMAGE} could not be started: {str(error)[:300]}. Is a Docker engine running?"
                ) from None
        else:
            self._container.start()
        wait_until_ready(self.bootstrap_servers, self._is_alive, self._last_words)

    def stop(self) -> None:
        """See LocalKafka."""
        self._container.stop(timeout=30)

    def kill(self) -> None:
        """See LocalKafka."""
        self._container.kill()

    def freeze(self) -> None:
        """See LocalKafka."""
        self._container.pause()

    def thaw(self) -> None:
        """See LocalKafka."""
        self._container.unpause()

    def close(self) -> None:
        """See LocalKafka."""
        if self._container is not None:
            self._container.remove(force=True, v=True)
            self._container = None
        self._config.cleanup()

    def _is_alive(self) -> bool:
        self._container.reload()
        return str(self._container.status) in {"created", "running"}

    def _last_words(self) -> str:
        return "\n".join(self._container.logs(tail=15).decode("utf-8", "replace").splitlines())
