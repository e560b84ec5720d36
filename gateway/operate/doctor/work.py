"""What can be checked of the work itself: clock, transactions, lag."""

import asyncio
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition, errors
from aiokafka.admin import AIOKafkaAdminClient

from gateway.adapters import kafka
from gateway.adapters.access import Role, writers_of
from gateway.adapters.group_members import members_of
from gateway.adapters.kafka_requests import find_transactions, raw_client, read_clock
from gateway.adapters.settings import Settings
from gateway.adapters.topic_reader import Span, find_spans, read_spans
from gateway.contract.topics import LANE_WRITER
from gateway.core.province import Province
from gateway.core.words import count_of
from gateway.operate.doctor.neighbours import topics_of
from gateway.operate.doctor.result import CheckResult, Installation, fine, notice, problem, unchecked

_TOLERATED_MS = 5_000
"""Times in logs and on pages still make sense; what is decided goes by the broker's clock alone."""
_LATE_MS = 60_000
_LOOKING_S = 5.0
_AS_OPERATOR = "run this as operator or gateway"


async def check_clock(installation: Installation) -> list[CheckResult]:
    """Check that this machine's clock is the broker's, give or take a little."""
    account, group = installation.able(Role.GATEWAY), installation.settings.groups[0]
    if account is None:
        message = f"{installation.own.name} may not open the transaction that shows the broker's clock"
        return [unchecked("clock", message, "run this as gateway or as the broker's admin")]
    timeout_ms = installation.settings.relay.transaction_timeout_ms
    async with raw_client(account.settings) as client:
        try:
            reading = await read_clock(client, f"{writers_of(account.settings)[0]}doctor", group, timeout_ms)
        except errors.InvalidTransactionTimeout:
            message = f"the broker takes no transaction of {timeout_ms} ms"
            advice = "lower relay.transaction_timeout_ms, or raise the broker's transaction.max.timeout.ms"
            return [problem("relay.transaction_timeout_ms", message, advice)]
    side = "ahead of" if reading.ahead_ms > 0 else "behind"
    message = (
        f"the broker's is {abs(reading.ahead_ms) / 1000:.3f} s {side} this machine's, ± {reading.give_ms / 1000:.3f} s"
    )
    if abs(reading.ahead_ms) - reading.give_ms > _TOLERATED_MS:
        return [
            problem("clock", message, "let both follow the same time servers (NTP): events' times are compared with it")
        ]
    return [fine("clock", message)]


async def check_transactions(installation: Installation) -> list[CheckResult]:
    """Check that the transactional ids under our groups' names are ours, and that none of them hangs."""
    account, settings = installation.able(Role.OPERATOR, Role.GATEWAY), installation.settings
    if account is None:
        return [unchecked("ids", f"{installation.own.name} may not see them", _AS_OPERATOR)]
    async with raw_client(account.settings) as client:
        found = await find_transactions(client, writers_of(settings))
    known, findings, now = _known_ids(settings), [], time.time() * 1000
    for each in found:
        if not known.fullmatch(each.transactional_id):
            message = "no lane has this transactional id: somebody else works under the gateway's name"
            advice = "find who does, give it an id of its own, and change the gateway's password"
            findings.append(problem(each.transactional_id, message, advice))
        elif each.state == "Ongoing" and now - each.started > each.timeout_ms + _LATE_MS:
            message = f"its transaction has been open for {(now - each.started) / 1000:.0f} s: readers wait behind it"
            findings.append(
                problem(
                    each.transactional_id, message, "`kafka-transactions find-hanging`, then `kafka-transactions abort`"
                )
            )
    lanes = [each for each in found if _lane_ids(settings).fullmatch(each.transactional_id)]
    working = sum(each.state not in {"Empty", "CompleteCommit", "CompleteAbort"} for each in lanes)
    return [*findings, fine("lanes", f"opened: {count_of(len(lanes), 'lane')}; in a transaction now: {working}")]


def _lane_ids(settings: Settings) -> re.Pattern[str]:
    provinces = "|".join(province.value for province in Province)
    return re.compile(rf"{re.escape(settings.topic_prefix + LANE_WRITER)}({provinces})-\d+")


def _known_ids(settings: Settings) -> re.Pattern[str]:
    lanes, feedback = re.escape(settings.topic_prefix + LANE_WRITER), re.escape(settings.groups[1])
    return re.compile(rf"{_lane_ids(settings).pattern}|{lanes}doctor|{feedback}-(announcer|doctor)")


@dataclass(frozen=True, slots=True)
class _Group:
    """A consumer group as it stands: workers in it, and the offset that it has committed of each
    partition."""

    workers: int
    committed: dict[TopicPartition, int]


