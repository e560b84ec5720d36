"""Archives made without a broker: simulated events, decided as a lane decides them, written as the archiver
writes them."""

import datetime
import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from aiokafka.structs import ConsumerRecord

from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import Settings, load_settings, packaged_config
from gateway.adapters.unreadable import input_digest_of
from gateway.contract.facets import facets_of
from gateway.contract.headers import REDRIVE_HEADER, origin_of
from gateway.contract.ledger_entry import (
    EntrySpan,
    InputLog,
    Previous,
    build_entry,
    entry_digest,
    entry_id,
    input_line,
    read_entry,
)
from gateway.contract.outputs import Output, build_output, destinations_of
from gateway.contract.topics import LaneId
from gateway.core.decision import Outcome
from gateway.core.province import Province
from gateway.decide import decide_bytes
from gateway.operate.archive.archiver import Archiver
from gateway.operate.archive.collect import FILES, Collected
from gateway.operate.archive.manifest import Position
from gateway.operate.archive.rows import Input
from gateway.operate.archive.segment import Segment, Written, write_segment
from gateway.operate.archive.store import open_store
from gateway.operate.simulate import Simulated, Simulator
from gateway.relay.horizon import Horizon
from gateway.relay.turn import take_turn
from tests.patience import PATIENCE_S

CHINA = datetime.timezone(datetime.timedelta(hours=8))
LOG = InputLog("AAAAAAAAAAAAAAAAAAAAAA")


def shipped(**archive: Any) -> Settings:
    """The settings as they ship, with these of the archive."""
    settings = load_settings(packaged_config() / "gateway.yaml")
    return settings.model_copy(update={"archive": settings.archive.model_copy(update=archive)})


