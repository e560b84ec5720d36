"""What a shell offers for the values of options: codes, statuses, topics, and the units that the list
names."""

from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import load_settings
from gateway.contract.topics import Topics
from gateway.core.province import COORDINATING_CENTRES, Province
from gateway.errors import GatewayError
from gateway.feedback.history import Status
from gateway.operate.codes import KNOWN


def complete_codes(incomplete: str) -> list[str]:
    """Return the reason and error codes that begin so."""
    return [code for code in KNOWN if code.startswith(incomplete)]


def complete_statuses(incomplete: str) -> list[str]:
    """Return the statuses of a case that begin so, and ``open``: those that are not verified."""
    return [status for status in ("open", *Status) if status.startswith(incomplete)]


def complete_new_statuses(incomplete: str) -> list[str]:
    """Return the statuses that a person may give a case and that begin so."""
    return [status.value for status in (Status.FED_BACK, Status.VERIFIED) if status.startswith(incomplete)]


def complete_topics(incomplete: str) -> list[str]:
    """Return the gateway's topics that begin so, without a prefix: as `gateway tail` takes them."""
    return [name for name in Topics().all if name.startswith(incomplete)]


def complete_units(incomplete: str) -> list[str]:
    """Return the units that begin so: platforms, coordinating centres, and the issuers that the settings'
    list names.

    None where settings or list cannot be read: a shell that completes has nowhere to put a message.
    """
    try:
        recognition = load_recognition(load_settings().recognition_dir)
    except GatewayError:
        return []
    rows = (row for edition in recognition.editions for row in edition.rows)
    cells = (listed.row.issuers.of(province) for listed in rows for province in Province)
    units = {unit for cell in cells for unit in cell.value or ()}
    units |= {*COORDINATING_CENTRES, *(province.platform for province in Province)}
    return sorted(unit for unit in units if unit.startswith(incomplete))
