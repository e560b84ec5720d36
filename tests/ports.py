"""Ports for what a test starts, below the range of outgoing connections: a neighbouring test opens
thousands of those, and a port that was free a second ago may be one of theirs. Below those of brokers too,
and of each of pytest's processes its own."""

import os
import secrets

from gateway.operate.local_kafka.broker import is_free

_FIRST, _OF_EACH, _PROCESSES = 15_000, 500, 10
_given = set[int]()


def free_port() -> int:
    """Return a port that nobody listens on now, and that was not given out before."""
    process = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _PROCESSES
    while True:
        port = _FIRST + process * _OF_EACH + secrets.randbelow(_OF_EACH)
        if port not in _given and is_free(port):
            _given.add(port)
            return port


def neighbouring_ports(count: int) -> int:
    """Return the first of ``count`` neighbours that nobody listens on, as `--workers` takes them."""
    while True:
        first = free_port()
        neighbours = range(first + 1, first + count)
        if _given.isdisjoint(neighbours) and all(is_free(each) for each in neighbours):
            _given.update(neighbours)
            return first
