"""A producer that is fenced in the middle of a transaction says so, whatever it is doing, and leaves nothing
unsaid."""

import asyncio
import gc
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import IllegalOperation, ProducerFenced

from gateway.adapters import kafka
from gateway.adapters.aiokafka_patches import cut_off
from gateway.adapters.kafka_requests import find_transactions, raw_client
from gateway.adapters.settings import Settings
from gateway.contract.outputs import Output
from gateway.operate.local_kafka import local_kafka
from gateway.operate.topics import apply_topics
from gateway.relay.transaction import send_in_transaction
from tests.kafka.harness import audit, wait_until_accounted
from tests.kafka.one_lane import Notes, events, publish, until, working
from tests.patience import PATIENCE_S

NAME = "fenced between batches"


class FencedAfterTheFirst(AIOKafkaProducer):
    """Its transactional id is taken over by another producer once its first batch has been acknowledged."""

    settings: Settings
    batches = 0
    last: Any = None

    async def send_batch(self, *arguments: Any, **options: Any) -> Any:
        if self.batches == 1:
            async with (
                kafka.producer(self.settings, transactional_id=self.settings.topic_prefix + NAME) as other,
                other.transaction(),
            ):
                pass
        elif self.batches > 1:
            await asyncio.wait([self.last])  # until the broker has answered the batch before
        self.batches += 1
        self.last = await super().send_batch(*arguments, **options)
        return self.last


@pytest.fixture
async def unretrieved_errors() -> list[str]:
    """Return what asyncio would log as an error that nobody retrieved."""
    messages: list[str] = []

    def note(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        messages.append(f"{context['message']}: {context.get('exception')!r}")

    asyncio.get_running_loop().set_exception_handler(note)
    return messages


async def test_a_producer_fenced_between_two_batches_is_fenced(
    settings: Settings, unretrieved_errors: list[str]
) -> None:
    await apply_topics(settings)
    producer = kafka.make_client(FencedAfterTheFirst, settings, transactional_id=settings.topic_prefix + NAME)
    producer.settings = settings
    outputs = [Output(topic, None, b"{}", ()) for topic in settings.topic_names.all[2:6]]
    await producer.start()
    try:
        with pytest.raises(ProducerFenced) as raised:
            await send_in_transaction(producer, outputs, 0, {}, "")
        assert isinstance(
            raised.value.__cause__, IllegalOperation
        )  # as aiokafka says it to whoever sends the next batch
    finally:
        await cut_off(producer)
    del producer, raised
    gc.collect()
    await asyncio.sleep(0)
    assert unretrieved_errors == []


async def test_forgotten_lane_opens_again_without_an_error(settings: Settings, notes: Notes) -> None:
    """As after a week without an event; here after five seconds."""
    brief = {
        "transactional.id.expiration.ms": "5000",
        "transaction.remove.expired.transaction.cleanup.interval.ms": "200",
    }
    with local_kafka(announce=print, properties=brief) as broker:
        one = settings.model_copy(
            update={
                "bootstrap_servers": broker.bootstrap_servers,
                "topics": settings.topics.model_copy(update={"partitions": 1}),
            }
        )
        await apply_topics(one)
        async with working(one, notes) as lane:
            await publish(one, events(0, 2))
            await until(lane, 2)
            async with asyncio.timeout(PATIENCE_S), raw_client(one) as client:
                while await find_transactions(client, [lane.id.transactional_id]):  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
            notes.said.clear()
            await publish(one, events(2, 3))
            await until(lane, 5)
            assert notes.said[:2] == ["lane.forgotten", "lane.opened"]
        account = await wait_until_accounted(one, 5)
        account.assert_proper(5)
        assert audit(one, "--prove")["proved"] == 5
