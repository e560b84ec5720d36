"""Partitions are added to one province's topic while everything runs. The stage's ground is the broker."""

import asyncio
import time

from aiokafka.admin import NewPartitions

from gateway.adapters import kafka
from gateway.adapters.log_facts import wait_until_known
from gateway.core.province import Province
from tests.faults.stage import Scenario, Stage
from tests.kafka.harness import Worker

_ADDED = 2
_NOTICED_TIMEOUT_S = 90


async def add_partitions(stage: Stage) -> None:
    """Add partitions to the input alone, whose new lanes wait and say why; then to every topic, and
    restart."""
    topics = stage.settings.topic_names
    changed = topics.display(Province.SICHUAN)
    grown = stage.settings.topics.partitions + _ADDED
    await grow(stage, [changed], grown)
    newcomer = stage.new_worker()
    await stage.wait_for(newcomer, "topics.differ")
    (differ,) = newcomer.events("topics.differ")
    assert f"{changed} {grown}" in str(differ["partitions"])
    # Workers ask every few seconds which partitions there are; when they have lost the broker too, not
    # always at once.
    await asyncio.to_thread(stage.ground.kill)
    await asyncio.to_thread(stage.ground.start)
    deadline = time.monotonic() + _NOTICED_TIMEOUT_S
    while not (said := [text for worker in stage.workers for text in refusals(worker)]):
        assert time.monotonic() < deadline, "the new partitions go unnoticed"
        await asyncio.sleep(0.1)
    assert changed in said[0]
    assert topics.ledger in said[0]
    await stage.recovered()  # the old lanes
    await grow(stage, [name for name in topics.all if name != changed], grown)
    for worker in stage.workers:
        assert await asyncio.to_thread(worker.terminate, 30) == 0
        worker.start()
    partitions = stage.settings.topics.model_copy(update={"partitions": grown})
    stage.settings = stage.settings.model_copy(update={"topics": partitions})


async def grow(stage: Stage, names: list[str], partitions: int) -> None:
    async with kafka.admin(stage.settings) as admin:
        await admin.create_partitions({name: NewPartitions(partitions) for name in names})
        await wait_until_known(stage.settings, names, at_least=partitions)


def refusals(worker: Worker) -> list[str]:
    failed = worker.events("lane.failed")
    return [str(line["error.message"]) for line in failed if line["error.type"] == "MissingPartitionError"]


# A holder's events move to another partition, where a repetition is not known for one: none is sent.
PARTITIONS_ADDED = Scenario(
    "topic: partitions added", (add_partitions,), mix={"duplicate_share": 0, "reject_share": 0}, times=1
)
