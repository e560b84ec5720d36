"""Partitions that come or go between the steps of Faust's recovery end no worker."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import faust
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import IllegalStateError
from faust.transport.drivers import aiokafka as driver

from gateway.adapters import faust_patches, kafka
from gateway.adapters.settings import Settings
from gateway.core.province import Province
from gateway.operate.topics import apply_topics


@asynccontextmanager
async def client_of(settings: Settings, partitions: list[TopicPartition]) -> AsyncIterator[AIOKafkaConsumer]:
    async with kafka.consumer(settings) as client:
        client.assign(partitions)
        yield client


def thread_of(folder: Path, kind: type[driver.Consumer]) -> Any:
    app = faust.App("recovery", store="memory://", datadir=str(folder), broker="kafka://127.0.0.1:1")
    transport = driver.Transport(app.conf.broker_consumer, app)
    transport.Consumer = kind
    return transport.create_consumer(print, on_partitions_revoked=print, on_partitions_assigned=print)._thread


async def test_partitions_that_came_or_went_are_not_sought(settings: Settings, tmp_path: Path) -> None:
    await apply_topics(settings)
    came, went, kept = (TopicPartition(settings.topic_names.display(Province.SICHUAN), number) for number in range(3))
    for kind in (driver.Consumer, faust_patches.ReadingConsumer):
        thread = thread_of(tmp_path, kind)
        async with client_of(settings, [came, kept]) as client:
            for seeks in ({kept: 4, came: None}, {kept: 5, went: 7}):
                if kind is driver.Consumer:
                    with pytest.raises((ValueError, IllegalStateError)):
                        await thread._seek_wait(client, seeks)
                else:
                    await thread._seek_wait(client, seeks)
                    assert await client.position(kept) == seeks[kept]
        thread.thread_loop.close()
