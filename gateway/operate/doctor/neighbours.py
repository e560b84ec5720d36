"""What can be checked of others: members of our groups, other gateways, transactions that we wait for, the
lists in use."""

import time
from collections import defaultdict
from collections.abc import Collection, Iterable

from aiokafka import TopicPartition, errors
from aiokafka.admin import AIOKafkaAdminClient

from gateway.adapters import kafka
from gateway.adapters.access import Role, writers_of
from gateway.adapters.group_members import members_of
from gateway.adapters.kafka_requests import OpenTransaction, find_open_transactions, raw_client
from gateway.adapters.settings import Settings
from gateway.adapters.topic_reader import Span, find_newest_time, find_spans, read_spans
from gateway.contract.ledger_entry import read_entry
from gateway.contract.topics import Topics
from gateway.core.words import count_of
from gateway.operate.doctor.result import CheckResult, Installation, fine, problem, unchecked
from gateway.relay.committed import parse

_LONG_MS = 60_000
"""A publisher's transaction takes moments; workers load an edit of the list within seconds."""
_RECENT_MS = 900_000
_TAIL = 2_000  # offsets of each ledger partition
_AS_OPERATOR = "run this as operator or gateway"


async def check_neighbours(installation: Installation) -> list[CheckResult]:
    """Check that our groups hold our workers alone, and that no other group decides the same events."""
    account, settings = installation.able(Role.OPERATOR, Role.GATEWAY), installation.settings
    if account is None:
        return [unchecked("groups", f"{installation.own.name} may not see them", _AS_OPERATOR)]
    displays = await kafka.partitions_of(account.settings, list(settings.topic_names.displays))
    async with kafka.admin(account.settings) as admin:
        findings = [finding for group in settings.groups for finding in await _strangers(admin, settings, group)]
        hidden = 0
        for name, *_ in await admin.list_consumer_groups():
            if name in settings.groups:
                continue
            try:
                offsets = await admin.list_consumer_group_offsets(name, partitions=displays)
            except errors.GroupAuthorizationFailedError:
                hidden += 1
                continue
            found = [each for each, known in offsets.items() if parse(known.offset, known.metadata).is_ours]
            if found:
                findings.append(_second_gateway(name, found))
    if findings:
        return findings
    beside = f"; {hidden} other groups may not be looked into as {account.name}" if hidden else ""
    return [
        fine("groups", f"only the gateway's workers are in its groups, and no other group decides its events{beside}")
    ]


async def _strangers(admin: AIOKafkaAdminClient, settings: Settings, group: str) -> list[CheckResult]:
    topics = topics_of(settings, group)
    advice = "give it a group of its own: what it is assigned no worker of the gateway works"
    return [
        problem(
            group,
            f"{member.client} at {member.host} is in the group and is not a worker of the gateway; it has "
            f"{count_of(len(member.partitions), 'partition')}",
            advice,
        )
        for member in await members_of(admin, group) if not member.is_ours(topics)
    ]  # fmt: skip


def topics_of(settings: Settings, group: str) -> set[str]:
    """Return the topics that our workers in ``group`` read."""
    topics = settings.topic_names
    return set(topics.displays) if group == settings.groups[0] else {*topics.all, *settings.changelogs}


def _second_gateway(group: str, partitions: Iterable[TopicPartition]) -> CheckResult:
    named = ", ".join(f"{each.topic}/{each.partition}" for each in sorted(partitions)[:6])
    message = f"a gateway has committed as this group too, on {named}: two that run at once fence each other's lanes"
    advice = (
        "give every worker the same relay.group_id; where no worker uses this one any more, "
        "kafka-consumer-groups --delete --group it"
    )
    return problem(group, message, advice)


