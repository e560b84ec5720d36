"""What can be checked of the broker and its topics."""

import asyncio
import platform
from collections import Counter
from importlib.metadata import version

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from gateway.adapters import kafka
from gateway.adapters.access import Kind, Role, needed_grants
from gateway.adapters.kafka_requests import broker_ids, offered, raw_client
from gateway.contract.display_event.model import MAX_EVENT_BYTES
from gateway.core.province import Province
from gateway.core.words import count_of
from gateway.operate.doctor.result import CheckResult, Installation, fine, problem, unchecked
from gateway.operate.topics import plan_topics

_TIMEOUT_S = 10
_TRIED_AIOKAFKA = "0.14."
"""Its transactions' traps, which the lanes work around, are known of this one."""
LARGEST_OUTPUT_BYTES = MAX_EVENT_BYTES + 131_072
"""An event's record is as large as the event and what the gateway adds; a ledger entry with its headers is
smaller."""
NO_TOPICS = "there are none yet"
"""What the check of topics then says."""
_NEEDED_APIS = {
    0: "Produce", 1: "Fetch", 2: "ListOffsets", 3: "Metadata", 8: "OffsetCommit", 9: "OffsetFetch", 10: "FindCoordinator",
    11: "JoinGroup", 12: "Heartbeat", 14: "SyncGroup", 22: "InitProducerId", 24: "AddPartitionsToTxn",
    25: "AddOffsetsToTxn", 26: "EndTxn", 28: "TxnOffsetCommit", 32: "DescribeConfigs", 65: "DescribeTransactions",
    61: "DescribeProducers", 66: "ListTransactions",
}  # fmt: skip


async def check_broker(installation: Installation) -> list[CheckResult]:
    """Check that the broker lets us in, and that every broker that it names can be reached from here."""
    settings = installation.settings
    async with raw_client(settings) as client:
        brokers = broker_ids(client)
        silent = []
        for each in client.cluster.brokers():
            try:
                is_ready = await asyncio.wait_for(client.ready(each.nodeId), _TIMEOUT_S)
            except (KafkaError, OSError, TimeoutError):
                is_ready = False
            if not is_ready:
                silent.append(f"{each.nodeId} ({each.host}:{each.port})")
    if silent:
        message = f"{settings.bootstrap_servers} answers, and names brokers that do not: {', '.join(silent)}"
        return [
            problem("cluster", message, "start them, or correct advertised.listeners: it must hold for this machine")
        ]
    how = f"{settings.kafka.security_protocol}, as {installation.own.name}"
    return [fine("cluster", f"brokers that answer at {settings.bootstrap_servers}: {len(brokers)} ({how})")]


async def check_versions(installation: Installation) -> list[CheckResult]:
    """Check that the broker offers what the gateway asks of it, and that the libraries are those that were
    tried."""
    findings = []
    async with raw_client(installation.settings) as client:
        for broker in broker_ids(client):
            offer = await offered(client, broker)
            lacking = lacking_apis(offer.apis)
            levels = ", ".join(f"{name} {level}" for name, level in sorted(offer.features.items()) if "." in name)
            if lacking:
                advice = "use Apache Kafka 4.0 or newer"
                findings.append(problem(f"broker {broker}", f"it does not know {', '.join(lacking)}", advice))
            else:
                findings.append(fine(f"broker {broker}", levels or count_of(len(offer.apis), "request") + " known"))
    client_version = version("aiokafka")
    libraries = (
        f"Python {platform.python_version()}, aiokafka {client_version}, confluent-kafka {version('confluent-kafka')}"
    )
    if client_version.startswith(_TRIED_AIOKAFKA):
        findings.append(fine("libraries", libraries))
    else:
        advice = f"install aiokafka {_TRIED_AIOKAFKA}x, whose transactions the lanes were proved with"
        findings.append(problem("libraries", libraries, advice))
    return findings


def lacking_apis(apis: dict[int, tuple[int, int]]) -> list[str]:
    """Return what the gateway needs and a broker that offers ``apis`` lacks."""
    return [name for key, name in _NEEDED_APIS.items() if key not in apis]


async def check_topics(installation: Installation) -> list[CheckResult]:
    """Check that every topic is there, with the one number of partitions, and each partition has a leader
    and its copies."""
    account = installation.able(Role.OPERATOR, Role.GATEWAY) or installation.own
    visible = {
        grant.name for grant in needed_grants(installation.settings)
        if grant.kind is Kind.TOPIC and account.role in {None, grant.role}
    } or set(installation.settings.topic_names.all)  # fmt: skip
    plans = await plan_topics(account.settings)
    findings = []
    if missing := [plan.name for plan in plans if plan.action == "create" and plan.name in visible]:
        findings.append(_missing(missing, are_all=not any(plan.name in visible - set(missing) for plan in plans)))
    for plan in plans:
        if account.role is not None and plan.name not in visible:
            findings.append(unchecked(plan.name, f"{account.name} does not see it", "run this as operator or gateway"))
        elif plan.action == "refuse":
            message, _, advice = plan.detail.partition(": ")
            findings.append(problem(plan.name, message, f"{advice}; `gateway topics plan` shows all"))
    found = [plan.name for plan in plans if plan.action in {"unchanged", "correct"} and plan.name in visible]
    if found:
        async with kafka.admin(account.settings) as admin:
            findings += await _replicas(admin, found, installation.settings.topics.partitions)
    return findings


def _missing(names: list[str], *, are_all: bool) -> CheckResult:
    """Say which topics are missing, in one problem (78, as of any command that needs them)."""
    subject, message = names[0], "there is no such topic"
    if len(names) > 1:
        subject, message = "topics", f"{len(names)} of them are missing: {', '.join(names)}"
    if are_all:
        message = NO_TOPICS
    return problem(subject, message, "run `gateway topics apply` as the broker's admin", exit_code=78)


