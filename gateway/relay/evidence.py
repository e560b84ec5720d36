"""What Kafka says of a lane: its committed offset, its entries, its outputs, its input log."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    NotCoordinatorForGroupError,
    NotLeaderForPartitionError,
)
from aiokafka.structs import ConsumerRecord

from gateway.adapters import kafka
from gateway.adapters.kafka_requests import raw_client
from gateway.adapters.log_facts import LogFacts, describe_logs, find_epoch_end
from gateway.adapters.settings import Settings
from gateway.adapters.topic_reader import Span, find_last, find_spans, read_spans
from gateway.adapters.unreadable import input_digest_of
from gateway.contract.dead_letter import read_dead_letter
from gateway.contract.headers import REDRIVE_HEADER, origin_of
from gateway.contract.ledger_entry import Entry, input_line
from gateway.contract.outputs import destinations_of, is_digest_of
from gateway.contract.rejection import read_rejection
from gateway.contract.topics import LaneId, Topics
from gateway.contract.verification import read_verification
from gateway.core.times import parse_instant
from gateway.relay.chain import Chain, newest_digest, read_chain
from gateway.relay.committed import Committed, read_committed
from gateway.relay.continuity import Link, LogState
from gateway.relay.recovery import FoundHorizon, horizon_from_outputs


class GroupNotLoadedError(Exception):
    """The group's coordinator has not loaded the group yet, or no longer has it: it is no group without an
    offset."""


class Visible(NamedTuple):
    """How far a partition can be read, which ends where the oldest open transaction begins, whosever it is;
    its end; and the topic's id, None where the broker does not say."""

    committed_end: int
    end: int
    topic_id: str | None = None


class First(NamedTuple):
    """Where a record of the input stands, and when it was received."""

    offset: int
    received: int


class SentOutput(NamedTuple):
    """Of which input an output was made, and when that was received."""

    epoch: int
    offset: int
    input_digest: str
    received: int


class Evidence(Protocol):
    """What is asked when a lane opens. Offsets are the input's, times milliseconds since the epoch."""

    async def committed(self) -> Committed | None:
        """Return what the group committed last. Raises GroupNotLoadedError where nobody can tell now."""

    async def ledger(self) -> Visible | None:
        """Return how far the ledger partition can be read; None where it has no leader now."""

    async def verifications(self) -> Visible | None:
        """Return how far the partition of the lane's verification records can be read."""

    async def newest_digest(self, algorithm: str) -> str | None:
        """Return the digest of the lane's newest entry; None where it has none."""

    async def chain(self, committed: Committed | None, back_to: int | None = None) -> Chain | None:
        """Read the lane's chain (see ``read_chain``)."""

    async def horizon_of_outputs(self, back_to: int | None, forwarding: Sequence[Entry]) -> FoundHorizon:
        """Read the horizon off the verification records (see ``horizon_from_outputs``)."""

    async def newest_output(self) -> SentOutput | None:
        """Return the output of a turn whose input is the last one, in the latest epoch; None where there is
        none."""

    async def holds_input(self, output: SentOutput) -> bool:
        """Tell whether the log holds the input of which ``output`` was made."""

    async def log(self) -> LogState | None:
        """Return how the input log stands; None where it has no leader now."""

    async def epoch_ends(self, since: int, until: int) -> list[int]:
        """Return for each leader's epoch from ``since`` on, without ``until``, the offset at which its
        records end."""

    async def holds(self, link: Link) -> bool | None:
        """Tell whether the record at which the link's entry ended is still that one; None where no record
        stands there."""

    async def first_record(self, offset: int) -> First | None:
        """Return the first record at ``offset`` or after it; None where there is none."""