async def check_ends(installation: Installation) -> list[CheckResult]:
    """Check that no transaction stays open in a topic of the gateway's: nobody who reads committed records
    passes the place where it begins, no lane in an input."""
    account, topics = installation.able(Role.OPERATOR, Role.GATEWAY), installation.settings.topic_names
    if account is None:
        return [unchecked("topics", f"{installation.own.name} may not see their producers", _AS_OPERATOR)]
    partitions = await kafka.partitions_of(account.settings, list(topics.all))
    async with raw_client(account.settings) as client:
        found = await find_open_transactions(client, partitions)
    now = time.time() * 1000
    own = writers_of(account.settings)
    late = [
        _held(each, topics, own, (now - each.last_write) / 1000) for each in found if now - each.last_write > _LONG_MS
    ]
    if late:
        return late
    message = f"{count_of(len(found), 'transaction')} open in the gateway's topics, none silent for a minute"
    others = sorted({_who(each) for each in found if not _is_own(each, own)})
    return [fine("topics", message + (f"; not the gateway's: {', '.join(others)}" if others else ""))]


def _held(open_: OpenTransaction, topics: Topics, own: Collection[str], seconds: float) -> CheckResult:
    effect = _effect(open_.topic, topics)
    message = f"{_who(open_)}'s transaction is open from offset {open_.offset} on, silent for {seconds:.0f} s: {effect}"
    if _is_own(open_, own):
        # It may be decided, and only its marker be on its way: an abort would take a part of it back.
        advice = (
            "it is the gateway's own, and its coordinator ends it: see that all brokers run; do not abort it by hand"
        )
    else:
        advice = (
            "end its program, or abort it as the broker's admin: `kafka-transactions abort "
            f"--topic {open_.topic} --partition {open_.partition} --start-offset {open_.offset}`"
        )
    return problem(f"{open_.topic}/{open_.partition}", message, advice)


def _who(open_: OpenTransaction) -> str:
    return open_.transactional_id or f"producer {open_.producer_id}"


def _is_own(open_: OpenTransaction, own: Collection[str]) -> bool:
    return (open_.transactional_id or "").startswith(tuple(own))


def _effect(topic: str, topics: Topics) -> str:
    """Say what a transaction does that is open in ``topic``."""
    if topic in topics.displays:
        return "what follows waits"
    if topic == topics.ledger:
        return "what follows is hidden; lanes that open wait, and audit, archive and feedback do not see it"
    return "what follows is hidden from its readers" + ("" if topic == topics.feedback else ", and the archive waits")


async def check_lists(installation: Installation) -> list[CheckResult]:
    """Check that all lanes have been deciding by one list of late, as their ledger entries say."""
    account, settings = installation.able(Role.OPERATOR, Role.GATEWAY), installation.settings
    if account is None:
        return [unchecked("ledger", f"{installation.own.name} may not read it", _AS_OPERATOR)]
    partitions = await kafka.partitions_of(account.settings, [settings.topic_names.ledger])
    used: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    async with kafka.consumer(account.settings) as consumer:
        consumer.assign(partitions)
        newest = await find_newest_time(consumer, partitions)
        spans = await find_spans(consumer, partitions, since=None if newest is None else newest - _RECENT_MS)
        tails = {
            each: Span(span.log_start, max(span.start, span.end - _TAIL), span.end) for each, span in spans.items()
        }
        async for _, records in read_spans(consumer, tails):
            for record in records:
                if (entry := read_entry(record.value)) is not None and entry.is_of_a_turn:
                    used[entry.list_digest][f"{entry.topic}-{entry.partition}"].append(record.timestamp)
    beside = lists_side_by_side({digest: [min(map(min, lanes.values())), max(map(max, lanes.values()))]
                                 for digest, lanes in used.items()})  # fmt: skip
    if not beside:
        return [fine("ledger", f"lists that decided in the last {_RECENT_MS // 60_000} minutes of it: {len(used)}")]
    used_by = "; ".join(f"{digest} by {', '.join(sorted(used[digest]))}" for digest in beside)
    advice = "bring the same list folder to every worker; `gateway_list_info` on /metrics says who has which"
    return [problem("ledger", f"lanes decide by different lists at the same time: {used_by}", advice)]


def lists_side_by_side(used: dict[str, list[int]]) -> list[str]:
    """Return the lists that were in use beside another, and not only after it. ``used``: first and last use,
    in milliseconds."""
    return sorted(
        one for one, (first, last) in used.items()
        if any(min(last, other_last) - max(first, other_first) > _LONG_MS
               for other, (other_first, other_last) in used.items() if other != one)
    )  # fmt: skip
