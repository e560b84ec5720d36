"""Everything that feedback knows, read from Kafka: the tables' changelogs of all partitions, and what was announced.

A worker's table holds its own partitions only; whoever wants the whole (the page, the reports, the commands) reads it here.
"""

import asyncio
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import msgspec
import structlog
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from gateway.adapters import kafka
from gateway.adapters.settings import Settings
from gateway.adapters.topic_reader import find_spans, read_spans
from gateway.errors import BrokerUnreachableError, ConfigurationError
from gateway.feedback.cases import Case, Share, case_of, merge_case, newest_first
from gateway.feedback.days import Day, DayShare, day_of, merge_day
from gateway.feedback.history import History, Standing

log = structlog.get_logger("gateway.feedback")

_POLL_MS = 500
_RETRY_S = 2

_T = TypeVar("_T", Share, DayShare)

encode = msgspec.json.Encoder().encode
decode_share = msgspec.json.Decoder(Share).decode
decode_day = msgspec.json.Decoder(DayShare).decode


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
    """Cases, days and history, folded from records. Ask for them at any time: only what changed is added up anew."""

    def __init__(self, topics: FeedbackTopics) -> None:
        self._topics = topics
        self.shares: dict[str, Share] = {}
        self.day_shares: dict[str, DayShare] = {}
        self.history = History()
        self.overwritten: dict[str, int] = {}
        """Keys whose last record in the log is older than one before it, with the newest ``applied``."""
        self._keys_of_case: dict[str, set[str]] = {}
        self._keys_of_day: dict[tuple[str, str], set[str]] = {}
        self._changed_cases: set[str] = set()
        self._changed_days: set[tuple[str, str]] = set()
        self._cases: dict[str, Case] = {}
        self._days: dict[tuple[str, str], Day] = {}

    def take(self, record: ConsumerRecord) -> None:
        """Fold one record of ``FeedbackTopics.all`` in."""
        key = (record.key or b"").decode("utf-8", "replace")
        try:
            if record.topic == self._topics.announcements:
                self.history.take(record.value, record.timestamp)
            elif record.topic == self._topics.shares:
                self.put_share(key, decode_share(record.value) if record.value else None)
            elif record.topic == self._topics.days:
                self.put_day(key, decode_day(record.value) if record.value else None)
        except msgspec.MsgspecError:
            return  # of an older version: `gateway feedback rebuild` makes it anew

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
        """Tell whether a share is older than the one held: a frozen worker may write after losing its partitions."""
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
    """Read the state now. Raises ConfigurationError if no feedback worker ever ran, BrokerUnreachableError."""
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


class StateFollower:
    """The state, kept up to date as long as it runs. ``on_change`` is called at least every half second."""

    def __init__(self, settings: Settings, on_change: Callable[[], None] = lambda: None) -> None:
        self._settings = settings
        self._topics = FeedbackTopics(settings)
        self._on_change = on_change
        self._caught_up = asyncio.Event()
        self.state = State(self._topics)

    @property
    def is_ready(self) -> bool:
        """Whether all that stood there at the start has been read."""
        return self._caught_up.is_set()

    async def run(self) -> None:
        """Follow until cancelled; outlives the broker's absence."""
        while True:
            try:
                await self._follow()
            except (KafkaError, OSError, BrokerUnreachableError, ConfigurationError) as error:
                log.warning("state.waiting", error=type(error).__name__)
                await asyncio.sleep(_RETRY_S)

    async def _follow(self) -> None:
        partitions = await kafka.partitions_of(self._settings, self._topics.all)
        state = State(self._topics)
        async with kafka.consumer(self._settings) as consumer:
            consumer.assign(partitions)
            await consumer.seek_to_beginning()
            unread = dict(await consumer.end_offsets(partitions))
            while True:
                for records in (await consumer.getmany(timeout_ms=_POLL_MS)).values():
                    for record in records:
                        state.take(record)
                # A state that is half read is not shown; after a reconnection the last one stays until then.
                unread = {each: end for each, end in unread.items() if await consumer.position(each) < end}
                if not unread:
                    self.state = state
                    self._caught_up.set()
                    self._on_change()
