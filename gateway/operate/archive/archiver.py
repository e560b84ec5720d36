"""Archives what is due, lane by lane, one segment in memory at a time; closes days that all lanes are
past."""

import asyncio
import datetime
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import structlog
from aiokafka import AIOKafkaConsumer

from gateway import __version__
from gateway.adapters import kafka
from gateway.adapters.list_watch import ListWatch
from gateway.adapters.own_signatures import RecordSigner, load_record_signer
from gateway.adapters.settings import Settings
from gateway.contract.topics import LaneId
from gateway.core.times import china_date, format_instant, parse_instant
from gateway.errors import BrokerUnreachableError, GatewayError
from gateway.operate.archive.collect import LaneCollector
from gateway.operate.archive.keep import keep_list, keep_settings
from gateway.operate.archive.lane_state import LaneState
from gateway.operate.archive.layout import days_of, find_last, last_closing, require_readable
from gateway.operate.archive.manifest import (
    DAY,
    FORMAT,
    DayClosing,
    LaneEnd,
    Manifest,
    digest_of,
    seal,
)
from gateway.operate.archive.segment import FencedError, Segment, Written, day_of, write_segment
from gateway.operate.archive.standing import archived_lanes, hidden_ledgers
from gateway.operate.archive.store import Store
from gateway.operate.audit.outputs import FETCH

log = structlog.get_logger("gateway.archive")

CLIENT_ID = f"{kafka.CLIENT_ID}-archive"
_GRACE_S = 300
"""How long after a day's end it is closed at the earliest: clocks differ."""
_MEGABYTE = 1_000_000


