"""What is wrong with an address in the settings. The address itself, which may hold a password, is never in
the answer."""

import ipaddress
from urllib.parse import urlsplit

_HIGHEST_PORT = 65535
_KAFKA_PORT = "9092"


def problem_with_servers(text: str) -> str | None:
    """Say what is wrong with a list of brokers, ``HOST:PORT,…``; None where nothing is."""
    servers = [server.strip() for server in text.split(",")]
    for number, server in enumerate(servers, start=1):
        which = f"server {number} of {len(servers)}" if len(servers) > 1 else "the server"
        if "://" in server or "@" in server:
            return f"{which} is a URL: write HOST:PORT alone; how to log in is set under kafka"
        host, port = _host_and_port(server)
        if not _is_port(port):
            return f"{which} has no valid port: write HOST:PORT, with a port from 1 to 65535, such as kafka:9092"
        if not (_is_host(host) or _is_ipv6(host)):
            return f"{which} has no valid host name: write HOST:PORT, such as kafka:9092"
    return None


def problem_with_url(text: str) -> str | None:
    """Say what is wrong with an http URL; None where nothing is."""
    try:
        parts = urlsplit(text)
        is_valid = bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_valid = False
    return None if is_valid else "the URL has no valid host and port: write it such as http://collector:4318"


def _host_and_port(server: str) -> tuple[str, str]:
    """Split ``HOST:PORT``, ``HOST`` (Kafka's own port), ``[IPv6]:PORT`` or ``IPv6``, as aiokafka does."""
    if server.startswith("["):
        host, _, rest = server.removeprefix("[").partition("]")
        return (host, rest.removeprefix(":")) if rest.startswith(":") else (host, rest or _KAFKA_PORT)
    host, colon, port = server.rpartition(":")
    return (host, port) if colon and not _is_ipv6(server) else (server, _KAFKA_PORT)


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdecimal() and 1 <= int(text[:9]) <= _HIGHEST_PORT


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def _is_host(text: str) -> bool:
    try:
        return bool(text.encode("idna")) and not any(character in text for character in " \t/:[]")
    except UnicodeError:
        return False
