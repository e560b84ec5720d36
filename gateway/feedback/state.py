"""Everything that feedback knows, read from Kafka: the tables' changelogs of all partitions, and what was announced.

A worker's table holds its own partitions only; whoever wants the whole (the page, the reports, the commands) reads it here.
"""

import asyncio
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
from gateway.adapters.topics import Topics
from gateway.errors import BrokerUnreachableError, ConfigurationError
from gateway.feedback.cases import Case, Share, merge
from gateway.feedback.days import Day, DayShare, merge_days
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
        return f"{self.settings.topic_prefix}{self.settings.feedback.group_id}"

    @property
    def shares(self) -> str:
        """The changelog of cases' shares."""
        return f"{self.app_id}-shares-changelog"

    @property
    def days(self) -> str:
        """The changelog of days' shares."""
        return f"{self.app_id}-days-changelog"

    @property
    def changelogs(self) -> tuple[str, str]:
        """Both, compacted."""
        return self.shares, self.days

    @property
    def announcements(self) -> str:
        """``gateway.feedback``."""
        return Topics(self.settings.topic_prefix).feedback

    @property
    def all(self) -> list[str]:
        """All that makes up the state."""
        return [*self.changelogs, self.announcements]


class State:
    """Cases, days and history, folded from records; ask for ``cases`` or ``days`` at any time."""

    def __init__(self, topics: FeedbackTopics) -> None:
        self._topics = topics
        self.shares: dict[str, Share] = {}
        self.day_shares: dict[str, DayShare] = {}
        self.history = History()
        self._cases: dict[str, Case] | None = None
        self._days: list[Day] | None = None

    def take(self, record: ConsumerRecord) -> None:
        """Fold one record of ``FeedbackTopics.all`` in."""
        if record.topic == self._topics.announcements:
            self.history.take(record.value, record.timestamp)
        elif record.topic == self._topics.shares:
            self._cases = None
            _put(self.shares, record, decode_share)
        elif record.topic == self._topics.days:
            self._days = None
            _put(self.day_shares, record, decode_day)

    @property
    def cases(self) -> dict[str, Case]:
        """Every case by its id, the one last seen first."""
        if self._cases is None:
            self._cases = {case.id: case for case in merge(self.shares.items())}
        return self._cases

    @property
    def days(self) -> list[Day]:
        """Every day of each province, the newest first."""
        if self._days is None:
            self._days = merge_days(self.day_shares.items())
        return self._days

    def standing(self, case: Case) -> Standing:
        """Where ``case`` stands, and how it came there."""
        return self.history.standing(case)


def _put(held: dict[str, _T], record: ConsumerRecord, decode: Callable[[bytes], _T]) -> None:
    key = (record.key or b"").decode("utf-8", "replace")
    if not record.value:
        held.pop(key, None)
        return
    try:
        value = decode(record.value)
    except msgspec.MsgspecError:
        return  # of an older version: `gateway feedback rebuild` makes it anew
    # A worker that was frozen and lost its partitions may write once more: what is older never replaces what is newer.
    if key not in held or value.applied >= held[key].applied:
        held[key] = value


async def read_state(settings: Settings) -> State:
    """The state as it stands now. Raises ConfigurationError where no feedback worker ever ran, BrokerUnreachableError."""
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
