"""Audits what of an archive is not one lane's: the closings of days, the lists, the settings' history."""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.adapters.own_signatures import RecordCheck
from gateway.core.digest import sha256
from gateway.core.times import is_date
from gateway.operate.archive.findings import NOT_ARCHIVED, ArchiveFindings
from gateway.operate.archive.keep import EDITION, load_list
from gateway.operate.archive.lane_check import ArchivedLane
from gateway.operate.archive.layout import (
    closings_of,
    days_of,
    digest_like,
    find_manifest,
    lanes_on,
    segments_of,
)
from gateway.operate.archive.manifest import (
    DAY,
    EXPIRED,
    HISTORY,
    LISTS,
    MANIFEST,
    SETTINGS,
    DayClosing,
    Edition,
    Expiry,
    LaneEnd,
    Sealed,
    SettingsChange,
    file_name_of,
    history_name,
    read_sealed,
    seal_problem,
    segment_folder,
    settings_name,
)
from gateway.operate.archive.mistakes import is_lane, mistake_in
from gateway.operate.archive.store import Store
from gateway.operate.archive.strays import find_strays

_NOWHERE = ("archive", -1, -1)


@dataclass
class DaysCheck:
    """Checks ``store``; what it finds is in ``findings``, what an archive has beside it in ``facts``."""

    store: Store
    check: RecordCheck
    findings: ArchiveFindings = field(default_factory=ArchiveFindings)
    facts: dict[str, Any] = field(default_factory=dict)

    def run(self, lanes: Sequence[ArchivedLane]) -> None:
        """Check closings, expiries, lists, settings, that what manifests of ``lanes`` name is there, and
        that nothing lies beside it."""
        days = days_of(self.store)
        closed = self._check_closings()
        self.facts |= {
            "first_day": days[0] if days else None, "last_day": days[-1] if days else None, "days": len(days),
            "closed_until": closed, "expired_days": self._check_expiries(days), "lists": self._check_lists(lanes),
            "settings_changes": self._check_settings(lanes),
        }  # fmt: skip
        for path, detail in find_strays(self.store):
            self._note("foreign", path, detail)

    def _note(self, kind: str, path: str, detail: str) -> None:
        self.findings.in_file(kind, path, _NOWHERE, detail)

    def _check_seal(self, path: str, raw: bytes, content: Sealed) -> None:
        if mistake := mistake_in(content):
            self._note("altered", path, mistake)
        elif problem := seal_problem(self.check, raw, content.written):
            self._note("unsigned", path, problem)

    def _check_closings(self) -> str | None:
        before: tuple[str, bytes] | None = None
        ends: dict[str, LaneEnd] = {}
        for day, raw, closing in closings_of(self.store):
            path = f"{day}/{DAY}"
            if closing is None:
                self._note("altered", path, "it is not the closing of a day that this version can read")
            elif closing.day != day:
                self._note("foreign", path, f"this is the closing of {closing.day}, in another's place")
            else:
                self._check_seal(path, raw, closing)
                self._check_order(path, closing, before)
                self._check_ends(path, closing)
                ends = {each.lane: each for each in closing.lanes}
            before = day, raw
        if before is not None:
            self.facts["head"] = {"day": before[0], "digest": sha256(before[1])}
            self._check_behind(before[0], ends)
        return before[0] if before is not None else None

    def _check_order(self, path: str, closing: DayClosing, before: tuple[str, bytes] | None) -> None:
        if before is None:
            if closing.previous is not None:
                self._note("missing", path, "the closing of the day before it is not there")
            return
        due = (datetime.date.fromisoformat(before[0]) + datetime.timedelta(days=1)).isoformat()
        if closing.day != due:
            self._note("missing", path, f"the closings from {due} on to this one are not there")
        elif not digest_like(closing.previous, before[1]):
            self._note("altered", path, f"the closing of {before[0]} is not the one that this was written after")

    def _check_ends(self, path: str, closing: DayClosing) -> None:
        """Check that each lane's last segment is there as the closing names it."""
        for end in closing.lanes:
            if not is_lane(end.lane) or not is_date(end.day):
                continue  # reported, and no path
            found = find_manifest(self.store, end.day, end.lane, end.segment)
            place = f"{segment_folder(end.day, end.lane, end.segment)}/{MANIFEST}"
            topic, _, partition = end.lane.rpartition("-")
            if found is None:
                detail = f"{path} names this segment as the lane's last one of the day, and it is not there"
                self.findings.in_file("missing", place, (topic, int(partition), -1), detail)
            elif not digest_like(end.manifest, found.raw):
                detail = f"the manifest is not the one that {path} names"
                self.findings.in_file("altered", place, (topic, int(partition), -1), detail)

    def _check_behind(self, closed: str, ends: Mapping[str, LaneEnd]) -> None:
        """Report segments of days that are closed which stand behind what the last closing names."""
        for day in days_of(self.store):
            for lane in lanes_on(self.store, day) if day <= closed else ():
                last = ends[lane].segment if lane in ends else 0
                for number in segments_of(self.store, day, lane):
                    if number > last:
                        path = segment_folder(day, lane, number)
                        self._note(
                            "foreign", path, f"the day is closed, and its closing does not name segment {number}"
                        )

    def _check_expiries(self, days: list[str]) -> int:
        count = 0
        for day in days:
            path = f"{day}/{EXPIRED}"
            if (raw := self.store.read(path)) is None:
                continue
            said = read_sealed(Expiry, raw)
            if said is None or said.day != day or said.before <= day:
                self._note("altered", path, "it does not say that this day's data were removed")
                continue
            if self.store.read(f"{day}/{DAY}") is None:
                self._note("foreign", path, "the day is not closed, and only closed days are removed")
            count += 1
            self._check_seal(path, raw, said)
        return count

    def _check_lists(self, lanes: Sequence[ArchivedLane]) -> int:
        count = 0
        for digest, named_by in {digest: by for lane in lanes for digest, by in lane.lists.items()}.items():
            path = f"{LISTS}/{file_name_of(digest)}"
            if self.store.read(f"{path}/{EDITION}") is None:
                detail = (
                    f"{named_by} names this list, and it is not there: removed, or replaced before the archiver saw it; "
                    "`gateway archive run --once` adds it where `recognition` names its files"
                )
                self._note(NOT_ARCHIVED, path, detail)
        for name in self.store.names(LISTS):
            path = f"{LISTS}/{name}/{EDITION}"
            raw = self.store.read(path)
            if raw is None:
                continue  # being written
            edition = read_sealed(Edition, raw)
            if edition is None or file_name_of(edition.list_digest) != name:
                self._note("altered", path, "it does not describe the list in its folder")
                continue
            count += 1
            known = {EDITION, *(each.name for each in edition.files)}
            for other in self.store.names(f"{LISTS}/{name}"):
                if other not in known:
                    self._note("foreign", f"{LISTS}/{name}/{other}", "the edition does not name this file")
            self._check_seal(path, raw, edition)
            if load_list(self.store, edition.list_digest) is None:
                self._note("altered", f"{LISTS}/{name}", "the files no longer give the list of this digest")
        return count

    def _check_settings(self, lanes: Sequence[ArchivedLane]) -> int:
        before: bytes | None = None
        count = 0
        known: set[str] = set()
        kept = self.store.names(SETTINGS)  # first: the archiver writes them before the entry that names them
        for name in self.store.names(HISTORY):
            path, raw = f"{HISTORY}/{name}", self.store.read(f"{HISTORY}/{name}") or b""
            change = read_sealed(SettingsChange, raw)
            if change is None:
                self._note("altered", path, "it is not an entry of the settings' history that this version can read")
            elif name != history_name(change.number):
                self._note(
                    "foreign", path, f"this is entry {change.number} of the settings' history, in another's place"
                )
            else:
                count += 1
                self._check_seal(path, raw, change)
                known.add(change.settings)
                if (before is not None or change.previous is not None) and not (
                    before is not None and digest_like(change.previous, before)
                ):
                    self._note("broken_link", path, "it does not follow from the entry before it")
                place = f"{SETTINGS}/{settings_name(change.settings)}"
                content = self.store.read(place)
                if content is None:
                    self._note("missing", place, f"{path} names these settings")
                elif sha256(content) != change.settings:
                    self._note("altered", place, "the settings are not those of their name")
            before = raw
        for name in kept:
            if name not in {settings_name(each) for each in known}:
                detail = (
                    "no entry of the settings' history names it: somebody added it, or an archiver was killed before it "
                    "wrote that entry"
                )
                self._note("foreign", f"{SETTINGS}/{name}", detail)
        for digest, named_by in {digest: by for lane in lanes for digest, by in lane.settings.items()}.items():
            if digest not in known:
                self._note(
                    "missing", HISTORY, f"{named_by} was written under settings that no entry of it names ({digest})"
                )
        return count
