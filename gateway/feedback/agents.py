"""Feedback's agents: each counts a topic's records into a table, every record once and none left out.

A record is counted if all before it are (``reading`` says which those are); it is acknowledged, by committing the offset
after it, when the broker has the shares that count it. A share knows the last offset that it counts, so that a record that
comes again is not counted again.
"""

from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import structlog
from aiokafka import TopicPartition

from gateway.contract.topics import Topics
from gateway.core.province import Province
from gateway.feedback.cases import CaseCounter
from gateway.feedback.days import count_ledger
from gateway.feedback.problems import observe
from gateway.feedback.reading import ReadMessage
from gateway.feedback.tables import ShareTable

log = structlog.get_logger("gateway.feedback")

_BATCH = 5000
_WITHIN_S = 1.0


_Count = Callable[[int, list[ReadMessage]], None]


def add_agents(app: Any, topics: Topics, shares: ShareTable, days: ShareTable) -> None:
    """Add the agents: over both provinces' rejections, the dead letters, and the ledger."""

    def source(name: str) -> Any:
        return app.topic(name, key_serializer="raw", value_serializer="raw", allow_empty=True)

    def count_cases(province: Province | None) -> _Count:
        def count(partition: int, messages: list[ReadMessage]) -> None:
            seen = ((message.offset, observe(message.value, message.headers, province)) for message in messages)
            found = [(offset, observation) for offset, observation in seen if observation is not None]
            CaseCounter(shares, partition).count(found)

        return count

    def count_days(partition: int, messages: list[ReadMessage]) -> None:
        count_ledger(days, partition, messages)

    for province in Province:
        name = f"{province.value}_rejections"
        _add_agent(app, source(topics.rejection(province)), _Counter(app, name, shares, count_cases(province)))
    _add_agent(app, source(topics.deadletter), _Counter(app, "dead_letters", shares, count_cases(None)))
    _add_agent(app, source(topics.ledger), _Counter(app, "ledger", days, count_days))


def _add_agent(app: Any, topic: Any, counter: "_Counter") -> None:
    """Add an agent that counts a topic's records, a batch of one partition at a time.

    Its body never raises: Faust would acknowledge the event all the same.
    """

    @app.agent(topic, name=counter.name)  # type: ignore[untyped-decorator]  # Faust's
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

    def __init__(self, app: Any, name: str, table: ShareTable, count: _Count) -> None:
        self.name = name
        self._app = app
        self._table = table
        self._count = count

    async def count(self, tp: TopicPartition, messages: list[ReadMessage]) -> None:
        """Count those of ``messages`` that are due, wait until the shares are written, and let the offset be committed."""
        consumer, generation = self._app.consumer, self._app.consumer_generation_id
        if tp not in consumer.counted:
            return  # went to another worker; or is here, and will be read from where its counting begins
        due, ahead = next_in_line(messages, consumer.counted[tp])
        if due:
            self._count_carefully(tp.partition, due)
            try:
                for write in self._table.take_sent():
                    await write
            except Exception as error:  # noqa: BLE001 — whatever it is, these counts are in no changelog
                log.error("shares.not_written", table=self._table.name, error=type(error).__name__)  # noqa: TRY400
                await self._app.crash(error)
                return
            if tp in consumer.counted and generation == self._app.consumer_generation_id:
                consumer.counted[tp] = due[-1].offset + 1
        if ahead and generation == self._app.consumer_generation_id:
            await consumer.read_again(tp)

    def _count_carefully(self, partition: int, messages: list[ReadMessage]) -> None:
        try:
            self._count(partition, messages)
        except Exception:  # noqa: BLE001 — one bad record must not cost the others; each is tried alone and named
            for message in messages:
                try:
                    self._count(partition, [message])
                except Exception as error:  # noqa: BLE001 — as above
                    log.error(  # noqa: TRY400 — a traceback could quote the record
                        "record.not_counted",
                        agent=self.name,
                        error=type(error).__name__,
                        partition=partition,
                        offset=message.offset,
                    )


def next_in_line(messages: Iterable[ReadMessage], next_offset: int) -> tuple[list[ReadMessage], bool]:
    """Those of ``messages`` that are to be counted, in offset order, if ``next_offset`` is the next offset to count; and
    whether others are ahead of records that have not come."""
    due: list[ReadMessage] = []
    newest = -1
    for message in messages:
        newest = max(newest, message.offset)
        if message.offset >= next_offset and message.read_from is not None and message.read_from <= next_offset:
            due.append(message)
            next_offset = message.offset + 1
    return due, newest >= next_offset
