"""Runs a feedback worker: topics first, then the Faust app with the page, until SIGTERM."""

import asyncio
from collections.abc import Callable
from typing import Any

from aiokafka.admin import NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code

from gateway.adapters import kafka
from gateway.adapters.faust_worker import run_worker
from gateway.adapters.logs import configure_logs
from gateway.adapters.settings import Settings
from gateway.errors import ConfigurationError, GatewayError
from gateway.feedback.app import make_app
from gateway.feedback.state import FeedbackTopics, StateFollower

_COMPACTED = {"cleanup.policy": "compact", "segment.ms": "3600000", "min.cleanable.dirty.ratio": "0.1"}


def run_feedback(settings: Settings, add_pages: Callable[[Any, StateFollower], None]) -> int:
    """Run until SIGTERM or SIGINT; returns the exit code. ``add_pages`` gets the Faust app, to put its routes on.

    Raises ConfigurationError where topics do not match, BrokerUnreachableError where no broker answers at start.
    """
    logging_config = configure_logs(settings.log)
    asyncio.run(prepare_topics(settings))
    follower = StateFollower(settings)
    app = make_app(settings, follower)
    add_pages(app, follower)
    return run_worker(app, settings, logging_config)


async def prepare_topics(settings: Settings) -> None:
    """Make the tables' changelogs, with as many partitions as the topics that are counted have."""
    topics, names = settings.topic_names, FeedbackTopics(settings)
    sources = [*(topics.rejections), topics.deadletter, topics.ledger]
    found = await kafka.partitions_of(settings, [*sources, topics.feedback])
    counts = {name: sum(partition.topic == name for partition in found) for name in sources}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise ConfigurationError(f"the topics differ in partitions ({listed}); `gateway topics plan` says what to do.")
    partitions = counts[topics.ledger]
    async with kafka.admin(settings) as admin:
        described = {each["topic"]: len(each["partitions"]) for each in await admin.describe_topics(names.changelogs)}
        for name in names.changelogs:
            if described.get(name) not in {None, 0, partitions}:
                raise ConfigurationError(
                    f"{name} has {described[name]} partitions, needs {partitions}: delete it, "
                    "then run `gateway feedback rebuild`"
                )
        missing = [name for name in names.changelogs if not described.get(name)]
        replication = settings.topics.replication_factor
        made = await admin.create_topics(
            [NewTopic(name, partitions, replication, topic_configs=_COMPACTED) for name in missing]
        )
        for name, code, message in made.topic_errors:
            if code and for_code(code) is not TopicAlreadyExistsError:
                raise GatewayError(f"topic {name} could not be created: {message or for_code(code).__name__}")
        await kafka.wait_until_led(admin, list(names.changelogs))
