"""``gateway trace --archive``: one event's whole story, put together from an archive."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from aiokafka.structs import ConsumerRecord

from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import Settings
from gateway.adapters.signatures import load_key_ring
from gateway.adapters.terminal import say
from gateway.contract.display_event import as_repeated, read_event
from gateway.contract.ledger_entry import Entry
from gateway.contract.topics import LaneId
from gateway.core.event import Reading, UnreadableError
from gateway.core.province import Province
from gateway.core.recognition import Recognition
from gateway.core.times import china_date, format_instant
from gateway.core.words import count_of
from gateway.operate.archive.findings import ArchiveFinding, ArchiveFindings
from gateway.operate.archive.keep import load_list
from gateway.operate.archive.lane_proof import Period
from gateway.operate.archive.layout import days_of, find_manifest, is_expired, lanes_on, segments_of
from gateway.operate.archive.manifest import EXPIRED, Manifest, segment_folder
from gateway.operate.archive.parquet import find_rows, find_traced
from gateway.operate.archive.rows import INPUTS, REJECTIONS, VERIFICATIONS
from gateway.operate.archive.segment_data import SegmentData, read_segment
from gateway.operate.archive.store import FolderStore, Store, open_store
from gateway.operate.audit.stream import Rank
from gateway.operate.lane_pool import count_read, run_lanes
from gateway.operate.trace.query import Query
from gateway.operate.trace.story import FoundInput, tell_story

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_SAID = 10
"""How many files are named on stderr; in JSON all are."""


_AT_A_TIME = 16
"""How many files of an object store are read at a time: each is waited for."""


class _Job(NamedTuple):
    settings: Settings
    place: str
    lane: str
    query: Query
    manifests: Sequence[Manifest]


@dataclass(slots=True)
class _LaneResult:
    """The occurrences in one lane, how many rows were looked at, in how many segments, and files that cannot
    be read."""

    occurrences: list[dict[str, Any]] = field(default_factory=list)
    read: int = 0
    segments: int = 0
    unread: list[dict[str, Any]] = field(default_factory=list)


def trace_archive(settings: Settings, place: str, query: Query) -> tuple[dict[str, Any], int]:
    """Tell the story of all events that ``query`` finds in the archive at ``place``; as ``trace`` does
    of the topics.

    Its times say which days are searched; an archive that has nothing of them holds no such event. The exit
    code, 1, is for files that could not be read. Raises UsageError, ConfigurationError.
    """
    store = open_store(place, must_exist=True)
    load_recognition(settings.recognition_dir)
    load_key_ring(settings)
    period = Period(
        None if query.since is None else china_date(query.since * 1000),
        None if query.until is None else china_date((query.until - 1) * 1000),
    )
    days = days_of(store)
    lanes = sorted({lane for day in days if period.holds(day) for lane in lanes_on(store, day)})
    lanes = [lane for lane in lanes if _is_wanted(lane, query, settings.topic_prefix)]
    if not lanes:
        held = f"it holds {days[0]} to {days[-1]}" if days else "nothing is archived there yet"
        say(f"{store.place} has nothing of these days, or no such lane: {held}", err=True)
    manifests, expired, unread = _find_manifests(store, lanes, period)
    if expired:
        span = f"{count_of(len(expired), 'day')} ({expired[0]} to {expired[-1]})"
        say(f"{store.place}: data of {span} were removed by `gateway archive expire`, and are not searched", err=True)
    jobs = [_Job(settings, place, lane, query, manifests[lane]) for lane in lanes]
    size = sum(each.records for found in manifests.values() for each in found)
    forks = isinstance(store, FolderStore)
    results = (
        run_lanes(_trace_lane, jobs, name="trace", size=size) if forks and jobs else [_trace_lane(job) for job in jobs]
    )
    occurrences = sorted(
        (each for result in results for each in result.occurrences), key=lambda each: str(each["input"]["received"])
    )
    unread += [each for result in results for each in result.unread]
    _report_unread(store.place, unread)
    story = {
        "id": query.event_id,
        "trace_id": query.trace_id,
        "occurrences": occurrences,
        "searched": {
            "topics": sorted({lane.rpartition("-")[0] for lane in lanes}),
            "partitions": sorted({int(lane.rpartition("-")[2]) for lane in lanes}),
            "partition_by_key": False,
            "since": _in_words(query.since),
            "until": _in_words(query.until),
            "records": sum(result.read for result in results),
            "unread": unread,
            "archive": store.place,
            "segments": sum(result.segments for result in results),
            "expired": expired,
        },
    }
    return story, 1 if unread else 0


def _report_unread(place: str, unread: Sequence[Mapping[str, str]]) -> None:
    """Say on stderr of which files the answer lacks something, or is not to be trusted."""
    for each in unread[:_SAID]:
        say(f"{place}/{each['path']}: {each['why']}", err=True)
    if unread:
        more = f"{count_of(len(unread) - _SAID, 'more file')}; " if len(unread) > _SAID else ""
        say(f"{more}the answer may not be complete: `gateway audit --archive {place}` says what is wrong", err=True)


def _in_words(time_ms: int | None) -> str | None:
    return format_instant(time_ms * 1000) if time_ms is not None else None


def _is_wanted(lane: str, query: Query, prefix: str) -> bool:
    topic, _, partition = lane.rpartition("-")
    if query.at is not None:
        return (topic, int(partition)) == (prefix + query.at.topic, query.at.partition)
    is_its = query.province is None or topic == f"{prefix}{query.province.value}.display"
    return is_its and query.partition in {None, int(partition)}


def _find_manifests(
    store: Store, lanes: Sequence[str], period: Period
) -> tuple[dict[str, list[Manifest]], list[str], list[dict[str, str]]]:
    """Read the manifests of ``lanes`` in the period, each lane's in order; list the days that have expired,
    and which manifests cannot be used."""
    days = list(filter(period.holds, days_of(store)))
    places = [(day, lane, number) for lane in lanes for day in days for number in segments_of(store, day, lane)]
    manifests, unread, expired = {lane: list[Manifest]() for lane in lanes}, list[dict[str, str]](), set[str]()
    say_so = {day for day in days if store.read(f"{day}/{EXPIRED}") is not None}
    for found in _each(store, lambda place: find_manifest(store, *place), places):
        if found is not None and found.manifest is not None:
            if is_expired(store, found.manifest, says_so=found.manifest.day in say_so):
                expired.add(found.manifest.day)
            else:
                manifests[found.manifest.lane].append(found.manifest)
        elif found is not None and found.problem is not None:
            unread.append({"path": found.path, "why": found.problem[1]})
    return manifests, sorted(expired), unread


def _each(store: Store, work: Callable[[_Item], _Result], items: Sequence[_Item]) -> list[_Result]:
    """Return what ``work`` makes of each item, in their order; in an object store of many at a time."""
    if isinstance(store, FolderStore):
        return list(map(work, items))
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        return list(pool.map(work, items))


def _trace_lane(job: _Job) -> _LaneResult:
    return _LaneSearch(job).run()


@dataclass
class _LaneSearch:
    """Searches one lane: first for places of the event, column by column, then for all that belongs to
    them."""

    job: _Job
    result: _LaneResult = field(default_factory=_LaneResult)
    _lists: dict[str, Recognition | None] = field(default_factory=dict)
    _days: dict[int, str] = field(default_factory=dict)
    """Under which day an input is archived, by its offset."""

    def run(self) -> _LaneResult:
        job, topic = self.job, self.job.lane.rpartition("-")[0]
        province = next((each for each in Province if topic.endswith(f"{each.value}.display")), Province.SICHUAN)
        self.lane = LaneId(province, topic, int(job.lane.rpartition("-")[2]))
        self.store = open_store(job.place)
        manifests = self.job.manifests
        found_in = _each(self.store, self._match, manifests)
        matches = {manifest.segment: ranks for manifest, (ranks, _) in zip(manifests, found_in, strict=True)}
        self.result.segments, self.result.read = len(manifests), sum(each.records for each in manifests)
        self.result.unread = [each for _, unread in found_in for each in unread]
        wanted = {rank for ranks in matches.values() for rank in ranks}
        found: dict[Rank, FoundInput] = {}
        for manifest in manifests if wanted else ():
            if matches[manifest.segment] or any(_holds(manifest, rank) for rank in wanted):
                findings = ArchiveFindings()
                data = read_segment(self.store, manifest, findings)
                self._note_unsound(findings)
                self._take_inputs(data, wanted, found)
                for _, offset in found:
                    self._days.setdefault(offset, manifest.day)
                self._take_outputs(data, found)
        recognition, last = load_recognition(job.settings.recognition_dir), manifests[-1] if manifests else None
        decided = last.input_last if last is not None and last.input_last is not None else -1
        inputs = list(found.values())
        told = tell_story(self.lane, inputs, decided, recognition, load_key_ring(job.settings))
        self.result.occurrences = [each | {"archived_day": self._days[each["input"]["offset"]]} for each in told]
        return self.result

    def _note_unsound(self, findings: ArchiveFindings) -> None:
        """Report files of which a story is told that are not as they were written, or not there."""
        known = {each["path"] for each in self.result.unread}
        for path, why in {
            each.path: each.detail for each in reversed(findings.kept) if isinstance(each, ArchiveFinding)
        }.items():
            if path not in known:
                self.result.unread.append({"path": path, "why": why})

    def _match(self, manifest: Manifest) -> tuple[set[Rank], list[dict[str, Any]]]:
        """Find the inputs of a segment, by epoch and offset, that the query is about; and files that cannot
        be read."""
        query, found, unread = self.job.query, set[Rank](), list[dict[str, Any]]()
        count_read(manifest.records)
        if query.at is not None:
            rank = (manifest.epoch, query.at.offset)
            return {rank} if _holds(manifest, rank) else set(), unread
        names = {each.name for each in manifest.files}
        for file, place in (
            (VERIFICATIONS, ("epoch", "input")),
            (REJECTIONS, ("epoch", "input")),
            (INPUTS, ("epoch", "offset")),
        ):
            path = f"{segment_folder(manifest.day, manifest.lane, manifest.segment)}/{file}"
            try:
                found |= self._match_in(path, place) if file in names else set()
            except ValueError as error:
                unread.append({"path": path, "why": str(error)})
        return found, unread

    def _match_in(self, path: str, place: tuple[str, str]) -> set[Rank]:
        """Find them in a file. Raises ValueError where it cannot be read."""
        query, stream = self.job.query, self.store.open(path)
        if stream is None:
            raise ValueError("the file is not there")
        with stream:
            try:
                if query.event_id is not None:
                    ids = {query.event_id, as_repeated(query.event_id)}
                    return set(find_rows(stream, {"event_id": ids}, place))
                return set(find_traced(stream, query.trace_id or "", place))
            except ValueError as error:
                raise ValueError(f"it cannot be read ({error})") from None

    def _take_inputs(self, data: SegmentData, wanted: set[Rank], found: dict[Rank, FoundInput]) -> None:
        by_offset = {record.offset: (record, entry) for record, entry in data.entries}
        for offset, inputs in data.inputs.items():
            if offset not in by_offset:
                continue
            record, entry = by_offset[offset]
            for each in inputs:
                rank = (entry.epoch, each.record.offset)
                if rank in wanted and rank not in found:
                    reading = _read(each.record) if each.has_bytes else None
                    found[rank] = FoundInput(
                        each.record, reading, entries=[(record, entry)], recognition=self._list(entry.list_digest),
                        has_bytes=each.has_bytes, event_id=each.event_id,
                    )  # fmt: skip

    def _take_outputs(self, data: SegmentData, found: dict[Rank, FoundInput]) -> None:
        entries: dict[int, tuple[ConsumerRecord, Entry]] = {each[0].offset: each for each in data.entries}
        for offset, outputs in data.outputs.items():
            for rank, (_, output) in outputs.items():
                if rank not in found or offset not in entries:
                    continue
                found[rank].outputs.append(output)
                if entries[offset][1].redriven is not None:
                    found[rank].entries.append(entries[offset])

    def _list(self, digest: str) -> Recognition | None:
        if digest not in self._lists:
            self._lists[digest] = load_list(self.store, digest)
        return self._lists[digest]


def _holds(manifest: Manifest, rank: Rank) -> bool:
    """Tell whether an input may be one of the segment's."""
    if manifest.input_first is None or manifest.input_last is None:
        return False
    return manifest.epoch == rank[0] and manifest.input_first <= rank[1] <= manifest.input_last


def _read(record: ConsumerRecord) -> Reading | None:
    try:
        return read_event(record.value or b"", record.headers, key=record.key)
    except UnreadableError:
        return None
