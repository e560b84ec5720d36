"""How the agents' topics are read: committed records only, and none skipped, whatever happens at a rebalance.

Faust buffers what it has read in several places, drops it at a rebalance, and reads again from the committed offset. On
the way records can go missing in the middle: dropped where nothing was committed yet, or overtaken by one that was read
before. Hence every record carries the position that it was read from; an agent counts it only if all before that position is
counted, and asks for what is missing. What is counted, and written, is what is committed: not what Faust saw acknowledged.
"""

from collections.abc import Mapping
from typing import Any

import structlog
from aiokafka import TopicPartition
from faust.types import ConsumerMessage

from gateway.adapters.faust_patches import ReadingConsumer, ReadingThread, ReadingTransport

log = structlog.get_logger("gateway.feedback")


class ReadMessage(ConsumerMessage):
    """A record as it was read: no committed record lies from offset ``read_from`` up to its own. None is not known."""

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

    async def committed_positions(self) -> dict[TopicPartition, int]:
        """Return for each source the committed offset, or where it begins."""
        return await self.call_thread(self._committed_positions)  # type: ignore[no-any-return]

    async def _committed_positions(self) -> dict[TopicPartition, int]:
        sources = [tp for tp in self.client.assignment() if self.consumer.is_source(tp)]
        starts, ends = await self.client.beginning_offsets(sources), await self.client.end_offsets(sources)
        positions = {}
        for tp in sources:
            committed = await self.client.committed(tp) or 0
            positions[tp] = max(committed, starts[tp])
            if committed > ends[tp]:
                log.error("source.shorter_than_counted", topic=tp.topic, partition=tp.partition, counted=committed,
                          end=ends[tp], hint="the topic was made anew: stop the workers, `gateway feedback rebuild`")  # fmt: skip
        return positions

    async def read_from(self, positions: Mapping[TopicPartition, int]) -> None:
        """Read on from ``positions``."""
        await self.call_thread(self._read_from, positions)

    async def _read_from(self, positions: Mapping[TopicPartition, int]) -> None:
        # What is not ours any more is sought by whose it is.
        for tp in positions.keys() & self.client.assignment():
            self.positions[tp] = positions[tp]
            self.client.seek(tp, positions[tp])


class CountedConsumer(ReadingConsumer):
    """Faust's consumer. ``counted`` holds for each partition of an agent's topic the next offset to count."""

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
        await super().on_partitions_revoked(revoked)

    async def seek_to_committed(self) -> Mapping[Any, int]:
        """Read every source from the committed offset, or from its beginning where none was committed."""
        generation = self.app.consumer_generation_id
        positions = await self.thread.committed_positions()
        if all(table.holds == generation == self.app.consumer_generation_id for table in self.app.tables.values()):
            self.counted.update(positions)
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

    def to_commit(self) -> Mapping[TopicPartition, int]:
        """Return the offsets up to which records are counted and written."""
        return self.counted


class CountedTransport(ReadingTransport):
    """Faust's Kafka driver with that consumer."""

    Consumer = CountedConsumer
