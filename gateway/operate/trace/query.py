"""What a trace looks for, and where."""

import json
import re
from dataclasses import dataclass

from gateway.contract.display_event import as_repeated
from gateway.contract.headers import Origin, trace_id
from gateway.contract.ledger_entry import Entry
from gateway.core.event import Reading
from gateway.core.province import Province

_ID_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for, and where. Times in milliseconds since the epoch, of the broker; None is open.

    Either ``event_id``, ``trace_id`` (32 hex digits), or ``at``, whose topic is without the deployment's
    prefix.
    """

    event_id: str | None = None
    trace_id: str | None = None
    at: Origin | None = None
    province: Province | None = None
    partition: int | None = None
    since: int | None = None
    until: int | None = None

    def is_for(self, reading: Reading) -> bool:
        """Tell whether that is the event, or one of them."""
        is_named = self.event_id is not None and reading.id in {self.event_id, as_repeated(self.event_id)}
        return is_named or (self.trace_id is not None and trace_id(reading.carried) == self.trace_id)

    def is_within(self, received: int) -> bool:
        """Tell whether what was ``received`` then (milliseconds) is of the time that is searched."""
        return (self.since is None or received >= self.since) and (self.until is None or received < self.until)

    @property
    def needles(self) -> list[bytes]:
        """What must stand in a record for it to be worth reading: the id as it is, and as JSON may escape
        it.

        An id that is not allowed is named by its digest, and of that nothing stands in the record.
        """
        if self.event_id is not None and _ID_DIGEST.fullmatch(self.event_id):
            return [b""]
        text = self.event_id if self.event_id is not None else self.trace_id or ""
        return list(
            {text.encode(), json.dumps(text)[1:-1].encode(), json.dumps(text, ensure_ascii=False)[1:-1].encode()}
        )


def accounts_for(entry: Entry, offset: int) -> bool:
    """Tell whether ``entry`` speaks of the input at ``offset``, in the log of its epoch."""
    if entry.redriven is not None:
        return offset in entry.redriven
    return entry.is_of_a_turn and entry.first_offset <= offset <= entry.last_offset
