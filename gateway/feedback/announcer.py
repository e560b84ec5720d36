"""Tells the departments, by ``gateway.feedback``, what is new and what is back: once each, and growth in
digests."""

import time
from collections.abc import Iterable

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, ProducerFenced

from gateway.adapters import kafka
from gateway.adapters.aiokafka_patches import cut_off, stop
from gateway.adapters.hidden_ends import HiddenEnds
from gateway.adapters.own_signatures import load_record_signer
from gateway.adapters.settings import Settings
from gateway.adapters.topic_reader import UnreadablePartitionError
from gateway.adapters.waiting import WaitingLog
from gateway.contract.headers import CONTENT_TYPE
from gateway.errors import GatewayError
from gateway.feedback.cases import Case
from gateway.feedback.history import History, Message, Status, case_message, digest_messages
from gateway.feedback.state import FeedbackTopics, StateFollower

log = structlog.get_logger("gateway.feedback")

_MOST_AT_ONCE = 500
_POLL_MS = 200


class Announcer:
    """Announces while this worker leads. What was announced is known from the topic itself, so it is
    announced once: a transactional producer of a fixed id fences whoever led before, and then the topic is
    read to its end."""

    def __init__(self, settings: Settings, follower: StateFollower) -> None:
        self._settings = settings
        self._follower = follower
        self._topic = FeedbackTopics(settings).announcements
        self._producer: AIOKafkaProducer | None = None
        self._consumer: AIOKafkaConsumer | None = None
        self._history = History()
        self._signer = load_record_signer(settings)
        self._waiting = WaitingLog(log, "announcer.waiting", "announcer.resumed", settings)

    async def announce(self) -> None:
        """Announce all that is due. What could not be said now is due again the next time."""
        if not self._follower.is_ready:
            return
        try:
            if self._producer is None:
                await self._lead()
            if self._consumer is None:
                return  # stopped meanwhile
            await self._read_history()
            while messages := due_messages(
                self._follower.state.cases.values(), self._history, _now(), self._settings.feedback.digest_s
            ):
                for first in range(0, len(messages), _MOST_AT_ONCE):
                    await self._send(messages[first : first + _MOST_AT_ONCE])
            self._waiting.over()
        except (KafkaError, OSError, GatewayError) as error:
            if isinstance(error, ProducerFenced):
                log.warning("announcer.fenced", error=type(error).__name__)
            else:
                self._waiting.note(error)
            await self.stop()
        except Exception:
            await self.stop()  # and lead again the next time, with a history read again
            raise

    async def stop(self) -> None:
        """Stop leading."""
        producer, self._producer = self._producer, None
        consumer, self._consumer = self._consumer, None
        if producer is not None:
            await cut_off(producer)
        if consumer is not None:
            await stop(consumer)

    async def _lead(self) -> None:
        self._history = History()
        self._producer = kafka.make_client(
            AIOKafkaProducer,
            self._settings,
            transactional_id=f"{FeedbackTopics(self._settings).app_id}-announcer",
            transaction_timeout_ms=self._settings.relay.transaction_timeout_ms,
        )
        await self._producer.start()
        partitions = await kafka.partitions_of(self._settings, [self._topic])
        ends = HiddenEnds(self._settings, partitions)
        for topic, partition in await ends.settle():
            # What was announced behind it would be announced again.
            offset = ends.visible_to.get(TopicPartition(topic, partition), 0)
            raise UnreadablePartitionError(
                topic, partition, offset, "an open transaction hides it, or it has no leader"
            )
        if self._producer is None:
            return  # stopped meanwhile
        self._consumer = kafka.make_client(
            AIOKafkaConsumer,
            self._settings,
            isolation_level="read_committed",
            enable_auto_commit=False,
            max_poll_records=kafka.MOST_POLLED,
        )
        await self._consumer.start()
        self._consumer.assign(partitions)
        await self._consumer.seek_to_beginning()
        log.info("announcer.leads")

    async def _read_history(self) -> None:
        consumer = self._consumer
        assert consumer is not None  # noqa: S101 — set with the producer
        ends = await consumer.end_offsets(consumer.assignment())
        while [each for each, end in ends.items() if await consumer.position(each) < end]:
            for records in (await consumer.getmany(timeout_ms=_POLL_MS)).values():
                for record in records:
                    self._history.take(record.value, record.timestamp)

    async def _send(self, messages: list[Message]) -> None:
        assert self._producer is not None  # noqa: S101 — set by _lead
        values = [message.value for message in messages]
        if self._signer is not None:
            values = await self._signer.sign_all(values)
        async with self._producer.transaction():
            futures = [
                await self._producer.send(self._topic, key=message.key, value=value, headers=[CONTENT_TYPE])
                for message, value in zip(messages, values, strict=True)
            ]
            for future in futures:  # a failed send does not fail aiokafka's transaction by itself
                await future
        for message in messages:
            # The transaction's end may be a moment behind for readers; what was said is not said again
            # meanwhile.
            self._history.take(message.value, _now())
        log.info("feedback.announced", messages=len(messages))


def due_messages(cases: Iterable[Case], history: History, now: int, digest_s: float) -> list[Message]:
    """Return the messages due at ``now`` (milliseconds): new and reopened cases; to each unit, how known
    cases grew. What only waits for another unit is not announced."""
    messages = []
    grown: dict[str, list[tuple[Case, int]]] = {}
    for case in cases:
        change = history.due(case)
        if change is not None:
            messages.append(case_message(case, change, Status.PENDING, now))
            continue
        for unit in case.problem.units:
            if history.has_grown(case, unit):
                grown.setdefault(unit, []).append((case, history.reported(unit, case.id).events))
    for unit, found in grown.items():
        since = history.digested.get(unit)
        last = since if since is not None else min(history.steps[case.id][0].at for case, _ in found)
        if now - last >= digest_s * 1000:
            messages += digest_messages(unit, found, since, now)
    return messages


def _now() -> int:
    return int(time.time() * 1000)
