"""How the agents' topics are read: committed records only, and none skipped, whatever happens at a
rebalance.

Faust buffers what it has read in several places, drops it at a rebalance, and reads again from the committed
offset. On the way records can go missing in the middle: dropped where nothing was committed yet, or
overtaken by one that was read before. Hence every record carries the position that it was read from; an
agent counts it only if all before that position is counted, and asks for what is missing. What is counted,
and written, is what is committed: not what Faust saw acknowledged.
"""

from collections.abc import Mapping
from typing import Any

import structlog
from aiokafka import TopicPartition
from faust.types import ConsumerMessage

from gateway.adapters.aiokafka_patches import member_id_of
from gateway.adapters.faust_patches import ReadingConsumer, ReadingThread, ReadingTransport
from gateway.adapters.group_members import short_id
from gateway.feedback.beginning import SourceLog

log = structlog.get_logger("gateway.feedback")


class ReadMessage(ConsumerMessage):
    """A record as it was read: no committed record lies from offset ``read_from`` up to its own. None is not
    known."""

    __slots__ = ("read_from",)

    read_from: int | None
    headers: list[tuple[str, bytes]]


class CountedThread(ReadingThread):
    """Runs the client in a thread of its own. ``positions`` are the next offsets that it reads."""

    consumer: "CountedConsumer"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.positions: dict[TopicPartition, int] = {}

    async def on_partitions_revoked(self, revoked: set[Any]) -> None:
        """Forget the positions: where the next owner reads is not known here."""
        self.positions.clear()
        await super().on_partitions_revoked(revoked)

    def take_fetched(self, fetched: Mapping[TopicPartition, list[Any]]) -> Mapping[TopicPartition, list[Any]]:
        """Return each record with the position that it was read from."""
        found = {}
        for tp, records in fetched.items():
            read_from = [self.positions.get(tp), *(record.offset + 1 for record in records)]
            found[tp] = list(zip(read_from, records, strict=False))
            self.positions[tp] = records[-1].offset + 1
        return found

    async def source_logs(self) -> dict[TopicPartition, SourceLog]:
        """Return how each source stands."""
        return await self.call_thread(self._source_logs)  # type: ignore[no-any-return]

    async def _source_logs(self) -> dict[TopicPartition, SourceLog]:
        sources = [tp for tp in self.client.assignment() if self.consumer.is_source(tp)]
        starts, ends = await self.client.beginning_offsets(sources), await self.client.end_offsets(sources)
        firsts = await self.client.offsets_for_times(dict.fromkeys(sources, 0))
        return {
            tp: SourceLog(await self.client.committed(tp), starts[tp], ends[tp], first and first.timestamp)
            for tp in sources for first in [firsts.get(tp)]
        }  # fmt: skip

    async def read_from(self, positions: Mapping[TopicPartition, int]) -> None:
        """Read on from ``positions``."""
        await self.call_thread(self._read_from, positions)

    async def _read_from(self, positions: Mapping[TopicPartition, int]) -> None:
        # What is not ours any more is sought by whose it is.
        for tp in positions.keys() & self.client.assignment():
            self.positions[tp] = positions[tp]
            self.client.seek(tp, positions[tp])


class CountedConsumer(ReadingConsumer):
    """Faust's consumer. ``counted`` holds for each partition of an agent's topic the next offset to
    count."""

    Thread = CountedThread
    thread: CountedThread

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.counted: dict[TopicPartition, int] = {}
        super().__init__(*args, **kwargs)

    def make_message(self, tp: TopicPartition, record: Any) -> ReadMessage:
        """Make a message with the position that it was read from, and without unused parts."""
        read_from, record = record
        message = ReadMessage(
            record.topic, record.partition, record.offset, record.timestamp / 1000, record.timestamp_type,
            record.headers, record.key, record.value, record.checksum, tp=tp,
            generation_id=self.app.consumer_generation_id,
        )  # fmt: skip
        message.read_from = read_from
        return message

    def is_source(self, tp: TopicPartition) -> bool:
        """Tell whether an agent reads it; the others are changelogs."""
        return tp.topic not in self.app.tables.changelog_topics

    async def on_partitions_revoked(self, revoked: set[Any]) -> None:
        """Count nothing more, until it is known where to begin, and from which shares."""
        self.counted.clear()
        for table in self.app.tables.values():
            table.let_go()
        if sources := [tp for tp in revoked if self.is_source(tp)]:  # a consumer that joins has nothing yet
            log.info("group.revoked", partitions=len(sources))
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[Any], generation_id: int = 0) -> None:
        """Say as whom the group knows this worker."""
        worker = short_id(member_id_of(self.thread.client))
        log.info("group.assigned", worker=worker, partitions=len([tp for tp in assigned if self.is_source(tp)]))
        await super().on_partitions_assigned(assigned, generation_id)

    async def seek_to_committed(self) -> Mapping[Any, int]:
        """Read every source from where its table says: the committed offset alone does not say what the
        table holds."""
        generation, tables = self.app.consumer_generation_id, list(self.app.tables.values())
        logs = await self.thread.source_logs()
        if all(table.holds == generation == self.app.consumer_generation_id for table in tables):
            for table in tables:
                self.counted.update(table.begin({tp: each for tp, each in logs.items() if tp.topic in table.sources}))
        positions = {tp: self.counted.get(tp, each.start) for tp, each in logs.items()}
        await self.thread.read_from(positions)
        return positions

    async def read_again(self, tp: TopicPartition) -> None:
        """Read on from the next offset to count."""
        if tp in self.counted:
            log.info("source.read_again", topic=tp.topic, partition=tp.partition, offset=self.counted[tp])
            await self.thread.read_from({tp: self.counted[tp]})

    def uncounted(self) -> dict[TopicPartition, int]:
        """Return the next offset to count, of those partitions of which more was read than was counted."""
        return {tp: offset for tp, offset in self.counted.items() if self.thread.positions.get(tp, 0) > offset}

    async def note_counted_again(self) -> None:
        """Say of which sources the counting again has reached where it had been."""
        uncounted = self.uncounted()
        for table in self.app.tables.values():
            for tp, end in table.counted_again().items():
                if tp in self.counted and tp not in uncounted and (await self.position(tp) or 0) >= end:
                    log.info("source.counted_again", topic=tp.topic, partition=tp.partition, until=end)
                    table.note_counted_again(tp)

    def to_commit(self) -> Mapping[TopicPartition, int]:
        """Return the offsets up to which records are counted and written."""
        return self.counted


class CountedTransport(ReadingTransport):
    """Faust's Kafka driver with that consumer."""

    Consumer = CountedConsumer
