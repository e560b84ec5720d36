"""How far an archive is: what of each lane's ledger it does not have yet."""

import math
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import NamedTuple

from aiokafka import TopicPartition

from gateway.adapters import kafka
from gateway.adapters.hidden_ends import HiddenEnds, named
from gateway.adapters.settings import Settings
from gateway.contract.topics import LaneId, Topics, lanes_of
from gateway.operate.archive.collect import LaneCollector
from gateway.operate.archive.layout import find_last, require_readable
from gateway.operate.archive.store import Store
from gateway.operate.audit.expiry import find_retention
from gateway.operate.audit.outputs import FETCH

BEHIND = 0.5
"""Of the time that topics keep their records: what is older and not archived is logged, and an alert."""


class LaneStanding(NamedTuple):
    """Where the archive of a lane stands. ``written``: when its newest segment was written, as an instant in
    UTC; None: it has none. ``open_since``: when the first ledger entry was written that it does not have, in
    milliseconds since the epoch; None: it has all that can be read. ``has_lost``: entries were gone before
    they were archived. ``waits_for``: its partition of the ledger, where that cannot be read to its end."""

    lane: LaneId
    written: str | None
    open_since: int | None
    has_lost: bool
    waits_for: str | None


async def lane_standings(settings: Settings, store: Store) -> list[LaneStanding]:
    """Compare the archive in ``store`` with the ledger, lane by lane.

    Raises ConfigurationError where the archive is that of another ledger, GatewayError, KafkaError.
    """
    standings = []
    async with AsyncExitStack() as stack:
        entries, records = [
            await stack.enter_async_context(kafka.consumer(settings, **FETCH)) for _ in range(2)
        ]  # fmt: skip
        hidden = await hidden_ledgers(settings, lanes := await archived_lanes(settings))
        for lane in lanes:
            found = find_last(store, str(lane))
            manifest = None if found is None else require_readable(store, found)
            start = None if manifest is None else manifest.next
            collector = LaneCollector(settings, lane, entries, records, start, with_bytes=False)
            first = await collector.first() if await collector.open() else None
            written = None if manifest is None else manifest.written
            has_lost = start is not None and collector.ledger_span.log_start > start.ledger
            since = None if first is None else first[0].timestamp
            standings.append(LaneStanding(lane, written, since, has_lost, hidden.get(lane)))
    return standings


async def archived_lanes(settings: Settings) -> list[LaneId]:
    """List the lanes that an archiver follows: those whose partition all topics have."""
    topics, counts = settings.topic_names, dict[str, int]()
    for each in await kafka.partitions_of(settings, archived_topics(topics)):
        counts[each.topic] = counts.get(each.topic, 0) + 1
    return [lane for lane in lanes_of(topics, counts) if lane.partition < min(counts.values())]


async def hidden_ledgers(settings: Settings, lanes: Sequence[LaneId]) -> dict[LaneId, str]:
    """Name the ledger's partition of each lane that has one which cannot be read to its end, as somebody's
    transaction is open there.

    Waits a moment for what is just being committed, for all lanes together. What stands in the ledger now
    can be read thereafter, but for these lanes'. Raises GatewayError, KafkaError.
    """
    ledgers = {lane: TopicPartition(settings.topic_names.ledger, lane.partition) for lane in lanes}
    hidden = await HiddenEnds(settings, sorted(set(ledgers.values()))).settle() if ledgers else []
    return {lane: named(ledger) for lane, ledger in ledgers.items() if ledger in hidden}


def archived_topics(topics: Topics) -> list[str]:
    """List the topics whose records are archived."""
    return [name for name in topics.all if name != topics.feedback]


async def shortest_retention(settings: Settings) -> float:
    """Return how long the topics keep what is archived, in seconds: the shortest; infinity: for ever."""
    found = await find_retention(settings, archived_topics(settings.topic_names))
    kept = [each for each in found.kept_ms.values() if each is not None and each >= 0]
    return min(kept, default=math.inf) / 1000