@dataclass(slots=True)
class KafkaEvidence:
    """The evidence of ``lane`` on the settings' cluster; within ``looking``, the input log can be looked
    at."""

    settings: Settings
    topics: Topics
    lane: LaneId
    group_id: str
    _reader: AIOKafkaConsumer = field(init=False, repr=False)

    @contextlib.asynccontextmanager
    async def looking(self) -> AsyncIterator[Self]:
        """Have a reader of the input log; give out this evidence."""
        async with kafka.consumer(self.settings) as self._reader:
            self._reader.assign([self._input])
            yield self

    async def committed(self) -> Committed | None:
        """See ``Evidence``."""
        try:
            return await read_committed(self.settings, self.group_id, self.lane)
        except (GroupLoadInProgressError, NotCoordinatorForGroupError, GroupCoordinatorNotAvailableError):
            raise GroupNotLoadedError from None

    async def ledger(self) -> Visible | None:
        """See ``Evidence``."""
        return await self._visible(self.topics.ledger)

    async def verifications(self) -> Visible | None:
        """See ``Evidence``."""
        return await self._visible(self.topics.verification(self.lane.province.other))

    async def newest_digest(self, algorithm: str) -> str | None:
        """See ``Evidence``."""
        return await newest_digest(self.settings, self.topics, self.lane, algorithm)

    async def chain(self, committed: Committed | None, back_to: int | None = None) -> Chain | None:
        """See ``Evidence``."""
        return await read_chain(self.settings, self.topics, self.lane, committed, back_to=back_to)

    async def horizon_of_outputs(self, back_to: int | None, forwarding: Sequence[Entry]) -> FoundHorizon:
        """See ``Evidence``."""
        return await horizon_from_outputs(self.settings, self.topics, self.lane, back_to=back_to, forwarding=forwarding)

    async def newest_output(self) -> SentOutput | None:
        """See ``Evidence``."""
        found = []
        async with kafka.consumer(self.settings) as consumer:
            topics = destinations_of(self.lane, self.topics).values()
            partitions = [TopicPartition(topic, self.lane.partition) for topic in topics]
            consumer.assign(partitions)
            for partition, span in (await find_spans(consumer, partitions)).items():
                last = await find_last(consumer, partition, span, lambda each: self._output(each) is not None)
                found += [output] if last is not None and (output := self._output(last)) is not None else []
        return max(found, key=lambda each: (each.epoch, each.offset), default=None)

    async def holds_input(self, output: SentOutput) -> bool:
        """See ``Evidence``."""
        span = Span(0, output.offset, output.offset + 1)
        async for _, (record, *_) in read_spans(self._reader, {self._input: span}):
            return input_digest_of(record) == output.input_digest
        return False

    async def log(self) -> LogState | None:
        """See ``Evidence``."""
        facts = await self._facts(self._input)
        return None if facts is None else LogState(facts.topic_id, facts.start, facts.committed_end, facts.leader_epoch)

    async def epoch_ends(self, since: int, until: int) -> list[int]:
        """See ``Evidence``."""
        async with raw_client(self.settings) as client:
            facts = (await describe_logs(client, [self._input])).get(self._input)
            if facts is None:
                raise NotLeaderForPartitionError
            return [await find_epoch_end(client, self._input, facts.leader, each) for each in range(since, until)]

    async def holds(self, link: Link) -> bool | None:
        """See ``Evidence``."""
        span = Span(0, link.last_offset, link.last_offset + 1)
        async for _, (record, *_) in read_spans(self._reader, {self._input: span}):
            line = input_line(record.offset, record.timestamp, input_digest_of(record), record.key)
            return is_digest_of(link.last_input, [line])
        return None

    async def first_record(self, offset: int) -> First | None:
        """See ``Evidence``."""
        (span,) = (await find_spans(self._reader, [self._input])).values()
        rest = Span(span.log_start, max(offset, span.start), span.end)
        async for _, (record, *_) in read_spans(self._reader, {self._input: rest}):
            return First(int(record.offset), int(record.timestamp))
        return None

    @property
    def _input(self) -> TopicPartition:
        return TopicPartition(self.lane.topic, self.lane.partition)

    async def _facts(self, partition: TopicPartition) -> LogFacts | None:
        async with raw_client(self.settings) as client:
            return (await describe_logs(client, [partition])).get(partition)

    async def _visible(self, topic: str) -> Visible | None:
        facts = await self._facts(TopicPartition(topic, self.lane.partition))
        return None if facts is None else Visible(facts.committed_end, facts.end, facts.topic_id)

    def _output(self, record: ConsumerRecord) -> SentOutput | None:
        """Read what an output of one of the lane's turns says of its input; None for any other record."""
        origin = origin_of(record.headers)
        if origin is None or origin[:2] != (self.lane.topic, self.lane.partition):
            return None
        if REDRIVE_HEADER in dict(record.headers):
            return None
        if (sent := read_verification(record.value) or read_rejection(record.value)) is not None:
            decision = sent.data.decision
            return SentOutput(origin.epoch, origin.offset, decision.input_digest, _milliseconds(decision.received))
        letter = read_dead_letter(record.value)
        if letter is None:
            return None
        return SentOutput(origin.epoch, origin.offset, letter.data.input_digest, _milliseconds(letter.data.received))


def _milliseconds(instant: str) -> int:
    return (parse_instant(instant) or 0) // 1000
