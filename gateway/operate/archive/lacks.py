"""What an archive does not have of a lane's records, by the inputs that they are for: expired, gone before
it was archived, or missing from it."""

from collections.abc import Iterator
from typing import NamedTuple

from gateway.contract.ledger_entry import Entry
from gateway.operate.archive.manifest import Manifest, segment_folder
from gateway.operate.archive.segment_data import SegmentData
from gateway.operate.audit.stream import BEFORE_ALL, Rank

EXPIRED_WHY = "removed by `gateway archive expire`"


class Lack(NamedTuple):
    """The outputs for inputs from ``first`` through ``last`` are not there, and ``why``.

    ``topic`` is as in the archive, None for all of the lane's. Where ``redrive`` is the id of a ledger
    entry, its outputs alone are meant, whatever inputs they are for.
    """

    topic: str | None
    first: Rank
    last: Rank
    why: str
    redrive: str | None = None

    def touches(self, topic: str, first: Rank, last: Rank) -> bool:
        """Tell whether turns' outputs in ``topic`` for inputs ``first`` through ``last`` are meant."""
        return self.redrive is None and self.topic in {None, topic} and self.first <= last and self.last >= first


def lacks_of(manifest: Manifest, before: Manifest | None, data: SegmentData | None) -> Iterator[Lack]:
    """Name what a segment does not have, and what lies between it and the lane's segment ``before``.

    ``data`` is None where its files are expired.
    """
    begin: Rank = BEFORE_ALL if before is None else (before.next.epoch, before.next.input)
    end = (manifest.next.epoch, manifest.next.input - 1)
    expected = 1 if before is None else before.segment + 1
    if data is None:
        yield Lack(None, begin, end, EXPIRED_WHY)
        return
    if manifest.segment != expected:
        why = f"segments {expected} to {manifest.segment - 1} are not there"
        yield Lack(None, begin, _before_turns(data, end), why)
    elif before is None and _before_turns(data, end) >= (0, 0):
        yield Lack(None, begin, _before_turns(data, end), "from before the archive begins")
    if not data.is_whole:
        folder = segment_folder(manifest.day, manifest.lane, manifest.segment)
        yield Lack(None, begin, end, f"files of {folder} are missing or cannot be read")
    entries = {record.offset: entry for record, entry in data.entries}
    for lost in manifest.lost:
        if lost.what == "ledger":
            yield Lack(None, begin, _before_turns(data, end), "its ledger entries were gone before they were archived")
        elif lost.what == "outputs" and lost.entry in entries:
            yield _of_entry(entries[lost.entry], lost.topic)


def _before_turns(data: SegmentData, end: Rank) -> Rank:
    """Return the place before the segment's first turn; its ``end`` where it has none."""
    turns = [entry for _, entry in data.entries if entry.is_of_a_turn]
    return (turns[0].epoch, turns[0].first_offset - 1) if turns else end


def _of_entry(entry: Entry, topic: str) -> Lack:
    why = "gone from the topic before they were archived"
    if entry.redriven is not None:
        return Lack(topic, BEFORE_ALL, BEFORE_ALL, why, entry.id)
    return Lack(topic, (entry.epoch, entry.first_offset), (entry.epoch, entry.last_offset), why)
