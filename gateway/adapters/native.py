"""The native kernel (docs/kernel.md), where it is installed and the settings leave it something to do."""

import importlib
from typing import Any, NamedTuple

from gateway.adapters.settings import Settings
from gateway.errors import ConfigurationError

_MODULE = "gateway_kernel"
INTERFACE = 4
"""Of what Python and the kernel say to each other; ``kernel/src/lib.rs`` has it too."""


class Kernel(NamedTuple):
    """The kernel's ``module``, None where the lanes go without it; and ``because``, in words for the log."""

    module: Any
    because: str


def find_kernel(settings: Settings) -> Kernel:
    """Tell whether the lanes of ``settings`` work by the kernel, and why.

    Raises ConfigurationError where ``relay.kernel`` wants it verified and it is not installed, does not
    load, or is of another version.
    """
    relay = settings.relay
    if relay.kernel == "off":
        return Kernel(None, "relay.kernel is off")
    module, because = _load()
    if module is None:
        if relay.kernel == "verify":
            raise ConfigurationError(
                f"{settings.file}: relay.kernel: verify needs the native kernel, and {because}; "
                "docs/kernel.md says how it is built, or set relay.kernel to auto"
            )
        return Kernel(None, because)
    if settings.signatures.own_key is not None:
        return Kernel(None, "the records that go out are signed")
    if settings.tracing.enabled or relay.log_forwards:
        return Kernel(None, "every event is reported")
    return Kernel(module, "every turn is decided both ways" if relay.kernel == "verify" else "installed")


def find_module(settings: Settings) -> Any:
    """Return the kernel's module for work that is no lane's; None where it is off, or there is none that
    serves."""
    return None if settings.relay.kernel == "off" else _load().module


def _load() -> Kernel:
    """Load the kernel; without a module, say why."""
    try:
        module = importlib.import_module(_MODULE)
    except ModuleNotFoundError:
        return Kernel(None, f"{_MODULE} is not installed")
    except ImportError as error:
        return Kernel(None, f"{_MODULE} does not load: {error}")
    if getattr(module, "INTERFACE", None) != INTERFACE:
        return Kernel(None, f"{_MODULE} is of another version: build it again")
    return Kernel(module, "installed")