@dataclass
class Archiver:
    """Archives into ``store``, of which it is the only writer. Make it by ``prepared``."""

    settings: Settings
    store: Store
    signer: RecordSigner | None
    watch: ListWatch
    settings_digest: str
    on_written: Callable[[Manifest], None] = lambda _: None
    """Called with each segment's manifest once it is there."""
    _before: dict[str, Written | None] = field(default_factory=dict)
    _unknown: set[str] = field(default_factory=set)
    _hidden_since: dict[str, int] = field(default_factory=dict)
    """When a lane's ledger was first seen to be hidden, in milliseconds since the epoch."""
    _floor: str | None = None
    """The first day that is not closed; None where none is closed."""

    @classmethod
    def prepared(cls, settings: Settings, store: Store, now: float) -> "Archiver":
        """Make an archiver, and archive the list and the settings as they are now.

        Raises ConfigurationError, RecognitionListError, GatewayError.
        """
        signer, watch = load_record_signer(settings), ListWatch(settings.recognition_dir)
        digest, changed = keep_settings(store, settings, signer, settings.ledger.digest, now)
        if changed:
            log.info("archive.settings_changed", changes=changed)
        archiver = cls(settings, store, signer, watch, digest)
        archiver.keep_list(now)
        closed = last_closing(store)
        archiver._floor = None if closed is None else _next_day(closed[0])
        return archiver

    def keep_list(self, now: float) -> None:
        """Archive the list that is now in force, if it is a new one."""
        self.watch.reload()
        digest, folder = self.watch.current.digest, self.settings.recognition_dir
        if not keep_list(self.store, folder, digest, self.signer, self.settings.ledger.digest, now):
            log.warning("archive.list_not_kept", list_digest=digest, why="its files are being edited; tried again")

    async def run_pass(self, now: float, *, everything: bool) -> dict[str, LaneState]:
        """Archive what is due in all lanes, or ``everything``; return the lanes' states by name.

        ``now`` is in seconds since the epoch. Raises GatewayError, KafkaError.
        """
        states = {}
        async with AsyncExitStack() as stack:
            entries, records = [
                await stack.enter_async_context(kafka.consumer(self.settings, **FETCH, client_id=CLIENT_ID))
                for _ in range(2)
            ]
            hidden = await hidden_ledgers(self.settings, lanes := await archived_lanes(self.settings))
            self._hidden_since = {
                name: self._hidden_since.get(name, round(now * 1000)) for name in map(str, hidden)
            }  # fmt: skip
            for lane in lanes:
                state = await self._try_lane(lane, entries, records, now, everything=everything)
                states[str(lane)] = self._behind_hidden(lane, hidden[lane], state) if lane in hidden else state
        self._close_days(states, now)
        return states

    def _behind_hidden(self, lane: LaneId, ledger: str, state: LaneState) -> LaneState:
        """Return ``state`` as that of a lane of which there may be more than its ``ledger`` shows now."""
        log.warning("archive.lane_waiting", lane=str(lane), waits_for=ledger)
        # How old what is hidden is cannot be seen: it is as old as that at least, so that the alert fires.
        since = self._hidden_since[str(lane)]
        since = since if state.open_since is None else min(since, state.open_since)
        return state._replace(waits_for=state.waits_for or ledger, open_since=since)

    async def _try_lane(
        self, lane: LaneId, entries: AIOKafkaConsumer, records: AIOKafkaConsumer, now: float, *, everything: bool
    ) -> LaneState:
        """Archive a lane; what is wrong with it alone is logged, and holds no other lane up."""
        try:
            return await self._archive_lane(lane, entries, records, now, everything=everything)
        except (FencedError, BrokerUnreachableError):
            raise
        except GatewayError as error:
            log.error("archive.lane_failed", lane=str(lane), why=str(error))  # noqa: TRY400
            before = self._before.get(str(lane))
            since = parse_instant(before.manifest.last_received) if before is not None else None
            return LaneState(failed=str(error), open_since=None if since is None else since // 1000)

    async def _archive_lane(
        self, lane: LaneId, entries: AIOKafkaConsumer, records: AIOKafkaConsumer, now: float, *, everything: bool
    ) -> LaneState:
        before = self._written_before(lane)
        start, with_bytes = (before.manifest.next if before else None), self.settings.archive.input_bytes
        collector = LaneCollector(self.settings, lane, entries, records, start, with_bytes)
        backlog = await collector.open()
        first = await collector.first() if backlog else None
        if first is None:
            return LaneState()
        # An entry takes two offsets with its marker, and two lanes share the ledger's partition.
        is_due = everything or backlog > 4 * self.settings.archive.segment_entries
        if not is_due and not self._is_due(lane, first[0].timestamp, self._day(lane, first[1].received), now):
            return LaneState(open_since=first[0].timestamp, open_day=self._day(lane, first[1].received))
        return await self._write_due(lane, collector, now, everything=everything)

    async def _write_due(self, lane: LaneId, collector: LaneCollector, now: float, *, everything: bool) -> LaneState:
        state, segment = LaneState(), None
        async for each in collector.collect():
            day = self._day(lane, each.entry.received) if segment is None else max(segment.day, day_of(each))
            if segment is not None and (segment.day != day or self._is_full(segment)):
                state = await self._write(segment, state, now)
                segment = None
            segment = segment or Segment(lane, day, self.settings.archive.input_bytes)
            segment.add(each)
        if collector.waits_for is not None:
            log.warning("archive.lane_waiting", lane=str(lane), waits_for=collector.waits_for)
            state = state._replace(waits_for=collector.waits_for)
        if segment is None:
            return state._replace(open_since=collector.stopped_at)
        first = segment.entries[0].record.timestamp
        if everything or self._is_full(segment) or self._is_due(lane, first, segment.day, now):
            return await self._write(segment, state, now)
        return state._replace(open_since=first, open_day=segment.day)

    async def _write(self, segment: Segment, state: LaneState, now: float) -> LaneState:
        lane = str(segment.lane)
        written = await asyncio.to_thread(
            write_segment, self.store, segment, self._before[lane],
            settings_digest=self.settings_digest, algorithm=self.settings.ledger.digest, signer=self.signer, now=now,
        )  # fmt: skip
        self._before[lane] = written
        manifest = written.manifest
        self._note_unknown_lists(manifest.lists)
        for lost in manifest.lost:
            log.error(
                "archive.lost", lane=lane, day=manifest.day, segment=manifest.segment, what=lost.what, topic=lost.topic,
                partition=lost.partition, first_offset=lost.first, last_offset=lost.last, count=lost.count,
            )  # fmt: skip
        self.on_written(manifest)
        log.info(
            "archive.written", lane=lane, day=manifest.day, segment=manifest.segment, entries=manifest.entries,
            records=manifest.records, bytes=sum(each.bytes for each in manifest.files),
        )  # fmt: skip
        return state._replace(
            segments=state.segments + 1, entries=state.entries + manifest.entries,
            records=state.records + manifest.records, lost=state.lost + len(manifest.lost),
        )  # fmt: skip

    def _note_unknown_lists(self, lists: list[str]) -> None:
        for digest in lists:
            if digest != self.watch.current.digest and digest not in self._unknown:
                self._unknown.add(digest)
                place = f"lists/{digest.replace(':', '-')}/edition.json"
                if self.store.read(place) is None:
                    log.warning("archive.list_unknown", list_digest=digest)

    def _written_before(self, lane: LaneId) -> Written | None:
        """Return the lane's newest manifest: as this archiver wrote it, or as it was found."""
        name = str(lane)
        if name not in self._before:
            found = find_last(self.store, name)
            self._before[name] = None if found is None else Written(
                require_readable(self.store, found), digest_of(self.settings.ledger.digest, found.raw)
            )  # fmt: skip
        return self._before[name]

    def _day(self, lane: LaneId, received: int) -> str:
        """Return the day of an entry that begins a segment: never before its lane's last one, nor one
        that is closed."""
        before = self._before.get(str(lane))
        days = [china_date(received * 1000), self._floor or "", before.manifest.day if before else ""]
        return max(days)

    def _is_due(self, lane: LaneId, written_at: int, day: str, now: float) -> bool:
        is_old = now * 1000 - written_at >= self.settings.archive.segment_minutes * 60_000
        return is_old or day < china_date(round(now * 1e6))

    def _is_full(self, segment: Segment) -> bool:
        limits = self.settings.archive
        return len(segment.entries) >= limits.segment_entries or segment.size >= limits.segment_megabytes * _MEGABYTE

    def _close_days(self, states: dict[str, LaneState], now: float) -> None:
        """Close the days that are over, and of which no lane has anything left that is to be archived."""
        open_days = [each.open_day for each in states.values() if each.open_day is not None]
        if any(each.waits_for or each.failed for each in states.values()):
            return
        today, days = china_date(round((now - _GRACE_S) * 1e6)), days_of(self.store)
        day = self._floor or (days[0] if days else today)
        while day < today and all(each > day for each in open_days):
            self.close_day(day, sorted(states), now)
            day = self._floor = _next_day(day)

    def close_day(self, day: str, lanes: list[str], now: float) -> None:
        """Write the closing of ``day``, after which nothing is written for it. Raises FencedError."""
        last = last_closing(self.store)
        algorithm, ends = self.settings.ledger.digest, list[LaneEnd]()
        known = {each.lane: each for each in last[2].lanes} if last is not None and last[2] is not None else {}
        for lane in sorted({*lanes, *known}):
            found = find_last(self.store, lane, until=day)
            if found is not None:
                manifest = require_readable(self.store, found)
                ends.append(LaneEnd(lane, manifest.segment, manifest.day, digest_of(algorithm, found.raw)))
        closing = DayClosing(
            format=FORMAT, day=day, lanes=ends, previous=None if last is None else digest_of(algorithm, last[1]),
            written=format_instant(round(now * 1e6)), version=__version__,
        )  # fmt: skip
        if not self.store.create(f"{day}/{DAY}", seal(closing, self.signer)):
            raise FencedError(f"{self.store.place}/{day}/{DAY}: another archiver has closed this day. One is enough.")
        log.info("archive.day_closed", day=day, lanes=len(ends))


def _next_day(day: str) -> str:
    return (datetime.date.fromisoformat(day) + datetime.timedelta(days=1)).isoformat()