@dataclass
class ArchivedLanes:
    """The lanes of both provinces, of one partition; ``write_day`` archives a day of theirs."""

    settings: Settings
    folder: Path | str
    per_turn: int = 10
    per_segment: int = 2
    loses: Callable[[Collected], Collected] = lambda each: each
    """What of an entry and its outputs was still there when it was archived."""
    _offsets: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    _previous: dict[LaneId, Previous] = field(default_factory=dict)
    _written: dict[LaneId, Written | None] = field(default_factory=lambda: defaultdict(lambda: None))
    _horizons: dict[LaneId, Horizon] = field(default_factory=dict)
    _rejected: dict[LaneId, list[ConsumerRecord]] = field(default_factory=lambda: defaultdict(list))
    """The inputs that were rejected."""

    def __post_init__(self) -> None:
        self.topics, self.recognition = self.settings.topic_names, load_recognition(self.settings.recognition_dir)
        self.lanes = [LaneId(province, topic, 0) for topic, province in self.topics.displays.items()]
        self._horizons = {lane: Horizon(259_560_000, 1_000_000) for lane in self.lanes}
        self.store = open_store(str(self.folder))
        self.archiver: Archiver | None = None

    def write_day(
        self, day: str, events: int, seed: int = 1, *, closes: bool = True, archived_on: str | None = None
    ) -> None:
        """Archive a day with so many events, from 8 o'clock on; under a later day where that is
        ``archived_on``."""
        begin = datetime.datetime.fromisoformat(f"{day}T08:00:00+08:00").timestamp()
        if self.archiver is None:
            self.archiver = Archiver.prepared(self.settings, self.store, begin)
        simulator = Simulator(self.recognition, seed)
        sent = [
            (round(begin * 1000) + 1000 * n, simulator.next_event(round(begin * 1000) + 1000 * n))
            for n in range(events)
        ]
        for lane in self.lanes:
            own = [each for each in sent if each[1].province is lane.province]
            self._write_lane(lane, archived_on or day, own)
        if closes:
            self.close_day(day)

    def close_day(self, day: str) -> None:
        """Close a day, a while after its end."""
        assert self.archiver is not None
        end = datetime.datetime.fromisoformat(f"{day}T08:00:00+08:00").timestamp() + 86_400
        self.archiver.close_day(day, [str(lane) for lane in self.lanes], end)

    def _write_lane(self, lane: LaneId, day: str, sent: Sequence[tuple[int, Simulated]]) -> None:
        assert self.archiver is not None
        with_bytes = self.settings.archive.input_bytes
        inputs = [self._place(lane.topic, at, each.key, each.value, each.headers) for at, each in sent]
        turns = [inputs[start : start + self.per_turn] for start in range(0, len(inputs), self.per_turn)]
        for start in range(0, len(turns), self.per_segment):
            segment = Segment(lane, day, with_bytes)
            for records in turns[start : start + self.per_segment]:
                segment.add(self.loses(self._collect(lane, records)))
            self._written[lane] = write_segment(
                self.store, segment, self._written[lane], settings_digest=self.archiver.settings_digest,
                algorithm=self.settings.ledger.digest, signer=self.archiver.signer, now=sent[-1][0] / 1000 + 60,
            )  # fmt: skip

    def _collect(self, lane: LaneId, records: Sequence[ConsumerRecord]) -> Collected:
        """Decide a turn, as a lane does, and collect it, as the archiver does."""
        at, algorithm = records[-1].timestamp, self.settings.ledger.digest
        turn = take_turn(
            lane, records, self.recognition, self._horizons[lane], self._previous.get(lane),
            topics=self.topics, algorithm=algorithm, log=LOG,
        )  # fmt: skip
        self._horizons[lane].keep()
        self._previous[lane] = Previous(turn.entry_digest, at)
        *outputs, ledger = [self._write(at, each) for each in turn.outputs]
        entry = read_entry(ledger.value)
        assert entry is not None
        files = {topic: FILES[outcome] for outcome, topic in destinations_of(lane, self.topics).items()}
        by_input = {origin.offset: each for each in outputs if (origin := origin_of(each.headers)) is not None}
        outcomes = {file: outcome.value for outcome, file in FILES.items()}
        inputs = []
        for record in records:
            output = by_input.get(record.offset)
            outcome = Outcome.DUPLICATE.value if output is None else outcomes[files[output.topic]]
            inputs.append(Input(record, input_digest_of(record), 0, ledger.offset, outcome))
            if outcome == Outcome.REJECT.value:
                self._rejected[lane].append(record)
        behind = {topic: self._offsets[topic] for topic in files}
        position = Position(ledger.offset + 1, 0, entry.last_offset + 1, behind)
        return Collected(ledger, entry, inputs, [(files[each.topic], each) for each in outputs], [], position, 1)

    def redrive(self, lane: LaneId, day: str, events: int = 2) -> None:
        """Put the first ``events`` that a lane rejected through again, each as if it had come first, and
        archive that on ``day`` in a segment of its own."""
        assert self.archiver is not None
        before, records = self._written[lane], self._rejected[lane][:events]
        assert before is not None
        lines = [input_line(each.offset, each.timestamp, input_digest_of(each), each.key) for each in records]
        span = EntrySpan(lane, LOG, records[0].offset, records[-1].offset, records[-1].timestamp, lines)
        at, headers = records[-1].timestamp, ((REDRIVE_HEADER, entry_id(span, self._previous[lane]).encode()),)
        decisions = [
            decide_bytes(
                each.value or b"", lane.province, each.timestamp, self.recognition, key=each.key, headers=each.headers
            )
            for each in records
        ]
        built = [build_output(lane, *each, self.topics) for each in zip(records, decisions, strict=True)]
        outputs = [
            self._write(at, msgspec.structs.replace(each, headers=each.headers + headers)) for each in built if each
        ]
        value = build_entry(
            span, Counter(map(facets_of, decisions)), outputs, self.recognition.digest, self._previous[lane],
            algorithm=self.settings.ledger.digest, redriven=[each.offset for each in records],
        )  # fmt: skip
        ledger = self._write(at, Output(self.topics.ledger, str(lane).encode(), value, ()))
        entry, position = read_entry(value), before.manifest.next
        assert entry is not None
        self._previous[lane] = Previous(entry_digest(entry, value), at)
        behind = position.outputs | {each.topic: self._offsets[each.topic] for each in outputs}
        next_one = Position(ledger.offset + 1, position.epoch, position.input, behind)
        segment = Segment(lane, day, self.settings.archive.input_bytes)
        files = {topic: FILES[outcome] for outcome, topic in destinations_of(lane, self.topics).items()}
        segment.add(Collected(ledger, entry, [], [(files[each.topic], each) for each in outputs], [], next_one, 1))
        self._written[lane] = write_segment(
            self.store, segment, before, settings_digest=self.archiver.settings_digest,
            algorithm=self.settings.ledger.digest, signer=self.archiver.signer, now=at / 1000 + 60,
        )  # fmt: skip

    def _write(self, at: int, output: Output) -> ConsumerRecord:
        return self._place(output.topic, at, output.key, output.value, output.headers)

    def _place(self, topic: str, at: int, key: bytes | None, value: bytes, headers: Any) -> ConsumerRecord:
        offset = self._offsets[topic]
        self._offsets[topic] += 1
        size = (len(key or b""), len(value or b""))
        return ConsumerRecord(topic, 0, offset, at, 1, key, value, None, *size, tuple(headers or ()))


def province_of(lane: str) -> Province:
    """The province that publishes on a lane, by its name."""
    return next(each for each in Province if each.value in lane)


def gateway(settings: Settings, *options: str, expect: int = 0, **environment: str) -> dict[str, Any]:
    """What a command says with ``--format json``; where it says nothing, its ``stderr``. No broker is
    there."""
    nowhere = settings.model_copy(update={"bootstrap_servers": "127.0.0.1:1"})
    done = subprocess.run(
        [sys.executable, "-m", "gateway", *options, "--format", "json"],
        env=os.environ | nowhere.as_environment() | environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert done.returncode == expect, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return dict(json.loads(done.stdout)) if done.stdout else {"stderr": done.stderr}
