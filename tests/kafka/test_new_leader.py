"""What a lane knows of its log after the partition had another leader, on a broker of its own."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import TopicPartition

from gateway.adapters.kafka_requests import raw_client
from gateway.adapters.log_facts import LogFacts, describe_logs, find_epoch_end
from gateway.adapters.settings import Settings, load_settings, packaged_config
from gateway.core.province import Province
from gateway.operate.local_kafka import LocalKafka, local_kafka
from gateway.operate.topics import apply_topics
from gateway.relay import lane as lanes
from tests.faults.log_faults import truncate
from tests.kafka.one_lane import Notes, entries, events, outcomes, publish, until, verified, working


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[LocalKafka]:
    with local_kafka(data_dir=tmp_path) as broker:
        yield broker


@pytest.fixture
def settings(broker: LocalKafka) -> Settings:
    shipped = load_settings(packaged_config() / "gateway.yaml", bootstrap_servers=broker.bootstrap_servers)
    topics = shipped.topics.model_copy(update={"partitions": 1, "replication_factor": 1})
    return shipped.model_copy(update={"topics": topics})


async def facts_of(settings: Settings) -> tuple[LogFacts, list[int]]:
    """The input's log, and where each leader's epoch ends in it."""
    partition = TopicPartition(settings.topic_names.display(Province.SICHUAN), 0)
    async with raw_client(settings) as client:
        facts = (await describe_logs(client, [partition]))[partition]
        epochs = range(facts.leader_epoch + 1)
        return facts, [await find_epoch_end(client, partition, facts.leader, each) for each in epochs]


async def test_what_a_restored_log_lacked_is_read_again(
    broker: LocalKafka, settings: Settings, notes: Notes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has grown beyond the lane's position before the lane fetches; then another worker opens it."""
    monkeypatch.setattr(lanes, "_LOOK_S", 600.0)
    await apply_topics(settings)
    await publish(settings, events(0, 10))
    async with working(settings, notes) as lane:
        await until(lane, 10)
        await publish(settings, events(10, 1))
        await until(lane, 11)
        lane.consumer.pause(lane.partition)
        await asyncio.to_thread(broker.kill)
        assert truncate(tmp_path / "data" / f"{lane.partition.topic}-0", 1) == 10
        await asyncio.to_thread(broker.start)
        await publish(settings, events(20, 1))
        await publish(settings, events(21, 1))
        lane.consumer.resume(lane.partition)
        await until(lane, 12)
        await publish(settings, events(22, 1))
        await until(lane, 13)
        assert "input.log_changed" not in notes.said
    facts, ends = await facts_of(settings)
    assert facts.leader_epoch > 0
    assert (ends[0], ends[-1], facts.end) == (10, 13, 13)
    async with working(settings, notes) as lane:
        await until(lane, 13)
    assert "input.log_changed" in notes.said
    assert sorted(await verified(settings)) == sorted(f"id-{number}" for number in (*range(11), 20, 21, 22))
    assert outcomes(await entries(settings)) == {"forward": 14, "duplicate": 2}
