"""``gateway audit --archive --statement``: what an archive holds, compared with somebody's statement."""

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from gateway.adapters.console import Terminal
from gateway.adapters.settings import Settings
from gateway.adapters.terminal import write_json
from gateway.core.words import count_of
from gateway.errors import UsageError
from gateway.operate.archive.lane_compare import CompareJob, NotCompared, compare_lane
from gateway.operate.archive.layout import days_of, lanes_on, require_own_lanes
from gateway.operate.archive.store import FolderStore, open_store
from gateway.operate.audit.statement import Statement, read_statement
from gateway.operate.audit.statement_check import lanes_of_outputs
from gateway.operate.lane_pool import run_lanes

_SHOWN = 20


def check_archive_statement(settings: Settings, place: str, path: Path, output: Literal["text", "json"]) -> int:
    """Hold the archive at ``place`` against the statement in ``path`` and print the result.

    Returns the exit code: 1 where they differ, or nothing could be compared. Raises UsageError,
    ConfigurationError.
    """
    statement = read_statement(path)
    store = open_store(place, must_exist=True)
    lanes = sorted({lane for day in days_of(store) for lane in lanes_on(store, day)})
    if not lanes:
        raise UsageError(f"there is no archive at {store.place}")
    require_own_lanes(settings, store.place, lanes)
    jobs = _jobs(settings, place, statement)
    size = sum(item.records for item in statement.outputs)
    forks = isinstance(store, FolderStore)
    found = run_lanes(compare_lane, jobs, name="audit", size=size) if forks else [compare_lane(job) for job in jobs]
    checked, absent = Counter[str](), set[str]()
    for job, each in zip(jobs, found, strict=True):
        checked.update(each.checked if each.is_archived else {})
        absent |= set() if each.is_archived else {f"{item.topic}/{item.partition}" for item in job.items}
    findings = [finding for each in found for finding in each.findings.kept]
    is_same = not any(each.findings.counts.total() for each in found)
    not_compared = [note for each in found for note in each.not_compared]
    is_compared = bool(checked.total()) or (not not_compared and any(each.is_archived for each in found))
    if output == "json":
        write_json(
            {
                "ok": is_same and is_compared, "statement": statement.digest, "records": checked.total(),
                "topics": sorted(checked), "absent": sorted(absent), "findings": [asdict(finding) for finding in findings],
                "archive": {
                    "place": store.place, "blocks": sum(each.blocks for each in found),
                    "not_compared": [note.model_dump() for note in not_compared],
                },
            }
        )  # fmt: skip
        return 0 if is_same and is_compared else 1
    console = Terminal()
    whole = not not_compared and not absent
    console.print(f"核对 statement {statement.digest[:23]}…: {_verdict(is_same, is_compared, whole)}")
    for topic, count in sorted(checked.items()):
        console.print(f"  {topic}: {count_of(count, 'record')} compared")
    for topic in sorted(absent):
        console.print(f"  {topic}: nothing of its lane is in this archive")
    for note in not_compared[:_SHOWN]:
        console.print(f"  {note.topic}/{note.partition}: {_words(note)}")
    _print_rest(console, len(not_compared))
    for finding in findings[:_SHOWN]:
        place_of = f"{finding.topic}/{finding.partition}/{finding.offset}"
        path_of = getattr(finding, "path", "")
        console.print(f"    {f'{path_of}  ' if path_of else ''}{place_of}  {finding.kind}: {finding.detail}")
    _print_rest(console, len(findings))
    return 0 if is_same and is_compared else 1


def _jobs(settings: Settings, place: str, statement: Statement) -> list[CompareJob]:
    """Make a job of each lane that the statement speaks of. Raises UsageError where an output is no
    lane's."""
    lanes, lacking = lanes_of_outputs(statement), statement.archive.lacking if statement.archive is not None else []
    stated = [(item.topic, item.partition) for item in statement.outputs]
    for topic, partition in stated:
        if (topic, partition) not in lanes:
            raise UsageError(
                f"--statement: it says nothing of the inputs of {topic}/{partition}, and cannot be checked"
            )
    return [
        CompareJob(
            settings, place, lane,
            [item for item in statement.outputs if lanes[item.topic, item.partition] is lane], lacking,
        )
        for lane in statement.lanes
        if any(lanes[each] is lane for each in stated)
    ]  # fmt: skip


def _verdict(is_same: bool, is_compared: bool, is_whole: bool) -> str:
    if not is_same:
        return "不一致 this archive is not what the statement says"
    if not is_compared:
        return "未能核对 nothing of it is in this archive, or no longer"
    return (
        "一致 this archive is what the statement says"
        if is_whole
        else "一致（部分未核对） what could be compared is what the statement says; not all could be"
    )


def _words(note: NotCompared) -> str:
    which = (
        f"the redrive {note.redrive}" if note.redrive is not None else f"inputs {note.first_offset}–{note.last_offset}"
    )
    return f"未核对 not compared: {which}, {count_of(note.records, 'record')}: {note.why}"


def _print_rest(console: Terminal, many: int) -> None:
    if many > _SHOWN:
        console.print(f"    … {many - _SHOWN:,} more; --format json lists them")
