"""Reads a lane's chain of ledger entries: where it ends, what the lane decided of late, and what it
remembers."""

import time
from dataclasses import dataclass, field
from typing import Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from gateway.adapters import kafka
from gateway.adapters.settings import Settings
from gateway.adapters.topic_reader import Span, find_last, find_spans, read_spans
from gateway.contract.headers import REMEMBERED_HEADER, Headers
from gateway.contract.ledger_entry import Entry, Previous, entry_digest, has_remembered, read_entry
from gateway.contract.outputs import digest, is_digest_of
from gateway.contract.topics import LaneId, Topics
from gateway.core.decision import Outcome
from gateway.relay.committed import Committed
from gateway.relay.continuity import Link, Links
from gateway.relay.horizon import OCCURRENCE_BYTES, Horizon
from gateway.relay.horizons import make_horizon

_MOST_CHAINS = 16


class LedgerRecord(Protocol):
    """What is read of a record of the ledger."""

    @property
    def key(self) -> bytes | None: ...  # noqa: D102

    @property
    def value(self) -> bytes | None: ...  # noqa: D102

    @property
    def headers(self) -> Headers: ...  # noqa: D102


@dataclass
class Chain:
    """A lane's entries that follow from one another, oldest first, as far back as was read.

    ``tip`` is the digest of the newest, ``last_turn`` the newest that moved the lane, ``received_at`` the
    latest time at which an input of them was received. ``reaches_back`` tells whether they say all that is
    to be remembered.
    """

    reaches_back: bool
    links: Links = field(default_factory=Links)
    tip: str = ""
    last_turn: Entry | None = None
    received_at: int | None = None
    has_committed: bool = False
    is_forked: bool = False
    horizon: Horizon | None = None
    forwarding: list[Entry] = field(default_factory=list)
    """The oldest and the newest turn of them that forwarded something: what the outputs must have, to be
    learned from."""

    @property
    def previous(self) -> Previous:
        """The chain's end, as the next entry names it."""
        return Previous(self.tip, self.received_at)

    def add(self, record: LedgerRecord, entry: Entry, committed: str | None) -> None:
        """Add the next entry; ``committed`` is the digest that the group has of the newest."""
        if is_digest_of(committed, [record.value or b""]):
            self.tip, self.has_committed = committed or "", True
        else:
            self.tip = entry_digest(entry, record.value or b"")
        if entry.is_of_a_turn:
            self.last_turn = entry
            self.links.add(Link(entry.first_offset, entry.last_offset, entry.last_input, entry.log))
            self.links.has_first |= entry.is_first
            self.received_at = max(entry.received, entry.previous_received or 0, self.received_at or 0)
            if any(count.outcome == Outcome.FORWARD for count in entry.counts):
                self.forwarding = [*self.forwarding[:1], entry]
        elif self.received_at is None:
            self.received_at = entry.previous_received
        if entry.acknowledged is not None and entry.acknowledged.entry is None:
            self.reaches_back = True  # somebody has taken note that it does not


async def read_chain(
    settings: Settings, topics: Topics, lane: LaneId, committed: Committed | None, *, back_to: int | None = None
) -> Chain | None:
    """Read the lane's chain, from its end back to where its horizon begins; None where the ledger has no
    entry of it.

    Of entries that do not follow from one another, those count that lead to the one committed, or else to
    the newest; but all are learned from, since what any of them forwarded was forwarded. ``back_to``
    (milliseconds since the epoch) is when the oldest record to be decided was received, where that is
    earlier than the chain's end. All that is to be read must be visible: see ``gateway.relay.opening``.
    """
    partition, horizon_ms = TopicPartition(topics.ledger, lane.partition), settings.duplicates.horizon_ms
    async with kafka.consumer(settings) as consumer:
        consumer.assign([partition])
        (whole,) = (await find_spans(consumer, [partition])).values()
        if committed is not None and committed.ledger_from is not None:
            whole = Span(whole.log_start, min(max(committed.ledger_from, whole.start), whole.end), whole.end)
        last = await _find_last_turn(consumer, lane, partition, whole)
        if last is None:
            # No turn's entry; a redrive's or an acknowledgement's alone says what it says.
            return await _read(consumer, settings, lane, partition, whole, committed, since=0)
        # A broker's clock that was ahead for a while shortens nothing.
        begin = min(_received(last), int(time.time() * 1000), back_to if back_to is not None else _received(last))
        since = begin - horizon_ms
        (found,) = (await find_spans(consumer, [partition], since=since)).values()
        start = max(min(found.start, last.offset), whole.start)
        rewound = max(0, _received(last) - begin) if back_to is not None else 0
        span = Span(whole.log_start, start, whole.end)
        chain = await _read(consumer, settings, lane, partition, span, committed, since=since, rewound=rewound)
        if chain is not None and chain.last_turn is None and start > whole.start:
            return await _read(consumer, settings, lane, partition, whole, committed, since=since)
        return chain


