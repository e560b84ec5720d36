"""Everything that feedback knows, read from Kafka: the tables' changelogs of all partitions, and what was
announced.

A worker's table holds its own partitions only; whoever wants the whole (the page, the reports, the commands)
reads it here.
"""

import asyncio
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import msgspec
import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from gateway.adapters import kafka
from gateway.adapters.settings import Settings
from gateway.adapters.topic_reader import find_spans, read_spans
from gateway.adapters.waiting import WaitingLog
from gateway.errors import BrokerUnreachableError, ConfigurationError
from gateway.feedback.cases import Case, Share, case_of, merge_case, newest_first
from gateway.feedback.changelog import ChangelogReader, Position, ReadTable, T, Written
from gateway.feedback.days import Day, DayShare, day_of, merge_day
from gateway.feedback.history import History, Standing

log = structlog.get_logger("gateway.feedback")

_POLL_MS = 500
_RETRY_S = 2

_T = TypeVar("_T", Share, DayShare)


@dataclass(frozen=True, slots=True)
class FeedbackTopics:
    """Feedback's own names: the consumer group, which is Faust's app id, and the tables' changelogs."""

    settings: Settings

    @property
    def app_id(self) -> str:
        """The Faust app's id and consumer group."""
        return self.settings.groups[1]

    @property
    def shares(self) -> str:
        """The changelog of cases' shares."""
        return self.settings.changelogs[0]

    @property
    def days(self) -> str:
        """The changelog of days' shares."""
        return self.settings.changelogs[1]

    @property
    def changelogs(self) -> tuple[str, str]:
        """Both, compacted."""
        return self.settings.changelogs

    @property
    def announcements(self) -> str:
        """``gateway.feedback``."""
        return self.settings.topic_names.feedback

    @property
    def all(self) -> list[str]:
        """All that makes up the state."""
        return [*self.changelogs, self.announcements]


class State:
    """Cases, days and history, folded from records. Ask for them at any time: only what changed is added up
    again."""

    def __init__(self, topics: FeedbackTopics) -> None:
        self._topics = topics
        self.shares: dict[str, Share] = {}
        self.day_shares: dict[str, DayShare] = {}
        self.history = History()
        self.positions: dict[tuple[str, int], Position] = {}
        """Up to where each changelog's partitions count."""
        self._share_reader, self._day_reader = ChangelogReader(Share), ChangelogReader(DayShare)
        self.overwritten: dict[str, int] = {}
        """Keys whose last record in the log is older than one before it, with the newest ``applied``."""
        self._keys_of_case: dict[str, set[str]] = {}
        self._keys_of_day: dict[tuple[str, str], set[str]] = {}
        self._changed_cases: set[str] = set()
        self._changed_days: set[tuple[str, str]] = set()
        self._cases: dict[str, Case] = {}
        self._days: dict[tuple[str, str], Day] = {}

    def take(self, record: ConsumerRecord) -> None:
        """Fold one record of ``FeedbackTopics.all`` in. Those that this version did not write change
        nothing."""
        if record.topic == self._topics.announcements:
            self.history.take(record.value, record.timestamp)
        elif record.topic == self._topics.shares:
            self._fold(record, self._share_reader.read(record), self.put_share)
        elif record.topic == self._topics.days:
            self._fold(record, self._day_reader.read(record), self.put_day)

    def _fold(
        self, record: ConsumerRecord, read: Written[_T] | Position | None, put: Callable[[str, _T | None], None]
    ) -> None:
        if isinstance(read, Position):
            self.positions[record.topic, record.partition] = read
        elif read is not None:
            put(read.key, read.share)

    @property
    def is_counted_again(self) -> bool:
        """Whether counts are not complete, as topics are being counted again: a changelog had been lost."""
        return any(position.until for position in self.positions.values())

    def put_share(self, key: str, share: Share | None) -> None:
        """Take a share as its table has it now; None if the table has it no longer."""
        if self._is_late(key, share, self.shares.get(key)):
            return
        _put(self.shares, self._keys_of_case.setdefault(case_of(key), set()), key, share)
        self._changed_cases.add(case_of(key))

    def put_day(self, key: str, share: DayShare | None) -> None:
        """Take a day's share as its table has it now; None if the table has it no longer."""
        if self._is_late(key, share, self.day_shares.get(key)):
            return
        if share is not None:  # the same words for every day and partition: kept once
            places = {sys.intern(place): count for place, count in share.places.items()}
            share = msgspec.structs.replace(share, places=places)
        _put(self.day_shares, self._keys_of_day.setdefault(day_of(key), set()), key, share)
        self._changed_days.add(day_of(key))

    @property
    def cases(self) -> dict[str, Case]:
        """Every case by its id, the one last seen first."""
        if self._changed_cases:
            for case_id in self._changed_cases:
                self._cases.pop(case_id, None)
                if keys := self._keys_of_case[case_id]:
                    self._cases[case_id] = merge_case(case_id, [self.shares[key] for key in keys])
            self._changed_cases.clear()
            self._cases = {case.id: case for case in newest_first(self._cases.values())}
        return self._cases

    @property
    def days(self) -> list[Day]:
        """Every day of each province, the newest first."""
        for date, province in self._changed_days:
            self._days.pop((date, province), None)
            if keys := self._keys_of_day[date, province]:
                self._days[date, province] = merge_day(province, date, [self.day_shares[key] for key in keys])
        self._changed_days.clear()
        return [self._days[key] for key in sorted(self._days, reverse=True)]

    def standing(self, case: Case) -> Standing:
        """Return where ``case`` stands, and how it came there."""
        return self.history.standing(case)

    def _is_late(self, key: str, share: Share | DayShare | None, held: Share | DayShare | None) -> bool:
        """Tell whether a share is older than the one held: a frozen worker may write after losing its
        partitions."""
        if share is not None and held is not None and share.applied < held.applied:
            self.overwritten[key] = held.applied
            return True
        self.overwritten.pop(key, None)
        return False


