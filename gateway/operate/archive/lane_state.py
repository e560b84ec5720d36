"""Where a pass of the archiver left a lane."""

from typing import NamedTuple


class LaneState(NamedTuple):
    """What a lane's pass left: what was written, and when the first entry that was not archived was received
    (milliseconds), and written; None where all is archived. ``waits_for`` as in ``LaneCollector``, or the
    lane's partition of the ledger, where that cannot be read to its end; ``failed`` is why the lane could
    not be archived."""

    segments: int = 0
    entries: int = 0
    records: int = 0
    lost: int = 0
    open_since: int | None = None
    open_day: str | None = None
    waits_for: str | None = None
    failed: str | None = None
