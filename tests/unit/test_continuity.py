"""Where a lane goes on when the input log is another one."""

from collections.abc import Awaitable, Callable, Container

import pytest

from gateway.contract.ledger_entry import InputLog
from gateway.relay.continuity import Link, Links, LogChange, LogState, Look, Standing, continue_in

OLD = InputLog("old", 0)


@pytest.mark.parametrize(
    ("held", "look", "begin"),
    [
        ("", 20, 0), ("2", 20, 0), ("12", 20, 0), ("0", 20, 10), ("01", 20, 20), ("02", 20, 10), ("013", 20, 20),
        ("0123", 20, 40), ("0123", 0, 0), ("0123", None, 0),
    ],
)  # fmt: skip
async def test_another_log_is_read_from_the_first_difference(held: str, look: int | None, begin: int) -> None:
    """``held``: the turns of ten records each whose last record stands in the log of another id; where the
    lane stood at its last look."""
    links = turns(4)
    links.look = None if look is None else Look(0, look)
    continuation = await continue_in(LogState("new", 0, 60, 2), Standing(40, None, OLD), links, held_by(held))
    assert continuation.change is LogChange.TOPIC_ID
    assert continuation.standing.next_offset == begin
    assert continuation.standing.log == InputLog("new", 1)
    assert continuation.lost is None


@pytest.mark.parametrize(("ends", "begin"), [([], None), ([925], None), ([930], 930), ([935], 930), ([900, 930], 930)])
async def test_what_a_new_leader_lacked_is_looked_at(ends: list[int], begin: int | None) -> None:
    """It lacked the turns from the 93rd to the 95th, and the lane read beyond before it looked again."""
    links = turns(90)
    links.mark(Look(5, 900))
    for turn in range(90, 200):
        links.add(link(turn))
    held = [str(turn) for turn in range(200) if turn not in {93, 94}]
    log, standing = LogState("old", 0, 2000, 6), Standing(2000, None, OLD)
    continuation = await continue_in(log, standing, links, held_by(held), epoch_ends=ends)
    assert continuation.change is (None if begin is None else LogChange.RECORD)
    assert continuation.standing.next_offset == (2000 if begin is None else begin)


def link(turn: int) -> Link:
    return Link(10 * turn, 10 * turn + 9, str(turn), OLD)


def turns(count: int) -> Links:
    links = Links()
    for turn in range(count):
        links.add(link(turn))
    return links


def held_by(log: Container[str]) -> Callable[[Link], Awaitable[bool]]:
    async def is_still_there(link: Link) -> bool:
        return str(link.last_input) in log

    return is_still_there
