"""A segment as it is filled and written: its files first, its manifest last."""

from dataclasses import dataclass, field
from typing import Any

from gateway import __version__
from gateway.adapters.own_signatures import RecordSigner
from gateway.contract.ledger_entry import entry_digest
from gateway.contract.topics import LaneId
from gateway.core.times import china_date, format_instant
from gateway.errors import GatewayError
from gateway.operate.archive.collect import Collected
from gateway.operate.archive.facts import facts_of
from gateway.operate.archive.manifest import (
    FORMAT,
    MANIFEST,
    FileFacts,
    Lost,
    Manifest,
    digest_of,
    seal,
    segment_folder,
)
from gateway.operate.archive.parquet import write_rows
from gateway.operate.archive.rows import COLUMNS, INPUTS, LEDGER, input_row, ledger_row, output_row
from gateway.operate.archive.store import Store


class FencedError(GatewayError):
    """Another archiver writes into the same archive."""


@dataclass
class Segment:
    """The entries of one lane and one ``day``, in order; ``with_bytes`` says whether inputs are kept with
    theirs."""

    lane: LaneId
    day: str
    with_bytes: bool
    entries: list[Collected] = field(default_factory=list)
    size: int = 0
    rows: dict[str, list[tuple[Any, ...]]] = field(default_factory=lambda: {file: [] for file in COLUMNS})
    lost: list[Lost] = field(default_factory=list)

    def add(self, each: Collected) -> None:
        """Take the lane's next entry."""
        self.entries.append(each)
        self.size += each.size
        self.lost += each.lost
        self.rows[LEDGER].append(ledger_row(each.record, each.entry))
        self.rows[INPUTS] += [input_row(one, with_bytes=self.with_bytes) for one in each.inputs]
        for file, output in each.outputs:
            self.rows[file].append(output_row(file, output, each.record.offset))


def day_of(each: Collected) -> str:
    """Return the day (UTC+8) of an entry's own time."""
    return china_date(each.entry.received * 1000)


@dataclass(frozen=True, slots=True)
class Written:
    """A manifest and its digest."""

    manifest: Manifest
    digest: str


def write_segment(
    store: Store, segment: Segment, before: Written | None, *,
    settings_digest: str, algorithm: str, signer: RecordSigner | None, now: float,
) -> Written:  # fmt: skip
    """Write ``segment``, which follows ``before`` in its lane; files first, the manifest last.

    Digests are by ``algorithm``. Raises FencedError where another archiver has written that segment.
    """
    number = 1 if before is None else before.manifest.segment + 1
    folder = segment_folder(segment.day, str(segment.lane), number)
    place = f"{folder}/{MANIFEST}"
    if store.read(place) is not None:
        raise _fenced(store, folder)
    store.clear(folder)  # what an archiver left that was killed amid this segment
    files = []
    for name, rows in segment.rows.items():
        if rows:
            content = write_rows(name, rows)
            store.write(f"{folder}/{name}", content)
            files.append(FileFacts(name, len(rows), len(content), digest_of(algorithm, content)))
    manifest = _manifest(segment, files, before, number, settings_digest, now)
    raw = seal(manifest, signer)
    if not store.create(place, raw):
        raise _fenced(store, folder)
    return Written(manifest, digest_of(algorithm, raw))


def _fenced(store: Store, folder: str) -> FencedError:
    return FencedError(
        f"{store.place}/{folder}: another archiver has written this segment. One is enough: end that one, or this one."
    )


def _manifest(
    segment: Segment, files: list[FileFacts], before: Written | None, number: int, settings_digest: str, now: float
) -> Manifest:
    lane, last = segment.lane, segment.entries[-1]
    return Manifest(
        format=FORMAT,
        lane=str(lane),
        province=lane.province.value,
        topic=lane.topic,
        partition=lane.partition,
        segment=number,
        day=segment.day,
        unaccounted=sum(one.entry is None for each in segment.entries for one in each.inputs),
        chain_head=entry_digest(last.entry, last.record.value),
        settings=settings_digest,
        input_bytes=segment.with_bytes,
        files=files,
        lost=segment.lost,
        next=last.next,
        previous=None if before is None else before.digest,
        written=format_instant(round(now * 1e6)),
        version=__version__,
        **facts_of([(each.record, each.entry) for each in segment.entries]),
    )
