"""Runs the audit of all lanes, on all cores, and says what came of it."""

import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

from aiokafka import TopicPartition

from gateway.adapters import kafka
from gateway.adapters.console import Terminal
from gateway.adapters.list_files import load_recognition
from gateway.adapters.own_signatures import load_record_check
from gateway.adapters.settings import Settings
from gateway.adapters.signatures import load_key_ring
from gateway.adapters.terminal import write_json
from gateway.adapters.topic_reader import UnreadablePartitionError, find_readable_spans
from gateway.contract.outputs import destinations_of
from gateway.contract.topics import LaneId, Topics, lanes_of
from gateway.core.words import count_of
from gateway.operate.audit.expiry import Retention, find_retention
from gateway.operate.audit.findings import KINDS, LaneReport
from gateway.operate.audit.forwards import report_twice
from gateway.operate.audit.lane_audit import Job, LaneAudit, Scope
from gateway.operate.lane_pool import count_read, run_lanes
from gateway.operate.unread import exit_code_of, report_unread, unread_by

_SHOWN = 20
PLURALS = {"gap": "gaps", "overlap": "overlaps", "broken_link": "broken_links"}
"""Kinds of findings whose counts have another name."""


def audit(settings: Settings, scope: Scope, output: Literal["text", "json"]) -> tuple[int, list[LaneReport]]:
    """Audit every lane and print the result; returns the exit code (1: findings) and the lanes' reports.

    Raises BrokerUnreachableError, ConfigurationError.
    """
    started = time.monotonic()
    load_record_check(settings)
    if scope.prove:
        # A mistake in them is said before anything is read.
        load_recognition(settings.recognition_dir)
        load_key_ring(settings)
    counts, size, retention = asyncio.run(_survey(settings))
    lanes = lanes_of(settings.topic_names, counts)
    with tempfile.TemporaryDirectory(prefix="gateway-audit-") as name:
        folder = Path(name)
        jobs = [
            Job(settings, lane, number, scope, retention, folder, _lacking(settings.topic_names, lane, counts))
            for number, lane in enumerate(lanes)
        ]
        reports = run_lanes(_audit_lane, jobs, name="audit", size=size)
        asyncio.run(report_twice(settings, lanes, reports, folder))
    summary = summarise(reports, time.monotonic() - started)
    if output == "json":
        write_json(summary)
    else:
        print_summary(summary, KINDS, VERDICTS)
    unread = [report.unread for report in reports if report.unread is not None]
    report_unread(unread)
    return max(0 if summary["ok"] else 1, exit_code_of(unread, all_lanes=len(lanes))), reports


async def _survey(settings: Settings) -> tuple[dict[str, int], int, Retention]:
    """Find how many partitions each topic has, about how many records are to be read, and how long topics
    keep theirs."""
    topics = settings.topic_names
    names = [name for name in topics.all if name != topics.feedback]
    partitions = await kafka.partitions_of(settings, names)
    async with kafka.consumer(settings) as consumer:
        spans = await find_readable_spans(consumer, partitions)
    counts = Counter(partition.topic for partition in partitions)
    size = sum(_weight(each, topics) * (s.end - s.log_start) for each, s in spans.items())
    return dict(counts), size, await find_retention(settings, names)


def _lacking(topics: Topics, lane: LaneId, partitions: Mapping[str, int]) -> tuple[str, ...]:
    needed = (topics.ledger, *destinations_of(lane, topics).values())
    return tuple(topic for topic in needed if partitions[topic] <= lane.partition)


def _weight(partition: TopicPartition, topics: Topics) -> int:
    """Return how many lanes read the partition."""
    return 2 if partition.topic in {topics.ledger, topics.deadletter} else 1


def _audit_lane(job: Job) -> LaneReport:
    recognition = load_recognition(job.settings.recognition_dir)
    first = LaneAudit(job, recognition, on_read=count_read)
    report = _run(first)
    if first.suspicious and not job.scope.prove and report.unread is None:
        # The ledger says that something is wrong with these turns; deciding them again says with which
        # record.
        only = frozenset(first.suspicious)
        second = LaneAudit(replace(job, folder=None), recognition, prove_only=only, on_read=count_read)
        report = _run(second)
    return report


def _run(audit: LaneAudit) -> LaneReport:
    """Make the audit of a lane, as far as its partitions can be read: what cannot be read is a finding."""
    report, lane = audit.report, audit.lane
    try:
        if lacking := audit.job.lacking:
            why = f"{lane} waits, as there is no such partition: give every topic the same number of partitions"
            raise UnreadablePartitionError(lacking[0], lane.partition, 0, why)  # noqa: TRY301 — as one that breaks off
        return asyncio.run(audit.run())
    except Exception as error:  # noqa: BLE001 — whatever a topic holds, the other lanes are audited
        unread = report.unread = unread_by(error, lane.topic, lane.partition, audit.settings)
    offset = -1 if unread.offset is None else unread.offset
    report.findings.at("unreadable", unread.topic, unread.partition, offset, f"{lane}: {unread.why}")
    return report


