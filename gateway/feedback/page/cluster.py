"""How the relays stand: how far behind each input partition is, and which worker has how many lanes."""

import asyncio
import time
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from gateway.adapters import kafka
from gateway.adapters.group_members import Member, members_of
from gateway.adapters.settings import Settings
from gateway.adapters.waiting import WaitingLog
from gateway.errors import GatewayError

log = structlog.get_logger("gateway.feedback")

STUCK_S = 60
"""For so long events may wait in a partition of which nothing is committed, before it counts as stuck."""
_EVERY_S = 3
_TIMEOUT_S = 10


class Cluster:
    """Asked every few seconds. By topic and partition, ``lag``: events not yet decided; ``committed``: the
    offset up to which they are; ``stuck_s``: of those whose events wait and none was committed for a minute,
    for how many seconds. ``workers``: the gateway's own, with their lanes; ``strangers``: who else is in the
    group, and keeps partitions from them.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._group = settings.groups[0]
        self._waiting = WaitingLog(log, "page.waiting", "page.resumed", settings)
        self.lag: dict[tuple[str, int], int] = {}
        self.committed: dict[tuple[str, int], int] = {}
        self.stuck_s: dict[tuple[str, int], int] = {}
        self.workers: list[dict[str, Any]] = []
        self.strangers: list[dict[str, Any]] = []
        self._moved: dict[tuple[str, int], tuple[int, float]] = {}
        self.known = False
        """Whether the broker answered the last time."""
        self.answered_at: int | None = None
        """When it last did, in seconds."""

    async def run(self) -> None:
        """Ask until cancelled; outlives the broker's absence."""
        while True:
            try:
                await self._keep_asking()
            except (KafkaError, OSError, TimeoutError, GatewayError) as error:
                self._waiting.note(error, reads="workers")
            except Exception as error:  # noqa: BLE001 — whatever it is, the page outlives it
                log.error("feedback.task_failed", task="cluster", error=type(error).__name__)  # noqa: TRY400
            self.known = False
            await asyncio.sleep(_EVERY_S)

    async def _keep_asking(self) -> None:
        topics = self._settings.topic_names
        partitions = await kafka.partitions_of(self._settings, list(topics.displays))
        async with kafka.admin(self._settings) as admin, kafka.consumer(self._settings) as consumer:
            while True:
                await asyncio.wait_for(self._ask(admin, consumer, partitions), _TIMEOUT_S)
                self.known, self.answered_at = True, int(time.time())
                self._waiting.over()
                await asyncio.sleep(_EVERY_S)

    async def _ask(
        self, admin: AIOKafkaAdminClient, consumer: AIOKafkaConsumer, partitions: list[TopicPartition]
    ) -> None:
        ends = await consumer.end_offsets(partitions)
        starts = await consumer.beginning_offsets(partitions)
        offsets = await admin.list_consumer_group_offsets(self._group)
        lag, committed = {}, {}
        for each in partitions:
            known = offsets.get(each)
            done = known.offset if known is not None and known.offset >= 0 else starts[each]
            lag[each.topic, each.partition] = max(0, ends[each] - done)
            committed[each.topic, each.partition] = done
        self.lag, self.committed = lag, committed
        self._note_moves(time.monotonic())
        members, displays = await members_of(admin, self._group), self._settings.topic_names.displays
        self.workers = [_worker(each) for each in members if each.is_ours(displays)]
        self.strangers = [_worker(each) for each in members if not each.is_ours(displays)]

    def _note_moves(self, now: float) -> None:
        for place, done in self.committed.items():
            before, since = self._moved.get(place, (-1, now))
            if done != before or not self.lag[place]:
                since = now
            self._moved[place] = done, since
        stuck = {place: round(now - since) for place, (_, since) in self._moved.items() if now - since >= STUCK_S}
        self.stuck_s = stuck


def _worker(member: Member) -> dict[str, Any]:
    lanes = [f"{topic}-{partition}" for topic, partition in member.partitions]
    return {"id": member.short_id, "client": member.client, "host": member.host, "lanes": lanes}
