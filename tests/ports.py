"""Ports for what a test starts, below the range of outgoing connections: a neighbouring test opens
thousands of those, and a port that was free a second ago may be one of theirs."""

from gateway.operate.local_kafka.broker import free_ports, is_free


def free_port() -> int:
    """Return a port that nobody listens on now."""
    return free_ports(1)[0]


def neighbouring_ports(count: int) -> int:
    """Return the first of ``count`` neighbours that nobody listens on, as `--workers` takes them."""
    while True:
        first = free_port()
        if all(is_free(first + each) for each in range(count)):
            return first
