"""Feedback's tables: Faust's, whose changelog is written before anything is acknowledged and read whole
after a rebalance."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Any

import faust
import msgspec
import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from faust.serializers import codecs

from gateway.adapters.faust_patches import see_partitions
from gateway.adapters.settings import Settings
from gateway.adapters.waiting import WaitingLog
from gateway.errors import ConfigurationError, GatewayError
from gateway.feedback.beginning import Beginning, ChangelogState, SourceLog, find_beginning, what_is_lost
from gateway.feedback.changelog import Position, ReadTable, count_keys, encode, partition_of, position_key
from gateway.feedback.prepare import prepare_topics
from gateway.feedback.state import read_table

log = structlog.get_logger("gateway.feedback")

_RETRY_S = 2


class Utf8(codecs.Codec):
    """Keys as plain text. What Faust reads of a changelog is not used (see `ShareTable`), and so it is not
    decoded."""

    def _dumps(self, s: str) -> bytes:
        return s.encode()

    def _loads(self, s: bytes) -> bytes:
        return s


class Struct(codecs.Codec):
    """A msgspec struct as JSON; not decoded, as above."""

    def _dumps(self, s: msgspec.Struct) -> bytes:
        return encode(s)

    def _loads(self, s: bytes) -> bytes:
        return s


class ShareTable(faust.Table[str, Any]):
    """A table whose keys begin with their partition, ``3/…``; its values, of ``kind``, know the last offset
    that they count.

    Faust would take the partition from the event that is being worked on, and a batch holds events of
    several. ``source_of`` names the topic that a value counts; ``sources`` are all of them.
    """

    def __init__(
        self, app: Any, *, kind: type[Any], settings: Settings, sources: Collection[str],
        source_of: Callable[[Any], str], **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(app, **options)
        self._settings = settings
        self._waiting = WaitingLog(log, "table.waiting", "table.resumed", settings)
        self._kind = kind
        self._source_of = source_of
        self._sent: list[Any] = []
        self._positions: dict[int, Position] = {}
        self._ends: dict[int, int] = {}
        self.sources = sources
        self.holds: int | None = None
        """The group's generation whose partitions the table holds, whole."""
        self.key_serializer, self.value_serializer = Utf8(), Struct()

    def partition_for_key(self, key: str) -> int:
        """Return the partition that the key names."""
        return partition_of(key)

    def send_changelog(self, *args: Any, **kwargs: Any) -> Any:
        """Send as Faust does; keep the write's future for `written`."""
        future = super().send_changelog(*args, **kwargs)
        self._sent.append(future)
        return future

    async def written(self) -> None:
        """Wait until the broker has all that was written to the changelog since the last call. Raises what a
        write raised."""
        sent, self._sent = self._sent, []
        for write in sent:
            done = await write
            partition = done.topic_partition.partition
            self._ends[partition] = max(done.offset + 1, self._ends.get(partition, 0))

    def apply_changelog_batch(self, batch: Any) -> None:
        """Do nothing: Faust's own recovery can skip records where one rebalance follows another. See
        `on_recovery_completed`."""

    def write_again(self, overwritten: Mapping[str, int]) -> None:
        """Write those shares once more that this worker holds, over older ones that came late;
        ``overwritten`` is by key the last offset that the newest one counts."""
        if self.holds == self.app.consumer_generation_id:
            for key, applied in overwritten.items():
                if key in self.data and self.data[key].applied >= applied:
                    self[key] = self.data[key]

    def let_go(self) -> None:
        """Note that the partitions may go to other workers."""
        self.holds = None

    async def on_recovery_completed(self, active_tps: set[Any], standby_tps: set[Any]) -> None:
        """Read the changelog of this worker's partitions, whole, before their counting begins."""
        generation = self.app.consumer_generation_id
        while generation == self.app.consumer_generation_id and self.holds != generation:
            try:
                await prepare_topics(self._settings)  # the changelog may have been deleted since
                self._require_sources_of(active_tps)
                await self._see_partitions(active_tps)
                found, ends = await self._read_changelog([TopicPartition(*tp) for tp in active_tps])
            except (KafkaError, OSError, GatewayError) as error:
                self._waiting.note(error, table=self.name)
                await asyncio.sleep(_RETRY_S)
            except Exception as error:  # noqa: BLE001 — Faust would go on without
                await self.app.crash(error)
                return
            else:
                self._waiting.over()
                self._hold(generation, found, ends)
        await super().on_recovery_completed(active_tps, standby_tps)

    def _require_sources_of(self, active_tps: set[Any]) -> None:
        """Raise ConfigurationError where this worker has partitions of sources whose shares are another's.

        So the group shares them out while topics have different numbers of partitions; once they have not,
        it does so again.
        """
        sources = {tp.partition for tp in self.app.consumer.assignment() if tp.topic in self.sources}
        if others := sources - {partition for _, partition in active_tps}:
            raise ConfigurationError(f"partitions {sorted(others)} are shared out again, as their topics have grown")

    async def _see_partitions(self, active_tps: set[Any]) -> None:
        """See that this worker's partitions can be written to, also those that were added just now."""
        for topic in {topic for topic, _ in active_tps}:
            await see_partitions(self.app, topic, {each for name, each in active_tps if name == topic})

    async def _read_changelog(self, partitions: list[TopicPartition]) -> tuple[ReadTable[Any], dict[int, int]]:
        found, ends = await read_table(self._settings, partitions, self._kind)
        if found.foreign:
            log.warning("changelog.foreign_records", table=self.name, records=found.foreign)
        return found, ends

    def _hold(self, generation: int, found: ReadTable[Any], ends: dict[int, int]) -> None:
        if generation != self.app.consumer_generation_id:
            return
        kept = {each: self._ends[each] for each in ends if self._has_lost(each, ends[each], found.positions.get(each))}
        shares = {key: value for key, value in self.data.items() if partition_of(key) in kept}
        shares |= {key: value for key, value in found.shares.items() if partition_of(key) not in kept}
        self.data.clear()
        for key, value in shares.items():
            self.data[key] = value
        self._positions = found.positions | {each: self._positions[each] for each in kept}
        self._ends = ends
        self.holds = generation
        for each, known in kept.items():
            self._restore_partition(each, ends[each], known)

    def _has_lost(self, partition: int, end: int, found: Position | None) -> bool:
        """Tell whether the changelog's ``partition`` was deleted or cut since this worker held it, and
        nobody has written it again: then what is held here is all that is left of it."""
        held = self._positions.get(partition)
        if held is None or end >= self._ends.get(partition, 0):
            return False
        return found is None or any(found.next.get(topic, 0) < offset for topic, offset in held.next.items())

    def begin(self, sources: Mapping[TopicPartition, SourceLog]) -> dict[TopicPartition, int]:
        """Return where the counting of each source begins: where the changelog says; again from the log's
        beginning where the changelog does not hold what was counted, or the log is not the one that was
        counted. All that is said."""
        begin: dict[TopicPartition, int] = {}
        for partition in sorted({source.partition for source in sources}):
            logs = {source.topic: each for source, each in sources.items() if source.partition == partition}
            for topic, offset in self._begin(partition, logs).items():
                begin[TopicPartition(topic, partition)] = offset
        return begin

    def _begin(self, partition: int, logs: Mapping[str, SourceLog]) -> dict[str, int]:
        held, keys = self._positions.get(partition), count_keys(self.data, partition)
        lost = what_is_lost(held, keys, logs)
        held = held or Position({}, 0)
        if lost:
            self._say_lost(partition, lost)
            found = {topic: Beginning(each.start, ChangelogState.LOST) for topic, each in logs.items()}
        else:
            found = {topic: find_beginning(topic, held, each) for topic, each in logs.items()}
        times, until = dict(held.times), dict(held.until)
        for topic, begin in found.items():
            counted, log_ = held.next.get(topic, 0), logs[topic]
            self._say(topic, partition, counted, begin.finding, log_)
            if begin.finding in {ChangelogState.LOST, ChangelogState.CUT}:
                self._forget(partition, topic, log_.start)
                until[topic] = log_.end
            elif begin.finding is ChangelogState.OTHER_LOG:
                self._add_to_other_log(partition, topic)
                times.pop(topic, None)
                until[topic] = log_.end
            if until.get(topic, 0) <= begin.offset:
                until.pop(topic, None)
        begins = {topic: begin.offset for topic, begin in found.items()}
        self._put_position(partition, msgspec.structs.replace(held, next=begins, times=times, until=until))
        return begins

    def _say(self, topic: str, partition: int, counted: int, finding: ChangelogState, source: SourceLog) -> None:
        where = {"topic": topic, "partition": partition, "counted": counted}
        if finding is ChangelogState.BEHIND:
            log.warning("changelog.behind", table=self.name, **where, committed=source.committed)
        elif finding is ChangelogState.REMOVED:
            hint = "raise topics.retention_hours, or run more workers"
            log.error("source.removed_uncounted", **where, start=source.start, hint=hint)
        elif finding is ChangelogState.CUT:
            hint = "its log was cut back: what it holds is counted again"
            log.error("source.shorter_than_counted", **where, end=source.end, hint=hint)
        elif finding is ChangelogState.OTHER_LOG:
            hint = "the topic was made again: what it holds is added to what was counted"
            log.error("source.another_log", **where, end=source.end, hint=hint)

    def _say_lost(self, partition: int, why: str, hint: str = "what the topics still hold is counted again") -> None:
        log.error("changelog.lost", table=self.name, partition=partition, why=why, hint=hint)

    def _shares_of(self, partition: int, topic: str) -> list[tuple[str, Any]]:
        prefix = f"{partition}/"
        shares = [(key, share) for key, share in self.data.items() if key.startswith(prefix)]
        return [(key, share) for key, share in shares if self._source_of(share) == topic]

    def _forget(self, partition: int, topic: str, start: int) -> None:
        """Delete the shares of ``topic``, but not those that count what its log no longer holds."""
        for key, share in self._shares_of(partition, topic):
            if share.since >= start:
                del self[key]

    def _add_to_other_log(self, partition: int, topic: str) -> None:
        """Have what is counted of ``topic`` stand before all offsets of the log that it has now."""
        for key, share in self._shares_of(partition, topic):
            del self[key]  # an older offset would not replace a newer one
            self[key] = msgspec.structs.replace(share, since=-1, applied=-1)

    def note_counted(self, source: TopicPartition, next_offset: int, time: int) -> None:
        """Write, after the shares, up to where ``source`` is counted now; ``time`` is the newest record's,
        in milliseconds."""
        held = self._positions[source.partition]
        counted = held.next | {source.topic: next_offset}
        times = held.times | {source.topic: max(time, held.times.get(source.topic, time))}
        self._put_position(source.partition, msgspec.structs.replace(held, next=counted, times=times))

    def note_counted_again(self, source: TopicPartition) -> None:
        """Write that ``source`` is counted again as far as it had been."""
        if self.holds != self.app.consumer_generation_id:
            return
        held = self._positions[source.partition]
        until = {topic: end for topic, end in held.until.items() if topic != source.topic}
        self._put_position(source.partition, msgspec.structs.replace(held, until=until))

    def counted_again(self) -> dict[TopicPartition, int]:
        """Return the sources that are being counted again, and up to which offset."""
        return {
            TopicPartition(topic, partition): end
            for partition, position in self._positions.items() for topic, end in position.until.items()
        }  # fmt: skip

    def _put_position(self, partition: int, position: Position) -> None:
        position = msgspec.structs.replace(position, keys=count_keys(self.data, partition))
        self._positions[partition] = position
        self.send_changelog(partition, position_key(partition), position)

    def known_ends(self) -> dict[TopicPartition, int]:
        """Return for each partition of the changelog the offset after the last record that this worker read
        or wrote there."""
        if self.holds != self.app.consumer_generation_id:
            return {}
        name = self.changelog_topic.get_topic_name()
        return {TopicPartition(name, partition): end for partition, end in self._ends.items()}

    def restore(self, known: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]) -> None:
        """Write all shares of a partition again whose changelog now ends (``ends``) before what was there
        before (``known``): somebody deleted it, or its log was cut back."""
        for each in known.keys() & self.known_ends().keys():
            if ends[each] < known[each]:
                self._restore_partition(each.partition, ends[each], known[each])

    def _restore_partition(self, partition: int, end: int, known: int) -> None:
        why = f"it ends at {end}, and was written up to {known}"
        self._say_lost(partition, why, "this worker writes it again, whole")
        self._ends[partition] = 0
        prefix = f"{partition}/"
        for key in [key for key in self.data if key.startswith(prefix)]:
            self[key] = self.data[key]
        self._put_position(partition, self._positions[partition])
