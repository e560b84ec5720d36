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
from gateway.adapters.waiting import WaitingLog
from gateway.contract.envelope import SentEvent
from gateway.contract.headers import TRACEPARENT, trace_id
from gateway.contract.ledger_entry import read_entry
from gateway.contract.rejection import REJECTED_TYPE
from gateway.core.province import Province
from gateway.core.times import format_instant, parse_instant
from gateway.errors import GatewayError
from gateway.feedback.days import is_countable
from gateway.feedback.problems import observe

log = structlog.get_logger("gateway.feedback")

KEPT_REJECTIONS = 1000
MAX_BYTES = 262_144
"""Of a rejection that is shown: the gateway's own are smaller, and ``KEPT_REJECTIONS`` of this size take 1
GB."""
BUCKET_S = 10
BUCKETS = 360
"""Of ``BUCKET_S`` seconds: an hour."""
_POLL_MS = 250
_RETRY_S = 2
_TIMEOUT_S = 10


class Bucket:
    """What the ledger says was decided within ``BUCKET_S`` seconds from ``start`` (seconds since the
    epoch)."""

    def __init__(self, start: int) -> None:
        self.start = start
        self.outcomes: Counter[tuple[str, str]] = Counter()  # by province and outcome
        self.reasons: Counter[str] = Counter()


class Live:
    """Follows rejections and ledger from an hour ago. Each rejection kept has a number, ``seq``, that only
    grows."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topics = settings.topic_names
        self._waiting = WaitingLog(log, "page.waiting", "page.resumed", settings)
        self._buckets: dict[int, Bucket] = {}
        self.rejections: deque[dict[str, Any]] = deque(maxlen=KEPT_REJECTIONS)
        self.complete_since = (int(time.time()) - BUCKET_S * BUCKETS) * 1_000_000
        """Of the events received since then (in microseconds since the epoch) every rejection is kept."""
        self.seq = 0
        self.connected = False
        self.answered_at: int | None = None
        """When the broker last answered, in seconds."""

    async def run(self) -> None:
        """Follow until cancelled; outlives the broker's absence."""
        since = self.complete_since // 1000
        positions: dict[Any, int] = {}
        while True:
            try:
                await self._follow(since, positions)
            except (KafkaError, OSError, TimeoutError, GatewayError) as error:
                self._waiting.note(error, reads="events")
            except Exception as error:  # noqa: BLE001 — whatever it is, the page outlives it
                log.error("feedback.task_failed", task="live", error=type(error).__name__)  # noqa: TRY400
            self.connected = False
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
                        positions[partition] = (
                            record.offset + 1
                        )  # before it is taken: it must not be met again and again
                        self._take(record)
                if time.monotonic() - asked > _RETRY_S:
                    await asyncio.wait_for(consumer.end_offsets(partitions[:1]), _TIMEOUT_S)
                    self.connected, self.answered_at, asked = True, int(time.time()), time.monotonic()
                    self._waiting.over()

    def _take(self, record: ConsumerRecord) -> None:
        if record.topic == self._topics.ledger:
            self._take_entry(record)
        else:
            province = self._topics.rejections.get(record.topic)
            rejection = shown_rejection(record, province)
            if rejection is not None:
                self._keep(rejection)

    def _keep(self, rejection: dict[str, Any]) -> None:
        if len(self.rejections) == KEPT_REJECTIONS:
            # Partitions are read side by side: what is dropped need not be the oldest. Brokers count
            # milliseconds.
            dropped = parse_instant(self.rejections[0]["received"]) or 0
            self.complete_since = max(self.complete_since, dropped + 1000)
        self.seq += 1
        self.rejections.append(rejection | {"seq": self.seq})

    def _take_entry(self, record: ConsumerRecord) -> None:
        entry = read_entry(record.value)
        if entry is None or entry.redriven is not None or not is_countable(entry):
            return
        bucket = self._bucket(min(record.timestamp // 1000, int(time.time())) // BUCKET_S * BUCKET_S)
        for count in entry.counts:
            bucket.outcomes[entry.province.value, count.outcome] += count.count
            if count.reason:
                bucket.reasons[count.reason] += count.count

    def _bucket(self, start: int) -> Bucket:
        """Return the bucket of that start; it may be older than the last one, as partitions are read side by
        side."""
        if start not in self._buckets:
            self._buckets[start] = Bucket(start)
            for old in sorted(self._buckets)[:-BUCKETS]:
                del self._buckets[old]
        return self._buckets.get(start) or Bucket(start)

    def recent(self) -> list[Bucket]:
        """Return the buckets of the last hour, oldest first; those in which nothing was decided are
        missing."""
        oldest = time.time() - BUCKET_S * BUCKETS
        return [self._buckets[start] for start in sorted(self._buckets) if start >= oldest]


def shown_rejection(record: ConsumerRecord, province: Province | None) -> dict[str, Any] | None:
    """Return a rejection or dead letter as the page shows it, without its holder; None for foreign
    records."""
    if len(record.value or b"") > MAX_BYTES:
        return None
    observation = observe(record.value, record.headers, province)
    if observation is None:
        return None
    try:
        content = _decode(record.value)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    data, is_rejection = content.data, content.type == REJECTED_TYPE
    nearest = msgspec.to_builtins(data.nearest_row) if is_rejection else None
    listed = nearest if nearest and nearest["listed"] else None
    first = observation.problems[0]
    return {
        "place": f"{record.topic}/{record.partition}/{record.offset}",
        "origin": observation.origin,
        "kind": "rejection" if is_rejection else "dead_letter",
        "id": observation.event_id,
        "province": first.province,
        "shown": data.event.time if data.event else None,
        "received": format_instant(observation.received * 1000),
        "trace_id": trace_id({TRACEPARENT: content.traceparent}),
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
        "list_digest": data.list_digest,
    }  # fmt: skip


class _Check(msgspec.Struct):
    """``DimensionItem``, read back."""

    dimension: str
    field: str
    found: str | None
    accepted: tuple[str, ...]
    result: str


class _NearestRow(msgspec.Struct):
    """``NearestRow``, read back."""

    batch: int
    row: int
    certificate: str | None
    listed: bool
    in_effect: bool
    checks: tuple[_Check, ...]


class _Data(msgspec.Struct):
    """Of ``RejectionData`` and ``DeadLetterData``, what the page shows beside the problems."""

    event: SentEvent | None = None
    nearest_row: _NearestRow | None = None
    list_digest: str | None = None


class _Record(msgspec.Struct):
    """A rejection or a dead letter, read back."""

    type: str
    data: _Data
    traceparent: str | None = None


_decode = msgspec.json.Decoder(_Record).decode
