"""A lane: one input partition, one transactional producer; each turn is one transaction, or it never happened."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, ProducerFenced
from aiokafka.structs import ConsumerRecord, OffsetAndMetadata

from gateway.adapters import kafka
from gateway.adapters.aiokafka_patches import cut_off, is_cancelled
from gateway.adapters.logs import PARTITION, TOPIC
from gateway.adapters.own_signatures import RecordSigner
from gateway.adapters.settings import Settings
from gateway.adapters.signatures import KeyRing
from gateway.contract.outputs import destinations_of
from gateway.contract.topics import LaneId, Topics
from gateway.core.recognition import Recognition
from gateway.errors import ConfigurationError
from gateway.relay.closing import close_turn
from gateway.relay.fairness import FIRST_LIMIT, Gate, is_garbage, next_limit
from gateway.relay.horizon import Horizon
from gateway.relay.recovery import Position, committed_position, position_from_ledger, relearn_horizon
from gateway.relay.transaction import MAX_BATCH_BYTES, REFUSED, send_in_transaction
from gateway.relay.turn import Turn, decide_turn

log = structlog.get_logger("gateway.relay")

_POLL_MS = 250
_FIRST_BACKOFF_S, _LAST_BACKOFF_S = 0.1, 5.0
# A coordinator that is busy with the transaction before is so for milliseconds: aiokafka's 100 were the tail of the latency.
_RETRY_BACKOFF_MS = 10
# (For the markers of the transaction before, the commonest case, see aiokafka_patches.)


def transactional_id(group_id: str, lane: LaneId) -> str:
    """Name the lane's one writer: whoever starts a producer of this id fences the one before, a worker or a redrive."""
    return f"{group_id}-{lane}"


class Times(NamedTuple):
    """How long a turn took, in seconds: to decide and build all its records, and to write and commit them."""

    deciding: float
    committing: float


class Observer(Protocol):
    """Is notified of what becomes of a lane's turns: log and metrics."""

    def committed(self, lane: LaneId, turn: Turn, times: Times) -> None:
        """Note that ``turn`` is committed: it will not be taken back."""

    def aborted(self, lane: LaneId) -> None:
        """Note that a transaction was aborted."""

    def fenced(self, lane: LaneId) -> None:
        """Note that another worker has opened this lane."""


class _RefusedError(Exception):
    """The broker refused a record of the transaction; nothing of it was committed."""


