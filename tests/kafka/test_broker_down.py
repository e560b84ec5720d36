"""aiokafka's clients while their broker is down: they give up in time, and leave no task behind."""

import asyncio
import contextlib
from collections.abc import Iterator

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import NewTopic
from aiokafka.errors import KafkaError

from gateway.adapters import aiokafka_patches, kafka
from gateway.adapters.aiokafka_patches import cut_off
from gateway.adapters.log_facts import wait_until_known
from gateway.adapters.settings import Settings, load_settings, packaged_config
from gateway.errors import BrokerUnreachableError
from gateway.operate.local_kafka import LocalKafka, local_kafka
from gateway.operate.topics import apply_topics
from tests.kafka.harness import publish, simulate, wait_until_accounted, with_short_sessions, workers

PARTITION = TopicPartition("stops", 0)
EVENTS = 6_000


@pytest.fixture(scope="module")
def broker() -> Iterator[LocalKafka]:
    with local_kafka() as broker:
        yield broker


@pytest.fixture
async def settings(broker: LocalKafka) -> Settings:
    settings = load_settings(packaged_config() / "gateway.yaml", bootstrap_servers=broker.bootstrap_servers)
    async with kafka.admin(settings) as admin:
        await admin.create_topics([NewTopic(PARTITION.topic, 1, 1)])
        await wait_until_known(settings, [PARTITION.topic])
    return settings


def at_work() -> list[str]:
    """What aiokafka does in the background, by the function that does it."""
    running = (task.get_coro() for task in asyncio.all_tasks())
    frames = (getattr(each, "cr_frame", None) for each in running)
    return sorted(frame.f_code.co_qualname for frame in frames if frame and "aiokafka" in frame.f_code.co_filename)


async def test_producer_cut_off_mid_transaction_leaves_no_tasks(broker: LocalKafka, settings: Settings) -> None:
    producer = kafka.make_client(AIOKafkaProducer, settings, transactional_id="cut off")
    await producer.start()
    await producer.begin_transaction()
    await producer.send_and_wait(PARTITION.topic, b"before", partition=0)
    broker.freeze()
    try:
        waiting = await producer.send(PARTITION.topic, b"while it is down", partition=0)
        await asyncio.sleep(0.5)
        assert not waiting.done()
        assert "Sender._sender_routine" in at_work()
        await cut_off(producer)
        assert at_work() == []
    finally:
        broker.thaw()


async def test_consumer_stopped_during_an_outage_leaves_no_tasks(broker: LocalKafka, settings: Settings) -> None:
    try:
        async with kafka.consumer(settings) as consumer:
            consumer.assign([PARTITION])
            await consumer.getmany(timeout_ms=300)
            broker.kill()
            async with asyncio.timeout(60):
                await until_a_fetch_pauses(consumer)
        await asyncio.sleep(0)
        assert at_work() == []
    finally:
        broker.start()


async def until_a_fetch_pauses(consumer: AIOKafkaConsumer) -> None:
    """Until a fetch sleeps after an error: the moment in which aiokafka's own ``stop`` cancels who calls
    it."""
    while not any(_sleeps(task) for task in consumer._fetcher._pending_tasks):
        with contextlib.suppress(KafkaError):
            await consumer.getmany(timeout_ms=10)


def _sleeps(task: asyncio.Task[bool]) -> bool:
    awaited = getattr(task.get_coro(), "cr_await", None)
    return getattr(awaited, "__qualname__", "") == "sleep"


async def test_a_broker_that_answers_no_connection_is_given_up(
    broker: LocalKafka, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aiokafka_patches, "SETUP_TIMEOUT_S", 0.3)
    broker.freeze()
    try:
        async with asyncio.timeout(20):  # aiokafka's own time for it is 40 s
            with pytest.raises(BrokerUnreachableError):
                await start_and_stop_a_consumer(settings)
    finally:
        broker.thaw()


async def test_reconnecting_to_a_refusing_broker_backs_off(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = settings.model_copy(update={"bootstrap_servers": "127.0.0.1:1"})
    monkeypatch.setattr(aiokafka_patches, "RECONNECT_BACKOFF_S", 3600)
    starting = asyncio.create_task(start_and_stop_a_consumer(nobody))
    _, waiting = await asyncio.wait([starting], timeout=1)
    assert waiting == {starting}
    starting.cancel()
    await asyncio.wait([starting])
    monkeypatch.setattr(aiokafka_patches, "RECONNECT_BACKOFF_S", 0)
    with pytest.raises(BrokerUnreachableError):
        await start_and_stop_a_consumer(nobody)


async def start_and_stop_a_consumer(settings: Settings) -> None:
    async with kafka.consumer(settings):
        pass


async def test_a_worker_says_once_that_its_broker_is_down(broker: LocalKafka) -> None:
    """Its lanes are amid their transactions, and fail again and again; none has a line of its own."""
    settings = with_short_sessions(
        load_settings(
            packaged_config() / "gateway.yaml", bootstrap_servers=broker.bootstrap_servers, topic_prefix="said-once."
        )
    )
    settings = settings.model_copy(update={"topics": settings.topics.model_copy(update={"partitions": 3})})
    await apply_topics(settings)
    with workers(settings, 1) as (worker,):
        worker.wait_for("lane.opened", 6)
        await publish(settings, simulate(settings, EVENTS))
        await asyncio.to_thread(worker.wait_for, "turn.committed")
        broker.kill()
        try:
            await asyncio.to_thread(worker.wait_for, "relay.waiting", 3)
        finally:
            broker.start()
        await asyncio.to_thread(worker.wait_for, "relay.resumed")
        await wait_until_accounted(settings, EVENTS)
        assert worker.events("lane.failed") == []
        waiting, (resumed,) = worker.events("relay.waiting"), worker.events("relay.resumed")
    assert waiting[0]["waited_s"] == 0
    assert waiting[0]["broker"] == settings.bootstrap_servers
    assert float(str(resumed["waited_s"])) >= float(str(waiting[-1]["waited_s"]))
