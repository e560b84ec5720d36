"""A real broker that denies what nobody granted, for the tests of access; each keeps to a prefix of its own."""

import asyncio
from collections.abc import Iterator

import pytest

from gateway.adapters.settings import Settings, load_settings, packaged_config
from gateway.operate.apply_access import apply_access
from gateway.operate.local_kafka import local_kafka
from gateway.operate.local_kafka.users import as_admin
from gateway.operate.secret_files import make_passwords
from gateway.operate.topics import apply_topics


@pytest.fixture(scope="session")
def admin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """The admin of a secured broker, on which topics and access were applied."""
    folder = tmp_path_factory.mktemp("passwords")
    make_passwords(folder)
    with local_kafka(passwords_dir=folder, announce=print) as broker:
        shipped = load_settings(packaged_config() / "gateway.yaml", bootstrap_servers=broker.bootstrap_servers)
        settings = as_admin(shipped, folder)
        settings = settings.model_copy(update={"topics": settings.topics.model_copy(update={"partitions": 2})})
        asyncio.run(apply_topics(settings))
        asyncio.run(apply_access(settings))
        yield settings
