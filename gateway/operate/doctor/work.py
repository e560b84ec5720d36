"""What can be checked of the work itself: clock, transactions, lag."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition, errors
from aiokafka.admin import AIOKafkaAdminClient

from gateway.adapters import kafka
from gateway.adapters.access import Role
from gateway.adapters.kafka_requests import find_transactions, raw_client, read_clock
from gateway.adapters.settings import Settings
from gateway.adapters.topic_reader import Span, find_spans, read_spans
from gateway.operate.doctor.result import CheckResult, Installation, fine, problem, unchecked

_TOLERATED_MS = 5_000
"""Times in logs and on pages still make sense; what is decided goes by the broker's clock alone."""
_LATE_MS = 60_000
_AS_OPERATOR = "run this as operator or gateway"


async def check_clock(installation: Installation) -> list[CheckResult]:
    """This machine's clock is the broker's, give or take a little."""
    account, group = installation.able(Role.GATEWAY), installation.settings.groups[0]
    if account is None:
        message = f"{installation.own.name} may not open the transaction that shows the broker's clock"
        return [unchecked("clock", message, "run this as gateway or as the broker's admin")]
    timeout_ms = installation.settings.relay.transaction_timeout_ms
    async with raw_client(account.settings) as client:
        try:
            reading = await read_clock(client, f"{group}-doctor", group, timeout_ms)
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
            problem("clock", message, "let both follow the same time servers (NTP): events' times are held against it")
        ]
    return [fine("clock", message)]


async def check_transactions(installation: Installation) -> list[CheckResult]:
    """The transactional ids under our groups' names are ours, and none of them hangs."""
    account, settings = installation.able(Role.OPERATOR, Role.GATEWAY), installation.settings
    if account is None:
        return [unchecked("ids", f"{installation.own.name} may not see them", _AS_OPERATOR)]
    async with raw_client(account.settings) as client:
        found = await find_transactions(client, (f"{group}-" for group in settings.groups))
    known, findings, now = _known_ids(settings), [], time.time() * 1000
    for each in found:
        if not known.fullmatch(each.transactional_id):
            message = "no lane has this transactional id: somebody else works under the gateway's name"
            advice = "find who does, give it an id of its own, and change the gateway's password"
            findings.append(problem(each.transactional_id, message, advice))
        elif each.state == "Ongoing" and now - each.started > each.timeout_ms + _LATE_MS:
            message = f"its transaction has been open for {(now - each.started) / 1000:.0f} s: readers wait behind it"
            findings.append(problem(each.transactional_id, message, "kafka-transactions --find-hanging, then --abort"))
    lanes = [each for each in found if _lane_ids(settings).fullmatch(each.transactional_id)]
    working = sum(each.state not in {"Empty", "CompleteCommit", "CompleteAbort"} for each in lanes)
    return [*findings, fine("lanes", f"{len(lanes)} lanes have been opened; {working} are in a transaction right now")]


def _lane_ids(settings: Settings) -> re.Pattern[str]:
    displays = "|".join(re.escape(topic) for topic in settings.topic_names.displays)
    return re.compile(rf"{re.escape(settings.groups[0])}-({displays})-\d+")


def _known_ids(settings: Settings) -> re.Pattern[str]:
    relay, feedback = (re.escape(group) for group in settings.groups)
    return re.compile(
        rf"{_lane_ids(settings).pattern}|{relay}-redrive-.*|{feedback}-announcer|({relay}|{feedback})-doctor"
    )


@dataclass(frozen=True, slots=True)
class _Group:
    """A consumer group as it stands: workers in it, and the offset that it has committed of each partition."""

    workers: int
    committed: dict[TopicPartition, int]


async def check_lag(installation: Installation) -> list[CheckResult]:
    """Whoever must read does, and nothing was removed before it was read."""
    account, settings = installation.able(Role.OPERATOR, Role.GATEWAY), installation.settings
    if account is None:
        return [unchecked("groups", f"{installation.own.name} may not see them", _AS_OPERATOR)]
    relay, feedback = settings.groups
    displays = await kafka.partitions_of(account.settings, list(settings.topic_names.displays))
    async with kafka.admin(account.settings) as admin, kafka.consumer(account.settings) as consumer:
        lanes = await _group(admin, relay)
        findings = await _standing(consumer, relay, lanes, dict.fromkeys(displays, 0) | _of(lanes, displays))
        counting = await _group(admin, feedback)
        read = {each: at for each, at in counting.committed.items() if each.topic in settings.topic_names.all}
        if read:
            findings += await _standing(consumer, feedback, counting, read)
        else:
            advice = "" if counting.workers else f"start one where cases are wanted: {_starts(feedback)}"
            findings.append(fine(feedback, f"{counting.workers} workers; nothing counted yet", advice))
    return findings


def _of(group: _Group, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
    return {each: group.committed[each] for each in partitions if each in group.committed}


async def _group(admin: AIOKafkaAdminClient, name: str) -> _Group:
    (response,) = await admin.describe_consumer_groups([name])
    offsets = await admin.list_consumer_group_offsets(name)
    committed = {each: known.offset for each, known in offsets.items() if known.offset >= 0}
    return _Group(sum(len(group[5]) for group in response.groups), committed)


async def _standing(
    consumer: AIOKafkaConsumer, name: str, group: _Group, done: Mapping[TopicPartition, int]
) -> list[CheckResult]:
    consumer.assign(list(done))
    spans = await find_spans(consumer, done)
    findings = []
    lost = [each for each, span in spans.items() if each in group.committed and done[each] < span.log_start]
    if lost:
        message = f"{_named(lost)}: records were removed before they were read"
        advice = "raise topics.retention_hours, and run more workers; `gateway audit` names the offsets"
        findings.append(problem(name, message, advice))
    beyond = [each for each, span in spans.items() if done[each] > span.end]
    if beyond:
        message = f"{_named(beyond)}: the committed offset lies beyond the end; was the topic made anew?"
        findings.append(
            problem(
                name, message, "stop the workers and set the group's offsets: kafka-consumer-groups --reset-offsets"
            )
        )
    unread = {
        each: Span(span.log_start, max(done[each], span.log_start), span.end)
        for each, span in spans.items() if done[each] < span.end
    }  # fmt: skip
    lag = sum(span.end - span.start for span in unread.values())
    if group.workers:
        findings.append(fine(name, f"{group.workers} workers, {lag} offsets behind"))
    elif unread and await _holds_records(consumer, unread):
        findings.append(problem(name, f"{lag} offsets wait, and no worker runs", f"start one: {_starts(name)}"))
    else:
        findings.append(fine(name, "no worker runs, and nothing waits"))
    return findings


async def _holds_records(consumer: AIOKafkaConsumer, spans: Mapping[TopicPartition, Span]) -> bool:
    """Whether there is a record: transactions' markers have offsets too, and wait for nobody."""
    async for _ in read_spans(consumer, spans):
        return True
    return False


def _starts(group: str) -> str:
    return "`gateway feedback run`" if group.endswith("feedback") else "`gateway run`"


def _named(partitions: list[TopicPartition]) -> str:
    return ", ".join(f"{each.topic}/{each.partition}" for each in sorted(partitions))
