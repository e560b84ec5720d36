"""What each principal may really do, by the broker's own verdict, compared with the contract, and its list
of grants."""

import asyncio
from collections.abc import Iterable

from gateway.adapters.access import CLUSTER, Grant, Kind, Role, needed_grants, writers_of
from gateway.adapters.kafka_admin import AccessAdmin
from gateway.adapters.kafka_requests import may_open_transactions, raw_client
from gateway.adapters.settings import Settings
from gateway.core.province import Province
from gateway.core.words import count_of
from gateway.operate.apply_access import plan_access
from gateway.operate.doctor.result import Account, CheckResult, Installation, fine, problem, unchecked

_APPLY = "run `gateway topics apply` as the broker's admin"
_IMPLIED = {
    "READ": "DESCRIBE", "WRITE": "DESCRIBE", "DELETE": "DESCRIBE", "ALTER": "DESCRIBE",
    "ALTER_CONFIGS": "DESCRIBE_CONFIGS",
}  # fmt: skip
"""What Kafka allows with an operation, unasked."""
Resource = tuple[Kind, str]


async def check_access(installation: Installation) -> list[CheckResult]:
    """Check that each principal for which there is a password may do all that it must, and nothing that it
    must not.

    A transactional id is tried by opening it, one that only the doctor has; for all else the broker answers
    what it allows.
    """
    if not installation.is_secured:
        return await _unsecured(installation)
    findings = []
    for account in installation.accounts:
        if account.role is None:
            message = "is not a principal of the contract (the broker's admin?): what it may do is not compared with it"
            findings.append(unchecked(account.name, message, "workers should run as gateway"))
        else:
            findings += await _verdicts(account, account.role)
    unknown = sorted(set(Role) - {account.role for account in installation.accounts})
    if unknown:
        advice = "set access.passwords_dir to the folder of the password files"
        findings.append(unchecked(", ".join(unknown), "no password available here", advice))
    return findings


async def _unsecured(installation: Installation) -> list[CheckResult]:
    has_authorizer = await asyncio.to_thread(lambda: AccessAdmin(installation.settings).has_authorizer())
    if has_authorizer:
        message = "this broker asks who may do what, and the settings name nobody"
        return [problem("kafka.security_protocol", message, "set kafka.security_protocol, username and password_file")]
    message = "this broker has no authorizer: whoever reaches it may read and write everything"
    advice = "for development only; config/kafka/broker.properties and `gateway secrets` secure one"
    return [unchecked("all", message, advice)]


async def _verdicts(account: Account, role: Role) -> list[CheckResult]:
    expected = _expected(account.settings, role)
    topics = [name for kind, name in expected if kind is Kind.TOPIC]
    groups = [name for kind, name in expected if kind is Kind.GROUP]
    found = await asyncio.to_thread(lambda: AccessAdmin(account.settings).allowed_operations(topics, groups))
    async with raw_client(account.settings) as client:
        timeout_ms = account.settings.relay.transaction_timeout_ms
        for resource in expected:
            if resource[0] is Kind.TRANSACTIONAL_ID:
                may = await may_open_transactions(client, resource[1], timeout_ms)
                found[resource] = {"WRITE"} if may else set()
    findings = []
    for resource, operations in expected.items():
        actual = found[resource]
        if actual is None:  # a topic that is not there yet; whether it should be is another check's
            continue
        kind, name = resource[0].name.lower().replace("_", " "), resource[1]
        if missing := operations - actual:
            findings.append(problem(account.name, f"may not {_listed(missing)} {kind} {name}", _APPLY))
        if surplus := actual - operations:
            advice = "`gateway topics plan` names surplus grants; take them away: kafka-acls --remove"
            findings.append(problem(account.name, f"may {_listed(surplus)} {kind} {name}, and must not", advice))
    if not findings:
        tried = len([each for each in found.values() if each is not None])
        message = f"may do on {tried} topics, groups and transactional ids what the contract says, and no more"
        findings.append(fine(account.name, message))
    return findings


def _expected(settings: Settings, role: Role) -> dict[Resource, set[str]]:
    """Return what is asked about, for every role alike, and what ``role`` is to be allowed there."""
    own = [f"{settings.topic_prefix}{province.value}-doctor" for province in Province]
    resources = [
        *((Kind.TOPIC, name) for name in (*settings.topic_names.all, *settings.changelogs)),
        *((Kind.GROUP, name) for name in (*settings.groups, *own)),
        *((Kind.TRANSACTIONAL_ID, name) for name in (*(f"{writer}doctor" for writer in writers_of(settings)), *own)),
        (Kind.CLUSTER, CLUSTER),
    ]
    grants = [grant for grant in needed_grants(settings) if grant.role is role]
    expected = {resource: _operations(grants, resource) for resource in resources}
    for resource, operations in expected.items():
        if resource[0] is Kind.TRANSACTIONAL_ID:  # only writing is tried
            operations &= {"WRITE"}
    return expected


def _operations(grants: Iterable[Grant], resource: Resource) -> set[str]:
    kind, name = resource
    granted = {
        grant.operation for grant in grants
        if grant.kind is kind and (grant.name == name or (grant.prefixed and name.startswith(grant.name)))
    }  # fmt: skip
    return granted | {_IMPLIED[each] for each in granted if each in _IMPLIED}


def _listed(operations: set[str]) -> str:
    return ", ".join(sorted(each.lower() for each in operations))


async def check_grants(installation: Installation) -> list[CheckResult]:
    """Check that the broker's list of grants is the contract's: nothing is missing, nothing is there beside
    it."""
    if not installation.is_secured:
        return [unchecked("all", "without security there are no grants")]
    account = installation.able(Role.OPERATOR)
    if account is None:
        advice = "run this as operator or as the broker's admin"
        return [unchecked("all", f"{installation.own.name} may not see the broker's grants", advice)]
    plans = await plan_access(account.settings)
    if plans is None:
        advice = "set authorizer.class.name as in config/kafka/broker.properties"
        message = "this broker has no authorizer: whoever logs in may read and write everything"
        return [problem("authorizer", message, advice)]
    findings = []
    for plan in plans:
        grant, what = plan.grant, plan.grant.kind.name.lower().replace("_", " ")
        text = f"{grant.operation.lower()} {what} {grant.name}{'*' if grant.prefixed else ''}"
        if plan.action == "grant":
            findings.append(problem(plan.principal, f"is not granted: {text}", _APPLY))
        elif plan.action == "surplus":
            advice = "take it away: kafka-acls --remove"
            findings.append(problem(plan.principal, f"is granted what the contract does not ask for: {text}", advice))
    return findings or [fine("all", f"all {count_of(len(plans), 'ACL')} match the contract")]
