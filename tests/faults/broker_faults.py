"""What can happen to a single broker: killed, frozen, out of room. The stage's ground is the broker, or the
broker on its disk."""

import asyncio
import contextlib
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gateway.operate.local_kafka import LocalKafka, local_kafka
from tests.faults.stage import Scenario, Stage

_DISK_MB = 2000
_END_TIMEOUT_S = 60
_SMALLEST = 4096


@dataclass(frozen=True)
class SmallDisk:
    """A broker whose data lie in ``folder``, a file system of its own."""

    broker: LocalKafka
    folder: Path


@contextlib.contextmanager
def broker_on_small_disk() -> Iterator[SmallDisk]:
    """Return a broker on a small file system. Raises CalledProcessError without the right to mount."""
    with tempfile.TemporaryDirectory(prefix="chuanyu-disk-") as folder:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={_DISK_MB}m", "tmpfs", folder]
        subprocess.run(mount, check=True, capture_output=True)
        try:
            properties = {"log.dirs": f"{folder}/data"}
            with local_kafka(prefer="java", properties=properties, announce=print) as broker:
                yield SmallDisk(broker, Path(folder))
        finally:
            subprocess.run(["umount", folder], check=True)


async def kill(stage: Stage) -> None:
    """Kill the broker in the middle of everything; it comes back at once, and recovers its logs."""
    await asyncio.to_thread(stage.ground.kill)
    await asyncio.to_thread(stage.ground.start)


async def freeze(stage: Stage) -> None:
    """Freeze the broker for longer than the sessions; when it wakes, it has missed every heartbeat."""
    stage.ground.freeze()
    await asyncio.sleep(8)
    stage.ground.thaw()


async def fill_disk(stage: Stage) -> None:
    """Fill the disk until Kafka gives up; make room, and start it again."""
    disk: SmallDisk = stage.ground
    ballast = disk.folder / "ballast"
    await asyncio.to_thread(fill, ballast)
    deadline = time.monotonic() + _END_TIMEOUT_S
    while answers(disk.broker.bootstrap_servers):
        assert time.monotonic() < deadline, "Kafka goes on without a disk"
        await asyncio.sleep(0.1)
    await asyncio.to_thread(disk.broker.kill)
    ballast.unlink()
    await asyncio.to_thread(disk.broker.start)


def fill(ballast: Path) -> None:
    """Take what is left: large pieces first, then smaller ones, to the last."""
    with ballast.open("wb") as file:
        size, piece = 0, 2**30
        while piece >= _SMALLEST:
            try:
                os.posix_fallocate(file.fileno(), size, piece)
                size += piece
            except OSError:
                piece //= 2


def answers(bootstrap_servers: str) -> bool:
    host, _, port = bootstrap_servers.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    return True


SCENARIOS = (Scenario("broker: SIGKILL", (kill,)), Scenario("broker: SIGSTOP 8 s", (freeze,)))
FULL_DISK = Scenario("broker: disk full", (fill_disk,))
