"""What can be checked of the input records' keys: that each is in the partition where Kafka's own
partitioner puts it."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer, TopicPartition

from gateway.adapters import kafka
from gateway.adapters.access import Role
from gateway.adapters.topic_reader import Span, UnreadablePartitionError, find_spans, read_spans
from gateway.contract.outputs import InputRecord
from gateway.core.words import count_of
from gateway.operate.doctor.result import CheckResult, Installation, fine, problem, unchecked
from gateway.relay.misplaced import Misplaced, find_misplaced

_RECENT_MS = 86_400_000
_TAIL = 300  # offsets of each partition
_READING_S = 20.0
_MOST_BYTES = 64 * 1024 * 1024
"""Of all partitions together. What was read until then, or within _READING_S, is judged."""
_AS_OPERATOR = "run this as operator or gateway"
_ADVICE = (
    "have every client that publishes use Kafka's own partitioner (librdkafka: partitioner=murmur2_random; others: "
    "docs/provinces.md, The partitioner). Records of before partitions were added count too, for a day"
)


@dataclass(slots=True)
class KeysSeen:
    """What was seen of one input topic: how many records were looked at, and by partition which of them are
    misplaced."""

    records: int = 0
    misplaced: dict[int, Misplaced] = field(default_factory=dict)

    def see(self, partition: int, records: Sequence[InputRecord], partitions: int) -> None:
        """Look at ``records`` of ``partition``, of a topic that has ``partitions``."""
        self.records += len(records)
        if (found := find_misplaced(partition, records, partitions)) is not None:
            before = self.misplaced.get(partition)
            self.misplaced[partition] = (
                found if before is None else found._replace(records=before.records + found.records)
            )

    def judge(self, topic: str) -> CheckResult:
        """Say how the keys of ``topic`` stand."""
        if not self.misplaced:
            return fine(
                topic, f"{count_of(self.records, 'record')} of the last day looked at, all where their keys belong"
            )
        partition, newest = min(self.misplaced.items())
        count = sum(each.records for each in self.misplaced.values())
        message = (
            f"of the newest {self.records} records of the last day {count} are in a partition where their key does not belong, "
            f"such as {topic}/{partition}/{newest.offset}, which belongs in partition {newest.belongs}: a repetition in another "
            "partition is forwarded again"
        )
        return problem(topic, message, _ADVICE)


async def check_keys(installation: Installation) -> list[CheckResult]:
    """Check that the newest records of the last day are where their keys belong, whichever client published
    them."""
    account, topics = installation.able(Role.OPERATOR, Role.GATEWAY), installation.settings.topic_names
    if account is None:
        return [unchecked("topics", f"{installation.own.name} may not read them", _AS_OPERATOR)]
    partitions = await kafka.partitions_of(account.settings, list(topics.displays))
    seen, findings = {topic: KeysSeen() for topic in topics.displays}, []
    async with kafka.consumer(account.settings) as consumer:
        consumer.assign(partitions)
        try:
            async with asyncio.timeout(_READING_S):
                await _look_at_newest(consumer, partitions, seen)
        except TimeoutError:
            findings.append(unchecked("topics", f"not all could be read within {_READING_S:.0f} s", "run this again"))
        except UnreadablePartitionError as error:
            # The lanes decide what cannot be read (UNREADABLE_RECORD); the other records were looked at.
            findings.append(unchecked(f"{error.topic}/{error.partition}", str(error)))
    return [*findings, *(each.judge(topic) for topic, each in seen.items())]


async def _look_at_newest(
    consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition], seen: Mapping[str, KeysSeen]
) -> None:
    counts = Counter(each.topic for each in partitions)
    spans = await find_spans(consumer, partitions, since=int(time.time() * 1000) - _RECENT_MS)
    tails = {each: Span(span.log_start, max(span.start, span.end - _TAIL), span.end) for each, span in spans.items()}
    size = 0
    async for (topic, partition), records in read_spans(consumer, tails):
        seen[topic].see(partition, records, counts[topic])
        size += sum(len(record.value or b"") for record in records)
        if size > _MOST_BYTES:
            return
