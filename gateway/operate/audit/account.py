"""Digests an output partition in blocks, so that a copy elsewhere can be compared and a difference
placed."""

from collections.abc import Sequence

from gateway.contract.outputs import Written, digest, output_digest
from gateway.operate.audit.findings import Block, RedrivenAccount, StreamAccount
from gateway.operate.audit.stream import Rank

RECORDS_A_BLOCK = 1000


class Accountant:
    """Fills a ``StreamAccount`` with records in their inputs' order."""

    def __init__(self, topic: str, partition: int, algorithm: str) -> None:
        self.account = StreamAccount(topic, partition)
        self._topic = topic
        self._algorithm = algorithm
        self._block: list[bytes] = []
        self._through: Rank = (0, -1)
        self._day: str | None = None

    def begin_day(self, day: str, through: Rank) -> None:
        """Note that what follows is of ``day``; where that is another one, all inputs up to ``through`` were
        taken, and the block ends: a copy that no longer has a day can be compared in the others."""
        if self._day not in {None, day}:
            self.close(through)
        self._day = day

    def add(self, origin: Rank, record: Written) -> None:
        """Take the next record, of the input ``origin``; the topic's own name is digested, not the
        copy's."""
        self._block.append(self._digest(record))
        self._through = origin
        self.account.records += 1
        if len(self._block) == RECORDS_A_BLOCK:
            self.close()

    def add_redriven(self, entry: str, records: Sequence[Written]) -> None:
        """Take what a redrive, by the id of its ledger entry, wrote there; in its inputs' order."""
        value = digest(self._algorithm, map(self._digest, records))
        self.account.redriven.append(RedrivenAccount(entry, len(records), value))

    def close(self, through: Rank | None = None) -> StreamAccount:
        """End the block; return the account as it stands.

        All inputs up to ``through`` were taken; by default up to the last record's.
        """
        if self._block:
            value = digest(self._algorithm, self._block)
            self.account.blocks.append(Block(*self._through, len(self._block), value))
            self._block = []
        if self.account.blocks and through is not None:
            last = self.account.blocks[-1]
            last.epoch, last.through = max(self._through, through)
        return self.account

    def _digest(self, record: Written) -> bytes:
        return output_digest(self._algorithm, record, self._topic)
