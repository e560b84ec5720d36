"""``gateway audit --archive``: proves days of an archive from its files alone, without a broker."""

import time
from pathlib import Path
from typing import Any, Literal, NamedTuple

from gateway.adapters.list_files import load_recognition
from gateway.adapters.own_signatures import load_record_check
from gateway.adapters.settings import Settings
from gateway.adapters.signatures import load_key_ring
from gateway.adapters.terminal import write_json
from gateway.core.times import china_date
from gateway.errors import UsageError
from gateway.operate.archive.days_check import DaysCheck
from gateway.operate.archive.findings import ARCHIVE_KINDS
from gateway.operate.archive.lane_check import ArchivedLane, LaneJob, check_lane
from gateway.operate.archive.lane_proof import Period
from gateway.operate.archive.layout import (
    days_of,
    find_manifest,
    lanes_on,
    require_archive,
    require_own_lanes,
    segments_of,
)
from gateway.operate.archive.store import FolderStore, Store, open_store
from gateway.operate.audit.findings import LaneReport
from gateway.operate.audit.lanes import print_summary, summarise
from gateway.operate.audit.statement import ArchiveItem, write_statement
from gateway.operate.lane_pool import run_lanes

_VERDICTS = (
    "一致 the archive is as it was written, and accounts for every offset",
    "不一致 the archive is not as it should be",
)


class Export(NamedTuple):
    """A statement that is to be written to ``path``."""

    path: Path
    signed_by: str | None


def audit_archive(
    settings: Settings, place: str, since: int | None, until: int | None, prove: float, output: Literal["text", "json"],
    export: Export | None = None,
) -> int:  # fmt: skip
    """Audit the archive at ``place`` and print the result; returns the exit code (1: findings).

    ``since`` and ``until`` (milliseconds since the epoch, None is open) say which days' data are looked at:
    all that they touch. Manifests are looked at in any case. Raises UsageError, ConfigurationError.
    """
    started = time.monotonic()
    store, check = open_store(place, must_exist=True), load_record_check(settings)
    if prove:
        load_recognition(settings.recognition_dir)
        load_key_ring(settings)
    period = Period(
        None if since is None else china_date(since * 1000), None if until is None else china_date((until - 1) * 1000)
    )
    require_archive(store)
    held = days_of(store)
    if held and not any(map(period.holds, held)):
        raise UsageError(f"{store.place} has nothing of these days: it holds {held[0]} to {held[-1]}")
    lanes, size = _survey(store, period)
    if export is not None:
        require_own_lanes(settings, store.place, lanes)
    days = DaysCheck(store, check)
    jobs = [LaneJob(settings, place, lane, period, prove, states=export is not None) for lane in lanes]
    # A client of an object store does not live through a fork.
    forks = isinstance(store, FolderStore)
    found = run_lanes(check_lane, jobs, name="audit", size=size) if forks else [check_lane(job) for job in jobs]
    days.run(found)
    summary = _summarise(store, found, days, time.monotonic() - started)
    if output == "json":
        write_json(summary)
    else:
        print_summary(summary, ARCHIVE_KINDS, _VERDICTS)
    if export is not None:
        _export(settings, export, period, found)
    return 0 if summary["ok"] else 1


def _export(settings: Settings, export: Export, period: Period, found: list[ArchivedLane]) -> None:
    days = sorted({day for each in found for day in each.stated_days})
    if not days:
        raise UsageError(
            "--export: the archive has nothing of that period, or no longer; `expired.json` says who removed it"
        )
    lacking = [item for each in found for item in each.lacking]
    item = ArchiveItem(first_day=days[0], last_day=days[-1], lacking=lacking)
    reports = [each.report for each in found]
    write_statement(export.path, reports, period.scope, settings.topic_prefix, export.signed_by, item)


def _survey(store: Store, period: Period) -> tuple[list[str], int]:
    """Find the lanes, and about how many records there are to be read."""
    lanes: set[str] = set()
    size = 0
    for day in days_of(store):
        for lane in lanes_on(store, day):
            lanes.add(lane)
            for number in segments_of(store, day, lane) if period.holds(day) else ():
                found = find_manifest(store, day, lane, number)
                if found is not None and found.manifest is not None:
                    size += sum(each.rows for each in found.manifest.files)
    return sorted(lanes), size


def _summarise(store: Store, found: list[ArchivedLane], days: DaysCheck, seconds: float) -> dict[str, Any]:
    """Return the audit as one object: that of the topics' audit, and what is the archive's."""
    rest = LaneReport("", "archive", -1, findings=days.findings)
    summary = summarise([*(each.report for each in found), rest], seconds, ARCHIVE_KINDS)
    summary["archive"] = {
        "place": store.place,
        "lanes": len(found),
        "segments": sum(each.segments for each in found),
        "signed_segments": sum(each.signed for each in found),
        "expired_segments": sum(each.expired for each in found),
        "expiring_segments": sum(each.expiring for each in found),
        "unfinished_segments": sum(each.unfinished for each in found),
        "keys_withheld": sum(each.keys_withheld for each in found),
        **days.facts,
        "head": days.facts.get("head"),
    }
    return summary
