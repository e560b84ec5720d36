"""A lane: one input partition, one transactional producer; each turn is one transaction, or it never
happened."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import ConsumerRecord, OffsetAndMetadata

from gateway.adapters.aiokafka_patches import cut_off, is_cancelled
from gateway.adapters.logs import PARTITION, TOPIC, describe_error
from gateway.adapters.own_signatures import RecordSigner
from gateway.adapters.settings import Settings
from gateway.adapters.signatures import KeyRing
from gateway.adapters.tasks import end_tasks
from gateway.contract.ledger_entry import UNKNOWN_LOG, InputLog
from gateway.contract.topics import LaneId, Topics
from gateway.core.decision import Lost
from gateway.core.recognition import Recognition
from gateway.relay.closing import close_turn
from gateway.relay.committed import metadata_of
from gateway.relay.deciders import Decide
from gateway.relay.evidence import KafkaEvidence
from gateway.relay.fairness import FIRST_LIMIT, Gate, is_garbage, next_limit
from gateway.relay.kept_task import AGAIN_S, KeptTask
from gateway.relay.observer import Observer, Times
from gateway.relay.opening import Known, LaneTakenOverError, Opener, Opening
from gateway.relay.progress import Progress
from gateway.relay.retries import IsBrokerDown, Retries
from gateway.relay.taking import LogChangedError, poll, take
from gateway.relay.transaction import REFUSED, send_in_transaction
from gateway.relay.turn import DecidedTurn, Turn, decide_turn, note_epoch, note_lost, stand_after
from gateway.relay.writer import start_writer

log = structlog.get_logger("gateway.relay")

_LOOK_S = 30.0
"""How often a lane that is open looks whether the log is still the one it knows."""


class _RefusedError(Exception):
    """The broker refused a record of the transaction; nothing of it was committed."""


async def _never(_: BaseException) -> bool:
    return False


@dataclass(slots=True)
class Lane:
    """Works one input partition until it is stopped.

    ``run`` opens the lane (docs/opening.md), takes turns, and after any error opens it again, later each
    time. What it knows is kept as long as nobody else has written into its chain. ``group_id`` is the
    consumer group's; ``recognition`` gives the list now in force, ``key_ring`` verifies events' signatures,
    ``signer`` signs what is written; the ``gate`` is the worker's, and so are
    ``is_broker_down`` and ``decide``, who decides the turns.
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
    is_broker_down: IsBrokerDown = _never
    decide: Decide | None = None
    is_open: bool = False
    progress: Progress = field(default_factory=Progress)
    _known: Known | None = None
    _producer: AIOKafkaProducer | None = None
    _limit: int = 0
    _give_up_on_next: bool = False
    _had_garbage: bool = False
    _in_transaction: bool = False
    _reported_truncated: bool = False
    _ledger_end: int = 0
    _looked_at: float = 0.0
    _look: asyncio.Task[bool] | None = None
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _task: KeptTask = field(init=False)

    def __post_init__(self) -> None:
        self._task = KeptTask(self.run, f"lane {self.id}", self._note_end)

    @property
    def partition(self) -> TopicPartition:
        """The input partition as aiokafka names it."""
        return TopicPartition(self.id.topic, self.id.partition)

    @property
    def lag(self) -> int | None:
        """Offsets up to the end of the log as the last fetch knew it; None before that."""
        end = self.consumer.highwater(self.partition) if self.is_open else None
        return None if end is None or self._known is None else max(0, end - self._known.standing.next_offset)

    @property
    def remembered_ids(self) -> int:
        """How many ids the duplicates' horizon holds."""
        return len(self._known.horizon) if self._known is not None else 0

    @property
    def log(self) -> InputLog:
        """The log that the lane reads, as far as it is known."""
        return self._known.standing.log if self._known is not None else UNKNOWN_LOG

    def start(self) -> None:
        """Begin, or begin again after ``stop``."""
        self._stopping.clear()
        self.progress.start()
        self._task.start()

    async def stop(self, timeout_s: float) -> bool:
        """Finish the transaction in hand, for ``timeout_s`` at the most, and close the producer; tell
        whether it was."""
        self._stopping.set()
        if not self._task.exists:
            return True
        # Outside a transaction the lane only waits: for records, which may themselves wait for this
        # rebalance.
        await self._task.let_end(timeout_s if self._in_transaction else 0)
        was_given_up = self._in_transaction
        await self._task.cancel()
        return not was_given_up

    @property
    def has_ended(self) -> bool:
        """Whether the lane's task has ended by itself and is not started again yet."""
        return self._task.has_ended

    def _note_end(self, error: BaseException) -> None:
        self.progress.failed(error)
        self._log("lane.ended", level="error", retry_in_s=AGAIN_S, **describe_error(error))
        self.observer.ended(self.id)

    async def run(self) -> None:
        """Open and take turns until stopped; every error ends in opening again."""
        session_s = self.settings.relay.session_timeout_ms / 1000
        retries = Retries(self.id, self.progress, self.observer, self._log, session_s, self.is_broker_down)
        while not self._stopping.is_set():
            try:
                await self._open()
                self.progress.opened()
                while not self._stopping.is_set():
                    if await self._turn():
                        retries.got_on()
                    else:
                        await self._look_for_more()
            except (_RefusedError, LogChangedError, LaneTakenOverError):
                continue
            except (Exception, asyncio.CancelledError) as error:
                # A lane's trouble ends here: logged, then tried again from the committed offset. A library's
                # too, that cancels what it did not start: a lane that ends by itself would be missed by
                # nobody.
                if is_cancelled():
                    raise
                await self._pause(await retries.pause_after(error))
            finally:
                await self._close()

    async def _look_for_more(self) -> None:
        """Note, where there was nothing to read, whether there is nothing, or something keeps it from us."""
        fetched = self.consumer.last_poll_timestamp(self.partition)
        self.progress.found_nothing(
            await self.consumer.position(self.partition), self.consumer.last_stable_offset(self.partition),
            self.consumer.highwater(self.partition), None if fetched is None else time.time() - fetched / 1000,
        )  # fmt: skip

    async def _open(self) -> None:
        """Fence, then find out where the lane stands, then seek: in any other order a zombie's last commit
        could be missed."""
        self._producer = await self._fence()
        before, self._known = self._known, None
        async with self._evidence().looking() as evidence:
            opening = await Opener(evidence, self._wait_for, self._say).open(before)
        # Whatever stops us before this, a rebalance or the broker: what is known goes with a position, or is
        # read again.
        self._known, self._ledger_end = opening.known, opening.ledger_end
        if before is None or before.standing.next_offset != opening.known.standing.next_offset:
            self._give_up_on_next = False
        await self._begin(opening)
        self._seek()
        self._looked_at = time.monotonic()
        self._limit = self._limit or min(FIRST_LIMIT, self.settings.relay.max_records)
        self.is_open = True
        standing = self._known.standing
        self._log(
            "lane.opened",
            next_offset=standing.next_offset,
            remembered_ids=self.remembered_ids,
            epoch=standing.log.epoch,
        )

    async def _fence(self) -> AIOKafkaProducer:
        """Start the lane's producer, which ends whoever wrote for it before."""
        return await start_writer(self.settings, self.id)

    def _evidence(self) -> KafkaEvidence:
        return KafkaEvidence(self.settings, self.topics, self.id, self.group_id)

    async def _begin(self, opening: Opening) -> None:
        """Commit what the opening found: a new epoch, lost offsets, or that the lane stands where nobody has
        committed yet."""
        standing, list_digest = opening.known.standing, self.recognition().digest
        at = self._received_so_far()
        if opening.change is not None:
            self._say(
                "input.log_changed",
                change=opening.change.value,
                epoch=standing.log.epoch,
                next_offset=standing.next_offset,
            )
            await self._commit(note_epoch(self.id, standing.log, standing.next_offset, at=at, list_digest=list_digest))
        if opening.lost is not None:
            await self._commit_lost(opening.lost)
        elif opening.is_new and opening.change is None:
            await self._commit_position(standing.next_offset)

    async def _commit_lost(self, lost: Lost) -> None:
        """Say in an entry of its own that these offsets are lost, and stand behind them."""
        await self._commit(
            note_lost(
                self.id, self.log, lost.first_offset, lost.last_offset,
                at=self._received_so_far(), list_digest=self.recognition().digest,
            )
        )  # fmt: skip

    def _received_so_far(self) -> int:
        previous = self._known.standing.previous if self._known is not None else None
        received = previous.received_at if previous is not None else None
        return received if received is not None else int(time.time() * 1000)

    async def _commit_position(self, next_offset: int) -> None:
        """Stand at ``next_offset``, between which and the position there is no record to decide."""
        known, producer = self._need_open()
        standing = replace(known.standing, next_offset=next_offset)
        metadata = metadata_of(standing, known.links, known.links.newest, self._ledger_end)
        async with asyncio.timeout(self.settings.relay.transaction_timeout_ms / 1000):
            offsets = {self.partition: OffsetAndMetadata(next_offset, metadata)}
            await send_in_transaction(producer, (), self.id.partition, offsets, self.group_id)
        known.standing = standing

    def _seek(self) -> None:
        known, _ = self._need_open()
        self.consumer.seek(self.partition, known.standing.next_offset)

    def _need_open(self) -> tuple[Known, AIOKafkaProducer]:
        if self._known is None or self._producer is None:
            raise RuntimeError(f"{self.id} is not open")
        return self._known, self._producer

    def _wait_for(self, cause: str) -> None:
        if self.progress.cause != cause:
            self._log("lane.waiting", level="warning", cause=cause)
        self.progress.waits(cause)

    def _say(self, event: str, **details: Any) -> None:
        self._log(event, level="error", **details)

    async def _turn(self) -> bool:
        """Do one transaction, if there are records; True if one was committed."""
        known, _ = self._need_open()
        self._look_at_log(known)
        limit = 1 if self._give_up_on_next else self._limit
        polled = await poll(self.consumer, self.partition, known.standing.next_offset, limit)
        if self._stopping.is_set():
            return False
        # A batch fetched before the seek must not be used: what lies below the position is decided already.
        taken = take(polled, known.standing.next_offset)
        if taken is None:
            await self._pass_by()
            return False
        if taken.is_cut:
            self.consumer.seek(self.partition, taken.next_offset)
        if isinstance(taken.records, Lost):
            await self._commit_lost(taken.records)
            return True
        async with self.gate.passing(garbage=self._had_garbage):
            decided, deciding_s = await self._decide(taken.records)
            turn = await self._commit(decided, deciding_s=deciding_s)
        if known.horizon.truncated and not self._reported_truncated:
            self._reported_truncated = True
            self._log(
                "horizon.truncated", level="warning", remembered_ids=len(known.horizon), setting="duplicates.max_ids"
            )
        self._limit = next_limit(limit, turn, deciding_s, self.settings.relay.max_records)
        self._had_garbage = is_garbage(turn)
        self._give_up_on_next = False
        return True

    def _look_at_log(self, known: Known) -> None:
        """See now and then, beside the turns, that the log is still the one that the lane knows."""
        if self._look is None:
            if time.monotonic() - self._looked_at >= _LOOK_S:
                self._look = asyncio.create_task(self._is_continuous(known))
        elif self._look.done():
            look, self._look, self._looked_at = self._look, None, time.monotonic()
            if not look.result():
                raise LogChangedError

    async def _is_continuous(self, known: Known) -> bool:
        # What the look waits for, the lane does not: whether it gets on, its turns tell.
        async with self._evidence().looking() as evidence:
            return await Opener(evidence, lambda _: None, self._say).is_continuous(known)

    async def _pass_by(self) -> None:
        """Commit the fetch's position if only markers and aborted records stand between the lane's position
        and it."""
        known, _ = self._need_open()
        position = await self.consumer.position(self.partition)
        if position > known.standing.next_offset:
            await self._commit_position(position)

    async def _decide(self, records: Sequence[ConsumerRecord]) -> tuple[DecidedTurn, float]:
        """Decide the records of a turn; also return how long it took, in seconds."""
        known, _ = self._need_open()
        began = time.perf_counter()
        self._in_transaction = True
        try:
            signatures = await self.key_ring.statuses(self.id.province, records)
            decided = (self.decide or decide_turn)(
                self.id, records, self.recognition(), known.horizon,
                topics=self.topics, log=self.log, signatures=signatures, refused_by_broker=self._give_up_on_next,
                report_all=self.settings.relay.log_forwards or self.settings.tracing.enabled,
                partitions=len(self.consumer.partitions_for_topic(self.id.topic) or ()),
            )  # fmt: skip
        except BaseException:
            self._abort(known)
            raise
        return decided, time.perf_counter() - began

    async def _commit(self, decided: DecidedTurn, *, deciding_s: float = 0.0) -> Turn:
        """Write and commit a turn, and stand behind it."""
        known, producer = self._need_open()
        began = time.perf_counter()
        self._in_transaction = True
        try:
            turn = await close_turn(
                decided, known.standing.previous,
                ledger=self.topics.ledger, algorithm=self.settings.ledger.digest, signer=self.signer,
            )  # fmt: skip
            standing, link = stand_after(turn, known.standing)
            metadata = metadata_of(standing, known.links, link, self._ledger_end)
            async with asyncio.timeout(self.settings.relay.transaction_timeout_ms / 1000):
                offsets = {self.partition: OffsetAndMetadata(turn.next_offset, metadata)}
                await send_in_transaction(
                    producer, turn.outputs, self.id.partition, offsets, self.group_id, turn.batches
                )
        except REFUSED as error:
            self._abort(known)
            count = decided.records
            if self._give_up_on_next or not count:
                raise  # not even the dead letter is taken: that is a topic's setting, and no event's fault
            # Smaller turns until the record that the broker refuses stands alone; then it becomes a dead
            # letter.
            self._limit, self._give_up_on_next = max(1, count // 2), count == 1
            self._log("turn.refused", level="warning", records=count, **describe_error(error))
            raise _RefusedError from error
        except BaseException:
            self._abort(known)
            raise
        finally:
            self._in_transaction = False
        known.standing = standing
        known.links.add(link)
        known.horizon.keep()
        self.observer.committed(self.id, turn, Times(deciding_s, time.perf_counter() - began))
        return turn

    def _abort(self, known: Known) -> None:
        # What the turn would have forwarded is not forwarded; the next try must not take it for a duplicate.
        known.horizon.forget()
        self._in_transaction = False
        self.observer.aborted(self.id)

    async def _close(self) -> None:
        self.is_open = False
        look, self._look = self._look, None
        if look is not None:
            await end_tasks(look)
        producer, self._producer = self._producer, None
        if producer is not None:
            # What it leaves of a transaction the next InitProducerId ends.
            await cut_off(producer)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    def _log(self, event: str, *, level: str = "info", **details: Any) -> None:
        getattr(log, level)(event, **{TOPIC: self.id.topic, PARTITION: self.id.partition}, **details)
