"""A batch of records that is written already, as aiokafka's producer sends one; part of the door that
``aiokafka_patches`` is."""

import time
from typing import Any

from aiokafka.producer.message_accumulator import BatchBuilder


class ReadyBatch(BatchBuilder):  # type: ignore[misc]  # aiokafka is untyped
    """A batch that the native kernel has written, whose header is completed when its producer is known.

    aiokafka's builder writes record by record and has no way in for records that are written. Goes when it
    takes bytes.
    """

    def __init__(self, batch: Any) -> None:
        self._batch, self._written, self._closed = batch, b"", True

    def _set_producer_state(self, producer_id: int, producer_epoch: int, base_sequence: int) -> None:
        self._written = self._batch.seal(int(time.time() * 1000), producer_id, producer_epoch, base_sequence)

    def _build(self) -> bytes:
        return self._written

    def size(self) -> int:
        """Return the batch's size in bytes."""
        return int(self._batch.size)

    def record_count(self) -> int:
        """Return how many records it has."""
        return int(self._batch.records)