@dataclass(slots=True)
class Lane:
    """Works one input partition until it is stopped.

    ``run`` opens the lane (start the producer, which fences the last owner; then read the committed offset; then seek), takes
    turns, and after any error opens it again, later each time. Its horizon is kept as long as nobody else has moved
    its committed position. ``group_id`` is the consumer group's; ``recognition`` gives the list now in force,
    ``key_ring`` verifies events' signatures, ``signer`` signs what is written; the ``gate`` is the worker's.
    """

    id: LaneId
    consumer: AIOKafkaConsumer
    settings: Settings
    topics: Topics
    group_id: str
    recognition: Callable[[], Recognition]
    key_ring: KeyRing
    observer: Observer
    signer: RecordSigner | None = None
    gate: Gate = field(default_factory=Gate)
    is_open: bool = False
    _position: Position | None = None
    _horizon: Horizon | None = None
    _producer: AIOKafkaProducer | None = None
    _limit: int = 0
    _give_up_on_next: bool = False
    _had_garbage: bool = False
    _in_transaction: bool = False
    _reported_truncated: bool = False
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _task: asyncio.Task[None] | None = None

    @property
    def partition(self) -> TopicPartition:
        """The input partition as aiokafka names it."""
        return TopicPartition(self.id.topic, self.id.partition)

    @property
    def lag(self) -> int | None:
        """Offsets up to the end of the log as the last fetch knew it; None before that."""
        end = self.consumer.highwater(self.partition) if self.is_open else None
        return None if end is None or self._position is None else max(0, end - self._position.next_offset)

    @property
    def remembered_ids(self) -> int:
        """How many ids the duplicates' horizon holds."""
        return len(self._horizon) if self._horizon is not None else 0

    def start(self) -> None:
        """Begin, or begin again after ``stop``."""
        self._stopping.clear()
        self._task = asyncio.create_task(self.run(), name=f"lane {self.id}")

    async def stop(self, timeout_s: float) -> None:
        """Finish the transaction in hand, for ``timeout_s`` at the most, and close the producer."""
        self._stopping.set()
        if self._task is None:
            return
        if self._in_transaction:
            await asyncio.wait([self._task], timeout=timeout_s)
        # Outside a transaction the lane only waits: for records, which may themselves wait for this rebalance.
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None

    async def run(self) -> None:
        """Open and take turns until stopped; every error ends in opening again."""
        backoff = _FIRST_BACKOFF_S
        while not self._stopping.is_set():
            try:
                await self._open()
                while not self._stopping.is_set():
                    if await self._turn():
                        backoff = _FIRST_BACKOFF_S
            except _RefusedError:
                continue
            except ProducerFenced:
                # Another worker owns the partition, or did. It is not to be fenced back: if the lane is lost the rebalance
                # says so within a session; if it is still ours after that, we open again.
                self._log("lane.fenced", level="warning")
                self.observer.fenced(self.id)
                await self._pause(self.settings.relay.session_timeout_ms / 1000)
            except (Exception, asyncio.CancelledError) as error:
                # A lane's trouble ends here: logged, then tried again from the committed offset. A library's too, that
                # cancels what it did not start: a lane that ends by itself would be missed by nobody.
                if is_cancelled():
                    raise
                self._log("lane.failed", level="error", retry_in_s=backoff, **_describe(error))
                await self._pause(backoff)
                backoff = min(backoff * 2, _LAST_BACKOFF_S)
            finally:
                await self._close()

    async def _open(self) -> None:
        """Fence, then read, then seek: in any other order a zombie's last commit could be missed."""
        relay = self.settings.relay
        self._producer = kafka.make_client(
            AIOKafkaProducer,
            self.settings,
            transactional_id=transactional_id(self.group_id, self.id),
            transaction_timeout_ms=relay.transaction_timeout_ms,
            max_batch_size=MAX_BATCH_BYTES,
            retry_backoff_ms=_RETRY_BACKOFF_MS,
            # A broker that has vanished does not answer: there has to be time to ask another one.
            request_timeout_ms=max(1_000, relay.transaction_timeout_ms // 3),
        )
        async with asyncio.timeout(relay.transaction_timeout_ms / 1000):
            await self._producer.start()
            # begin_transaction waits for InitProducerId, which ends what the last owner had pending and fences it.
            await self._producer.begin_transaction()
            await self._producer.abort_transaction()
            await self._require_outputs(self._producer)
            position = await committed_position(self.settings, self.group_id, self.id)
        if position is None or position.previous is None:
            # No commit, or one that is not ours (set by hand): the ledger knows what was done, and nothing is done twice.
            position = await position_from_ledger(self.settings, self.topics, self.id) or position
        if self._horizon is None or position != self._position:
            # Whatever stops us here, a rebalance or the broker: what is known goes with a position, or is recovered.
            self._position, self._horizon = position, None
            self._horizon = await relearn_horizon(self.settings, self.topics, self.id)
        start = self._position
        if start is None:
            earliest = (await self.consumer.beginning_offsets([self.partition]))[self.partition]
            start = self._position = Position(earliest, None)
        self.consumer.seek(self.partition, start.next_offset)
        self._limit = self._limit or min(FIRST_LIMIT, relay.max_records)
        self.is_open = True
        self._log("lane.opened", next_offset=start.next_offset, remembered_ids=len(self._horizon))

    async def _require_outputs(self, producer: AIOKafkaProducer) -> None:
        """See that an output can keep its input's partition: where partitions were added to the input alone, there is none."""
        written = (*destinations_of(self.id, self.topics).values(), self.topics.ledger)
        lacking = [topic for topic in written if self.id.partition not in (await producer.partitions_for(topic) or ())]
        if lacking:
            raise ConfigurationError(
                f"{self.id.topic} has a partition {self.id.partition}, and {', '.join(lacking)} has none: "
                "give every topic the same number of partitions, then restart the workers; until then its events wait."
            )

    async def _turn(self) -> bool:
        """Do one transaction, if there are records; True if one was committed."""
        assert self._position is not None and self._horizon is not None  # noqa: S101, PT018 — _open set both
        limit = 1 if self._give_up_on_next else self._limit
        polled = await self.consumer.getmany(self.partition, timeout_ms=_POLL_MS, max_records=limit)
        # A batch fetched before the seek must not be used: what lies below the position is decided already.
        records = [record for record in polled.get(self.partition, ()) if record.offset >= self._position.next_offset]
        if not records or self._stopping.is_set():
            return False
        async with self.gate.passing(garbage=self._had_garbage):
            self._in_transaction = True
            try:
                turn, times = await self._transact(records, self._position, self._horizon)
            except BaseException:
                # What the turn would have forwarded is not forwarded; the next try must not take it for a duplicate.
                self._horizon.forget()
                self.observer.aborted(self.id)
                raise
            finally:
                self._in_transaction = False
        self._position = Position(turn.next_offset, turn.entry_digest)
        self._horizon.keep()
        if self._horizon.truncated and not self._reported_truncated:
            self._reported_truncated = True
            self._log(
                "horizon.truncated", level="warning", remembered_ids=len(self._horizon), setting="duplicates.max_ids"
            )
        self._limit = next_limit(limit, turn, times.deciding, self.settings.relay.max_records)
        self._had_garbage = is_garbage(turn)
        self._give_up_on_next = False
        self.observer.committed(self.id, turn, times)
        return True

    async def _transact(
        self, records: Sequence[ConsumerRecord], position: Position, horizon: Horizon
    ) -> tuple[Turn, Times]:
        began = time.perf_counter()
        signatures = await self.key_ring.statuses(self.id.province, records)
        decided_turn = decide_turn(
            self.id, records, self.recognition(), horizon,
            topics=self.topics, signatures=signatures, refused_by_broker=self._give_up_on_next,
            report_all=self.settings.relay.log_forwards or self.settings.tracing.enabled,
        )  # fmt: skip
        decided = time.perf_counter()
        assert self._producer is not None  # noqa: S101 — _open set it
        try:
            turn = await close_turn(
                decided_turn, position.previous,
                ledger=self.topics.ledger, algorithm=self.settings.ledger.digest, signer=self.signer,
            )  # fmt: skip
            async with asyncio.timeout(self.settings.relay.transaction_timeout_ms / 1000):
                offsets = {self.partition: OffsetAndMetadata(turn.next_offset, turn.entry_digest)}
                await send_in_transaction(self._producer, turn.outputs, self.id.partition, offsets, self.group_id)
        except REFUSED as error:
            if self._give_up_on_next:
                raise  # not even the dead letter is taken: that is a topic's setting, and no event's fault
            # Smaller turns until the record that the broker refuses stands alone; then it becomes a dead letter.
            self._limit, self._give_up_on_next = max(1, len(records) // 2), len(records) == 1
            self._log("turn.refused", level="warning", records=len(records), **_describe(error))
            raise _RefusedError from error
        return turn, Times(decided - began, time.perf_counter() - decided)

    async def _close(self) -> None:
        self.is_open = False
        producer, self._producer = self._producer, None
        if producer is not None:
            # What it leaves of a transaction the next InitProducerId ends.
            await cut_off(producer)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    def _log(self, event: str, *, level: str = "info", **details: Any) -> None:
        getattr(log, level)(event, **{TOPIC: self.id.topic, PARTITION: self.id.partition}, **details)


def _describe(error: BaseException) -> dict[str, str]:
    """Describe an error for the log: its type, and its own words only where they are Kafka's or ours and so hold no event's."""
    details = {"error.type": type(error).__name__}
    if isinstance(error, KafkaError | TimeoutError | ConfigurationError):
        details["error.message"] = str(error)[:300]
    else:
        traceback = error.__traceback__
        while traceback is not None and traceback.tb_next is not None:
            traceback = traceback.tb_next
        if traceback is not None:
            details["error.place"] = f"{traceback.tb_frame.f_code.co_qualname}:{traceback.tb_lineno}"
    return details
