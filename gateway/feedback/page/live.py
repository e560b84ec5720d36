"""What happens now: the newest rejections, and how much went where in the last hour. Bounded memory."""

import asyncio
import time
from collections import Counter, deque
from typing import Any

import msgspec
import structlog
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from gateway.adapters import kafka
from gateway.adapters.settings import Settings
from gateway.contract.headers import trace_id
from gateway.contract.ledger_entry import read_entry
from gateway.contract.rejection import REJECTED_TYPE
from gateway.core.province import Province
from gateway.errors import GatewayError
from gateway.feedback.problems import observe

log = structlog.get_logger("gateway.feedback")

KEPT_REJECTIONS = 1000
BUCKET_S = 10
BUCKETS = 360
"""Of ``BUCKET_S`` seconds: an hour."""
_POLL_MS = 250
_RETRY_S = 2
_PATIENCE_S = 10


class Bucket:
    """What the ledger says was decided within ``BUCKET_S`` seconds from ``start`` (seconds since the epoch)."""

    def __init__(self, start: int) -> None:
        self.start = start
        self.outcomes: Counter[tuple[str, str]] = Counter()  # by province and outcome
        self.reasons: Counter[str] = Counter()


class Live:
    """Follows rejections and ledger from an hour ago. Each rejection kept has a number, ``seq``, that only grows."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topics = settings.topic_names
        self._buckets: dict[int, Bucket] = {}
        self.rejections: deque[dict[str, Any]] = deque(maxlen=KEPT_REJECTIONS)
        self.seq = 0
        self.connected = False

    async def run(self) -> None:
        """Follow until cancelled; outlives the broker's absence."""
        since = int((time.time() - BUCKET_S * BUCKETS) * 1000)
        positions: dict[Any, int] = {}
        while True:
            try:
                await self._follow(since, positions)
            except (KafkaError, OSError, TimeoutError, GatewayError) as error:
                self.connected = False
                log.warning("page.waiting", error=type(error).__name__)
                await asyncio.sleep(_RETRY_S)

    async def _follow(self, since: int, positions: dict[Any, int]) -> None:
        names = [*self._topics.rejections, self._topics.deadletter, self._topics.ledger]
        partitions = await kafka.partitions_of(self._settings, names)
        # A broker that is gone is noticed by asking it, not by its silence.
        async with kafka.consumer(self._settings) as consumer:
            consumer.assign(partitions)
            found = await consumer.offsets_for_times(dict.fromkeys(partitions, since))
            ends = await consumer.end_offsets(partitions)
            for each in partitions:
                start = positions.get(each, found[each].offset if found.get(each) else ends[each])
                consumer.seek(each, start)
            asked = 0.0
            while True:
                for partition, records in (await consumer.getmany(timeout_ms=_POLL_MS)).items():
                    for record in records:
                        self._take(record)
                    positions[partition] = records[-1].offset + 1
                if time.monotonic() - asked > _RETRY_S:
                    await asyncio.wait_for(consumer.end_offsets(partitions[:1]), _PATIENCE_S)
                    self.connected, asked = True, time.monotonic()

    def _take(self, record: ConsumerRecord) -> None:
        if record.topic == self._topics.ledger:
            self._take_entry(record)
        else:
            province = self._topics.rejections.get(record.topic)
            rejection = shown_rejection(record, province)
            if rejection is not None:
                self.seq += 1
                self.rejections.append(rejection | {"seq": self.seq})

    def _take_entry(self, record: ConsumerRecord) -> None:
        entry = read_entry(record.value)
        if entry is None or entry.redriven is not None:
            return
        bucket = self._bucket(record.timestamp // 1000 // BUCKET_S * BUCKET_S)
        for count in entry.counts:
            bucket.outcomes[entry.province.value, count.outcome] += count.count
            if count.reason:
                bucket.reasons[count.reason] += count.count

    def _bucket(self, start: int) -> Bucket:
        """Return the bucket of that start; it may be older than the last one, as partitions are read side by side."""
        if start not in self._buckets:
            self._buckets[start] = Bucket(start)
            for old in sorted(self._buckets)[:-BUCKETS]:
                del self._buckets[old]
        return self._buckets.get(start) or Bucket(start)

    def recent(self) -> list[Bucket]:
        """Return the buckets of the last hour, oldest first; those in which nothing was decided are missing."""
        oldest = time.time() - BUCKET_S * BUCKETS
        return [self._buckets[start] for start in sorted(self._buckets) if start >= oldest]


def shown_rejection(record: ConsumerRecord, province: Province | None) -> dict[str, Any] | None:
    """Return a rejection or dead letter as the page shows it, without its holder; None for foreign records."""
    observation = observe(record.value, record.headers, province)
    if observation is None:
        return None
    content = msgspec.json.decode(record.value)
    data = content["data"]
    is_rejection = content["type"] == REJECTED_TYPE
    nearest = data["nearest_row"] if is_rejection else None
    listed = nearest if nearest and nearest["listed"] else None
    first = observation.problems[0]
    return {
        "place": f"{record.topic}/{record.partition}/{record.offset}",
        "origin": observation.origin,
        "kind": "rejection" if is_rejection else "dead_letter",
        "id": observation.event_id,
        "province": first.province,
        "shown": data["event"]["time"] if is_rejection else None,
        "received": data["decision"]["received"] if is_rejection else data["received"],
        "trace_id": trace_id(content),
        "codes": list(dict.fromkeys(problem.code for problem in observation.problems)),
        "batch": listed and listed["batch"],
        "row": listed and listed["row"],
        "units": list(dict.fromkeys(unit for problem in observation.problems for unit in problem.units)),
        "reasons": [
            {
                "code": problem.code, "field": problem.field, "found": problem.value, "accepted": problem.accepted,
                "message": {"zh": problem.zh, "en": problem.en}, "units": problem.units, "case": problem.case_id,
            }
            for problem in observation.problems
        ],
        "nearest_row": nearest,
        "list_digest": data.get("list_digest"),
    }  # fmt: skip
