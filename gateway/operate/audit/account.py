"""Digests an output partition in blocks, so that a copy elsewhere can be compared and a difference placed."""

import hashlib

from gateway.contract.outputs import Written, output_parts
from gateway.operate.audit.findings import Block, StreamAccount

RECORDS_A_BLOCK = 1000


class Accountant:
    """Fills a ``StreamAccount`` with records in order."""

    def __init__(self, topic: str, partition: int, algorithm: str) -> None:
        self.account = StreamAccount(topic, partition)
        self._topic = topic
        self._algorithm = algorithm
        self._hash = hashlib.new(algorithm)
        self._in_block = 0

    def add(self, origin: int, record: Written) -> None:
        """Take the next record, of input offset ``origin``; the topic's own name is digested, not the copy's."""
        account = self.account
        self._hash.update(b"".join(output_parts(record, self._topic)))
        account.first_origin = origin if account.first_origin is None else account.first_origin
        account.last_origin = origin
        account.records += 1
        self._in_block += 1
        if self._in_block == RECORDS_A_BLOCK:
            self.close()

    def close(self) -> StreamAccount:
        """End the block; return the account as it stands."""
        if self._in_block and self.account.last_origin is not None:
            value = f"{self._algorithm}:{self._hash.hexdigest()}"
            self.account.blocks.append(Block(self.account.last_origin, self._in_block, value))
            self._hash, self._in_block = hashlib.new(self._algorithm), 0
        return self.account