def _received(record: ConsumerRecord) -> int:
    """Return when an entry's last input was received, in milliseconds; the record's own time where it cannot
    be read."""
    entry = read_entry(record.value)
    return int(record.timestamp) if entry is None else entry.received


async def _find_last_turn(
    consumer: AIOKafkaConsumer, lane: LaneId, partition: TopicPartition, span: Span
) -> ConsumerRecord | None:
    key = str(lane).encode()

    def is_wanted(record: ConsumerRecord) -> bool:
        entry = read_entry(record.value) if record.key == key else None
        return entry is not None and entry.is_of_a_turn

    return await find_last(consumer, partition, span, is_wanted)


async def newest_digest(settings: Settings, topics: Topics, lane: LaneId, algorithm: str) -> str | None:
    """Return the digest of the lane's newest entry of any kind; None where it has none."""
    partition, key = TopicPartition(topics.ledger, lane.partition), str(lane).encode()
    async with kafka.consumer(settings) as consumer:
        consumer.assign([partition])
        (span,) = (await find_spans(consumer, [partition])).values()
        last = await find_last(
            consumer, partition, span, lambda each: each.key == key and read_entry(each.value) is not None
        )
    return None if last is None else digest(algorithm, [last.value])


async def _read(
    consumer: AIOKafkaConsumer, settings: Settings, lane: LaneId, partition: TopicPartition, span: Span,
    committed: Committed | None, *, since: int, rewound: int = 0,
) -> Chain | None:  # fmt: skip
    """Read ``span`` into chains of entries that follow from one another, and return the one that counts."""
    chains = Chains(str(lane).encode(), make_horizon(settings, rewound_ms=rewound), committed, since=since)
    async for _, records in read_spans(consumer, {partition: span}):
        for record in records:
            chains.add(record)
    return chains.counting()


class Chains:
    """The lane's entries as they are read, in chains of those that follow from one another.

    ``key`` is the lane's, ``horizon`` what is to learn them; it begins at ``since``.
    """

    def __init__(self, key: bytes, horizon: Horizon, committed: Committed | None, *, since: int) -> None:
        self._key, self._since = key, since
        self._committed = committed.entry if committed is not None else None
        self._horizon = horizon
        self._chains = list[tuple[Chain, LedgerRecord]]()

    def add(self, record: LedgerRecord) -> None:
        """Take the next record of the ledger partition."""
        entry = read_entry(record.value) if record.key == self._key else None
        if entry is None:
            return
        for index in range(len(self._chains) - 1, -1, -1):
            chain, last = self._chains[index]
            if is_digest_of(entry.previous, [last.value or b""]):
                del self._chains[index]
                break
        else:
            chain = Chain(_is_past(entry, self._since))
        chain.add(record, entry, self._committed)
        chain.reaches_back = _learn(self._horizon, record, entry) and chain.reaches_back
        self._chains.append((chain, record))
        del self._chains[:-_MOST_CHAINS]

    def counting(self) -> Chain | None:
        """Return the chain that counts: of the entry committed, or else the newest; None where there is
        none."""
        if not self._chains:
            return None
        newest = self._chains[-1][0]
        chain = next((chain for chain, _ in reversed(self._chains) if chain.has_committed), newest)
        chain.is_forked, chain.horizon = len(self._chains) > 1, self._horizon
        return chain


def _learn(horizon: Horizon, record: LedgerRecord, entry: Entry) -> bool:
    """Let ``horizon`` learn what ``entry`` remembers; False where it does not say, or not as it was
    written."""
    remembered = dict(record.headers).get(REMEMBERED_HEADER)
    if remembered is None or len(remembered) % OCCURRENCE_BYTES or not has_remembered(entry, remembered):
        return not any(count.outcome == Outcome.FORWARD for count in entry.counts)
    horizon.learn(remembered)
    horizon.keep()
    return True


def _is_past(entry: Entry, since: int) -> bool:
    """Tell whether nothing before ``entry``, the first one there, is still to be remembered."""
    before = entry.previous_received
    return entry.is_first or (before is not None and before < since)
