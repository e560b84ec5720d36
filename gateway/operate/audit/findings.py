"""What an audit finds, and what it counts."""

from collections import Counter
from dataclasses import dataclass, field
from typing import ClassVar

from aiokafka.structs import ConsumerRecord

from gateway.adapters.unreadable import UnreadableRecord
from gateway.operate.unread import Unread

_MOST = 1000
"""Findings that are kept of a lane; beyond, they are only counted."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that should not be, and where it stands. ``kind`` is one of ``KINDS``."""

    kind: str
    topic: str
    partition: int
    offset: int
    detail: str


KINDS = {
    "gap": "an input record between two ledger entries that none accounts for",
    "unaccounted": "an input that no entry that is kept speaks of, or another one than its entry decided",
    "lost": "input offsets that the log lost before they were decided, and of which nobody has taken note",
    "overlap": "input offsets that two entries account for",
    "broken_link": "a ledger entry that does not follow from the one before it",
    "missing": "a record that the ledger speaks of and the topic does not have",
    "altered": "an output that is not what the gateway wrote",
    "doubled": "an output that stands there twice",
    "foreign": "a record that the gateway did not write",
    "wrong_decision": "a decision that input and list do not give",
    "unreadable": "a partition that could not be read to its end: what follows was not looked at",
    "unsigned": "a record that does not bear the gateway's signature as the settings ask",
}


@dataclass
class Findings:
    """The findings of a lane: all counted by kind, the first thousand kept."""

    kept: list[Finding] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    most: ClassVar[int] = _MOST

    def add_stranger(self, record: ConsumerRecord, detail: str) -> None:
        """Note a record that is not recognised as the gateway's, for it cannot be read or for the reason
        ``detail``."""
        unreadable = isinstance(record, UnreadableRecord)
        self.add("foreign", record, f"the record cannot be read: {record.problem}" if unreadable else detail)

    def add(self, kind: str, record: ConsumerRecord, detail: str, *, count: int = 1) -> None:
        """Note ``kind`` at the place of ``record``."""
        self.at(kind, record.topic, record.partition, record.offset, detail, count=count)

    def at(self, kind: str, topic: str, partition: int, offset: int, detail: str, *, count: int = 1) -> None:
        """Note ``kind`` at a place."""
        self.counts[kind] += count
        if len(self.kept) < self.most:
            self.kept.append(Finding(kind, topic, partition, offset, detail))


@dataclass(slots=True)
class Block:
    """A stretch of one output partition: ``records`` of them, for inputs up to ``through``, and their
    digest.

    ``through`` is an input offset of ``epoch``.
    """

    epoch: int
    through: int
    records: int
    digest: str


@dataclass(slots=True)
class RedrivenAccount:
    """What one redrive wrote into an output partition; ``entry`` is the id of its ledger entry."""

    entry: str
    records: int
    digest: str


@dataclass(slots=True)
class StreamAccount:
    """What an output partition holds, in a form that another copy of it can be compared with (see
    ``statement``)."""

    topic: str
    partition: int
    records: int = 0
    blocks: list[Block] = field(default_factory=list)
    redriven: list[RedrivenAccount] = field(default_factory=list)


@dataclass(slots=True)
class LaneReport:
    """What the audit of one lane came to. Offsets are the input's, inclusive; None where the lane has no
    entry."""

    province: str
    topic: str
    partition: int
    first_offset: int | None = None
    last_offset: int | None = None
    first_epoch: int = 0
    last_epoch: int = 0
    entries: int = 0
    records: int = 0
    outputs: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    redriven: int = 0
    holes: int = 0
    """Offsets that hold no committed record: markers of transactions, and aborted records. Accounted for,
    and no loss."""
    acknowledged: int = 0
    """Input offsets that the log lost, and of which somebody has taken note."""
    expired: int = 0
    """Entries some of whose records are older than their topic keeps."""
    earlier_logs: int = 0
    """Entries whose inputs stood in a log that another one has taken the place of."""
    pending: int = 0
    """Input records behind the last entry: not decided yet."""
    digest_mismatches: int = 0
    proved: int = 0
    unprovable: Counter[str] = field(default_factory=Counter)
    """Decisions that could not be made again, by why."""
    read: int = 0
    unread: Unread | None = None
    """What could not be read of the lane's partitions; everything else is then about the part before it."""
    findings: Findings = field(default_factory=Findings)
    streams: list[StreamAccount] = field(default_factory=list)
