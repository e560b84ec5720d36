"""Three brokers, of which the one that matters most is killed again and again. The stage's ground is the
cluster."""

import asyncio
import time

from aiokafka.admin import AIOKafkaAdminClient

from gateway.adapters import kafka
from gateway.adapters.settings import Settings
from gateway.contract.topics import LaneId
from gateway.core.province import Province
from tests.faults.stage import Scenario, Stage

_IN_SYNC_TIMEOUT_S = 60
_TRANSACTION = 1  # aiokafka's CoordinationType, as the protocol has it


def on_cluster(settings: Settings, bootstrap_servers: str) -> Settings:
    """Return the settings for the cluster, with three copies of each partition."""
    topics = settings.topics.model_copy(update={"replication_factor": 3})
    return settings.model_copy(update={"bootstrap_servers": bootstrap_servers, "topics": topics})


async def kill_leader(stage: Stage) -> None:
    """Kill the broker that leads an input partition."""
    topic = stage.settings.topic_names.display(Province.SICHUAN)
    async with kafka.admin(stage.settings) as admin:
        ((described),) = await admin.describe_topics([topic])
    leaders = {each["partition"]: each["leader"] for each in described["partitions"]}
    await kill_node(stage, leaders[stage.turn % len(leaders)])


async def kill_coordinator(stage: Stage) -> None:
    """Kill the broker that coordinates a lane's transactions."""
    topic = stage.settings.topic_names.display(Province.CHONGQING)
    lane = LaneId(Province.CHONGQING, topic, stage.turn % stage.settings.topics.partitions)
    async with kafka.producer(stage.settings) as producer:
        node = await producer.client.coordinator_lookup(_TRANSACTION, lane.transactional_id)
    await kill_node(stage, node)


async def kill_node(stage: Stage, number: int) -> None:
    """Kill the node, start it after two seconds, and wait until every partition has its three copies
    again."""
    node = stage.ground.nodes[number]
    await asyncio.to_thread(node.kill)
    await asyncio.sleep(2)
    await asyncio.to_thread(node.start)
    # The next one may die only when this one has caught up: two copies must always be left.
    deadline = time.monotonic() + _IN_SYNC_TIMEOUT_S
    async with kafka.admin(stage.settings) as admin:
        while await out_of_sync(admin):
            assert time.monotonic() < deadline, "the cluster does not heal"
            await asyncio.sleep(0.2)


async def out_of_sync(admin: AIOKafkaAdminClient) -> list[str]:
    """The partitions that lack a copy."""
    described = await admin.describe_topics(await admin.list_topics())
    return [
        f"{topic['topic']}/{each['partition']}"
        for topic in described
        for each in topic["partitions"]
        if len(each["isr"]) < len(each["replicas"])
    ]


SCENARIOS = (
    Scenario("cluster: partition leader killed", (kill_leader,)),
    Scenario("cluster: transaction coordinator killed", (kill_coordinator,)),
)
# A broker leads a third of the partitions and coordinates a third of the transactions: one kill is a bit of
# both.
QUICK = SCENARIOS[1]
