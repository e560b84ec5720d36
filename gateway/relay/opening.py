"""Finds out where a lane stands when it opens, from Kafka alone. The state machine is in docs/opening.md."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

from gateway.contract.ledger_entry import UNKNOWN_LOG, InputLog, Previous
from gateway.core.decision import Lost
from gateway.relay.chain import Chain
from gateway.relay.committed import Committed
from gateway.relay.continuity import Continuation, Link, Links, LogChange, LogState, Look, Standing, continue_in
from gateway.relay.evidence import Evidence, GroupNotLoadedError, Visible
from gateway.relay.horizon import Horizon

HORIZON_INCOMPLETE = "horizon_incomplete"
"""Why a lane waits until `gateway acknowledge --horizon` has taken note of it."""

_MOST_EPOCHS = 64
_POLL_S = 0.05
_AGAIN_S = 1.0
_END_BEHIND_S = 30.0
"""For so long a new leader may still learn where its log ends (its high watermark)."""


@dataclass(slots=True)
class Known:
    """What a lane knows: where it stands, the links of its chain, what it remembers, and in which ledger its
    chain stands."""

    standing: Standing
    links: Links
    horizon: Horizon
    ledger_id: str | None = None


@dataclass(frozen=True, slots=True)
class Opening:
    """What was found: ``known``, what is lost before it goes on, whether an epoch begins, and where first
    entries can stand.

    ``is_new`` says that nothing is committed yet for this position.
    """

    known: Known
    lost: Lost | None
    change: LogChange | None
    is_new: bool
    ledger_end: int


class Survey(NamedTuple):
    """Where a lane stands, for who writes into its chain and decides nothing."""

    standing: Standing
    links: Links
    continuation: Continuation


class LaneTakenOverError(Exception):
    """Somebody else has written into the lane's chain while it waited: it is to be opened again."""


class _LogMovedError(Exception):
    """The log's beginning has moved while it was looked at: look again."""


