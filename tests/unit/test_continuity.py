"""Where a lane goes on when the input log is another one."""

import pytest

from gateway.contract.ledger_entry import InputLog
from gateway.relay.continuity import Link, Links, LogChange, LogState, Standing, continue_in

OLD = InputLog("old", 0)


@pytest.mark.parametrize(
    ("held", "begin"),
    [("", 0), ("2", 0), ("12", 0), ("0", 10), ("01", 20), ("02", 10), ("013", 20), ("0123", 40)],
)
async def test_another_log_is_read_from_the_first_difference(held: str, begin: int) -> None:
    """``held``: the turns of ten records each whose last record stands in the log of another id."""
    links = Links()
    for turn in range(4):
        links.add(Link(10 * turn, 10 * turn + 9, str(turn), OLD))

    async def is_still_there(link: Link) -> bool:
        return str(link.last_input) in held

    continuation = await continue_in(LogState("new", 0, 60), Standing(40, None, OLD), links, is_still_there)
    assert continuation.change is LogChange.TOPIC_ID
    assert continuation.standing.next_offset == begin
    assert continuation.standing.log == InputLog("new", 1)
    assert continuation.lost is None
