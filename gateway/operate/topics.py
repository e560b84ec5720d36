"""``gateway topics``: creates missing topics and refuses what does not match; see ``access`` for who may use
them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, UnknownTopicOrPartitionError, for_code

from gateway.adapters import kafka
from gateway.adapters.log_facts import wait_until_known
from gateway.adapters.settings import Settings
from gateway.core.words import count_of
from gateway.errors import ConfigurationError, GatewayError

_LEDGER_HOURS = 400 * 24  # the account outlives what it accounts for: a year's audit, and a month to hold it in


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """What is to be done for one topic: ``create``, ``unchanged``, ``correct`` (set ``configs``), or
    ``refuse`` with why."""

    name: str
    action: Literal["create", "unchanged", "correct", "refuse"]
    detail: str
    configs: Mapping[str, str] = field(default_factory=dict)


async def plan_topics(settings: Settings) -> list[TopicPlan]:
    """Compare the broker's topics with the settings. Raises BrokerUnreachableError, KafkaError."""
    names, wanted = settings.topic_names.all, settings.topics.partitions
    async with kafka.admin(settings) as admin:
        existing = set(await admin.list_topics()) & set(names)
        described = await kafka.describe_topics(admin, sorted(existing)) if existing else {}
        configs = (await kafka.topic_configs(admin, sorted(existing)) or {}) if existing else {}
    plans = []
    for name in names:
        has = len(described[name]) if name in described else 0
        if name not in described:
            plans.append(
                TopicPlan(
                    name,
                    "create",
                    f"{count_of(wanted, 'partition')}, replication factor {settings.topics.replication_factor}",
                )
            )
        elif has != wanted:
            hint = "set topics.partitions to it, or move to topics of a new prefix"
            plans.append(TopicPlan(name, "refuse", f"has {count_of(has, 'partition')}, needs {wanted}: {hint}"))
        elif wrong := {
            key: need for key, need in kafka.WHOLE_LOG.items() if configs.get(name, {}).get(key, need) != need
        }:
            detail = ", ".join(f"{key} is {configs[name][key]}, needs {need}" for key, need in wrong.items())
            plans.append(TopicPlan(name, "correct", detail, wrong))
        else:
            plans.append(TopicPlan(name, "unchanged", count_of(has, "partition")))
    return plans


async def apply_topics(settings: Settings) -> list[TopicPlan]:
    """Carry the plan out; returns it. Raises ConfigurationError, before anything is done, where a topic does
    not match."""
    plans = await plan_topics(settings)
    require_matching(plans)
    async with kafka.admin(settings) as admin:
        missing = [plan.name for plan in plans if plan.action == "create"]
        if missing:
            await _create(admin, settings, missing)
            await wait_until_known(settings, missing)
        for plan in plans:
            if plan.action == "correct" and (why := await kafka.change_topic_config(admin, plan.name, plan.configs)):
                raise GatewayError(f"topic {plan.name} could not be altered: {why}")
    return plans


def require_matching(plans: list[TopicPlan]) -> None:
    """Raise ConfigurationError where a topic does not match."""
    refused = [f"{plan.name} {plan.detail}" for plan in plans if plan.action == "refuse"]
    if refused:
        raise ConfigurationError(
            "these topics do not match the settings:\n" + "\n".join(f"  {line}" for line in refused)
        )


async def delete_topics(settings: Settings) -> None:
    """Delete the topics of this prefix. Refuses an empty prefix: those are the provinces' own."""
    if not settings.topic_prefix:
        raise GatewayError("only topics with a prefix are deleted; the contract's own are not the gateway's to delete")
    async with kafka.admin(settings) as admin:
        answer = await admin.delete_topics(list(settings.topic_names.all))
    codes = {name: for_code(code) for name, code in sorted(answer.topic_error_codes) if code}
    left = [f"{name} ({error.__name__})" for name, error in codes.items() if error is not UnknownTopicOrPartitionError]
    if left:
        raise GatewayError(f"these topics could not be deleted: {', '.join(left)}")


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


def retention_ms(settings: Settings, name: str) -> int:
    """Return for how many milliseconds the topic ``name`` is made to keep its records."""
    hours = settings.topics.retention_hours
    if name in {settings.topic_names.ledger, settings.topic_names.feedback}:
        hours = max(hours, _LEDGER_HOURS)
    return round(hours * 3_600_000)


def _configs(settings: Settings, name: str) -> dict[str, str]:
    return {**kafka.WHOLE_LOG, "retention.ms": str(retention_ms(settings, name))}
