"""The end of a lane's chain: what the group committed vouches for the last entry, which no other one
names."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from gateway.adapters.hidden_ends import SETTLE_S
from gateway.adapters.settings import Settings
from gateway.adapters.topic_reader import Span, find_spans, read_spans
from gateway.contract.ledger_entry import Entry, read_entry
from gateway.contract.outputs import is_digest_of
from gateway.contract.topics import LaneId
from gateway.errors import BrokerUnreachableError
from gateway.operate.audit.findings import Findings
from gateway.operate.audit.stream import BEFORE_ALL, Rank
from gateway.relay.committed import Committed
from gateway.relay.evidence import GroupNotLoadedError, KafkaEvidence
from gateway.relay.group import group_id_of

_TAIL = 1000
_AGAIN_S = 0.5


async def find_committed(settings: Settings, lane: LaneId) -> Committed | None:
    """Read what the group has of ``lane``; wait up to ``SETTLE_S`` for one that is not loaded.

    Raises BrokerUnreachableError where it is not loaded then either.
    """
    group, deadline = group_id_of(settings), time.monotonic() + SETTLE_S
    evidence = KafkaEvidence(settings, settings.topic_names, lane, group)
    while True:
        try:
            return await evidence.committed()
        except GroupNotLoadedError:
            if time.monotonic() > deadline:
                raise BrokerUnreachableError(
                    f"the group {group} is not loaded: its coordinator at {settings.bootstrap_servers} has just started, or "
                    "moves. Run this again in a moment"
                ) from None
        await asyncio.sleep(_AGAIN_S)


@dataclass(slots=True)
class Head:
    """What the group had ``committed`` of ``lane`` before the ledger's end was read; ``consumer`` has that
    partition."""

    settings: Settings
    lane: LaneId
    consumer: AIOKafkaConsumer
    ledger: TopicPartition
    findings: Findings
    committed: Committed | None
    is_vouched: bool = False
    """Whether an entry that was looked at is the one that was committed, and where it says that the lane
    stands."""

    def ask(self, record: ConsumerRecord, covered: Rank) -> None:
        """See whether the group committed ``record``, the last entry so far; ``covered`` is what the turns
        account for."""
        committed = self.committed
        if self.is_vouched or committed is None or committed.entry is None:
            return
        link = committed.link
        if covered == ((link.log.epoch, link.last_offset) if link is not None else BEFORE_ALL):
            self.is_vouched = is_digest_of(committed.entry, [record.value])

    async def check(self, *, has_entries: bool) -> None:
        """Report a chain whose end nothing vouches for; ``has_entries``: whether there were any to be looked
        at."""
        committed, deadline = self.committed, time.monotonic() + SETTLE_S
        link = committed.link if committed is not None else None
        if committed is not None and link is not None and committed.next_offset <= link.last_offset:
            self._report(f"the group stands at {committed.next_offset}, before the end of the entry that it committed")
        if self.is_vouched:
            return
        # The group's offset may be seen a moment before the entry that was committed with it, and the other
        # way round.
        while problem := await self._problem(committed, has_entries=has_entries):
            if time.monotonic() > deadline:
                self._report(problem)
                return
            await asyncio.sleep(_AGAIN_S)
            committed = await find_committed(self.settings, self.lane)

    async def _problem(self, committed: Committed | None, *, has_entries: bool) -> str | None:
        newest = [record async for record, _ in self.newest_entries()]
        group = group_id_of(self.settings)
        if committed is not None and committed.entry is not None:
            if any(is_digest_of(committed.entry, [record.value]) for record in newest):
                return None
            at = f"{self.lane.topic}/{self.lane.partition}/{committed.next_offset}"
            return f"the group committed {at} with a ledger entry that is not here as it was written"
        if not (has_entries or newest):
            return None
        if committed is None:
            return (
                f"the group {group} has no offset of {self.lane}: nothing vouches that its newest entry is the last one"
            )
        if committed.is_ours:
            return f"the group {group} has committed that no entry vouches for {self.lane} yet"
        return (
            f"somebody set the offset of {self.lane} in the group {group} by hand ({committed.next_offset}): nothing vouches "
            "that its newest entry is the last one"
        )

    def _report(self, detail: str) -> None:
        self.findings.at("broken_link", self.ledger.topic, self.ledger.partition, -1, detail)

    async def newest_entries(self) -> AsyncIterator[tuple[ConsumerRecord, Entry]]:
        """Yield the lane's own entries at the ledger's end as it is now."""
        span = (await find_spans(self.consumer, [self.ledger]))[self.ledger]
        tail = Span(span.log_start, max(span.log_start, span.end - _TAIL), span.end)
        async for _, records in read_spans(self.consumer, {self.ledger: tail}):
            for record in records:
                entry = read_entry(record.value) if record.key == str(self.lane).encode() else None
                if entry is not None:
                    yield record, entry