def _put(held: dict[str, _T], keys: set[str], key: str, share: _T | None) -> None:
    if share is None:
        held.pop(key, None)
        keys.discard(key)
    else:
        held[key] = share
        keys.add(key)


async def read_state(settings: Settings) -> State:
    """Read the state now. Raises ConfigurationError if no feedback worker ever ran,
    BrokerUnreachableError."""
    topics = FeedbackTopics(settings)
    await kafka.partitions_of(settings, [topics.announcements])
    try:
        partitions = await kafka.partitions_of(settings, topics.all)
    except ConfigurationError:
        message = "feedback has never run here: start a worker with `gateway feedback run`"
        raise ConfigurationError(message) from None
    state = State(topics)
    try:
        async with kafka.consumer(settings) as consumer:
            consumer.assign(partitions)
            spans = await find_spans(consumer, partitions)
            async for _, records in read_spans(consumer, spans):
                for record in records:
                    state.take(record)
    except (KafkaError, OSError) as error:
        raise kafka.unreachable(settings, error) from None
    return state


async def read_table(
    settings: Settings, partitions: list[TopicPartition], kind: type[T]
) -> tuple[ReadTable[T], dict[int, int]]:
    """Read ``partitions`` of one table's changelog, and where each of them ends. Raises KafkaError, OSError,
    GatewayError."""
    table = ReadTable(kind)
    # Nothing of ours is in a transaction there; a stranger's that is open would hide all that comes after
    # it.
    async with kafka.consumer(settings, isolation_level="read_uncommitted") as consumer:
        consumer.assign(partitions)
        spans = await find_spans(consumer, partitions)
        async for _, records in read_spans(consumer, spans):
            for record in records:
                table.take(record)
    return table, {each.partition: span.end for each, span in spans.items()}


class StateFollower:
    """The state, kept up to date as long as it runs. ``on_change`` is called at least every half second."""

    def __init__(self, settings: Settings, on_change: Callable[[], None] = lambda: None) -> None:
        self._settings = settings
        self._topics = FeedbackTopics(settings)
        self._on_change = on_change
        self._waiting = WaitingLog(log, "state.waiting", "state.resumed", settings)
        self._caught_up = asyncio.Event()
        self.state = State(self._topics)

    @property
    def is_ready(self) -> bool:
        """Whether all that stood there at the start has been read."""
        return self._caught_up.is_set()

    async def run(self) -> None:
        """Follow until cancelled; outlives the broker's absence, and changelogs that are deleted."""
        while True:
            try:
                await self._follow()
            except (KafkaError, OSError, BrokerUnreachableError, ConfigurationError) as error:
                self._waiting.note(error)
            except Exception as error:  # noqa: BLE001 — whatever it is, the page goes on with the state that it has
                log.error("feedback.task_failed", task="state", error=type(error).__name__)  # noqa: TRY400
            await asyncio.sleep(_RETRY_S)

    async def _follow(self) -> None:
        partitions = await kafka.partitions_of(self._settings, self._topics.all)
        state = State(self._topics)
        async with kafka.consumer(self._settings) as consumer:
            consumer.assign(partitions)
            await consumer.seek_to_beginning()
            unread = dict(await consumer.end_offsets(partitions))
            read: dict[TopicPartition, int] = {}
            while True:
                for partition, records in (await consumer.getmany(timeout_ms=_POLL_MS)).items():
                    if records[0].offset < read.get(partition, 0):
                        log.warning("state.log_restarted", topic=partition.topic, partition=partition.partition)
                        return  # deleted and made again: what it held before may count no more
                    read[partition] = records[-1].offset + 1
                    for record in records:
                        state.take(record)
                # A state that is half read is not shown; after a reconnection the last one stays until then.
                unread = {each: end for each, end in unread.items() if await consumer.position(each) < end}
                if not unread:
                    self.state = state
                    self._waiting.over()
                    self._caught_up.set()
                    self._on_change()
