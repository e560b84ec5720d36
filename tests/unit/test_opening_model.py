"""A lane against a log, a ledger and a group that are lost in every order, with a crash at every step
(docs/opening.md).

The lane is the real one, its decisions and entries too; only Kafka is a model: lists in memory, which the
steps cut, delete, restore and expire.
"""

import asyncio
import time
from collections import Counter
from types import SimpleNamespace
from typing import Any
from unittest import mock

from aiokafka.errors import KafkaError, OffsetOutOfRangeError
from aiokafka.structs import OffsetAndMetadata
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.adapters.signatures import NO_SIGNATURES
from gateway.contract.topics import LaneId
from gateway.contract.verification import read_verification
from gateway.relay import lane as lanes
from gateway.relay import opening
from gateway.relay.lane import Lane
from gateway.relay.observer import Times
from gateway.relay.taking import LogChangedError
from gateway.relay.turn import Turn
from tests.unit.lane_world import SETTINGS, VERIFICATION, Record, World
from tests.unit.test_turn import LANE, LIST, TOPICS


class ModelLane(Lane):
    """The real lane, whose Kafka is the world."""

    world: World

    async def _fence(self) -> Any:
        return object()

    def _evidence(self) -> Any:
        return self.world


class SilentObserver:
    def committed(self, lane: LaneId, turn: Turn, times: Times) -> None: ...

    def aborted(self, lane: LaneId) -> None: ...

    def fenced(self, lane: LaneId) -> None: ...

    def ended(self, lane: LaneId) -> None: ...


