"""What an audit finds, and what it counts."""

from collections import Counter
from dataclasses import dataclass, field

from aiokafka.structs import ConsumerRecord

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
    "gap": "an input record that no ledger entry accounts for",
    "overlap": "input offsets that two entries account for",
    "broken_link": "a ledger entry that does not follow from the one before it",
    "missing": "a record that the ledger speaks of and the topic does not have",
    "altered": "an output that is not what the gateway wrote",
    "doubled": "an output that stands there twice",
    "foreign": "a record that the gateway did not write",
    "wrong_decision": "a decision that input and list do not give",
    "unsigned": "a record that does not bear the gateway's signature as the settings ask",
}


@dataclass(slots=True)
class Findings:
    """The findings of a lane: all counted by kind, the first thousand kept."""

    kept: list[Finding] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, kind: str, record: ConsumerRecord, detail: str, *, count: int = 1) -> None:
        """Note ``kind`` at the place of ``record``."""
        self.at(kind, record.topic, record.partition, record.offset, detail, count=count)

    def at(self, kind: str, topic: str, partition: int, offset: int, detail: str, *, count: int = 1) -> None:
        """Note ``kind`` at a place."""
        self.counts[kind] += count
        if len(self.kept) < _MOST:
            self.kept.append(Finding(kind, topic, partition, offset, detail))


@dataclass(slots=True)
class Block:
    """A stretch of one output partition: ``records`` of them, for inputs up to offset ``through``, and their digest."""

    through: int
    records: int
    digest: str


@dataclass(slots=True)
class StreamAccount:
    """What an output partition holds, in a form that another copy of it can be held against (see ``statement``)."""

    topic: str
    partition: int
    records: int = 0
    first_origin: int | None = None
    last_origin: int | None = None
    blocks: list[Block] = field(default_factory=list)


@dataclass(slots=True)
class LaneReport:
    """What the audit of one lane came to. Offsets are the input's, inclusive; None where the lane has no entry."""

    province: str
    topic: str
    partition: int
    first_offset: int | None = None
    last_offset: int | None = None
    entries: int = 0
    records: int = 0
    outputs: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    redriven: int = 0
    holes: int = 0
    """Offsets that hold no record: markers of transactions, aborted or compacted records. Accounted for, and no loss."""
    expired: int = 0
    """Entries some of whose records are older than their topic keeps."""
    pending: int = 0
    """Input records behind the last entry: not decided yet."""
    digest_mismatches: int = 0
    proved: int = 0
    unprovable: Counter[str] = field(default_factory=Counter)
    """Decisions that could not be made again, by why."""
    read: int = 0
    findings: Findings = field(default_factory=Findings)
    streams: list[StreamAccount] = field(default_factory=list)
