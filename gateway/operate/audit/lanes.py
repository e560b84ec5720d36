"""Runs the audit of all lanes, on all cores, and says what came of it."""

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any, Literal

from aiokafka import TopicPartition
from rich.console import Console

from gateway.adapters import kafka
from gateway.adapters.list_files import load_recognition
from gateway.adapters.own_signatures import load_record_check
from gateway.adapters.settings import Settings
from gateway.adapters.signatures import load_key_ring
from gateway.adapters.topic_reader import find_spans
from gateway.contract.topics import LaneId, Topics, lanes_of
from gateway.operate.audit.findings import KINDS, Finding, LaneReport
from gateway.operate.audit.lane_audit import LaneAudit, Scope
from gateway.operate.lane_pool import count_read, run_lanes

_SHOWN = 20


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
    lanes, size = asyncio.run(_survey(settings))
    reports = run_lanes(_audit_lane, [(settings, lane, scope) for lane in lanes], name="audit", size=size)
    summary = summarise(reports, time.monotonic() - started)
    if output == "json":
        sys.stdout.write(json.dumps(summary, ensure_ascii=False) + "\n")
    else:
        _print(summary, reports)
    return (0 if summary["ok"] else 1), reports


async def _survey(settings: Settings) -> tuple[list[LaneId], int]:
    """The lanes, and about how many records there are to be read."""
    topics = settings.topic_names
    names = [name for name in topics.all if name != topics.feedback]
    partitions = await kafka.partitions_of(settings, names)
    async with kafka.consumer(settings) as consumer:
        spans = await find_spans(consumer, partitions)
    counts = Counter(partition.topic for partition in partitions)
    return lanes_of(topics, counts), sum(_weight(each, topics) * (s.end - s.log_start) for each, s in spans.items())


def _weight(partition: TopicPartition, topics: Topics) -> int:
    """How many lanes read the partition."""
    return 2 if partition.topic in {topics.ledger, topics.deadletter} else 1


def _audit_lane(job: tuple[Settings, LaneId, Scope]) -> LaneReport:
    settings, lane, scope = job
    recognition = load_recognition(settings.recognition_dir)
    first = LaneAudit(settings, lane, recognition, scope, on_read=count_read)
    report = asyncio.run(first.run())
    if first.suspicious and not scope.prove:
        # The ledger says that something is wrong with these turns; deciding them again says with which record.
        second = LaneAudit(
            settings, lane, recognition, scope, prove_only=frozenset(first.suspicious), on_read=count_read
        )
        report = asyncio.run(second.run())
    return report


def summarise(reports: Iterable[LaneReport], seconds: float) -> dict[str, Any]:
    """The audit as one object ; counts are of all lanes."""
    lanes = list(reports)
    counts: Counter[str] = sum((lane.findings.counts for lane in lanes), Counter())
    outcomes: Counter[str] = sum((lane.outcomes for lane in lanes), Counter())
    unprovable: Counter[str] = sum((lane.unprovable for lane in lanes), Counter())
    read = sum(lane.read for lane in lanes)
    return {
        "ok": not counts.total() and not any(lane.digest_mismatches for lane in lanes),
        "offsets": sum(lane.records for lane in lanes),
        "gaps": counts["gap"],
        "overlaps": counts["overlap"],
        "broken_links": counts["broken_link"],
        "digest_mismatches": sum(lane.digest_mismatches for lane in lanes),
        **{kind: counts[kind] for kind in ("missing", "altered", "doubled", "foreign", "wrong_decision", "unsigned")},
        "outcomes": dict(outcomes),
        "entries": sum(lane.entries for lane in lanes),
        "outputs": sum(lane.outputs for lane in lanes),
        "redriven": sum(lane.redriven for lane in lanes),
        "holes": sum(lane.holes for lane in lanes),
        "expired_entries": sum(lane.expired for lane in lanes),
        "pending": sum(lane.pending for lane in lanes),
        "proved": sum(lane.proved for lane in lanes),
        "unprovable": dict(unprovable),
        "findings": [asdict(finding) for lane in lanes for finding in lane.findings.kept],
        "records_read": read,
        "seconds": round(seconds, 3),
    }


def _print(summary: dict[str, Any], reports: list[LaneReport]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    verdict = (
        "一致 nothing was dropped, doubled or altered" if summary["ok"] else "不一致 the log is not as it should be"
    )
    console.print(f"审计 audit: {verdict}")
    outcomes = ", ".join(f"{name} {count:,}" for name, count in sorted(summary["outcomes"].items()))
    console.print(
        f"  {summary['offsets']:,} input records in {summary['entries']:,} ledger entries: {outcomes or 'none'}"
    )
    console.print(f"  {summary['outputs']:,} outputs have their entry's digest" if summary["ok"] else "")
    notes = {
        "pending": "input records are not decided yet (behind the last entry)",
        "holes": "offsets hold no record (transaction markers, aborted or compacted): no loss",
        "expired_entries": "entries are older than what their topics keep, and could not be checked to the end",
        "redriven": "events were put through again by `gateway redrive`",
        "proved": "decisions made again from input and list, with the same bytes",
    }
    for name, words in notes.items():
        if summary[name]:
            console.print(f"  {summary[name]:,} {words}")
    for why, count in summary["unprovable"].items():
        console.print(f"  {count:,} decisions cannot be made again here: {why}")
    for kind, words in KINDS.items():
        count = sum(report.findings.counts[kind] for report in reports)
        if count:
            console.print(f"  {kind}: {count:,} × {words}")
    findings = summary["findings"]
    for finding in findings[:_SHOWN]:
        console.print(f"    {_place(Finding(**finding))}  {finding['kind']}: {finding['detail']}")
    if len(findings) > _SHOWN:
        console.print(f"    … {len(findings) - _SHOWN:,} more; --format json lists them")
    rate = summary["records_read"] / max(summary["seconds"], 0.001)
    Console(stderr=True, highlight=False).print(
        f"{summary['records_read']:,} records read in {summary['seconds']:.1f} s ({rate:,.0f}/s)"
    )


def _place(finding: Finding) -> str:
    return f"{finding.topic}/{finding.partition}@{finding.offset}"
