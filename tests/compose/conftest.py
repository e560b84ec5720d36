"""A Docker engine and Compose for the tests of what ships. Where there is no engine the tests fail: they
never skip."""

import io
import os
import secrets
import shlex
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
import yaml
from docker.errors import APIError, DockerException, ImageNotFound

from gateway.adapters.settings import Settings, load_settings, packaged_config
from gateway.operate.local_kafka.broker import free_ports
from gateway.operate.secret_files import make_passwords

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


@pytest.fixture(scope="session")
def prometheus(engine: Any) -> str:
    """The image of Prometheus that docker-compose.yml names: the engine's, or pulled, or Debian's Prometheus
    under its name."""
    name = str(yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["prometheus"]["image"])
    repository, _, tag = name.partition(":")
    try:
        engine.images.get(name)
    except ImageNotFound:
        try:
            engine.images.pull(repository, tag)
        except APIError:
            user, entry = "USER 65534:65534", 'ENTRYPOINT ["/bin/prometheus"]'
            engine.api.import_image_from_data(
                _debians_prometheus(), repository=f"docker.io/{name}", changes=[user, entry]
            )
            engine.images.get(name)
    return name


def _debians_prometheus() -> bytes:
    """Debian's Prometheus and what it is linked to, as a root file system."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for program in ("prometheus", "promtool"):
            path = shutil.which(program)
            assert path is not None, f"{program} is missing: install Debian's prometheus"
            tar.add(path, f"bin/{program}")
        linked = subprocess.run(["ldd", path], check=True, capture_output=True, text=True).stdout
        for library in (word for word in linked.split() if word.startswith("/")):
            tar.add(os.path.realpath(library), library.lstrip("/"))
        for folder, owner in (("prometheus", 65534), ("etc", 0), ("proc", 0), ("sys", 0), ("dev", 0)):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode, entry.uid, entry.gid = tarfile.DIRTYPE, 0o755, owner, owner
            tar.addfile(entry)
        users = tarfile.TarInfo("etc/passwd")
        lines = b"root:x:0:0::/:/bin/false\nnobody:x:65534:65534::/:/bin/false\n"
        users.size = len(lines)
        tar.addfile(users, io.BytesIO(lines))
    return content.getvalue()


class Stack:
    """docker-compose.yml, and what is put on top of it, as a project of its own, on ports of its own."""

    def __init__(self, engine: Any, secrets_dir: Path, *overrides: str) -> None:
        self.engine = engine
        self.project = f"gateway-test-{secrets.token_hex(3)}"
        self._files = [word for file in ("docker-compose.yml", *overrides) for word in ("-f", file)]
        ports = free_ports(5)
        names = ("KAFKA_PORT", "KAFKA_PORT_2", "KAFKA_PORT_3", "PAGE_PORT", "PROMETHEUS_PORT")
        brokers = 3 if "docker-compose.three-nodes.yml" in overrides else 1
        self.bootstrap_servers = ",".join(f"127.0.0.1:{port}" for port in ports[:brokers])
        self.page, self.prometheus = (f"http://127.0.0.1:{port}" for port in ports[3:])
        self._environment = os.environ | {
            **{name: str(port) for name, port in zip(names, ports, strict=True)},
            "SECRETS_DIR": str(secrets_dir), "AUDIT_EVERY_S": "30", "KAFKA_HEAP_OPTS": os.environ["KAFKA_HEAP_OPTS"],
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
        began = time.monotonic()
        done = subprocess.run(
            [*_compose_command(), *self._files, "--project-name", self.project, *arguments],
            cwd=ROOT, env=self._environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (
            f"compose {' '.join(arguments)}: exit {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        )
        print(f"{time.monotonic() - began:5.1f} s  compose {' '.join(arguments)}")
        return done.stdout

    def containers(self, service: str) -> list[Any]:
        """The service's containers, running or not."""
        labels = [f"com.docker.compose.project={self.project}", f"com.docker.compose.service={service}"]
        return list(self.engine.containers.list(all=True, filters={"label": labels}))

    def logs(self) -> str:
        """What the services wrote last; for a failure's message."""
        return self.compose("logs", "--no-color", "--tail", "400")

    def leftovers(self) -> list[str]:
        """Containers, volumes and networks of the project that still exist."""
        label = {"label": f"com.docker.compose.project={self.project}"}
        containers = self.engine.containers.list(all=True, filters=label)
        return [
            *(each.name for each in containers),
            *(each.name for each in self.engine.volumes.list(filters=label)),
            *(each.name for each in self.engine.networks.list(filters=label)),
        ]


@pytest.fixture(scope="session")
def image(engine: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The gateway's image, built once for all tests."""
    Stack(engine, tmp_path_factory.mktemp("secrets")).compose("build", "topics")


@pytest.fixture
def make_stack(engine: Any, image: None, tmp_path: Path) -> Iterator[Callable[..., Stack]]:
    """Makes the stack of the named override files, not up yet; it is taken down with its data at the end."""
    made: list[Stack] = []

    def make(*overrides: str) -> Stack:
        made.append(Stack(engine, tmp_path / "secrets", *overrides))
        return made[-1]

    yield make
    for stack in made:
        stack.compose("--profile", "*", "down", "--volumes", "--timeout", "2", "--remove-orphans")
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
