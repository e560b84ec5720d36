"""Optional parts of the package: what only some need is an extra of it, and where one is missing the message
names it."""

from importlib.util import find_spec
from typing import Literal

from gateway.errors import ConfigurationError

Extra = Literal["archive", "demo", "otel", "report", "sm2"]

MODULES: dict[Extra, tuple[str, ...]] = {
    "archive": ("pyarrow", "obstore"),
    "demo": ("docker", "testcontainers"),
    "otel": ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"),
    "report": ("pygal", "xlsxwriter"),
    "sm2": ("tongsuopy",),
}
"""What each extra brings that this package imports."""


def is_installed(extra: Extra) -> bool:
    """Tell whether all modules of the extra are installed, without loading them."""
    return all(_is_there(module) for module in MODULES[extra])


def how_to_install(extra: Extra) -> str:
    """Return how to install an extra: ``the extra `report`: pip install …``."""
    return f"the extra `{extra}`: pip install 'chuanyu-display-gateway[{extra}]'"


def require(extra: Extra, what: str) -> None:
    """Raise ConfigurationError if the extra that ``what`` needs is not installed. Call it before the
    import."""
    if not is_installed(extra):
        raise ConfigurationError(f"{what} needs {how_to_install(extra)}")


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ModuleNotFoundError, ValueError):  # its parent is missing
        return False
