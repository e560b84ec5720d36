"""Kafka as a lane sees it, in memory: the input log, the ledger, the outputs and the group's offset."""

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata

from gateway.adapters.settings import load_settings
from gateway.contract.headers import origin_of
from gateway.contract.ledger_entry import Entry, input_line, read_entry
from gateway.contract.outputs import Output, is_digest_of
from gateway.contract.verification import read_verification
from gateway.core.event import Identity
from gateway.core.province import Province
from gateway.core.times import format_instant
from gateway.decide import digest_input
from gateway.operate.examples import display_event
from gateway.relay.chain import Chain, Chains
from gateway.relay.committed import Committed, parse
from gateway.relay.continuity import Link, LogState
from gateway.relay.evidence import First, SentOutput, Visible
from gateway.relay.horizon import Horizon
from gateway.relay.horizons import make_horizon
from gateway.relay.recovery import FoundHorizon
from tests.unit.test_turn import LANE, NOW, TOPICS

SETTINGS = load_settings()
VERIFICATION = TOPICS.verification(Province.CHONGQING)


@dataclass(frozen=True)
class Record:
    """An input record; ``event`` is its number."""

    offset: int
    event: int
    value: bytes
    key: bytes
    timestamp: int
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass
class Written:
    """A record of an output topic or the ledger."""

    key: bytes | None
    value: bytes
    headers: tuple[tuple[str, bytes], ...]


