"""Kafka's jars, resolved by Maven into the user's cache once, and what is missing on a machine that cannot."""

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from gateway.adapters.local_kafka.broker import KAFKA_VERSION
from gateway.adapters.settings import packaged_config
from gateway.errors import LocalKafkaError

_OLDEST_JAVA = 17


def java_obstacle() -> str | None:
    """Why Kafka cannot run on this machine's Java, as half a sentence that says what to install; None if it can."""
    java = shutil.which("java")
    if java is None:
        return f"there is no java: install Java {_OLDEST_JAVA} and Maven, or Docker"
    described = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', described)
    if version is None or int(version.group(1)) < _OLDEST_JAVA:
        return f"java is older than {_OLDEST_JAVA}: install Java {_OLDEST_JAVA} or Docker"
    if not _folder().is_dir() and shutil.which("mvn") is None:
        return "there is no mvn to fetch Kafka's jars with: install Maven or Docker"
    return None


def kafka_jars(announce: Callable[[str], None]) -> Path:
    """The folder of Kafka's jars, fetched by Maven the first time. Raises LocalKafkaError with Maven's last words."""
    folder = _folder()
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another process may be fetching them
        if not folder.is_dir():
            announce(f"fetching Apache Kafka {KAFKA_VERSION} with Maven, once (about 45 MB)")
            _fetch(folder)
    return folder


def _fetch(folder: Path) -> None:
    pom = (packaged_config() / "kafka" / "pom.xml").read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory(dir=folder.parent) as work:
        (Path(work) / "pom.xml").write_text(pom, encoding="utf-8")
        maven = subprocess.run(
            ["mvn", "-q", "-B", "-f", f"{work}/pom.xml", "dependency:copy-dependencies", f"-DoutputDirectory={work}/jars"],
            capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        if maven.returncode != 0:
            words = "\n".join((maven.stdout + maven.stderr).splitlines()[-15:])
            raise LocalKafkaError(f"Maven could not fetch Apache Kafka {KAFKA_VERSION}:\n{words}")
        os.rename(f"{work}/jars", folder)


def _folder() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "chuanyu-gateway" / f"kafka-{KAFKA_VERSION}"
