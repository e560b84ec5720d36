"""Serves a registry at ``/metrics``, for commands that have no other web server."""

import contextlib
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, start_http_server

from gateway.adapters.listening import cannot_listen
from gateway.adapters.setting_groups import WebSettings


@contextlib.contextmanager
def serving_metrics(web: WebSettings, registry: CollectorRegistry) -> Iterator[None]:
    """Serve ``registry`` at the address of ``web`` for as long as this lasts, where it is enabled.

    Raises ConfigurationError where nothing can listen there.
    """
    if not web.enabled:
        yield
        return
    try:
        server, thread = start_http_server(web.port, web.host, registry)
    except OSError as error:
        raise cannot_listen(web, error) from None
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
