"""One gateway at work, its relay and its feedback, for all clients."""

import asyncio
import secrets
from collections.abc import Iterator

import pytest

from gateway.adapters.settings import load_settings, packaged_config
from gateway.operate.topics import apply_topics
from tests.clients.exchange import Exchange
from tests.conftest import Broker
from tests.kafka.harness import Worker


@pytest.fixture(scope="session")
def exchange(kafka_broker: Broker) -> Iterator[Exchange]:
    """The topics, with ``gateway run`` and ``gateway feedback run`` on them."""
    shipped = load_settings(
        packaged_config() / "gateway.yaml",
        bootstrap_servers=kafka_broker.bootstrap_servers,
        topic_prefix=f"clients-{secrets.token_hex(4)}.",
    )
    settings = shipped.model_copy(update={"topics": shipped.topics.model_copy(update={"partitions": 4})})
    asyncio.run(apply_topics(settings))
    often = {"GATEWAY_FEEDBACK__ANNOUNCE_S": "0.5", "GATEWAY_FEEDBACK__DIGEST_S": "1"}
    workers = [Worker(settings), Worker(settings, "feedback", "run", **often)]
    try:
        for worker in workers:
            worker.start()
        yield Exchange(settings)
    finally:
        for worker in workers:
            worker.discard()
