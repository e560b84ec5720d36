"""Partitions that are added to one topic wait in words, lose nothing, and are used once every topic has
them."""

from gateway.adapters.settings import Settings
from gateway.operate.local_kafka import LocalKafka
from tests.faults.partition_faults import PARTITIONS_ADDED
from tests.faults.stage import play


async def test_added_partitions_wait_until_every_topic_has_them(
    own_broker: LocalKafka, bare_settings: Settings
) -> None:
    settings = bare_settings.model_copy(update={"bootstrap_servers": own_broker.bootstrap_servers})
    (await play(PARTITIONS_ADDED, settings, ground=own_broker)).assert_nothing_amiss()
