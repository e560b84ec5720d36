"""A broker that denies what nobody granted, for the tests of access; topics of one partition, for those of
one lane."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.adapters.settings import Settings, load_settings, packaged_config
from gateway.operate.apply_access import apply_access
from gateway.operate.local_kafka import local_kafka
from gateway.operate.local_kafka.users import as_admin
from gateway.operate.secret_files import make_passwords
from gateway.operate.topics import apply_topics
from gateway.relay import lane as lanes
from gateway.relay import opening
from gateway.relay.lane import Lane
from tests.kafka.one_lane import Notes


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


@pytest.fixture
def one(settings: Settings) -> Settings:
    """Settings for topics of one partition, which exist."""
    one = settings.model_copy(
        update={
            "topics": settings.topics.model_copy(update={"partitions": 1}),
            "relay": settings.relay.model_copy(update={"session_timeout_ms": 6_000, "transaction_timeout_ms": 10_000}),
        }
    )
    asyncio.run(apply_topics(one))
    return one


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch) -> Notes:
    """What the lanes say; and they look at their logs every second."""
    noted = Notes()
    log = Lane._log

    def note(self: Lane, event: str, **details: Any) -> None:
        noted.said.append(event)
        log(self, event, **details)

    monkeypatch.setattr(Lane, "_log", note)
    monkeypatch.setattr(lanes, "_LOOK_S", 1.0)
    monkeypatch.setattr(opening, "_END_BEHIND_S", 1.0)
    return noted
