"""One output partition, given out as a ledger asks for it: the records of an entry's inputs, wherever they
stand."""

from bisect import bisect_right
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from gateway.adapters import kafka
from gateway.adapters.settings import Settings
from gateway.adapters.topic_reader import Span
from gateway.operate.audit.stream import Rank, Ranked, RankOf, Stream

FETCH: dict[str, Any] = {"max_partition_fetch_bytes": 4_194_304, "fetch_max_wait_ms": 20}
"""Many records at a time; and a fetch that waits for records of one partition keeps those of the others
waiting."""


class Stray(StrEnum):
    """Why a record is not one of those that were asked for."""

    BEFORE = "its input comes before those that were asked for"
    SECOND = "its input has another record before it"


class Offsets:
    """A set of offsets of one partition, kept as ranges: those that are put in follow one another, as a
    rule."""

    def __init__(self) -> None:
        self._first = list[int]()
        self._last = list[int]()

    def add(self, offset: int) -> None:
        """Put ``offset`` in."""
        index = bisect_right(self._first, offset)
        if index and self._last[index - 1] >= offset - 1:
            self._last[index - 1] = max(self._last[index - 1], offset)
        else:
            self._first.insert(index, offset)
            self._last.insert(index, offset)

    def __contains__(self, offset: int) -> bool:
        index = bisect_right(self._first, offset)
        return bool(index) and self._last[index - 1] >= offset

    def __bool__(self) -> bool:
        return bool(self._first)


@dataclass
class OutputPartition:
    """The lane's records in ``partition``, as ``rank_of`` ranks them; ``peek`` does so without keeping
    anything.

    They stand in their inputs' order, but those that were restored: these are looked for behind the others,
    once one is missing. ``strays`` is called with every record that nobody asked for.
    """

    settings: Settings
    consumer: AIOKafkaConsumer
    partition: TopicPartition
    span: Span
    rank_of: RankOf
    peek: RankOf
    strays: Callable[[Rank, ConsumerRecord, Stray], None]
    stack: AsyncExitStack
    main: Stream = field(init=False)
    _late: Stream | None = field(init=False, default=None)
    _highest: Rank = field(init=False)
    _restored: Offsets = field(init=False, default_factory=Offsets)

    def __post_init__(self) -> None:
        self.main = Stream(self.consumer, self.partition, self.span, self._rank_in_order)

    async def collect(self, first: Rank, last: Rank) -> dict[Rank, ConsumerRecord]:
        """Return the records of inputs from ``first`` to ``last``, each once, as far as they stand in
        order."""
        found: dict[Rank, ConsumerRecord] = {}
        self._sort_in(await self.main.take_through(last), first, found)
        return found

    async def look_for(self, first: Rank, last: Rank, found: dict[Rank, ConsumerRecord], expected: int) -> None:
        """Add to ``found`` what stands behind others, until there are as many as ``expected``."""
        if len(found) < expected:
            self._sort_in(await self.main.look_further(last), first, found)
        if len(found) < expected:
            self._sort_in_restored(await (await self._restored_ones()).take_through(last), first, found)

    async def look_again(self, first: Rank, last: Rank, found: dict[Rank, ConsumerRecord]) -> None:
        """Add to ``found`` what has become visible since."""
        self._sort_in(await self.main.take_through(last), first, found)

    def _sort_in(self, taken: Iterable[Ranked], first: Rank, found: dict[Rank, ConsumerRecord]) -> None:
        for rank, record in taken:
            if rank < first:
                self.strays(rank, record, Stray.BEFORE)
            elif rank in found:
                self.strays(rank, record, Stray.SECOND)
            else:
                found[rank] = record

    def _sort_in_restored(self, taken: Iterable[Ranked], first: Rank, found: dict[Rank, ConsumerRecord]) -> None:
        for rank, record in taken:
            # What nobody asked for is met again where it stands among the others.
            if rank >= first and rank not in found:
                found[rank] = record
                self._restored.add(record.offset)

    def _rank_in_order(self, record: ConsumerRecord) -> Rank | None:
        return None if self._restored and record.offset in self._restored else self.rank_of(record)

    async def _restored_ones(self) -> Stream:
        """Return a second reading of what is left of the partition, of those records that stand behind later
        ones."""
        if self._late is None:
            consumer = await self.stack.enter_async_context(kafka.consumer(self.settings, **FETCH))
            consumer.assign([self.partition])
            start, self._highest = await self.main.next_offset(), self.main.last_rank
            span = Span(self.span.log_start, start, max(start, self.main.end))
            self._late = Stream(consumer, self.partition, span, self._rank_behind)
        return self._late

    def _rank_behind(self, record: ConsumerRecord) -> Rank | None:
        rank = self.peek(record)
        if rank is None or rank >= self._highest:
            self._highest = self._highest if rank is None else rank
            return None
        return rank
