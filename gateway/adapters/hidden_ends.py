"""Where committed records do not reach a partition's end: a transaction is open there, or the marker that
ends it is still on its way.

A broker answers the end of a transaction before each of its partitions has the marker, so that it takes a
moment until what is committed can be read.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from gateway.adapters.kafka_requests import raw_client
from gateway.adapters.log_facts import LogFacts, describe_logs
from gateway.adapters.settings import Settings

SETTLE_S, AGAIN_S = 10.0, 0.2
"""How long markers may take to all partitions of a transaction, and how often they are looked for."""


@dataclass
class HiddenEnds:
    """Looks again and again at ``partitions``, for what stood there at the first look.

    What comes later is not waited for: on a busy partition some transaction is always open.
    """

    settings: Settings
    partitions: Sequence[TopicPartition]
    visible_to: dict[TopicPartition, int] = field(init=False, default_factory=dict)
    """Up to which offset, not with it, each could be read at the last look; without those that had no
    leader."""
    _ends: dict[TopicPartition, int] = field(init=False, default_factory=dict)

    async def look(self) -> list[TopicPartition]:
        """Return those whose end as it was cannot be read yet, and those that have no leader now.

        Raises GatewayError, KafkaError.
        """
        async with raw_client(self.settings) as client:
            return self._hidden(await describe_logs(client, self.partitions))

    async def settle(self, within_s: float | None = None) -> list[TopicPartition]:
        """Look until nothing is hidden, for ``within_s`` at most (None: ``SETTLE_S``); return what still is,
        as ``look`` does."""
        deadline = time.monotonic() + (SETTLE_S if within_s is None else within_s)
        async with raw_client(self.settings) as client:
            while True:
                is_over = time.monotonic() > deadline
                try:
                    hidden = self._hidden(await describe_logs(client, self.partitions))
                except KafkaError as error:
                    if is_over or not error.retriable:  # what leaves transactions open breaks connections too
                        raise
                else:
                    if is_over or not hidden:
                        return hidden
                await asyncio.sleep(AGAIN_S)

    async def settle_beyond_a_kill(self) -> list[TopicPartition]:
        """Look as ``settle`` does, for as long as a worker that was killed may leave a transaction open."""
        return await self.settle(self.settings.relay.transaction_timeout_ms / 1000 + SETTLE_S)

    def _hidden(self, facts: Mapping[TopicPartition, LogFacts]) -> list[TopicPartition]:
        self.visible_to = {each: log.committed_end for each, log in facts.items()}
        for each, log in facts.items():
            # A log that was cut back or made again ends earlier.
            self._ends[each] = min(self._ends.get(each, log.end), log.end)
        return [each for each in self.partitions if each not in facts or facts[each].committed_end < self._ends[each]]


def named(partition: TopicPartition) -> str:
    """Write a partition as every command does."""
    return f"{partition.topic}/{partition.partition}"
