"""A worker that stops amid a rebalance, which another member holds up: it leaves at once, and starts no
lane."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener

from gateway.adapters import kafka
from gateway.adapters.aiokafka_patches import leave_group
from gateway.adapters.group_members import members_of
from gateway.adapters.settings import Settings
from gateway.adapters.tasks import end_tasks
from gateway.operate.topics import apply_topics
from gateway.relay.group import group_id_of
from tests.kafka.harness import Worker
from tests.patience import PATIENCE_S

DRAIN_S = PATIENCE_S


class Slow(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    """A member that lets a rebalance wait until the test lets it go on."""

    def __init__(self) -> None:
        self.is_asked, self.may_go_on, self.has_joined = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        if revoked:
            self.is_asked.set()
            await self.may_go_on.wait()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        self.has_joined.set()


@asynccontextmanager
async def member(settings: Settings, listener: Slow, **options: int) -> AsyncIterator[AIOKafkaConsumer]:
    async with kafka.consumer(settings, group_id=group_id_of(settings), **options) as consumer:
        consumer.subscribe(list(settings.topic_names.displays), listener=listener)
        await listener.has_joined.wait()
        yield consumer


async def member_count(settings: Settings) -> int:
    async with kafka.admin(settings) as admin:
        return len(await members_of(admin, group_id_of(settings)))


async def until_members_are(settings: Settings, count: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while (found := await member_count(settings)) != count:
        assert time.monotonic() < deadline, f"{found} members, not {count}"
        await asyncio.sleep(0.1)


async def test_a_worker_leaves_amid_a_rebalance(settings: Settings) -> None:
    await apply_topics(settings)
    slow = Slow()
    worker = Worker(settings, GATEWAY_RELAY__DRAIN_TIMEOUT_S=str(DRAIN_S), GATEWAY_WEB__ENABLED="false")
    try:
        async with member(settings, slow):
            worker.start()
            await slow.is_asked.wait()
            slow.may_go_on.set()
            await asyncio.to_thread(worker.wait_for, "lane.opened")
            slow.is_asked.clear()
            slow.may_go_on.clear()
            other = Worker(settings).start()
            try:  # it asks for a rebalance, in which the worker waits for the slow one
                await slow.is_asked.wait()
                await asyncio.to_thread(worker.wait_for, "group.revoked")
                code = await asyncio.to_thread(worker.terminate, DRAIN_S / 2)
                await until_members_are(settings, 2)
                assert code == 0, worker.log.read_text()[-2000:]
                assert [line["drained"] for line in worker.events("relay.stopped")] == [True]
            finally:
                other.discard()
                slow.may_go_on.set()
        events = [line.get("event") for line in worker.lines()]
        assert "lane.opened" not in events[events.index("relay.draining") :]
    finally:
        worker.discard()


async def test_a_group_is_left_at_whatever_moment(settings: Settings) -> None:
    await apply_topics(settings)
    for later in range(5):  # in turns of the event loop after the listener's callback may go on
        listener = Slow()
        async with member(settings, listener, heartbeat_interval_ms=100) as consumer:
            joining = asyncio.create_task(stay(settings))
            await listener.is_asked.wait()
            listener.may_go_on.set()
            for _ in range(later):
                await asyncio.sleep(0)
            async with asyncio.timeout(4):
                await leave_group(consumer)
            await end_tasks(joining)


async def stay(settings: Settings) -> None:
    async with member(settings, Slow()):
        await asyncio.Event().wait()


async def test_logs_name_workers_as_the_page_does(settings: Settings) -> None:
    await apply_topics(settings)
    relay, feedback = Worker(settings), Worker(settings, "feedback", "run")
    try:
        for worker, group in zip((relay, feedback), settings.groups, strict=True):
            worker.start()
            await asyncio.to_thread(worker.wait_for, "group.assigned")
            async with kafka.admin(settings) as admin:
                (member,) = await members_of(admin, group)
            assert worker.events("group.assigned")[-1]["worker"] == member.short_id
            assert len(member.short_id) == 8
        assert relay.events("group.assigned")[-1]["lanes"] == 8
        assert feedback.events("group.assigned")[-1]["partitions"] == 16
    finally:
        relay.discard()
        feedback.discard()