class LaneModel(RuleBasedStateMachine):
    """Everything that may befall a lane, in any order."""

    world: World
    lane: ModelLane | None

    @initialize()
    def begin(self) -> None:
        self.world, self.lane, self.loop = World(), None, asyncio.new_event_loop()
        self.position = 0

    def teardown(self) -> None:
        if hasattr(self, "loop"):
            try:
                self.drain()
            finally:
                self.loop.close()

    # The lane.

    def make(self) -> ModelLane:
        world = self.world

        async def getmany(*_: Any, max_records: int, **__: Any) -> dict[Any, Any]:
            if not world.start <= self.position <= world.end:
                raise OffsetOutOfRangeError({lane.partition: self.position})
            found, at = [], self.position
            while at < world.end and len(found) < max_records:
                if (record := world.log_[at]) is not None:
                    found.append(record)
                at += 1
            self.position = at
            return {lane.partition: found}

        async def position(_: Any) -> int:
            return self.position

        def seek(_: Any, offset: int) -> None:
            self.position = offset

        consumer = SimpleNamespace(
            getmany=getmany, position=position, seek=seek, partitions_for_topic=lambda _: {LANE.partition}
        )
        lane = ModelLane(LANE, consumer, SETTINGS, TOPICS, "group", lambda: LIST, NO_SIGNATURES, SilentObserver())
        lane.world = world
        return lane

    def step(self, turns: int, *, looks: bool = True, most: int = 100) -> None:
        """Let the lane open and take up to ``turns`` turns of ``most`` records, as ``run`` does, until an
        error.

        It ``looks`` at the log before the first.
        """
        self.lane = self.lane or self.make()
        self.loop.run_until_complete(self._step(self.lane, turns, looks=looks, most=most))

    async def _step(self, lane: ModelLane, turns: int, *, looks: bool, most: int) -> None:
        async def send(_: Any, outputs: Any, __: int, offsets: Any, *___: Any) -> None:
            await self.world.commit(outputs, offsets)

        with (
            mock.patch.object(lanes, "send_in_transaction", send),
            mock.patch.object(opening, "_END_BEHIND_S", 0.0),
            mock.patch.object(opening, "_AGAIN_S", 0.0),
            mock.patch.object(Lane, "_log"),
            mock.patch.object(lanes, "cut_off", mock.AsyncMock()),
        ):
            try:
                if not lane.is_open:
                    self.world.heed_an_offset_set_by_hand()
                    await lane._open()
                lane._looked_at = 0 if looks else time.monotonic()
                for _ in range(turns):
                    lane._limit = most
                    await lane._turn()
                if lane._look is not None:
                    await asyncio.wait([lane._look])
            except (KafkaError, LogChangedError):
                await lane._close()

    def drain(self) -> None:
        """Let the lane come to its end, and hold what came of it against what was published."""
        self.world.crash = None
        for _ in range(6):
            self.step(5)
        assert self.lane is not None
        assert self.lane.is_open
        sent = Counter(
            read_verification(record.value).data.event.id for record in self.world.outputs.get(VERIFICATION, [])
        )
        assert not [event for event, count in sent.items() if count > 1], "forwarded twice"
        for event, places in self.world.copies.items():
            known = places - self.world.unwitnessed
            assert not known or known <= self.world.decided, (
                f"event {event}: neither decided nor lost, and nobody says so"
            )
            named = {place for place in known if self.world.log_[place[1] :] and place[0] == self.world.incarnation}
            kept = [place for place in named if place[1] >= self.world.start and place in self.world.decided]
            assert not kept or sent[f"id-{event}"] == 1, f"event {event} is there, and was not forwarded"

    # The steps.

    @rule(events=st.lists(st.integers(0, 8), min_size=1, max_size=6))
    def publish(self, events: list[int]) -> None:
        for event in events:
            self.world.publish(event)

    @rule()
    def abort(self) -> None:
        self.world.log_.append(None)

    @rule(
        turns=st.integers(0, 3),
        crash=st.sampled_from([None, "before", "after"]),
        looks=st.booleans(),
        most=st.sampled_from([1, 100]),
    )
    def work(self, turns: int, crash: str | None, looks: bool, most: int) -> None:
        self.world.crash = crash
        self.step(turns, looks=looks, most=most)
        self.world.crash = None

    @rule()
    def another_worker(self) -> None:
        self.lane = None

    @rule(share=st.floats(0, 1))
    def expire(self, share: float) -> None:
        world = self.world
        start = world.start + int((world.end - world.start) * share)
        # Behind a position that the log has passed by another way, nothing says that they are gone.
        stands = world.offset.offset if world.offset is not None else world.end
        world.forget_undecided(world.start, min(start, stands))
        if not world.has_promised:
            world.forget_undecided(world.start, start)
        world.start = start

    @rule(share=st.floats(0, 1))
    def cut_back(self, share: float) -> None:
        world = self.world
        end = world.end - int((world.end - world.start) * share)
        world.forget_undecided(0, world.end)
        self._new_incarnation(world.log_[:end])

    @rule(share=st.floats(0, 1))
    def recreate_log(self, share: float) -> None:
        world = self.world
        world.forget_undecided(0, world.end)
        world.topic_id += 1
        kept = int(world.end * share) if not world.start else 0  # restored from elsewhere, up to a point
        self._new_incarnation(world.log_[:kept])
        world.start = 0
        if share < 0.5:
            world.offset = None  # Kafka drops a deleted topic's offsets

    def _new_incarnation(self, kept: list[Record | None]) -> None:
        world = self.world
        before = world.incarnation
        world.incarnation += 1
        world.epoch_ends_.append(len(kept))
        world.log_ = kept
        for offset, record in enumerate(kept):
            if record is not None:
                if (before, offset) in world.decided:
                    world.decided.add((world.incarnation, offset))
                elif (before, offset) in world.skipped:
                    world.skipped.add((world.incarnation, offset))
                    world.unwitnessed.add((world.incarnation, offset))
                elif (before, offset) in world.unwitnessed and offset < world.start:
                    world.unwitnessed.add((world.incarnation, offset))
                world.copies[record.event].add((world.incarnation, offset))

    @rule(share=st.floats(0, 1))
    def cut_ledger(self, share: float) -> None:
        world = self.world
        world.ledger_start += int((len(world.ledger_) - world.ledger_start) * share)
        if not world.has_promised:
            world.forget_undecided(0, world.start)

    @rule()
    def another_leader(self) -> None:
        self.world.epoch_ends_.append(self.world.end)

    @rule(entries=st.integers(1, 3))
    def lose_the_ledgers_tail(self, entries: int) -> None:
        world = self.world
        del world.ledger_[max(world.ledger_start, len(world.ledger_) - entries) :]
        if not world.has_promised:
            world.forget_undecided(0, world.start)

    @rule(offset=st.none() | st.integers(0, 40))
    def reset_offsets(self, offset: int | None) -> None:
        world = self.world
        world.offset = None if offset is None else OffsetAndMetadata(offset, "")
        if not world.has_promised:
            world.forget_undecided(0, world.start)  # that the gateway stood there was written nowhere else

    @invariant()
    def is_consistent(self) -> None:
        if hasattr(self, "world"):
            assert self.world.start <= self.world.end


LaneModel.TestCase.settings = hypothesis_settings(max_examples=150, stateful_step_count=25, deadline=None)
TestLaneModel = LaneModel.TestCase
