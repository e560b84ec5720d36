"""Feedback's agents: each counts a topic's records into a table, every record once and none left out.

A record is counted if all before it are (``reading`` says which those are); it is acknowledged, by
committing the offset after it, when the broker has the shares that count it. A share knows the last offset
that it counts, so that a record that comes again is not counted again.
"""

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

import structlog
from aiokafka import TopicPartition

from gateway.feedback.counting import Counting
from gateway.feedback.reading import ReadMessage
from gateway.feedback.tables import ShareTable

log = structlog.get_logger("gateway.feedback")

_BATCH = 5000
_WITHIN_S = 1.0


def add_agents(app: Any, counting: Counting, sources: Mapping[str, str], tables: Iterable[ShareTable]) -> None:
    """Add the agents, by name one for each topic in ``sources``; ``counting`` counts into ``tables``."""
    for name, topic in sources.items():
        table = next(table for table in tables if topic in table.sources)
        _add_agent(app, name, topic, _Counter(app, table, counting))


def _add_agent(app: Any, name: str, topic: str, counter: "_Counter") -> None:
    """Add an agent that counts a topic's records, a batch of one partition at a time.

    Its body never raises: Faust would acknowledge the event all the same.
    """
    source = app.topic(topic, key_serializer="raw", value_serializer="raw", allow_empty=True)

    @app.agent(source, name=name)  # type: ignore[untyped-decorator]  # Faust's
    async def agent(stream: Any) -> AsyncIterator[None]:
        async for events in stream.noack_take(_BATCH, within=_WITHIN_S):
            batches: dict[TopicPartition, list[ReadMessage]] = {}
            for event in events:
                batches.setdefault(event.message.tp, []).append(event.message)
            for partition, messages in batches.items():
                await counter.count(partition, messages)
            yield


class _Counter:
    """Counts one topic's records into ``table``."""

    def __init__(self, app: Any, table: ShareTable, counting: Counting) -> None:
        self._app = app
        self._table = table
        self._counting = counting

    async def count(self, tp: TopicPartition, messages: list[ReadMessage]) -> None:
        """Count those of ``messages`` that are due, wait until the shares are written, and let the offset be
        committed."""
        consumer, generation = self._app.consumer, self._app.consumer_generation_id
        if tp not in consumer.counted:
            return  # went to another worker; or is here, and will be read from where its counting begins
        due, ahead = next_in_line(messages, consumer.counted[tp])
        if due:
            self._counting.count(tp.topic, tp.partition, due)
            newest = max(message.timestamp for message in due)
            self._table.note_counted(tp, due[-1].offset + 1, round(newest * 1000))
            try:
                await self._table.written()
            except Exception as error:  # noqa: BLE001 — whatever it is, these counts are in no changelog
                log.error("shares.not_written", table=self._table.name, error=type(error).__name__)  # noqa: TRY400
                await self._app.crash(error)
                return
            if tp in consumer.counted and generation == self._app.consumer_generation_id:
                consumer.counted[tp] = due[-1].offset + 1
        if ahead and generation == self._app.consumer_generation_id:
            await consumer.read_again(tp)


def next_in_line(messages: Iterable[ReadMessage], next_offset: int) -> tuple[list[ReadMessage], bool]:
    """Return those of ``messages`` that are to be counted, in offset order, if ``next_offset`` is the next
    offset to count; and whether others are ahead of records that have not come."""
    due: list[ReadMessage] = []
    newest = -1
    for message in messages:
        newest = max(newest, message.offset)
        if message.offset >= next_offset and message.read_from is not None and message.read_from <= next_offset:
            due.append(message)
            next_offset = message.offset + 1
    return due, newest >= next_offset
