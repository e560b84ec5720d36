"""When the certificates of TLS end that stand between this process and the brokers: what an alert has to be
early for."""

import asyncio
import contextlib
import ssl
from pathlib import Path

from cryptography import x509

from gateway.adapters import kafka
from gateway.adapters.settings import Settings
from gateway.errors import ConfigurationError

_TIMEOUT_S = 10
CA = "kafka.ca_file"
"""What the settings' own certificates are called among the ends."""


async def certificate_ends(settings: Settings) -> dict[str, float]:
    """Return when each bootstrap server's certificate ends, and the first in ``kafka.ca_file``; in seconds
    since 1970.

    Keys are ``bootstrap_servers``'s entries, and ``CA``. A server that does not answer now, or that is not
    believed, is left out; without TLS all are. Raises ConfigurationError where ``kafka.ca_file`` cannot be
    read.
    """
    context = kafka.client_options(settings).get("ssl_context")
    if context is None:
        return {}
    servers = [server.strip() for server in settings.bootstrap_servers.split(",")]
    found = await asyncio.gather(*(_end_of(server, context) for server in servers))
    ends = {server: end for server, end in zip(servers, found, strict=True) if end is not None}
    if settings.kafka.ca_file is not None:
        ends[CA] = _first_end(settings.beside_file(settings.kafka.ca_file))
    return ends


async def _end_of(server: str, context: ssl.SSLContext) -> float | None:
    host, _, port = server.rpartition(":")
    writer = None
    with contextlib.suppress(OSError, TimeoutError, ValueError):
        async with asyncio.timeout(_TIMEOUT_S):
            _, writer = await asyncio.open_connection(host.strip("[]"), int(port), ssl=context)
    if writer is None:
        return None
    certificate = writer.get_extra_info("peercert")
    writer.close()
    with contextlib.suppress(OSError, TimeoutError):
        await asyncio.wait_for(writer.wait_closed(), _TIMEOUT_S)
    return float(ssl.cert_time_to_seconds(certificate["notAfter"])) if certificate else None


def _first_end(path: Path) -> float:
    try:
        certificates = x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"kafka.ca_file: {path} is not a readable PEM file ({error})") from None
    return min(certificate.not_valid_after_utc.timestamp() for certificate in certificates)
