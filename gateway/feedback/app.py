"""Feedback as a Faust app: agents count rejections and ledger entries into tables, a timer announces, a web server shows."""

from typing import Any, cast

import structlog
from aiokafka import TopicPartition
from mode import Service

from gateway.adapters import faust_worker
from gateway.adapters.faust_patches import AppWithoutDirectories
from gateway.adapters.settings import Settings
from gateway.feedback.agents import add_agents
from gateway.feedback.announcer import Announcer
from gateway.feedback.cases import Share
from gateway.feedback.days import DayShare
from gateway.feedback.reading import CountedConsumer, CountedTransport
from gateway.feedback.state import FeedbackTopics, StateFollower
from gateway.feedback.tables import ShareTable

log = structlog.get_logger("gateway.feedback")

_COMMIT_S = 1.0
_WATCH_S = 10.0


def make_app(settings: Settings, follower: StateFollower) -> AppWithoutDirectories:
    """Return the app: its agents, tables and timers. The web server's routes are added by whoever wants them."""
    names, topics = FeedbackTopics(settings), settings.topic_names
    app = faust_worker.make_app(
        AppWithoutDirectories,
        names.app_id,
        settings,
        broker_session_timeout=settings.feedback.session_timeout_ms / 1000,
        broker_heartbeat_interval=settings.feedback.session_timeout_ms / 5000,
        broker_commit_interval=_COMMIT_S,
        consumer_auto_offset_reset="earliest",
        # What is in hand at a rebalance is left uncounted (see agents): there is nothing to wait for.
        stream_wait_empty=False,
        topic_partitions=settings.topics.partitions,
        topic_replication_factor=settings.topics.replication_factor,
        topic_disable_leader=True,
        Table=ShareTable,
    )
    app.transport = CountedTransport(app.conf.broker_consumer, app)
    shares: Any = app.Table("shares", kind=Share, settings=settings)
    days: Any = app.Table("days", kind=DayShare, settings=settings)
    add_agents(app, topics, shares, days)
    announcer = Announcer(settings, follower)

    @app.service
    class FeedbackService(Service):
        """Follows the whole state, of all partitions, for the announcements and the page."""

        async def on_start(self) -> None:
            log.info("feedback.starting", app=names.app_id)
            # The agents wait for what they write (see agents); Faust need not slow them down, and warn of it, as well.
            app.producer.buffer.max_messages = 100_000
            self.add_future(follower.run())

        async def on_stop(self) -> None:
            await announcer.stop()
            log.info("feedback.stopped")

    leads = TopicPartition(topics.ledger, 0)

    @app.timer(interval=settings.feedback.announce_s)  # type: ignore[untyped-decorator]  # Faust's
    async def announce() -> None:
        # One of the workers does: the one that works the first partition. Whoever it was before is fenced.
        if leads in app.consumer.assignment() and not app.in_recovery:
            await announcer.announce()
        else:
            await announcer.stop()

    @app.timer(interval=settings.feedback.announce_s)  # type: ignore[untyped-decorator]
    async def write_again_what_came_late() -> None:
        # A worker that was frozen may write a share after it lost the partition, and compaction would keep that one.
        for table in (shares, days):
            table.write_again(follower.state.overwritten)

    stalled: dict[TopicPartition, int] = {}

    @app.timer(interval=_WATCH_S)  # type: ignore[untyped-decorator]
    async def read_what_was_dropped() -> None:
        # What Faust dropped shows when something comes after it (see agents), or when nothing has come for a while.
        nonlocal stalled
        consumer = cast("CountedConsumer", app.consumer)
        uncounted = consumer.uncounted()
        for tp in [tp for tp, offset in uncounted.items() if stalled.get(tp) == offset]:
            await consumer.read_again(tp)
        stalled = uncounted

    return app
