"""Is the input log still the one that the lane's entries speak of? What follows if it is not. Pure:
docs/opening.md, step 5."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import NamedTuple

from gateway.contract.ledger_entry import InputLog, Previous
from gateway.core.decision import Lost

_MOST_LINKS = 4_096
_MOST_MARKED = 8


class Link(NamedTuple):
    """What a turn's entry says of the log: its offsets, both inclusive, and the digest of its last record,
    if it has one.

    From ``passed_from`` to its first offset there was no record; None where that is not known.
    """

    first_offset: int
    last_offset: int
    last_input: str | None
    log: InputLog
    passed_from: int | None = None


class LogState(NamedTuple):
    """The log as it is now: the topic's id (None: unknown), the first offset kept, the end of committed
    records, and the leader's epoch, without a change of which no log is cut back."""

    topic_id: str | None
    start: int
    end: int
    leader_epoch: int


class Look(NamedTuple):
    """The last look at the log: under which leader's epoch, and where the lane stood: what it had decided
    then was of the log under its topic's id of then."""

    leader_epoch: int
    next_offset: int


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a lane stands: the next input offset, of which log; and its last ledger entry, None before its
    first."""

    next_offset: int
    previous: Previous | None
    log: InputLog

    @property
    def entry(self) -> str | None:
        """The digest of its last entry; None where it has none, or nobody has it any more."""
        return self.previous.digest if self.previous is not None else None


class LogChange(StrEnum):
    """How it shows that another log stands under the topic's name."""

    TOPIC_ID = "another topic id"
    CUT_BACK = "the log ends before the position"
    RECORD = "another record where an entry ended"


class Continuation(NamedTuple):
    """Where the lane goes on; the epoch of the leader that was asked; the offsets that are lost before that;
    and what has changed, if it is another log."""

    standing: Standing
    leader_epoch: int
    lost: Lost | None = None
    change: LogChange | None = None


class Links:
    """The links of a lane's chain, oldest first: all of late ones, and fewer the older they are, so that
    memory is bounded.

    ``begin`` is the offset at which the lane began, where it says so; ``look`` the last look at the log;
    ``has_first`` tells whether the oldest is that of the lane's first turn.
    """

    def __init__(self, begin: int | None = None) -> None:
        self.begin = begin
        self.look: Look | None = None
        self.has_first = False
        self._links = list[Link]()
        self._marked = list[Link]()

    def add(self, link: Link) -> None:
        """Add the link of the lane's next turn."""
        self._append(link._replace(passed_from=self.end))

    def add_committed(self, link: Link) -> None:
        """Add the link of the lane's last turn, whose entry is lost; what went before it is not known."""
        self._append(link)

    def _append(self, link: Link) -> None:
        self._links.append(link)
        if len(self._links) > _MOST_LINKS:
            half = _MOST_LINKS // 2
            self._links = self._links[:half:2] + self._links[half:]

    def resume(self, begin: int | None, look: Look | None) -> None:
        """Go on from where whoever had the lane before began, and from his last look."""
        self.begin, self.look = begin if self.begin is None else self.begin, look
        if self._links and self.has_first:
            self._links[0] = self._links[0]._replace(passed_from=self.begin)

    def cut(self, next_offset: int) -> None:
        """Forget the links that speak of ``next_offset`` or what comes after: another log stands there."""
        self._links = [each for each in self.valid() if each.last_offset < next_offset]

    @property
    def newest(self) -> Link | None:
        """The link of the newest turn."""
        return self._links[-1] if self._links else None

    @property
    def end(self) -> int | None:
        """The offset up to which, not with, was decided: from there to the position no record may stand.
        None: not known.

        Of a lane that has decided nothing yet, it is where it began.
        """
        return self._links[-1].last_offset + 1 if self._links else self.begin

    def mark(self, look: Look) -> None:
        """Let the newest link be looked at next time too: a log that changes meanwhile shows there, however
        much follows."""
        self.look = look
        if self._links:
            self._marked = [*self._marked, self._links[-1]][-_MOST_MARKED:]

    def valid(self) -> list[Link]:
        """Return those whose offsets still mean what they say: of the last epoch, and what went before its
        beginning."""
        kept, floor, epoch = list[Link](), None, None
        for link in reversed(self._links):
            if floor is None or link.log.epoch == epoch or link.last_offset < floor:
                floor = link.first_offset if floor is None else min(floor, link.first_offset)
                epoch = link.log.epoch if epoch is None else min(epoch, link.log.epoch)
                kept.append(link)
        return kept[::-1]

    def is_marked(self, link: Link) -> bool:
        """Tell whether ``link`` was the newest one when the log was looked at before."""
        return link in self._marked


