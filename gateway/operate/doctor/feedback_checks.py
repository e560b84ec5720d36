"""What can be checked of feedback: that its changelogs hold what its group has committed; and what is lost
by its count."""

import asyncio
from collections.abc import Collection, Iterable, Mapping

from aiokafka import TopicPartition

from gateway.adapters import kafka
from gateway.adapters.access import Role
from gateway.adapters.settings import Settings
from gateway.core.words import count_of
from gateway.feedback.cases import Share
from gateway.feedback.changelog import ReadTable, T, count_keys
from gateway.feedback.counting import case_sources
from gateway.feedback.days import DayShare, merge_days
from gateway.feedback.lost import find_lost
from gateway.feedback.state import read_table
from gateway.operate.acknowledge import find_hidden, find_unacknowledged
from gateway.operate.doctor.result import HIDDEN_ADVICE, CheckResult, Installation, fine, problem, unchecked

_SEARCH_S = 30
_ADVICE = (
    "start a worker again (`gateway feedback run`): it counts again what the topics still hold, and says so in its log"
)


async def check_feedback(installation: Installation) -> list[CheckResult]:
    """Check that feedback's changelogs are there, and hold what was counted."""
    account, settings = installation.able(Role.OPERATOR, Role.GATEWAY), installation.settings
    if account is None:
        message = f"{installation.own.name} may not read the changelogs"
        return [unchecked("changelogs", message, "run this as operator or gateway")]
    async with kafka.admin(account.settings) as admin:
        # Before the changelogs are read: a worker writes there first, and then commits.
        offsets = await admin.list_consumer_group_offsets(settings.groups[1])
        existing = await kafka.describe_topics(admin, settings.changelogs)
    committed = {each: known.offset for each, known in offsets.items() if known.offset >= 0}
    missing = [name for name in settings.changelogs if not existing.get(name)]
    if missing and not committed:
        return [fine("changelogs", "feedback has never run here")]
    if missing:
        return [problem(name, "it is gone, and records are committed as counted", _ADVICE) for name in missing]
    shares, days = settings.changelogs
    cases, ledger = case_sources(settings.topic_names), (settings.topic_names.ledger,)
    share_table, _ = await read_table(account.settings, await kafka.partitions_of(account.settings, [shares]), Share)
    day_table, _ = await read_table(account.settings, await kafka.partitions_of(account.settings, [days]), DayShare)
    return [
        *_judge(shares, share_table, _of(committed, cases)),
        *_judge(days, day_table, _of(committed, ledger)),
    ]


async def check_lost(installation: Installation) -> list[CheckResult]:
    """Check that all lost input offsets are acknowledged. The ledger is searched unless feedback has counted
    none; that it can be read to its end is seen in any case."""
    account = installation.able(Role.OPERATOR, Role.GATEWAY)
    if account is None:
        message = f"{installation.own.name} may not read the ledger"
        return [unchecked("ledger", message, "run this as operator or gateway")]
    counted = await _count_lost(account.settings)
    if counted == 0:
        return _hidden(await find_hidden(account.settings)) or [
            fine("ledger", "no input offsets were lost, as far as feedback has counted")
        ]
    try:
        async with asyncio.timeout(_SEARCH_S):
            found, hidden = await find_unacknowledged(account.settings)
    except TimeoutError:
        say, known = (unchecked, "whether any") if counted is None else (problem, f"{counted:,}")
        message = f"{known} input offsets were lost; whether somebody has taken note could not be read in {_SEARCH_S} s"
        return [say("ledger", message, "`gateway acknowledge` lists those of which nobody has")]
    advice = "find out why, have the province publish them again, then close it with `gateway acknowledge`"
    lost = [problem(each.lane, f"lost before they were decided: {each}", advice) for each in found]
    return [*lost, *_hidden(hidden)] or [fine("ledger", "no input offsets are lost of which nobody has taken note")]


def _hidden(partitions: Iterable[str]) -> list[CheckResult]:
    message = "an open transaction hides the ledger's end: whether offsets are lost behind it is not known"
    return [problem(each, message, HIDDEN_ADVICE) for each in partitions]


async def _count_lost(settings: Settings) -> int | None:
    """Return how many input offsets feedback has counted as lost; None where it has never run."""
    days = settings.changelogs[1]
    async with kafka.admin(settings) as admin:
        described = await kafka.describe_topics(admin, [days])
    if not described.get(days):
        return None
    table, _ = await read_table(settings, await kafka.partitions_of(settings, [days]), DayShare)
    return sum(lost.records for lost in find_lost(merge_days(table.shares.items()), {}))


def _of(committed: Mapping[TopicPartition, int], topics: Collection[str]) -> dict[TopicPartition, int]:
    return {each: offset for each, offset in committed.items() if each.topic in topics}


def _judge(name: str, table: ReadTable[T], committed: Mapping[TopicPartition, int]) -> list[CheckResult]:
    findings = [problem(name, message, _ADVICE) for message in find_problems(table, committed)]
    if again := sum(bool(position.until) for position in table.positions.values()):
        message = f"{again} partitions are being counted again: pages and reports may show too little until then"
        findings.append(problem(name, message, "wait until the worker's log says source.counted_again of each"))
    return findings or [
        fine(name, f"{count_of(len(table.shares), 'share')}; all that is committed as counted is in them")
    ]


def find_problems(table: ReadTable[T], committed: Mapping[TopicPartition, int]) -> list[str]:
    """Say in which partitions the changelog holds less than is committed as counted."""
    silent, short, behind = [], [], []
    for partition in sorted({each.partition for each in committed}):
        position = table.positions.get(partition)
        if position is None:
            silent.append(partition)
        elif count_keys(table.shares, partition) < position.keys:
            short.append(partition)
        elif any(
            position.next.get(each.topic, 0) < offset
            for each, offset in committed.items()
            if each.partition == partition
        ):
            behind.append(partition)
    messages = {
        "it does not say up to where it counts": silent,
        "it has lost shares": short,
        "it is behind what is committed as counted": behind,
    }
    return [f"{message}: partitions {partitions}" for message, partitions in messages.items() if partitions]
