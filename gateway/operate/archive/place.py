"""Where the archive lies: as a command names it, else as the settings do."""

from gateway.adapters.settings import Settings
from gateway.errors import UsageError


def place_of(settings: Settings, named: str | None, option: str) -> str:
    """Return the archive's place: ``named`` on the command line by ``option``, else as ``archive.place``
    says. Raises UsageError where neither names one."""
    place = named or settings.archive_place
    if place is None:
        raise UsageError(f"say where the archive lies: {option}, or archive.place in the settings")
    return place
