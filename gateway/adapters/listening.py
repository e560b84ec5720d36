"""An address where a web server cannot listen: what is wrong with it, and what to do."""

import errno
import socket

from gateway.adapters.setting_groups import WebSettings
from gateway.errors import ConfigurationError

_REMEDIES = {
    errno.EADDRINUSE: "the port is taken, perhaps by another worker. End that one, or set another web.port "
    "(GATEWAY_WEB__PORT).",
    errno.EADDRNOTAVAIL: "this machine does not have that address. Set web.host (GATEWAY_WEB__HOST) to one that it has.",
    errno.EACCES: "this user may not use that port. Set a web.port (GATEWAY_WEB__PORT) of 1024 or more.",
}


def is_about_an_address(error: BaseException | None) -> bool:
    """Tell whether a server that starts raised ``error`` for its address. Kafka's clients raise errors of
    their own."""
    return isinstance(error, socket.gaierror) or (isinstance(error, OSError) and error.errno in _REMEDIES)


def cannot_listen(web: WebSettings, error: OSError) -> ConfigurationError:
    """Return the error that names ``web``'s address, what is wrong with it and what to do."""
    if isinstance(error, socket.gaierror):
        remedy = "the name is unknown here. Set web.host (GATEWAY_WEB__HOST) to an address of this machine."
    else:
        remedy = _REMEDIES.get(error.errno or 0, str(error.strerror))
    return ConfigurationError(f"web.host, web.port: nothing can listen at {web.host}:{web.port}: {remedy}")
