"""What is to be known of a lane's ledger before its entries are followed: epochs, redrives,
acknowledgements."""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer, TopicPartition

from gateway.adapters.topic_reader import Span, read_spans
from gateway.contract.ledger_entry import UNKNOWN_LOG, InputLog, glance_at_entry
from gateway.contract.topics import LaneId
from gateway.operate.audit.stream import Rank
from gateway.operate.epochs import Epochs


@dataclass(slots=True)
class Survey:
    """Of a lane's entries: its epochs; ``log`` is that of the newest entry.

    ``acknowledged`` are the digests of the entries whose lost offsets somebody has taken note of;
    ``redriven`` the inputs that were put through again, in order.
    """

    epochs: Epochs = field(default_factory=Epochs)
    log: InputLog = UNKNOWN_LOG
    acknowledged: set[str] = field(default_factory=set)
    redriven: list[Rank] = field(default_factory=list)

    def redriven_in(self, first: Rank, last: Rank) -> Iterator[Rank]:
        """Yield the redriven inputs from ``first`` up to ``last``."""
        for index in range(bisect_left(self.redriven, first), len(self.redriven)):
            if self.redriven[index] > last:
                return
            yield self.redriven[index]


async def survey_ledger(consumer: AIOKafkaConsumer, ledger: TopicPartition, span: Span, lane: LaneId) -> Survey:
    """Read the lane's entries from the start of ``span`` up to the ledger's end."""
    survey, key, redriven = Survey(), str(lane).encode(), set[Rank]()
    end = (await consumer.end_offsets([ledger]))[ledger]
    async for _, records in read_spans(consumer, {ledger: Span(span.log_start, span.start, max(span.start, end))}):
        for record in records:
            entry = glance_at_entry(record.value) if record.key == key else None
            if entry is None or entry.topic != lane.topic or entry.partition != lane.partition:
                continue
            if entry.redriven is not None:
                redriven.update((entry.epoch, offset) for offset in entry.redriven)
            elif entry.acknowledged is not None:
                if entry.acknowledged.entry is not None:
                    survey.acknowledged.add(entry.acknowledged.entry)
            else:
                survey.epochs.note(entry.epoch, entry.first_offset)
                survey.log = InputLog(entry.topic_id, entry.epoch)
    survey.redriven = sorted(redriven)
    return survey
