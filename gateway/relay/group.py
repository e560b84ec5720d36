"""One consumer in the group, and a lane for each input partition that it is assigned."""

import asyncio
from collections.abc import Callable, Iterable

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import KafkaError

from gateway.adapters import kafka
from gateway.adapters.aiokafka_patches import leave_group, member_id_of, report_missing, stop
from gateway.adapters.group_members import short_id
from gateway.adapters.own_signatures import RecordSigner
from gateway.adapters.settings import Settings
from gateway.adapters.signatures import KeyRing
from gateway.contract.topics import LaneId
from gateway.core.recognition import Recognition
from gateway.relay.broker_watch import BrokerWatch
from gateway.relay.deciders import make_decider
from gateway.relay.fairness import Gate
from gateway.relay.lane import Lane
from gateway.relay.observer import CarefulObserver, Observer
from gateway.relay.progress import LaneState

_FETCH_BYTES = 2_097_152  # a full turn of ordinary events, so that catching up does not fetch twice for each
_METADATA_MAX_AGE_MS = 10_000  # aiokafka's five minutes are long for events that wait in a partition that was added
_LEAVING_S = 2.0  # for ending producers and leaving the group, of the time that a worker has to stop

log = structlog.get_logger("gateway.relay")


def group_id_of(settings: Settings) -> str:
    """Name the consumer group of the lanes."""
    return settings.groups[0]


class LaneGroup(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    """The lanes of this process. Kafka's group protocol says which; ``start`` joins the group, ``stop``
    drains and leaves."""

    def __init__(
        self, settings: Settings, recognition: Callable[[], Recognition], key_ring: KeyRing, observer: Observer,
        signer: RecordSigner | None = None,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._recognition = recognition
        self._key_ring = key_ring
        self._observer = CarefulObserver(observer)
        self._signer, self._gate = signer, Gate()
        self._decide = make_decider(settings)
        self._topics = settings.topic_names
        self._group_id = group_id_of(settings)
        self._lanes: dict[TopicPartition, Lane] = {}
        # Lanes stopped by a rebalance: most come back at once, and then their memory of duplicates still
        # holds.
        self._parked: dict[TopicPartition, Lane] = {}
        self._consumer: AIOKafkaConsumer | None = None
        self._broker = BrokerWatch(settings)
        self._is_stopping = False
        self.has_joined = False
        """Whether the group has said which lanes are ours, if only that there are none."""

    @property
    def lanes(self) -> Iterable[Lane]:
        """The lanes that are assigned now."""
        return self._lanes.values()

    @property
    def is_standby(self) -> bool:
        """Whether there is nothing to do: more workers than partitions."""
        return self.has_joined and not self._lanes

    @property
    def conditions(self) -> dict[str, bool]:
        """What has to be so for this worker to be ready, by name."""
        return {
            "assigned": self.has_joined,
            "lanes_open": all(lane.progress.state is LaneState.OPEN for lane in self._lanes.values()),
            "broker_answers": self.broker_answers,
        }

    @property
    def is_ready(self) -> bool:
        """Whether all of ``conditions`` are so."""
        return all(self.conditions.values())

    @property
    def broker_answers(self) -> bool:
        """Whether the broker answered when it was last asked; see ``watch_broker``."""
        return self._broker.answers

    async def watch_broker(self) -> None:
        """Ask the broker one small thing again and again, until cancelled."""
        await self._broker.run()

    async def start(self) -> None:
        """Join the group. Raises BrokerUnreachableError."""
        relay = self._settings.relay
        self._consumer = kafka.make_client(
            AIOKafkaConsumer,
            self._settings,
            group_id=self._group_id,
            enable_auto_commit=False,
            auto_offset_reset="none",  # never the answer: docs/opening.md
            isolation_level="read_committed",
            max_partition_fetch_bytes=_FETCH_BYTES,
            metadata_max_age_ms=_METADATA_MAX_AGE_MS,
            session_timeout_ms=relay.session_timeout_ms,
            heartbeat_interval_ms=relay.session_timeout_ms // 5,
            # A lane's turns are bounded by their own timeout; the group must not be left while one waits for
            # the broker.
            max_poll_interval_ms=max(300_000, 2 * relay.transaction_timeout_ms),
            rebalance_timeout_ms=relay.transaction_timeout_ms,
        )
        report_missing(self._consumer)
        try:
            await self._consumer.start()
        except (KafkaError, OSError) as error:
            await stop(self._consumer)
            raise kafka.unreachable(self._settings, error) from None
        self._broker.use(self._consumer)
        self._consumer.subscribe(list(self._topics.displays), listener=self)

    async def stop(self, within_s: float) -> bool:
        """Let every lane finish its transaction, then leave the group; tell whether that was done in
        ``within_s`` seconds."""
        self._is_stopping = True
        self._broker.use(None)
        try:
            async with asyncio.timeout(within_s):
                finished = await self._stop_lanes(max(within_s - _LEAVING_S, within_s / 2))
                if self._consumer is not None:
                    await leave_group(self._consumer)
                    await stop(self._consumer)
        except TimeoutError:
            return False
        return finished

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Finish what is in hand before the group rebalances. All lanes stop (eager protocol)."""
        self._parked, self.has_joined = dict(self._lanes), False
        await self._stop_lanes(self._settings.relay.drain_timeout_s)
        if self._parked:  # a consumer that joins has nothing yet
            log.info("group.revoked", lanes=len(self._parked))

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Start the lanes that are ours after the rebalance. They open by themselves: no error here can lose
        one."""
        if self._is_stopping:
            return
        displays = self._topics.displays
        for partition in sorted(assigned):
            lane = self._parked.get(partition) or self._new_lane(
                partition, LaneId(displays[partition.topic], *partition)
            )
            self._lanes[partition] = lane
            lane.start()
        self._parked, self.has_joined = {}, True
        log.info("group.assigned", worker=short_id(member_id_of(self._consumer)), lanes=len(self._lanes))

    def _new_lane(self, partition: TopicPartition, lane_id: LaneId) -> Lane:
        return Lane(
            lane_id,
            self._consumer,
            self._settings,
            self._topics,
            self._group_id,
            self._recognition,
            self._key_ring,
            self._observer,
            self._signer,
            self._gate,
            self._broker.is_down,
            self._decide,
        )

    async def _stop_lanes(self, timeout_s: float) -> bool:
        """Stop all lanes, those too that a rebalance is stopping; tell whether each could finish its
        transaction."""
        lanes, self._lanes = {**self._parked, **self._lanes}.values(), {}
        return all(await asyncio.gather(*(lane.stop(timeout_s) for lane in lanes)))