async def continue_in(
    log: LogState, standing: Standing, links: Links, is_still_there: Callable[[Link], Awaitable[bool]],
    *, epoch_ends: Sequence[int] = (),
) -> Continuation:  # fmt: skip
    """Decide where to go on in ``log``, for a lane that stands at ``standing`` after the turns of ``links``.

    ``is_still_there`` tells whether the log holds a link's last record unchanged, and none where the lane
    passed before it; it is asked for few of them. ``epoch_ends`` are the offsets at which the epochs of the
    leaders since the last look ended: of the links beyond, the first was cut off if any was.
    """
    epoch = standing.log.epoch
    same_id = log.topic_id is None or standing.log.topic_id in {None, log.topic_id}
    valid = links.valid()
    kept = [each for each in valid if each.last_input and log.start <= each.last_offset < log.end]
    at = standing.next_offset
    if same_id:
        mismatch = None
        marked = (index for index, each in enumerate(kept) if links.is_marked(each))
        for index in sorted({*_looked_at(len(kept)), *marked, *_behind(epoch_ends, kept)}, reverse=True):
            if not await is_still_there(kept[index]):
                mismatch = index
        if mismatch is None and at <= log.end:
            same = InputLog(log.topic_id or standing.log.topic_id, epoch)
            lost = Lost(at, log.start - 1) if at < log.start else None
            return Continuation(Standing(at, standing.previous, same), log.leader_epoch, lost)
        change = LogChange.CUT_BACK if mismatch is None else LogChange.RECORD
        there = kept if mismatch is None else kept[: await _count_common(kept[:mismatch], is_still_there)]
        # Before the oldest link known, all was decided long ago: that is not lost.
        oldest = min([log.start, at, *(each.first_offset for each in valid)])
    else:
        # Turns taken after the change and before it was noticed are of the new log: not by halves, and they
        # say nothing of what comes before them.
        change, oldest, look = LogChange.TOPIC_ID, 0, links.look
        is_known = look is not None and bool(kept) and kept[0].last_offset < look.next_offset
        there = kept[: await _count_first(kept, is_still_there)] if is_known else []
    begin = there[-1].last_offset + 1 if there else oldest
    other = InputLog(log.topic_id or standing.log.topic_id, epoch + 1)
    lost = Lost(begin, log.start - 1) if begin < log.start else None
    return Continuation(Standing(begin, standing.previous, other), log.leader_epoch, lost, change)


def _looked_at(count: int) -> Iterator[int]:
    """Yield the indices to look at, the newest first, then at doubling distances, and the oldest."""
    distance = 1
    while distance <= count:
        yield count - distance
        distance *= 2
    if count:
        yield 0


def _behind(epoch_ends: Sequence[int], links: Sequence[Link]) -> Iterator[int]:
    """Yield for each end the index of the first link that goes beyond it."""
    for end in epoch_ends:
        yield from islice((index for index, link in enumerate(links) if link.last_offset >= end), 1)


async def _count_common(links: Sequence[Link], is_still_there: Callable[[Link], Awaitable[bool]]) -> int:
    """Count the links, from the oldest on, up to which the log is the same, by halves: beyond, it is another
    one."""
    there, missing = 0, len(links)
    while there < missing:
        middle = (there + missing) // 2
        if await is_still_there(links[middle]):
            there = middle + 1
        else:
            missing = middle
    return there


async def _count_first(links: Sequence[Link], is_still_there: Callable[[Link], Awaitable[bool]]) -> int:
    """Count the links, from the oldest on, before the first that the log does not hold, one by one."""
    for count, link in enumerate(links):
        if not await is_still_there(link):
            return count
    return len(links)
