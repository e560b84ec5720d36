"""Prints, for KAFKA_JVM_PERFORMANCE_OPTS, the option by which a broker maps its classes from an archive: it
then starts in two thirds of the time, and the tests start more than a hundred.

The archive is made the first time, beside Kafka's jars. A JVM that it was not made for, or that finds other
jars, goes without it. Where no Java runs, nothing is printed.
"""

import os
import sys
import tempfile
from pathlib import Path

from gateway.operate.local_kafka.jars import java_obstacle, java_version, kafka_jars
from gateway.operate.local_kafka.java import JavaKafka


def main() -> None:
    """Print the option, and what takes time to standard error."""
    if java_obstacle() is not None:
        return
    jars = kafka_jars(_say)
    archive = jars.with_name(f"{jars.name}-java{java_version()}.jsa")
    if not archive.is_file():
        _say("archiving a broker's classes, once")
        _make(archive)
    print(f"-XX:SharedArchiveFile={archive}")


def _make(archive: Path) -> None:
    """Let the JVM of a broker write the archive, as it does when it ends."""
    with tempfile.TemporaryDirectory(dir=archive.parent) as folder:
        written = Path(folder) / archive.name
        os.environ["KAFKA_JVM_PERFORMANCE_OPTS"] = f"-XX:ArchiveClassesAtExit={written}"
        with JavaKafka({}, _say, None, None) as broker:
            broker.stop()
        written.rename(archive)


def _say(what: str) -> None:
    print(what, file=sys.stderr)


if __name__ == "__main__":
    main()