async def check_lag(installation: Installation) -> list[CheckResult]:
    """Check that whoever must read does, and that nothing was removed before it was read."""
    account, settings = installation.able(Role.OPERATOR, Role.GATEWAY), installation.settings
    if account is None:
        return [unchecked("groups", f"{installation.own.name} may not see them", _AS_OPERATOR)]
    relay, feedback = settings.groups
    displays = await kafka.partitions_of(account.settings, list(settings.topic_names.displays))
    async with kafka.admin(account.settings) as admin, kafka.consumer(account.settings) as consumer:
        lanes = await _group(admin, settings, relay)
        done = dict.fromkeys(displays, 0) | _of(lanes, displays)
        findings = await _standing(consumer, relay, lanes, done)
        if lanes.workers:
            findings += await _stuck(admin, consumer, relay, done)
        counting = await _group(admin, settings, feedback)
        read = {each: at for each, at in counting.committed.items() if each.topic in settings.topic_names.all}
        if read:
            findings += await _standing(consumer, feedback, counting, read)
        else:
            message = f"{count_of(counting.workers, 'worker')}; nothing counted yet"
            advice = f"start one where cases are wanted: {_starts(feedback)}"
            findings.append(fine(feedback, message) if counting.workers else notice(feedback, message, advice))
    return findings


def _of(group: _Group, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
    return {each: group.committed[each] for each in partitions if each in group.committed}


async def _group(admin: AIOKafkaAdminClient, settings: Settings, name: str) -> _Group:
    workers = [each for each in await members_of(admin, name) if each.is_ours(topics_of(settings, name))]
    offsets = await admin.list_consumer_group_offsets(name)
    committed = {each: known.offset for each, known in offsets.items() if known.offset >= 0}
    return _Group(len(workers), committed)


async def _standing(
    consumer: AIOKafkaConsumer, name: str, group: _Group, done: Mapping[TopicPartition, int]
) -> list[CheckResult]:
    consumer.assign(list(done))
    spans = await find_spans(consumer, done)
    findings = []
    lost = [each for each, span in spans.items() if each in group.committed and done[each] < span.log_start]
    if lost:
        message = f"{_named(lost)}: records were removed before they were read"
        advice = (
            "run enough workers: the one that opens the lane notes the offsets, which `gateway acknowledge` then lists; "
            "raise topics.retention_hours"
        )
        findings.append(problem(name, message, advice))
    beyond = [each for each, span in spans.items() if done[each] > span.end]
    if beyond:
        message = f"{_named(beyond)}: the committed offset lies beyond the end; was the topic recreated, or cut back?"
        advice = "let a worker open these lanes: they find out themselves where to go on, in a new epoch, and say so"
        findings.append(problem(name, message, advice))
    unread = {
        each: Span(span.log_start, max(done[each], span.log_start), span.end)
        for each, span in spans.items() if done[each] < span.end
    }  # fmt: skip
    lag = sum(span.end - span.start for span in unread.values())
    waits = bool(unread) and await _holds_records(consumer, unread)
    if waits and not group.workers:
        findings.append(
            problem(
                name, f"{count_of(lag, 'offset')} behind, and no workers are running", f"start one: {_starts(name)}"
            )
        )
    else:
        workers = count_of(group.workers, "worker") if group.workers else "no workers running"
        findings.append(
            fine(name, f"{workers}, {count_of(lag, 'offset')} behind" if waits else f"{workers}, and nothing waits")
        )
    return findings


async def _stuck(
    admin: AIOKafkaAdminClient, consumer: AIOKafkaConsumer, name: str, done: Mapping[TopicPartition, int]
) -> list[CheckResult]:
    """Name the partitions in which an event has waited for a minute, and of which nothing is committed while
    one looks."""
    consumer.assign(list(done))
    first = {
        each: Span(span.log_start, max(done[each], span.log_start), min(span.end, max(done[each], span.log_start) + 64))
        for each, span in (await find_spans(consumer, done)).items()
    }
    times: dict[TopicPartition, int] = {}
    async for partition, records in read_spans(consumer, first):
        times.setdefault(partition, records[0].timestamp)
    now = time.time() * 1000
    waiting = [each for each, received in times.items() if now - received > _LATE_MS]
    if not waiting:
        return []
    await asyncio.sleep(_LOOKING_S)
    offsets = await admin.list_consumer_group_offsets(name, partitions=waiting)
    still = [each for each in waiting if each not in offsets or max(offsets[each].offset, 0) == done[each]]
    return [
        problem(
            f"{each.topic}/{each.partition}",
            f"its next event has waited for {(now - times[each]) / 1000:.0f} s, and its lane commits nothing",
            "see /readyz of the worker that has it (`gateway top`), and `lane.failed` in its log; docs/runbook.md, Lane stuck",
        )
        for each in sorted(still)
    ]  # fmt: skip


async def _holds_records(consumer: AIOKafkaConsumer, spans: Mapping[TopicPartition, Span]) -> bool:
    """Tell whether there is a record: transactions' markers have offsets too, and wait for nobody."""
    async for _ in read_spans(consumer, spans):
        return True
    return False


def _starts(group: str) -> str:
    return "`gateway feedback run`" if group.endswith("feedback") else "`gateway run`"


def _named(partitions: list[TopicPartition]) -> str:
    return ", ".join(f"{each.topic}/{each.partition}" for each in sorted(partitions))
