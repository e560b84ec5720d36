"""Feedback as a Faust app: agents count rejections and ledger entries into tables, a timer announces, a web
server shows."""

import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, cast

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from mode import Service

from gateway.adapters import faust_worker, kafka
from gateway.adapters.faust_patches import AppWithoutDirectories
from gateway.adapters.settings import Settings
from gateway.adapters.waiting import WaitingLog
from gateway.errors import GatewayError, TopicsDifferError
from gateway.feedback.agents import add_agents
from gateway.feedback.announcer import Announcer
from gateway.feedback.cases import Share
from gateway.feedback.counting import Counting, case_sources, source_of
from gateway.feedback.days import DayShare
from gateway.feedback.prepare import prepare_topics
from gateway.feedback.reading import CountedConsumer, CountedTransport
from gateway.feedback.state import FeedbackTopics, StateFollower
from gateway.feedback.tables import ShareTable

log = structlog.get_logger("gateway.feedback")

_COMMIT_S = 1.0
_METADATA_MAX_AGE_MS = 10_000  # as the relay's: Faust's five minutes are long for partitions that were added
_WATCH_S = 10.0


def make_app(settings: Settings, follower: StateFollower) -> AppWithoutDirectories:
    """Return the app: its agents, tables and timers. The web server's routes are added by whoever wants
    them."""
    names, topics = FeedbackTopics(settings), settings.topic_names
    app = faust_worker.make_app(
        AppWithoutDirectories,
        names.app_id,
        settings,
        broker_session_timeout=settings.feedback.session_timeout_ms / 1000,
        broker_heartbeat_interval=settings.feedback.session_timeout_ms / 5000,
        broker_commit_interval=_COMMIT_S,
        consumer_metadata_max_age_ms=_METADATA_MAX_AGE_MS,
        consumer_auto_offset_reset="earliest",
        # What is in hand at a rebalance is left uncounted (see agents): there is nothing to wait for.
        stream_wait_empty=False,
        topic_partitions=settings.topics.partitions,
        topic_replication_factor=settings.topics.replication_factor,
        topic_disable_leader=True,
        Table=ShareTable,
    )
    app.transport = CountedTransport(app.conf.broker_consumer, app)
    shares: Any = app.Table(
        "shares", kind=Share, settings=settings, sources=case_sources(topics),
        source_of=lambda share: source_of(share, topics),
    )  # fmt: skip
    days: Any = app.Table(
        "days", kind=DayShare, settings=settings, sources=(topics.ledger,), source_of=lambda _: topics.ledger
    )
    agents = {f"{province.value}_rejections": topic for topic, province in topics.rejections.items()}
    agents |= {"dead_letters": topics.deadletter, "ledger": topics.ledger}
    add_agents(app, Counting(topics, shares, days), agents, (shares, days))
    announcer = Announcer(settings, follower)

    @app.service
    class FeedbackService(Service):
        """Follows the whole state, of all partitions, for the announcements and the page."""

        async def on_start(self) -> None:
            log.info("feedback.starting", **faust_worker.describe(settings, settings.groups[1]))
            # The agents wait for what they write (see agents); Faust need not slow them down, and warn of
            # it, as well.
            app.producer.buffer.max_messages = 100_000
            self.add_future(follower.run())

        async def on_stop(self) -> None:
            await announcer.stop()
            log.info("feedback.stopped")

    leads = TopicPartition(topics.ledger, 0)

    def every(seconds: float) -> Callable[[Callable[[], Awaitable[None]]], None]:
        """Have a function called every ``seconds`` seconds. Faust ends the worker where a timer raises."""

        def add(work: Callable[[], Awaitable[None]]) -> None:
            app.timer(interval=seconds, name=work.__name__)(carefully(work, settings))

        return add

    @every(settings.feedback.announce_s)
    async def announce() -> None:
        # One of the workers does: the one that works the first partition. Whoever it was before is fenced.
        if leads in app.consumer.assignment() and not app.in_recovery:
            await announcer.announce()
        else:
            await announcer.stop()

    @every(settings.feedback.announce_s)
    async def write_again_what_came_late() -> None:
        # A worker that was frozen may write a share after it lost the partition, and compaction would keep
        # that one.
        for table in (shares, days):
            table.write_again(follower.state.overwritten)

    stalled: dict[TopicPartition, int] = {}

    @every(_WATCH_S)
    async def restore_changelogs() -> None:
        known = {table: table.known_ends() for table in (shares, days)}
        if not any(known.values()):
            return
        with contextlib.suppress(TopicsDifferError):  # what is held is counted all the same
            await prepare_topics(settings)
        async with kafka.consumer(settings, isolation_level="read_uncommitted") as consumer:
            ends = await consumer.end_offsets([each for partitions in known.values() for each in partitions])
        for table, partitions in known.items():
            table.restore(partitions, ends)

    @every(_WATCH_S)
    async def note_counted_again() -> None:
        await cast("CountedConsumer", app.consumer).note_counted_again()

    @every(_WATCH_S)
    async def read_what_was_dropped() -> None:
        # What Faust dropped shows when something comes after it (see agents), or when nothing has come for a
        # while.
        nonlocal stalled
        consumer = cast("CountedConsumer", app.consumer)
        uncounted = consumer.uncounted()
        for tp in [tp for tp, offset in uncounted.items() if stalled.get(tp) == offset]:
            await consumer.read_again(tp)
        stalled = uncounted

    return app


def carefully(work: Callable[[], Awaitable[None]], settings: Settings) -> Callable[[], Awaitable[None]]:
    """Return ``work`` such that it never raises, as it is done again the next time: a broker that is down is
    waited for, and anything else is a defect; the log says either."""
    waiting = WaitingLog(log, "task.waiting", "task.resumed", settings)

    async def work_carefully() -> None:
        try:
            await work()
        except (KafkaError, OSError, GatewayError) as error:
            waiting.note(error, task=work.__name__)
        except Exception as error:  # noqa: BLE001 — whatever it is, the worker outlives it
            log.error("feedback.task_failed", task=work.__name__, error=type(error).__name__)  # noqa: TRY400
        else:
            waiting.over()

    return work_carefully
