"""What relays would have written for feedback to count."""

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from gateway.adapters import kafka
from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import Settings
from gateway.contract.ledger_entry import Previous
from gateway.contract.topics import LaneId
from gateway.operate.simulate import Simulated
from gateway.relay.horizon import Horizon
from gateway.relay.transaction import MAX_BATCH_BYTES, send_in_transaction
from gateway.relay.turn import take_turn

TURN = 500


@dataclass(frozen=True, slots=True)
class Received:
    """An event as a lane receives it."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes
    headers: list[tuple[str, bytes]] = field(default_factory=list)


class RelaysWork:
    """Writes what relays write, turn by turn in transactions, some of them aborted; without the time that
    deciding takes."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topics = settings.topic_names
        self._recognition = load_recognition(settings.recognition_dir)
        self._offsets: Counter[LaneId] = Counter()
        self._horizons: dict[LaneId, Horizon] = {}
        self._previous: dict[LaneId, Previous] = {}

    def grow(self, partitions: int) -> None:
        """Write into so many partitions from now on."""
        topics = self._settings.topics.model_copy(update={"partitions": partitions})
        self._settings = self._settings.model_copy(update={"topics": topics})

    async def write(self, events: list[Simulated], now: int, *, abort_share: float = 0) -> None:
        lanes: dict[LaneId, list[Simulated]] = {}
        for number, event in enumerate(events):
            lane = LaneId(
                event.province, self._topics.display(event.province), number % self._settings.topics.partitions
            )
            lanes.setdefault(lane, []).append(event)
        chance = random.Random(7)
        async with kafka.producer(
            self._settings, transactional_id=f"{self._settings.topic_prefix}relays-work", max_batch_size=MAX_BATCH_BYTES
        ) as producer:
            for start in range(0, max(map(len, lanes.values())), TURN):
                for lane, published in lanes.items():
                    turn = published[start : start + TURN]
                    if turn and chance.random() < abort_share:
                        await self._turn(producer, lane, turn, now, abort=True)
                    if turn:
                        await self._turn(producer, lane, turn, now, abort=False)

    async def _turn(self, producer: Any, lane: LaneId, events: list[Simulated], now: int, *, abort: bool) -> None:
        first = self._offsets[lane]
        records = [Received(first + n, now, event.key, event.value) for n, event in enumerate(events)]
        horizon = self._horizons.setdefault(lane, Horizon(10**9, 10**6))
        turn = take_turn(
            lane, records, self._recognition, horizon, self._previous.get(lane), topics=self._topics, algorithm="sha256"
        )
        if abort:
            horizon.forget()
            await producer.begin_transaction()
            for output in turn.outputs[:50]:
                await producer.send(output.topic, key=output.key, value=output.value, partition=lane.partition)
            await producer.abort_transaction()
            return
        await send_in_transaction(producer, turn.outputs, lane.partition, {}, "")
        horizon.keep()
        self._offsets[lane] += len(records)
        self._previous[lane] = Previous(turn.entry_digest, now)
