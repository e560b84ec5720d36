"""Records that the log reports one by one, and what it says of each: codes, field names, reasons, units and
ids, never another value out of an event."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from gateway.contract.display_event import names_of, read_names
from gateway.contract.headers import trace_id
from gateway.contract.outputs import InputRecord
from gateway.core.decision import DeadLetter, Decision, Outcome, Reject, row_of
from gateway.core.event import Names

REPORTED = frozenset({Outcome.REJECT, Outcome.DEAD_LETTER})
"""Outcomes that the log reports one by one."""


class Reported(Protocol):
    """A record of which the log tells what it became, and why."""

    @property
    def record(self) -> InputRecord:
        """The input record."""

    @property
    def alike(self) -> Decision:
        """A decision of the same outcome, for the same reasons."""

    @property
    def said(self) -> Mapping[str, Any]:
        """``describe`` of it."""

    @property
    def names(self) -> Names | None:
        """What the event is known by; None where none can be read."""


class Decided(NamedTuple):
    """An input record and what was decided about it."""

    record: InputRecord
    decision: Decision

    @property
    def alike(self) -> Decision:
        """The decision itself."""
        return self.decision

    @property
    def said(self) -> Mapping[str, Any]:
        """What the log says of the decision."""
        return describe(self.decision)

    @property
    def names(self) -> Names | None:
        """What the event is known by; None where none can be read."""
        return None if isinstance(self.decision, DeadLetter) else names_of(self.decision.reading)


@dataclass(frozen=True, slots=True)
class Repeated:
    """An event that was rejected like another one: in the same row, for the same reasons, as ``alike`` and
    ``said`` have it."""

    record: InputRecord
    alike: Reject
    said: Mapping[str, Any]

    @property
    def names(self) -> Names:
        """What the event is known by."""
        return read_names(self.record.value or b"")


def describe(decision: Decision) -> dict[str, Any]:
    """Return what the log says of every record that becomes the same: codes, field, reason, units and
    row."""
    if isinstance(decision, DeadLetter):
        return {"code": decision.code.value, "message": decision.message}
    ref = row_of(decision)
    row = {"batch": None, "row": None} if ref is None else ref._asdict()
    if not isinstance(decision, Reject):
        return row
    primary = decision.reasons[0]
    return {
        "code": primary.code.value,
        "codes": [code.value for code in decision.codes],
        "field": primary.field,
        "reason": primary.zh,
        **row,
        "responsible_units": list(decision.units),
    }


def identify(reported: Reported) -> dict[str, str | None]:
    """Return what the log says of the event itself: its id, source and trace id; nothing where none can be
    read."""
    if (names := reported.names) is None:
        return {}
    return {"event_id": names.id, "source": names.source, "trace_id": trace_id(names.trace_context)}