@dataclass
class World:
    """Kafka: the input log, the ledger, the outputs and the group's offset. Answers what a lane asks when it
    opens."""

    topic_id: int = 0
    start: int = 0
    log_: list[Record | None] = field(default_factory=list)  # by offset; None is a marker or an aborted record
    ledger_: list[Written] = field(default_factory=list)
    ledger_start: int = 0
    outputs: dict[str, list[Written]] = field(default_factory=dict)
    offset: OffsetAndMetadata | None = None
    clock: int = NOW
    crash: str | None = None
    decided: set[tuple[int, int]] = field(default_factory=set)
    """What was accounted for, by incarnation of the log and offset."""
    unwitnessed: set[tuple[int, int]] = field(default_factory=set)
    """Undecided records of which nothing is left that could be known: cut off, or of a topic that was
    deleted."""
    skipped: set[tuple[int, int]] = field(default_factory=set)
    """What a lane was set to begin behind."""
    copies: dict[int, set[tuple[int, int]]] = field(default_factory=dict)
    """Where each event was published."""
    incarnation: int = 0
    epoch_ends_: list[int] = field(default_factory=list)
    """Where the epochs of its leaders ended, but the present one's."""

    @property
    def end(self) -> int:
        return len(self.log_)

    @property
    def has_promised(self) -> bool:
        """Whether it is written anywhere that the gateway accounts for what comes."""
        is_ours = self.offset is not None and parse(self.offset.offset, self.offset.metadata).is_ours
        return is_ours or bool(self.ledger_[self.ledger_start :])

    # What a lane asks.

    async def committed(self) -> Committed | None:
        return None if self.offset is None else parse(self.offset.offset, self.offset.metadata)

    async def ledger(self) -> Visible | None:
        return Visible(len(self.ledger_), len(self.ledger_))

    async def verifications(self) -> Visible | None:
        return Visible(0, 0)

    async def newest_digest(self, algorithm: str) -> str | None:
        kept = self.ledger_[self.ledger_start :]
        chains = Chains(str(LANE).encode(), make_horizon(SETTINGS), None, since=0)
        for record in kept[-1:]:
            chains.add(record)
        chain = chains.counting()
        return None if chain is None else chain.tip

    async def chain(self, committed: Committed | None, back_to: int | None = None) -> Chain | None:
        chains = Chains(str(LANE).encode(), make_horizon(SETTINGS), committed, since=0)
        start = self.ledger_start
        if committed is not None and committed.ledger_from is not None:
            start = min(max(start, committed.ledger_from), len(self.ledger_))
        for record in self.ledger_[start:]:
            chains.add(record)
        return chains.counting()

    async def horizon_of_outputs(self, back_to: int | None, forwarding: Sequence[Entry]) -> FoundHorizon:
        horizon = Horizon(SETTINGS.duplicates.horizon_ms, SETTINGS.duplicates.max_ids)
        for record in self.outputs.get(VERIFICATION, []):
            sent = read_verification(record.value)
            assert sent is not None
            identity = Identity(sent.data.event.source, sent.data.event.id, sent.data.holder.ref)
            horizon.remember(identity, sent.data.decision.content_digest, self.clock)
            horizon.keep()
        return FoundHorizon(horizon, reaches_back=True)

    async def newest_output(self) -> SentOutput | None:
        found = []
        for record in self.outputs.get(VERIFICATION, []):
            origin, sent = origin_of(record.headers), read_verification(record.value)
            assert origin is not None
            assert sent is not None
            found.append(SentOutput(origin.epoch, origin.offset, sent.data.decision.input_digest, self.clock))
        return max(found, key=lambda each: each[:2], default=None)

    async def holds_input(self, output: SentOutput) -> bool:
        record = self._at(output.offset)
        is_held = record is not None and digest_input(record.value, record.headers) == output.input_digest
        if is_held:  # another log that has the same record in the same place cannot be told from the first
            self.forget_undecided(0, output.offset + 1)
        return is_held

    async def log(self) -> LogState | None:
        return LogState(f"id-{self.topic_id}", self.start, self.end, len(self.epoch_ends_))

    async def epoch_ends(self, since: int, until: int) -> list[int]:
        return [min(self.epoch_ends_[each:until]) for each in range(since, until)]

    async def holds(self, link: Link) -> bool | None:
        record = self._at(link.last_offset)
        if record is None:
            return None
        line = input_line(record.offset, record.timestamp, digest_input(record.value, record.headers), record.key)
        return is_digest_of(link.last_input, [line])

    async def first_record(self, offset: int) -> First | None:
        found = (record for record in self.log_[max(offset, self.start) :] if record is not None)
        return next((First(record.offset, record.timestamp) for record in found), None)

    @contextlib.asynccontextmanager
    async def looking(self) -> Any:
        yield self

    def _at(self, offset: int) -> Record | None:
        return self.log_[offset] if self.start <= offset < self.end else None

    # What a lane does.

    async def commit(self, outputs: Any, offsets: Any) -> None:
        crash, self.crash = self.crash, None
        if crash == "before":
            raise KafkaError("the worker died before the commit")
        for output in cast("list[Output]", outputs):
            written = Written(output.key, output.value, output.headers)
            if output.topic == TOPICS.ledger:
                self.ledger_.append(written)
                self._note(written.value)
            else:
                self.outputs.setdefault(output.topic, []).append(written)
        (self.offset,) = offsets.values()
        if crash == "after":
            raise KafkaError("the worker died after the commit")

    def _note(self, value: bytes) -> None:
        entry = read_entry(value)
        assert entry is not None
        if entry.records or any(count.outcome == "lost" for count in entry.counts):
            self.decided |= {(self.incarnation, each) for each in range(entry.first_offset, entry.last_offset + 1)}

    # What befalls the log.

    def publish(self, event: int) -> None:
        self.clock += 1000
        made = display_event(Province.SICHUAN) | {"id": f"id-{event}", "time": format_instant(NOW * 1000)}
        raw, key = json.dumps(made).encode(), made["data"]["holder"]["ref"].encode()
        self.copies.setdefault(event, set()).add((self.incarnation, self.end))
        self.log_.append(Record(self.end, event, raw, key, self.clock))

    def heed_an_offset_set_by_hand(self) -> None:
        """A new lane begins where somebody set its offset, if the log has that, and says so
        (``lane.begins_by_hand``)."""
        if self.offset is not None and not self.has_promised and self.start <= self.offset.offset <= self.end:
            self.forget_undecided(0, self.offset.offset)
            self.skipped |= {(self.incarnation, offset) for offset in range(self.offset.offset)}

    def forget_undecided(self, first: int, last: int) -> None:
        """Nobody can know of these offsets any more unless they were accounted for."""
        self.unwitnessed |= {(self.incarnation, each) for each in range(first, last)} - self.decided