def summarise(reports: Iterable[LaneReport], seconds: float, kinds: Iterable[str] = KINDS) -> dict[str, Any]:
    """Return the audit as one object; counts are of all lanes, of findings by their ``kinds``."""
    lanes = list(reports)
    counts: Counter[str] = sum((lane.findings.counts for lane in lanes), Counter())
    outcomes: Counter[str] = sum((lane.outcomes for lane in lanes), Counter())
    unprovable: Counter[str] = sum((lane.unprovable for lane in lanes), Counter())
    read = sum(lane.read for lane in lanes)
    return {
        "ok": not counts.total() and not any(lane.digest_mismatches for lane in lanes),
        "offsets": sum(lane.records for lane in lanes),
        **{plural: counts[kind] for kind, plural in PLURALS.items()},
        "digest_mismatches": sum(lane.digest_mismatches for lane in lanes),
        **{kind: counts[kind] for kind in kinds if kind not in PLURALS},
        "outcomes": dict(outcomes),
        "entries": sum(lane.entries for lane in lanes),
        "outputs": sum(lane.outputs for lane in lanes),
        "redriven": sum(lane.redriven for lane in lanes),
        "acknowledged": sum(lane.acknowledged for lane in lanes),
        "holes": sum(lane.holes for lane in lanes),
        "expired_entries": sum(lane.expired for lane in lanes),
        "earlier_log_entries": sum(lane.earlier_logs for lane in lanes),
        "pending": sum(lane.pending for lane in lanes),
        "proved": sum(lane.proved for lane in lanes),
        "unprovable": dict(unprovable),
        "findings": [asdict(finding) for lane in lanes for finding in lane.findings.kept],
        "records_read": read,
        "seconds": round(seconds, 3),
    }


VERDICTS = ("一致 nothing was dropped, doubled or altered", "不一致 the log is not as it should be")
"""How the audit of topics ends: well, or not."""


def print_summary(summary: dict[str, Any], kinds: Mapping[str, str], verdicts: tuple[str, str]) -> None:
    """Print an audit's object for people: ``kinds`` are its findings' kinds in words, ``verdicts`` the words
    for well and not."""
    console = Terminal()
    console.print(f"审计 audit: {verdicts[0] if summary['ok'] else verdicts[1]}")
    outcomes = ", ".join(f"{name} {count:,}" for name, count in sorted(summary["outcomes"].items()))
    console.print(
        f"  {summary['offsets']:,} input records in {summary['entries']:,} ledger entries: {outcomes or 'none'}"
    )
    console.print(f"  {summary['outputs']:,} outputs have their entry's digest" if summary["ok"] else "")
    notes = {
        "pending": "input records are not decided yet (behind the last entry)",
        "holes": "offsets hold no record (transaction markers, aborted records): no loss",
        "acknowledged": "offsets were lost before they were decided, and somebody has taken note (`gateway acknowledge`)",
        "earlier_log_entries": "entries speak of a log that another one has taken the place of: their inputs are gone",
        "expired_entries": "entries are older than what their topics keep, and could not be checked to the end",
        "redriven": "events were put through again by `gateway redrive`",
        "proved": "decisions made again from input and list, with the same bytes",
    }
    for name, words in notes.items():
        if summary[name]:
            console.print(f"  {summary[name]:,} {words}")
    for why, count in summary["unprovable"].items():
        console.print(f"  {count:,} decisions cannot be made again here: {why}")
    for kind, words in kinds.items():
        if count := summary[PLURALS.get(kind, kind)]:
            console.print(f"  {kind}: {count:,} × {words}")
    findings = summary["findings"]
    for finding in findings[:_SHOWN]:
        place = "/".join(str(finding[each]) for each in ("topic", "partition", "offset"))
        where = f"{finding['path']}  {place}" if "path" in finding else place
        console.print(f"    {where}  {finding['kind']}: {finding['detail']}")
    if len(findings) > _SHOWN:
        console.print(f"    … {len(findings) - _SHOWN:,} more; --format json lists them")
    rate = summary["records_read"] / max(summary["seconds"], 0.001)
    Terminal(err=True).print(
        f"{count_of(summary['records_read'], 'record')} read in {summary['seconds']:.1f} s ({rate:,.0f}/s)"
    )