async def _replicas(admin: AIOKafkaAdminClient, names: list[str], partitions: int) -> list[CheckResult]:
    findings = []
    for topic, described in (await kafka.describe_topics(admin, names)).items():
        headless = sorted(each["partition"] for each in described if each["leader"] < 0)
        behind = sorted(each["partition"] for each in described if len(each["isr"]) < len(each["replicas"]))
        copies = Counter(len(each["replicas"]) for each in described)
        if headless:
            message = f"partitions {headless} have no leader: nobody can read or write them"
            findings.append(problem(topic, message, "start the brokers that hold them"))
        elif behind:
            message = f"partitions {behind} have fewer copies in step than they should have"
            findings.append(problem(topic, message, "see that all brokers run and have room on their disks"))
        else:
            findings.append(
                fine(
                    topic,
                    f"{count_of(partitions, 'partition')}, replication factor {'/'.join(map(str, sorted(copies)))}",
                )
            )
    return sorted(findings, key=lambda finding: names.index(finding.subject))


async def check_times(installation: Installation) -> list[CheckResult]:
    """Check that every topic's times are the broker's (LogAppendTime): received is what the log says, on
    every machine."""
    configs = await _configs(installation)
    if isinstance(configs, CheckResult):
        return [configs]
    wrong = {name: config.get("message.timestamp.type") for name, config in configs.items()}
    wrong = {name: value for name, value in wrong.items() if value != "LogAppendTime"}
    advice = "run `gateway topics apply` as the broker's admin: it sets LogAppendTime"
    findings = [problem(name, f"message.timestamp.type is {value}", advice) for name, value in wrong.items()]
    if len(configs) > len(wrong):
        findings.append(fine("topics", f"{len(configs) - len(wrong)} of {len(configs)} topics use LogAppendTime"))
    return findings


async def check_retention(installation: Installation) -> list[CheckResult]:
    """Check that outputs, which are the memory, are kept as long as ids are to be remembered at least, and
    the ledger longest."""
    configs = await _configs(installation)
    if isinstance(configs, CheckResult):
        return [configs]
    topics, horizon_ms = installation.settings.topic_names, installation.settings.duplicates.horizon_ms
    memory = [*map(topics.verification, Province), *map(topics.rejection, Province)]
    kept = {name: _kept_ms(config) for name, config in configs.items()}
    findings = []
    for name, config in configs.items():
        advice = f"kafka-configs --alter --entity-type topics --entity-name {name} --add-config"
        if config.get("cleanup.policy") != "delete":
            message = f"cleanup.policy is {config.get('cleanup.policy')}: records go that are still to be proved"
            findings.append(problem(name, message, f"`{advice} cleanup.policy=delete`"))
        elif config.get("retention.bytes") not in {"-1", None}:
            message = f"retention.bytes is {config['retention.bytes']}: how long it is kept depends on how much comes"
            findings.append(problem(name, message, f"`{advice} retention.bytes=-1`"))
        elif name in memory and kept[name] < horizon_ms:
            message = f"kept for {_hours(kept[name])}, and ids are to be remembered for {_hours(horizon_ms)}: a repetition passes"
            findings.append(problem(name, message, f"`{advice} retention.ms={horizon_ms}`, or more"))
        elif name == topics.ledger and any(kept[name] < other for other in kept.values()):
            message = f"kept for {_hours(kept[name])}, shorter than what it accounts for"
            findings.append(problem(name, message, f"`{advice} retention.ms={max(kept.values()):.0f}`"))
    if not findings:
        shortest = min((kept[name] for name in memory if name in kept), default=horizon_ms)
        message = f"outputs are kept for {_hours(shortest)} at least; the duplicates' horizon is {_hours(horizon_ms)}"
        findings.append(fine("topics", message))
    return findings


async def check_sizes(installation: Installation) -> list[CheckResult]:
    """Check that every topic that the gateway writes takes the largest record that it may have to write."""
    configs = await _configs(installation)
    if isinstance(configs, CheckResult):
        return [configs]
    taken = {
        name: int(config["max.message.bytes"]) for name, config in configs.items()
        if name not in installation.settings.topic_names.displays and "max.message.bytes" in config
    }  # fmt: skip
    findings = []
    for name, most in taken.items():
        if most < LARGEST_OUTPUT_BYTES:
            message = (
                f"max.message.bytes is {most}: of a large event it takes no record, and it becomes REFUSED_BY_BROKER"
            )
            advice = "kafka-configs --alter --entity-type topics --entity-name"
            findings.append(problem(name, message, f"`{advice} {name} --add-config max.message.bytes=1048588`"))
    if not findings and taken:
        findings.append(fine("topics", f"records of {min(taken.values()):,} bytes and more are taken everywhere"))
    return findings


def _kept_ms(config: dict[str, str]) -> float:
    value = float(config.get("retention.ms", "-1"))
    return value if value >= 0 else float("inf")


def _hours(ms: float) -> str:
    return "ever" if ms == float("inf") else f"{ms / 3_600_000:.1f} h"


async def _configs(installation: Installation) -> dict[str, dict[str, str]] | CheckResult:
    """Return the configuration of each topic that is there; or a result that says why it is not known."""
    account = installation.able(Role.OPERATOR) or installation.own
    names = installation.settings.topic_names.all
    async with kafka.admin(account.settings) as admin:
        present = sorted(set(await admin.list_topics()) & set(names))
        found = await kafka.topic_configs(admin, present)
    if found is None:
        message = f"{account.name} may not read the topics' configuration"
        return unchecked("topics", message, "run this as operator or as the broker's admin")
    if not found:
        return unchecked("topics", "there are none", "run `gateway topics apply` as the broker's admin")
    return found