@dataclass(slots=True)
class Opener:
    """Opens a lane, whose producer has been started already, so that nobody else writes for it.

    ``waits`` is called with the cause as long as something is waited for, and ``says`` with what is to be
    logged at error level: an event name and its fields.
    """

    evidence: Evidence
    waits: Callable[[str], None]
    says: Callable[..., None]

    async def open(self, known: Known | None) -> Opening:
        """Find out where the lane stands; ``known`` is what it knew when it was open before, which may still
        hold."""
        committed = await self._committed()
        ledger = await self._see_through(self.evidence.ledger, "ledger_hidden")
        if known is None or not await self._is_newest(known):
            known = await self._read(committed)
        continuation = await self._continue(known.standing, known.links)
        if continuation.change is not None:
            known = await self._rewind(known, continuation.standing, committed)
        known.standing = continuation.standing
        known.links.mark(Look(continuation.leader_epoch, known.standing.next_offset))
        known.ledger_id = ledger.topic_id
        is_new = committed is None or not committed.is_ours or committed.next_offset != known.standing.next_offset
        return Opening(known, continuation.lost, continuation.change, is_new, ledger.end)

    async def survey(self) -> Survey:
        """Find out where the lane stands, but not what it remembers; nothing is changed."""
        committed = await self._committed()
        await self._see_through(self.evidence.ledger, "ledger_hidden")
        standing, links = await self._stand(await self.evidence.chain(committed), committed)
        if committed is not None:
            links.resume(committed.begin, committed.look)
        return Survey(standing, links, await self._continue(standing, links))

    async def is_continuous(self, known: Known) -> bool:
        """Tell whether the log is still the one that ``known`` speaks of, by as much as is looked at in one
        go; the lane may go on meanwhile."""
        standing, state = known.standing, await self.evidence.log()
        if state is None:
            return True  # there is no leader now: a fetch will say
        try:
            continuation = await self._compare(state, standing, known.links)
        except _LogMovedError:
            return True
        await self._compare_ledger(known)
        if continuation.change is not None or continuation.lost is not None:
            return False
        known.links.mark(Look(continuation.leader_epoch, standing.next_offset))
        return True

    async def _compare_ledger(self, known: Known) -> None:
        """Say that the ledger is another one under the name; what was forwarded is still known, so that the
        lane goes on."""
        ledger = await self.evidence.ledger()
        if ledger is None or None in {ledger.topic_id, known.ledger_id} or ledger.topic_id == known.ledger_id:
            return
        self.says("ledger.discontinued", entry=known.standing.entry, next_offset=known.standing.next_offset)
        known.ledger_id = ledger.topic_id

    async def _continue(self, standing: Standing, links: Links) -> Continuation:
        while True:
            state = await self._log_state(standing)
            with contextlib.suppress(_LogMovedError):
                return await self._compare(state, standing, links)

    async def _compare(self, state: LogState, standing: Standing, links: Links) -> Continuation:
        ends = await self._epoch_ends(state, standing, links)
        continuation = await continue_in(state, standing, links, self._is_still_there, epoch_ends=ends)
        end = links.end
        if continuation.change is not None or end is None or await self._is_without_records(end, standing.next_offset):
            return continuation
        log = continuation.standing.log
        begun = Standing(max(end, state.start), standing.previous, InputLog(log.topic_id, log.epoch + 1))
        return Continuation(begun, state.leader_epoch, None, LogChange.RECORD)

    async def _epoch_ends(self, state: LogState, standing: Standing, links: Links) -> list[int]:
        """Return where the epochs of the leaders ended that the log had since the last look, but its present
        one; of all, where nobody knows when it was looked at."""
        look = links.look
        since = max(look.leader_epoch if look is not None else 0, state.leader_epoch - _MOST_EPOCHS)
        is_same = standing.log.topic_id in {None, state.topic_id}
        if links.newest is None or not is_same or since >= state.leader_epoch:
            return []
        return await self.evidence.epoch_ends(since, state.leader_epoch)

    async def _is_without_records(self, begin: int, end: int) -> bool:
        """Tell whether nothing but markers and aborted records stands there, as where a lane passed.

        A record would be another log's.
        """
        if begin >= end:
            return True
        first = await self.evidence.first_record(begin)
        return first is None or first.offset >= end

    async def _is_newest(self, known: Known) -> bool:
        entry = known.standing.entry
        return entry is not None and await self.evidence.newest_digest(entry.partition(":")[0]) == entry

    async def _read(self, committed: Committed | None) -> Known:
        """Read the chain, and where it ends; and the horizon, from the chain or from the outputs."""
        chain = await self.evidence.chain(committed)
        standing, links = await self._stand(chain, committed)
        if committed is not None:
            links.resume(committed.begin, committed.look)
        is_whole = chain is not None and chain.reaches_back and standing.previous == chain.previous
        if chain is not None and chain.horizon is not None and is_whole:
            return Known(standing, links, chain.horizon)
        return Known(standing, links, await self._learn_from_outputs(chain, committed, back_to=None))

    async def _rewind(self, known: Known, standing: Standing, committed: Committed | None) -> Known:
        """Read again what is to be remembered for records that are decided a second time, however old they
        are."""
        known.links.cut(standing.next_offset)
        first = await self.evidence.first_record(standing.next_offset)
        if first is None:
            return known
        chain = await self.evidence.chain(committed, first.received)
        if (
            chain is not None
            and chain.horizon is not None
            and chain.reaches_back
            and chain.previous == standing.previous
        ):
            return Known(standing, known.links, chain.horizon)
        return Known(standing, known.links, await self._learn_from_outputs(chain, committed, back_to=first.received))

    async def _stand(self, chain: Chain | None, committed: Committed | None) -> tuple[Standing, Links]:
        """Find where the lane stands, by its chain, by what was committed, and by its outputs where neither
        says enough."""
        if chain is not None and chain.is_forked:
            self.says("ledger.forked")
        if committed is not None and committed.entry is not None and not _tells_more(chain, committed):
            self.says("ledger.discontinued", entry=committed.entry, next_offset=committed.next_offset)
            links = chain.links if chain is not None else Links()
            if committed.link is not None:
                links.add_committed(committed.link)
            return Standing(committed.next_offset, committed.previous, committed.log), links
        if chain is None or chain.last_turn is None:
            standing = await self._stand_without_turns(chain, committed)
            begin = standing.next_offset if committed is None or committed.begin is None else committed.begin
            return standing, Links(begin)
        turn = chain.last_turn
        if committed is not None and committed.entry == chain.tip:
            # Beyond the entry's last record nothing but markers and aborted records may have been passed.
            return Standing(committed.next_offset, chain.previous, turn.log), chain.links
        standing = Standing(turn.last_offset + 1, chain.previous, turn.log)
        if committed is not None:
            self.says("lane.overruled", committed=committed.next_offset, next_offset=standing.next_offset)
        beyond = await self._beyond_outputs(standing, committed)
        if beyond.log.epoch == standing.log.epoch and beyond.next_offset > standing.next_offset:
            last = beyond.next_offset - 1
            chain.links.add_committed(Link(last, last, None, beyond.log))
        return beyond, chain.links

    async def _stand_without_turns(self, chain: Chain | None, committed: Committed | None) -> Standing:
        previous = chain.previous if chain is not None else committed.previous if committed is not None else None
        if committed is not None and committed.is_ours:
            return Standing(committed.next_offset, previous, committed.log)
        state = await self._log_state(None)
        proposal = committed.next_offset if committed is not None else state.start
        # An offset set by hand that the log does not have, or no longer has, was promised by nobody.
        start = proposal if state.start <= proposal <= state.end else state.start
        if start > state.start:
            self.says("lane.begins_by_hand", log_start=state.start, next_offset=start)
        return await self._beyond_outputs(Standing(start, previous, UNKNOWN_LOG), committed)

    async def _beyond_outputs(self, standing: Standing, committed: Committed | None) -> Standing:
        """Tell by its outputs how far the lane came where no digest does: what has one was decided, whatever
        the ledger lost."""
        if committed is not None and committed.is_ours:
            return standing
        newest = await self.evidence.newest_output()
        if newest is None:
            return standing
        # The entry that accounts for it is lost: what follows must not look like the lane's beginning.
        lost = Previous(None, newest.received)
        if (newest.epoch, newest.offset) < (standing.log.epoch, standing.next_offset):
            return replace(standing, previous=standing.previous or lost)
        start = (await self._log_state(None)).start
        if start > newest.offset or await self.evidence.holds_input(newest):
            standing = Standing(newest.offset + 1, lost, InputLog(None, newest.epoch))
        else:
            standing = Standing(start, lost, InputLog(None, newest.epoch + 1))
        self.says("ledger.discontinued", entry=None, next_offset=standing.next_offset)
        return standing

    async def _learn_from_outputs(
        self, chain: Chain | None, committed: Committed | None, *, back_to: int | None
    ) -> Horizon:
        """Learn from the verification records, as the ledger does not say all; wait where they do not
        either."""
        await self._see_through(self.evidence.verifications, "outputs_hidden")
        found = await self.evidence.horizon_of_outputs(back_to, chain.forwarding if chain is not None else ())
        has_lost_entry = committed is not None and committed.entry is not None and not _tells_more(chain, committed)
        # An entry that nobody has any more may have forwarded something; without a single record nobody can
        # say that.
        if found.reaches_back and not (has_lost_entry and found.is_without_records):
            return found.horizon
        self.says("horizon.incomplete")
        # Until something is added to the chain, or to what stands there where none counts.
        algorithm = chain.tip.partition(":")[0] if chain is not None else "sha256"
        tip = chain.tip if chain is not None else await self.evidence.newest_digest(algorithm)
        while await self.evidence.newest_digest(algorithm) == tip:
            await self._wait(HORIZON_INCOMPLETE)
        raise LaneTakenOverError

    async def _log_state(self, standing: Standing | None) -> LogState:
        """Look how the input log stands; where it ends before the position, wait for a leader that may be
        behind."""
        since = time.monotonic()
        while True:
            state = await self.evidence.log()
            if state is None:
                await self._wait("input_without_leader")
                continue
            is_behind = (
                standing is not None
                and standing.next_offset > state.end
                and standing.log.topic_id in {None, state.topic_id}
            )
            if not is_behind or time.monotonic() - since > _END_BEHIND_S:
                return state
            await self._wait("input_end_behind")

    async def _see_through(self, look: Callable[[], Awaitable[Visible | None]], cause: str) -> Visible:
        """Wait until all that stands in a partition now can be read; return how it stands, with where it
        ended at first."""
        target, began = None, time.monotonic()
        while True:
            visible = await look()
            if visible is not None:
                target = visible.end if target is None else target
                if visible.committed_end >= target:
                    return visible._replace(end=target)
            if time.monotonic() - began > _AGAIN_S:
                self.waits(cause)
            await asyncio.sleep(_POLL_S)

    async def _committed(self) -> Committed | None:
        """Read what the group committed; wait for a coordinator that still loads it, or is looked for."""
        began = time.monotonic()
        while True:
            try:
                return await self.evidence.committed()
            except GroupNotLoadedError:
                if time.monotonic() - began > _AGAIN_S:
                    await self._wait("group_not_loaded")
                else:
                    await asyncio.sleep(_POLL_S)

    async def _is_still_there(self, link: Link) -> bool:
        held = await self.evidence.holds(link)
        if held is None and (await self._log_state(None)).start > link.last_offset:
            raise _LogMovedError
        if not held or link.passed_from is None:
            return bool(held)
        return await self._is_without_records(link.passed_from, link.first_offset)

    async def _wait(self, cause: str) -> None:
        self.waits(cause)
        await asyncio.sleep(_AGAIN_S)


def _tells_more(chain: Chain | None, committed: Committed) -> bool:
    """Tell whether ``chain`` has the entry committed, or goes on behind it."""
    if chain is None or chain.has_committed:
        return chain is not None
    turn = chain.last_turn
    return turn is not None and (turn.epoch, turn.last_offset) >= (committed.log.epoch, committed.next_offset)
