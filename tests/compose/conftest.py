"""A Docker engine and Compose for the tests of what ships. Where there is no engine the tests fail: they never skip."""

import os
import secrets
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.errors import DockerException

from gateway.adapters.local_kafka.broker import free_ports
from gateway.adapters.secret_files import make_passwords
from gateway.adapters.settings import Settings, load_settings, packaged_config

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def engine() -> Iterator[Any]:
    """The Docker engine's client."""
    try:
        client = docker.from_env()
        client.ping()
    except DockerException as error:
        pytest.fail(f"no Docker engine answers ({error}): start one, or set DOCKER_HOST")
    yield client
    client.close()


class Stack:
    """docker-compose.yml as a project of its own, on ports of its own."""

    def __init__(self, engine: Any, secrets_dir: Path) -> None:
        self.engine = engine
        self.project = f"gateway-test-{secrets.token_hex(3)}"
        port, page_port = free_ports(2)
        self.bootstrap_servers = f"127.0.0.1:{port}"
        self.page = f"http://127.0.0.1:{page_port}"
        self._environment = os.environ | {
            "KAFKA_PORT": str(port), "PAGE_PORT": str(page_port), "SECRETS_DIR": str(secrets_dir)
        }  # fmt: skip
        self.secrets_dir = secrets_dir
        make_passwords(secrets_dir)
        shipped = load_settings(packaged_config() / "gateway.yaml", bootstrap_servers=self.bootstrap_servers)
        outside = shipped.kafka.model_copy(update={"security_protocol": "SASL_PLAINTEXT"})
        access = shipped.access.model_copy(update={"passwords_dir": secrets_dir})
        self._settings = shipped.model_copy(update={"kafka": outside, "access": access})

    def acting_as(self, role: str) -> Settings:
        """The settings of somebody outside who reaches the stack's Kafka as this principal."""
        return self._settings.acting_as(role)

    def compose(self, *arguments: str) -> str:
        """Run Compose; returns its standard output, and fails the test with both outputs where it fails."""
        done = subprocess.run(
            [*_compose_command(), "--project-name", self.project, *arguments],
            cwd=ROOT, env=self._environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (
            f"compose {' '.join(arguments)}: exit {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        )
        return done.stdout

    def containers(self, service: str) -> list[Any]:
        """The service's containers, running or not."""
        labels = [f"com.docker.compose.project={self.project}", f"com.docker.compose.service={service}"]
        return list(self.engine.containers.list(all=True, filters={"label": labels}))

    def logs(self) -> str:
        """What the services wrote last; for a failure's message."""
        return self.compose("logs", "--no-color", "--tail", "40")

    def leftovers(self) -> list[str]:
        """Containers, volumes and networks of the project that still exist."""
        label = {"label": f"com.docker.compose.project={self.project}"}
        containers = self.engine.containers.list(all=True, filters=label)
        return [
            *(each.name for each in containers),
            *(each.name for each in self.engine.volumes.list(filters=label)),
            *(each.name for each in self.engine.networks.list(filters=label)),
        ]


@pytest.fixture
def stack(engine: Any, tmp_path: Path) -> Iterator[Stack]:
    """The stack, not up yet; taken down with its data at the end."""
    stack = Stack(engine, tmp_path / "secrets")
    yield stack
    stack.compose("--profile", "demo", "down", "--volumes", "--timeout", "5", "--remove-orphans")
    assert stack.leftovers() == []


def _compose_command() -> list[str]:
    """``$COMPOSE``, else ``docker compose``, else ``docker-compose``."""
    if given := os.environ.get("COMPOSE"):
        return shlex.split(given)
    if shutil.which("docker"):
        plugin = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
        if plugin.returncode == 0:
            return ["docker", "compose"]
    return ["docker-compose"]
