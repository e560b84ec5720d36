"""Apache Kafka as a container, by testcontainers, where a Docker engine answers."""

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gateway.adapters import extras
from gateway.errors import LocalKafkaError
from gateway.operate.local_kafka import container_guard
from gateway.operate.local_kafka.broker import (
    KAFKA_VERSION,
    LocalKafka,
    free_ports,
    heap_options,
    last_lines,
    wait_until_ready,
)
from gateway.operate.local_kafka.users import admin_options, broker_properties
from gateway.operate.secret_files import ADMIN

_REPOSITORY = "apache/kafka"
_IMAGE = f"{_REPOSITORY}:{KAFKA_VERSION}"
_STOP_TIMEOUT_S = 30
_ENVIRONMENT = "org.apache.kafka.common.config.provider.EnvVarConfigProvider"
_PASSWORD = "BROKER_PASSWORD"  # noqa: S105 — a variable's name


def docker_obstacle(announce: Callable[[str], None]) -> str | None:
    """Return why Docker cannot run Kafka on this machine, in a few words; None if it can. Pulls the image
    where it is missing."""
    if not extras.is_installed("demo"):
        announce(f"Docker is not tried: that needs {extras.how_to_install('demo')}")
        return f"Docker needs {extras.how_to_install('demo')}"
    # The Docker libraries are slow to import, and seldom needed.
    from docker.errors import DockerException, ImageNotFound  # noqa: PLC0415
    from requests.exceptions import RequestException  # noqa: PLC0415
    from testcontainers.core.docker_client import DockerClient  # noqa: PLC0415

    try:
        engine = DockerClient(timeout=2).client
    except (DockerException, RequestException):
        return "no Docker engine answers"
    try:
        if (urlsplit(engine.api.base_url).hostname or "") not in {"localhost", "127.0.0.1", "::1"}:
            return "the Docker engine runs on another machine"
        engine.ping()
        engine.images.get(_IMAGE)
    except ImageNotFound:
        return _pull(engine, announce)
    except (DockerException, RequestException):
        return "no Docker engine answers"
    finally:
        engine.close()
    return None


def _pull(engine: Any, announce: Callable[[str], None]) -> str | None:
    from docker.errors import DockerException  # noqa: PLC0415
    from requests.exceptions import RequestException  # noqa: PLC0415

    announce(f"pulling {_IMAGE}, once")
    engine.api.timeout = 30  # seconds without a word from the engine
    try:
        for step in engine.api.pull(_REPOSITORY, KAFKA_VERSION, stream=True, decode=True):
            if "error" in step:
                break
        else:
            return None
    except (DockerException, RequestException):
        pass
    return f"Docker has no {_IMAGE} and cannot pull it"


class DockerKafka(LocalKafka):
    """The official image with our broker properties, its port published on the loopback interface only."""

    def __init__(
        self, properties: Mapping[str, str], announce: Callable[[str], None], passwords_dir: Path | None
    ) -> None:
        self._announce = announce
        self._passwords_dir = passwords_dir
        (self._port,) = free_ports(1)
        self.bootstrap_servers = f"127.0.0.1:{self._port}"
        self.description = f"{_IMAGE} in Docker"
        # The same port inside as outside: the broker reaches its own transaction coordinator at its
        # advertised address.
        own = {
            "listeners": f"INTERNAL://0.0.0.0:{self._port},CONTROLLER://127.0.0.1:9093",
            "advertised.listeners": f"INTERNAL://{self.bootstrap_servers}",
            "controller.quorum.voters": "1@127.0.0.1:9093",
        }
        if passwords_dir is not None:
            own |= {"config.providers": "env", "config.providers.env.class": _ENVIRONMENT}
        content = broker_properties(f"env:{_PASSWORD}_" if passwords_dir else None) | own | dict(properties)
        # Not a mounted file: the engine may not see this machine's folders as we do (Docker Desktop, a
        # container).
        self._environment = {_variable(key): value for key, value in content.items()}
        self._environment["KAFKA_HEAP_OPTS"] = heap_options()
        if passwords_dir is not None:
            self._environment[f"{_PASSWORD}_{ADMIN}"] = (passwords_dir / ADMIN).read_text(encoding="utf-8")
        self._client: Any = None
        self._container: Any = None
        self._guard: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """See LocalKafka."""
        from docker.errors import DockerException  # noqa: PLC0415

        self._announce(f"starting {self.description} at {self.bootstrap_servers}")
        try:
            if self._container is None:
                self._create()
            else:
                self._container.start()
        except DockerException as error:
            raise LocalKafkaError(f"{_IMAGE} could not be started: {str(error)[:300]}") from None
        options = admin_options(self.bootstrap_servers, self._passwords_dir)
        wait_until_ready(self._is_alive, self._last_words, options)

    def stop(self) -> None:
        """See LocalKafka."""
        if self._container is not None:
            self._container.stop(timeout=_STOP_TIMEOUT_S)

    def kill(self) -> None:
        """See LocalKafka."""
        if self._container is not None:
            self._container.kill()
            self._container.wait()

    def freeze(self) -> None:
        """See LocalKafka; the container is paused."""
        self._container.pause()

    def thaw(self) -> None:
        """See LocalKafka."""
        self._container.unpause()

    def close(self) -> None:
        """See LocalKafka."""
        if self._container is not None:
            self._container.remove(force=True, v=True)
            self._container = None
        if self._client is not None:
            self._client.close()
            self._client = None
        if self._guard is not None:
            self._guard.kill()
            self._guard.communicate()
            self._guard = None

    def _create(self) -> None:
        from testcontainers.core.config import testcontainers_config  # noqa: PLC0415
        from testcontainers.core.container import DockerContainer  # noqa: PLC0415

        testcontainers_config.ryuk_disabled = True  # container_guard.py does its work, without an image of its own
        container = DockerContainer(_IMAGE, env=self._environment)
        self._client = container.get_docker_client().client
        # with_bind_ports would publish on every interface.
        loopback: Any = {f"{self._port}/tcp": ("127.0.0.1", self._port)}
        container.ports = loopback
        try:
            self._container = container.start().get_wrapped_container()
        except BaseException:
            container.stop()  # it may have been made, and then not started
            raise
        self._guard = subprocess.Popen(
            [sys.executable, "-P", container_guard.__file__, self._container.id],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def _is_alive(self) -> bool:
        self._container.reload()
        return str(self._container.status) in {"created", "running"}

    def _last_words(self) -> str:
        return last_lines(self._container.logs(tail=50).decode("utf-8", "replace"))


def _variable(key: str) -> str:
    """Return the name of the environment variable from which the image reads a broker property."""
    return "KAFKA_" + key.replace("_", "__").replace("-", "___").replace(".", "_").upper()
