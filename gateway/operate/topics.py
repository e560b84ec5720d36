"""``gateway topics``: creates the topics that are missing and refuses what does not fit; see ``access`` for who may use them."""

from dataclasses import dataclass
from typing import Literal

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAlreadyExistsError, for_code

from gateway.adapters import kafka
from gateway.adapters.settings import Settings
from gateway.errors import ConfigurationError, GatewayError

_LEDGER_HOURS = 400 * 24  # the account outlives what it accounts for: a year's audit, and a month to hold it in


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """What is to be done for one topic: ``create``, ``fits``, ``retime`` (set LogAppendTime), or ``refuse`` with why."""

    name: str
    action: Literal["create", "fits", "retime", "refuse"]
    detail: str


async def plan_topics(settings: Settings) -> list[TopicPlan]:
    """Compare the broker's topics with the settings. Raises BrokerUnreachableError."""
    names, wanted = settings.topic_names.all, settings.topics.partitions
    async with kafka.admin(settings) as admin:
        existing = set(await admin.list_topics()) & set(names)
        described = {each["topic"]: each for each in await admin.describe_topics(sorted(existing))} if existing else {}
        times = await _timestamp_types(admin, sorted(existing))
    plans = []
    for name in names:
        has = len(described[name]["partitions"]) if name in described else 0
        if name not in described:
            plans.append(
                TopicPlan(name, "create", f"{wanted} partitions, replication {settings.topics.replication_factor}")
            )
        elif has != wanted:
            hint = "set topics.partitions to it, or move to topics of a new prefix"
            plans.append(TopicPlan(name, "refuse", f"has {has} partitions, needs {wanted}: {hint}"))
        elif times.get(name, "LogAppendTime") != "LogAppendTime":
            plans.append(TopicPlan(name, "retime", f"message.timestamp.type is {times[name]}, needs LogAppendTime"))
        else:
            plans.append(TopicPlan(name, "fits", f"{has} partitions"))
    return plans


async def apply_topics(settings: Settings) -> list[TopicPlan]:
    """Carry the plan out; returns it. Raises ConfigurationError, before anything is done, where a topic does not fit."""
    plans = await plan_topics(settings)
    refuse_misfits(plans)
    async with kafka.admin(settings) as admin:
        missing = [plan.name for plan in plans if plan.action == "create"]
        if missing:
            await _create(admin, settings, missing)
            await kafka.wait_until_led(admin, missing)
        for plan in plans:
            if plan.action == "retime":
                configs = _configs(settings, plan.name)
                (response,) = await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, plan.name, configs)])
                for code, message, *_ in response.resources:
                    if code:
                        raise GatewayError(
                            f"topic {plan.name} could not be altered: {message or for_code(code).__name__}"
                        )
    return plans


def refuse_misfits(plans: list[TopicPlan]) -> None:
    """Raise ConfigurationError where a topic does not fit."""
    refused = [f"{plan.name} {plan.detail}" for plan in plans if plan.action == "refuse"]
    if refused:
        raise ConfigurationError("these topics do not fit:\n" + "\n".join(f"  {line}" for line in refused))


async def delete_topics(settings: Settings) -> None:
    """Delete the topics of this prefix. Refuses an empty prefix: those are the provinces' own."""
    if not settings.topic_prefix:
        raise GatewayError("only topics with a prefix are deleted; the contract's own are not the gateway's to delete")
    async with kafka.admin(settings) as admin:
        await admin.delete_topics(list(settings.topic_names.all))


async def _create(admin: AIOKafkaAdminClient, settings: Settings, names: list[str]) -> None:
    topics = [
        NewTopic(
            name, settings.topics.partitions, settings.topics.replication_factor, topic_configs=_configs(settings, name)
        )
        for name in names
    ]
    response = await admin.create_topics(topics)
    for name, code, message in response.topic_errors:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            raise GatewayError(f"topic {name} could not be created: {message or error.__name__}")


def _configs(settings: Settings, name: str) -> dict[str, str]:
    hours = settings.topics.retention_hours
    if name in {settings.topic_names.ledger, settings.topic_names.feedback}:
        hours = max(hours, _LEDGER_HOURS)
    return {"message.timestamp.type": "LogAppendTime", "retention.ms": str(round(hours * 3_600_000))}


async def _timestamp_types(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, str]:
    if not names:
        return {}
    resources = [ConfigResource(ConfigResourceType.TOPIC, name, {"message.timestamp.type": None}) for name in names]
    types = {}
    for response in await admin.describe_configs(resources):
        for resource in response.resources:
            for entry in resource[4]:
                types[resource[3]] = entry[1]
    return types
