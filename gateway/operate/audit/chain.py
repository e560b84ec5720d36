"""Follows a lane's ledger from entry to entry by their digests, and distinguishes a broken link from a
foreign entry."""

from dataclasses import dataclass, field

from aiokafka.structs import ConsumerRecord

from gateway.contract.ledger_entry import Entry
from gateway.contract.outputs import digest
from gateway.operate.audit.findings import Findings

Link = tuple[ConsumerRecord, Entry]
_MOST_HELD = 100


@dataclass(slots=True)
class ChainAudit:
    """One chain of entries. ``starts_anywhere``: the ledger's beginning is not there, so the first link
    can't be checked.

    An entry that does not follow is held back: if the next one follows from it, an entry before it is
    missing; if the next one follows from the last good one, it is foreign.
    """

    findings: Findings
    starts_anywhere: bool
    last: ConsumerRecord | None = None
    _held: list[Link] = field(default_factory=list)

    def feed(self, record: ConsumerRecord, entry: Entry) -> list[Link]:
        """Take the next entry; return those that are now known to belong to the chain, in order."""
        if self.last is None and not self._held:
            if not entry.is_first and not self.starts_anywhere:
                self.findings.add("broken_link", record, "the first entry says that there was one before it")
            self.last = record
            return [(record, entry)]
        if self.last is not None and _follows(entry, self.last):
            for held, _ in self._held:
                self.findings.add("foreign", held, "a ledger entry that is not in the lane's chain")
            self._held = []
            self.last = record
            return [(record, entry)]
        self._held.append((record, entry))
        if len(self._held) > 1 and _follows(entry, self._held[-2][0]):
            return self.rest()
        return self.rest() if len(self._held) > _MOST_HELD else []

    def rest(self) -> list[Link]:
        """Return the entries held back, which nothing contradicts: something before them is missing."""
        held, self._held = self._held, []
        before: ConsumerRecord | None = None
        for record, entry in held:
            if before is None or not _follows(entry, before):
                self.findings.add("broken_link", record, "the entry does not follow from the lane's entry before it")
            before = self.last = record
        return held


def _follows(entry: Entry, before: ConsumerRecord) -> bool:
    return is_digest_of(entry.previous, before)


def is_digest_of(text: str | None, record: ConsumerRecord) -> bool:
    """Tell whether ``text`` is the digest of an entry's ``record``; not so either if it names no
    algorithm."""
    algorithm = (text or "").partition(":")[0]
    return algorithm in {"sm3", "sha256"} and text == digest(algorithm, [record.value])
