"""Feedback as a Faust app: agents count rejections and ledger entries into tables, a timer announces, a web server shows.

A table's value holds the last offset that it counts, so that a redelivered record is not counted twice; Faust commits an
offset only after the producer has written the changelog, so that none is left out.
"""

from collections.abc import AsyncIterator, Callable
from typing import Any

import faust
import structlog
from aiokafka import TopicPartition
from mode import Service

from gateway.adapters.settings import Settings
from gateway.adapters.topics import Topics
from gateway.core.province import Province
from gateway.feedback.announcer import Announcer
from gateway.feedback.cases import CaseCounter, Share
from gateway.feedback.days import DayShare, count_entry
from gateway.feedback.faust_parts import CommittedTransport, ShareTable, credentials
from gateway.feedback.problems import observe
from gateway.feedback.state import FeedbackTopics, StateFollower
from gateway.relay.ledger import read_entry

log = structlog.get_logger("gateway.feedback")

_BATCH = 5000
_WITHIN_S = 1.0
_COMMIT_S = 1.0


class FeedbackApp(faust.App):
    """Faust's app without directories: its tables live in memory and in Kafka."""

    def _create_directories(self) -> None:
        pass


def make_app(settings: Settings, follower: StateFollower) -> FeedbackApp:
    """The app: its agents, tables and timer. The web server's routes are added by whoever wants them."""
    names = FeedbackTopics(settings)
    app = FeedbackApp(
        names.app_id,
        broker=[f"kafka://{server.strip()}" for server in settings.bootstrap_servers.split(",")],
        broker_credentials=credentials(settings),
        broker_session_timeout=settings.feedback.session_timeout_ms / 1000,
        broker_heartbeat_interval=settings.feedback.session_timeout_ms / 5000,
        broker_commit_interval=_COMMIT_S,
        consumer_auto_offset_reset="earliest",
        # What is in hand at a rebalance is left uncounted (see _add_agent): there is nothing to wait for.
        stream_wait_empty=False,
        store="memory://",
        topic_partitions=settings.topics.partitions,
        topic_replication_factor=settings.topics.replication_factor,
        topic_disable_leader=True,
        web_enabled=settings.web.enabled,
        web_bind=settings.web.host,
        web_port=settings.web.port,
        web_router_enabled=False,
        web_tables_enabled=False,
        worker_redirect_stdouts=False,
        Table=ShareTable,
    )
    app.transport = CommittedTransport(app.conf.broker_consumer, app)
    shares = app.Table("shares", kind=Share)
    days = app.Table("days", kind=DayShare)
    _add_agents(app, Topics(settings.topic_prefix), shares, days)
    announcer = Announcer(settings, follower)

    @app.service
    class FeedbackService(Service):
        """Follows the whole state, of all partitions, for the announcements and the page."""

        async def on_start(self) -> None:
            log.info("feedback.starting", app=names.app_id)
            self.add_future(follower.run())

        async def on_stop(self) -> None:
            await announcer.stop()
            log.info("feedback.stopped")

    leads = TopicPartition(Topics(settings.topic_prefix).ledger, 0)

    @app.timer(interval=settings.feedback.announce_s)  # type: ignore[untyped-decorator]  # Faust's
    async def announce() -> None:
        # One of the workers does: the one that works the first partition. Whoever it was before is fenced.
        if leads in app.consumer.assignment() and not app.in_recovery:
            await announcer.announce()
        else:
            await announcer.stop()

    return app


def _add_agents(app: FeedbackApp, topics: Topics, shares: Any, days: Any) -> None:
    def source(name: str) -> Any:
        return app.topic(name, key_serializer="raw", value_serializer="raw", allow_empty=True)

    def count_cases(province: Province | None) -> Callable[[int, list[Any]], None]:
        def count(partition: int, messages: list[Any]) -> None:
            seen = ((message.offset, observe(message.value, message.headers, province)) for message in messages)
            found = [(offset, observation) for offset, observation in seen if observation is not None]
            CaseCounter(shares, partition).count(found)

        return count

    def count_entries(partition: int, messages: list[Any]) -> None:
        for message in messages:
            entry = read_entry(message.value)
            if entry is not None:
                count_entry(days, partition, message.offset, entry)

    for province in Province:
        _add_agent(app, source(topics.rejection(province)), f"{province.value}_rejections", count_cases(province))
    _add_agent(app, source(topics.deadletter), "dead_letters", count_cases(None))
    _add_agent(app, source(topics.ledger), "ledger", count_entries)


def _add_agent(app: FeedbackApp, topic: Any, name: str, count: Callable[[int, list[Any]], None]) -> None:
    """An agent that counts a topic's records, a batch of one partition at a time. Its body never raises (FACTS.md)."""

    @app.agent(topic, name=name)
    async def agent(stream: Any) -> AsyncIterator[None]:
        async for events in stream.noack_take(_BATCH, within=_WITHIN_S):
            by_partition: dict[TopicPartition, list[Any]] = {}
            for event in events:
                by_partition.setdefault(event.message.tp, []).append(event)
            for partition, its_events in by_partition.items():
                # What was still in hand when the partition went to another worker is for whoever has it next. It is not
                # acknowledged either: if that is this worker again, its offset must not be committed uncounted.
                if partition not in app.consumer.assignment():
                    continue
                _count_carefully(count, name, partition.partition, [event.message for event in its_events])
                for event in its_events:
                    await stream.ack(event)
            yield


def _count_carefully(count: Callable[[int, list[Any]], None], agent: str, partition: int, messages: list[Any]) -> None:
    try:
        count(partition, messages)
    except Exception:  # noqa: BLE001 — one bad record must not cost the others; each is tried alone and named
        for message in messages:
            try:
                count(partition, [message])
            except Exception as error:  # noqa: BLE001 — as above
                log.error(  # noqa: TRY400 — a traceback could quote the record
                    "record.not_counted",
                    agent=agent,
                    error=type(error).__name__,
                    partition=partition,
                    offset=message.offset,
                )
