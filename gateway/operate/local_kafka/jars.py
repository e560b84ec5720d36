"""Kafka's jars, resolved by Maven into the user's cache once, and what is missing on a machine that
cannot."""

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from gateway.adapters.settings import packaged_config
from gateway.errors import LocalKafkaError
from gateway.operate.local_kafka.broker import KAFKA_VERSION, last_lines

_OLDEST_JAVA = 17


def java_version() -> int | None:
    """Return the major version of the ``java`` on the path; None where there is none that runs."""
    java = shutil.which("java")
    if java is None:
        return None
    described = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', described)
    return int(version.group(1)) if version else None


def java_obstacle() -> str | None:
    """Return why Kafka cannot run on this machine's Java, in a few words; None if it can."""
    version = java_version()
    if version is None:
        return "no Java runs"
    if version < _OLDEST_JAVA:
        return f"Java {version} is too old"
    if not _folder().is_dir() and shutil.which("mvn") is None:
        return "no Maven to fetch Kafka's jars with"
    return None


def kafka_jars(announce: Callable[[str], None]) -> Path:
    """Return the folder of Kafka's jars, fetched by Maven the first time. Raises LocalKafkaError with
    Maven's last words."""
    return _fetched(_folder(), "broker", f"Apache Kafka {KAFKA_VERSION} with Maven, once (about 54 MB)", announce)


def mirror_jars(announce: Callable[[str], None]) -> Path:
    """Return the folder of MirrorMaker's jars, fetched in the same way; they are all that it needs."""
    folder = _folder().with_name(f"kafka-mirror-{KAFKA_VERSION}")
    return _fetched(folder, "mirror", f"MirrorMaker {KAFKA_VERSION} with Maven, once (about 33 MB)", announce)


def _fetched(folder: Path, profile: str, what: str, announce: Callable[[str], None]) -> Path:
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another process may be fetching them
        if not folder.is_dir():
            announce(f"fetching {what}")
            _fetch(folder, profile)
    return folder


def _fetch(folder: Path, profile: str) -> None:
    pom = packaged_config() / "kafka" / "pom.xml"
    # Beside the cache, so that the rename is atomic: the folder is there whole or not at all.
    with tempfile.TemporaryDirectory(dir=folder.parent) as work:
        shutil.copy(pom, work)
        maven = subprocess.run(
            [
                "mvn", "-q", "-B", "-f", f"{work}/pom.xml", f"-P{profile}", f"-Dkafka.version={KAFKA_VERSION}",
                "dependency:copy-dependencies", f"-DoutputDirectory={work}/jars",
            ],
            capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        if maven.returncode != 0:
            words = last_lines(maven.stdout + maven.stderr)
            raise LocalKafkaError(f"Maven could not fetch Apache Kafka {KAFKA_VERSION}; its last words:\n{words}")
        os.rename(f"{work}/jars", folder)


def _folder() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "chuanyu-gateway" / f"kafka-{KAFKA_VERSION}"
