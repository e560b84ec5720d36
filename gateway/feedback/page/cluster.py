"""How the relays stand: how far behind each input partition is, and which worker has how many lanes."""

import asyncio
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from gateway.adapters import kafka
from gateway.adapters.aiokafka_patches import partitions_in
from gateway.adapters.settings import Settings
from gateway.errors import GatewayError

log = structlog.get_logger("gateway.feedback")

_EVERY_S = 3
_PATIENCE_S = 10


class Cluster:
    """Asked every few seconds. By topic and partition, ``lag``: events not yet decided; ``committed``: the offset up to which
    they are. ``workers``: client id → lanes.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._group = settings.groups[0]
        self.lag: dict[tuple[str, int], int] = {}
        self.committed: dict[tuple[str, int], int] = {}
        self.workers: list[dict[str, Any]] = []
        self.known = False
        """Whether the broker answered the last time."""

    async def run(self) -> None:
        """Ask until cancelled; outlives the broker's absence."""
        while True:
            try:
                await self._keep_asking()
            except (KafkaError, OSError, TimeoutError, GatewayError) as error:
                self.known = False
                log.warning("page.waiting", error=type(error).__name__)
                await asyncio.sleep(_EVERY_S)

    async def _keep_asking(self) -> None:
        topics = self._settings.topic_names
        partitions = await kafka.partitions_of(self._settings, list(topics.displays))
        async with kafka.admin(self._settings) as admin, kafka.consumer(self._settings) as consumer:
            while True:
                await asyncio.wait_for(self._ask(admin, consumer, partitions), _PATIENCE_S)
                self.known = True
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
        self.workers = [
            _worker(member)
            for response in await admin.describe_consumer_groups([self._group])
            for group in response.groups
            for member in group[5]
        ]


def _worker(member: tuple[Any, ...]) -> dict[str, Any]:
    member_id, client_id, host, assignment = member[0], member[-4], member[-3], member[-1]
    lanes = [f"{topic}-{partition}" for topic, partition in partitions_in(assignment)] if assignment else []
    # The id's random part tells workers apart; a host is the cluster's own business.
    return {"id": str(member_id)[-8:], "client": str(client_id), "host": str(host).lstrip("/"), "lanes": lanes}
