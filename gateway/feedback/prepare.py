"""Makes the tables' changelogs, with as many partitions as the topics that are counted have, and
compacted."""

import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from gateway.adapters import kafka
from gateway.adapters.log_facts import wait_until_known
from gateway.adapters.settings import Settings
from gateway.errors import ConfigurationError, GatewayError, TopicsDifferError
from gateway.feedback.state import FeedbackTopics

log = structlog.get_logger("gateway.feedback")

_POLICY = "cleanup.policy"
_COMPACTED = {_POLICY: "compact", "segment.ms": "3600000", "min.cleanable.dirty.ratio": "0.1"}


async def prepare_topics(settings: Settings) -> None:
    """Make the changelogs that are missing, and correct those that a broker made by itself
    (``auto.create.topics.enable``).

    Raises ConfigurationError where a topic is missing or does not match, and this principal may not correct
    it; TopicsDifferError, in the end, where the topics that are counted differ in partitions.
    """
    names = FeedbackTopics(settings)
    counts = await _count_partitions(settings)
    partitions = max(counts.values())
    async with kafka.admin(settings) as admin:
        described = {each["topic"]: len(each["partitions"]) for each in await admin.describe_topics(names.changelogs)}
        for name in names.changelogs:
            if described.get(name, 0) > partitions:
                raise ConfigurationError(
                    f"{name} has {described[name]} partitions, needs {partitions}: delete it, "
                    "then run `gateway feedback rebuild`"
                )
        await _create(admin, settings, [name for name in names.changelogs if not described.get(name)], partitions)
        found = [name for name in names.changelogs if described.get(name)]
        for name in found:
            if described[name] < partitions:
                await _widen(admin, name, described[name], partitions)
        await _compact(admin, found)
        await wait_until_known(settings, names.changelogs, at_least=partitions)
    if min(counts.values()) < partitions:
        raise TopicsDifferError(", ".join(f"{name} {count}" for name, count in counts.items()))


async def _count_partitions(settings: Settings) -> dict[str, int]:
    topics = settings.topic_names
    sources = [*topics.rejections, topics.deadletter, topics.ledger]
    found = await kafka.partitions_of(settings, [*sources, topics.feedback])
    return {name: sum(partition.topic == name for partition in found) for name in sources}


async def _create(admin: AIOKafkaAdminClient, settings: Settings, names: list[str], partitions: int) -> None:
    replication = settings.topics.replication_factor
    made = await admin.create_topics(
        [NewTopic(name, partitions, replication, topic_configs=_COMPACTED) for name in names]
    )
    for name, code, message in made.topic_errors:
        if code and for_code(code) is not TopicAlreadyExistsError:
            raise GatewayError(f"topic {name} could not be created: {message or for_code(code).__name__}")


async def _widen(admin: AIOKafkaAdminClient, name: str, has: int, partitions: int) -> None:
    """Add partitions: a share's key names its own, so that none of those written moves."""
    try:
        await admin.create_partitions({name: NewPartitions(partitions)})
    except KafkaError as error:
        raise ConfigurationError(
            f"{name} has {has} partitions, needs {partitions}, and they could not be added ({type(error).__name__}): "
            "delete it as the broker's admin; the worker makes it again and counts from the topics"
        ) from None
    log.warning("changelog.corrected", topic=name, partitions=partitions, had=has)


async def _compact(admin: AIOKafkaAdminClient, names: list[str]) -> None:
    """Have changelogs compacted that are not: with any other policy, shares go that are still needed."""
    configs = (
        await kafka.topic_configs(admin, names) if names else None
    ) or {}  # whoever may not look may not correct either
    wrong = {name: each[_POLICY] for name, each in configs.items() if each.get(_POLICY, "compact") != "compact"}
    for name, had in wrong.items():
        if why := await kafka.change_topic_config(admin, name, _COMPACTED):
            raise ConfigurationError(
                f"{name} has {_POLICY}={had} and it could not be set to compact ({why}): set it as the broker's admin"
            )
        log.warning("changelog.corrected", topic=name, cleanup_policy="compact", had=had)
