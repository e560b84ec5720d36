"""One partition, pulled record by record as an audit needs them, with bounded memory."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from gateway.adapters.topic_reader import Span, poll

Rank = tuple[int, int]
"""Where an input record stands among all that a lane ever read: epoch, offset."""
Ranked = tuple[Rank, ConsumerRecord]
RankOf = Callable[[ConsumerRecord], Rank | None]

BEFORE_ALL: Rank = (-1, -1)
_POLL_MS = 500
_BATCH = 2000
_LOOK_AHEAD = 10_000
"""How many records are looked at beyond the place where one should stand."""


class Stream:
    """The committed records of one partition, each under a rank: of an output that of its input.

    Ranks rise, as long as nobody else writes there. ``rank_of`` gives None for a record that is not of this
    lane, which is passed over; it may keep what it finds strange.
    """

    def __init__(self, consumer: AIOKafkaConsumer, partition: TopicPartition, span: Span, rank_of: RankOf) -> None:
        self.partition = partition
        self.span = span
        self.first_rank: Rank | None = None
        self.last_rank = BEFORE_ALL
        """The highest one so far."""
        self._consumer = consumer
        self._rank_of = rank_of
        self.end = span.end
        self._buffer: deque[ConsumerRecord] = deque()
        # Read, but not asked for yet: one record as a rule, more where ranks do not rise.
        self._ahead: list[Ranked] = []
        consumer.seek(partition, span.start)

    async def take_through(self, last: Rank) -> list[Ranked]:
        """Take the next records with ranks up to ``last``, until one comes that is beyond it."""
        taken = self._take_ahead(last)
        if self._ahead:
            return taken
        while True:
            for ranked in self._ranked():
                if ranked[0] > last:
                    self._ahead.append(ranked)
                    return taken
                taken.append(ranked)
            if not await self._fill():
                return taken

    async def look_further(self, last: Rank) -> list[Ranked]:
        """Take records with ranks up to ``last`` that stand behind others; looks so far and no further."""
        taken: list[Ranked] = []
        while len(self._ahead) < _LOOK_AHEAD:
            for ranked in self._ranked():
                (taken if ranked[0] <= last else self._ahead).append(ranked)
            if taken or not await self._fill():
                break
        return taken

    async def take_rest(self) -> list[Ranked]:
        """Take some of what is left; empty at the end."""
        taken, self._ahead = self._ahead, []
        while not taken:
            taken = list(self._ranked())
            if not taken and not await self._fill():
                break
        return taken

    async def next_offset(self) -> int:
        """Return the offset of the first record whose rank was not asked for."""
        return self._buffer[0].offset if self._buffer else int(await self._consumer.position(self.partition))

    async def log_start(self) -> int:
        """Return the oldest offset that is kept by now."""
        return int((await self._consumer.beginning_offsets([self.partition]))[self.partition])

    @property
    def has_more(self) -> bool:
        """Whether records are there that nobody has asked for."""
        return bool(self._ahead or self._buffer)

    def begins_after(self, rank: Rank) -> bool:
        """Tell whether the topic may once have had records of ``rank`` that it keeps no longer."""
        return self.span.log_start > 0 and (self.first_rank is None or self.first_rank > rank)

    def _take_ahead(self, last: Rank) -> list[Ranked]:
        taken = [ranked for ranked in self._ahead if ranked[0] <= last]
        if taken:
            self._ahead = [ranked for ranked in self._ahead if ranked[0] > last]
        return taken

    def _ranked(self) -> Iterator[Ranked]:
        while self._buffer:
            record = self._buffer.popleft()
            rank = self._rank_of(record)
            if rank is not None:
                if self.first_rank is None:
                    self.first_rank = rank
                self.last_rank = max(self.last_rank, rank)
                yield rank, record

    async def _fill(self) -> bool:
        while not self._buffer and await self._consumer.position(self.partition) < self.end:
            polled = await poll(self._consumer, self.partition, timeout_ms=_POLL_MS, max_records=_BATCH)
            self._buffer.extend(polled.get(self.partition, ()))
        return bool(self._buffer)


async def see_new_ends(consumer: AIOKafkaConsumer, streams: Sequence[Stream]) -> None:
    """Let ``streams`` go on to the ends as they are by now: what was being committed may have become
    visible."""
    ends = await consumer.end_offsets([stream.partition for stream in streams])
    for stream in streams:
        stream.end = max(stream.end, ends[stream.partition])
