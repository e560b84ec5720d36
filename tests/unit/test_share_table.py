"""A table's changelog was deleted or cut, and the group shares its partitions out again before this worker
has written it anew."""

from typing import Any

import pytest

from gateway.adapters.settings import Settings
from gateway.core.province import Province
from gateway.feedback.app import make_app
from gateway.feedback.changelog import Position, ReadTable
from gateway.feedback.days import DayShare
from gateway.feedback.state import StateFollower
from gateway.feedback.tables import ShareTable

KEY = f"1/{Province.SICHUAN.value}/2026-11-01"


def read_back(next_offset: int | None, shares: dict[str, DayShare]) -> ReadTable[DayShare]:
    found = ReadTable(DayShare)
    found.shares = shares
    if next_offset is not None:
        found.positions[1] = Position({"gateway.ledger": next_offset}, len(shares))
    return found


@pytest.mark.parametrize(
    ("read", "end", "is_kept"),
    [
        (read_back(None, {}), 0, True),  # deleted
        (read_back(5, {KEY: DayShare({}, {}, 0, 4)}), 4, True),  # cut: an older position is the last
        (read_back(90, {}), 3, False),  # deleted, and written again by another worker, which has counted on
        (read_back(5, {KEY: DayShare({}, {}, 0, 4)}), 20, False),  # nothing was deleted: somebody restored a backup
    ],
)
async def test_what_a_worker_holds_outlives_its_changelog(
    monkeypatch: pytest.MonkeyPatch, read: ReadTable[DayShare], end: int, is_kept: bool
) -> None:
    settings = Settings(bootstrap_servers="kafka:9092")
    app = make_app(settings, StateFollower(settings))
    table = app.tables["days"]
    assert isinstance(table, ShareTable)
    written: list[tuple[int, Any]] = []
    monkeypatch.setattr(
        table, "send_changelog", lambda partition, key, value, *_, **__: written.append((partition, key))
    )
    monkeypatch.setattr(table, "on_key_set", lambda key, value: written.append((table.partition_for_key(key), key)))
    held = {KEY: DayShare({"1/5|500103|forward|": 7}, {}, 0, 9), "2/sichuan/2026-11-01": DayShare({}, {}, 0, 3)}
    table._hold(0, read_back(10, held), {1: 12, 2: 8})
    assert written == []
    app.consumer_generation_id = 1
    table._hold(1, read, {1: end})
    assert dict(table.data) == ({KEY: held[KEY]} if is_kept else read.shares)
    assert table._positions == ({1: Position({"gateway.ledger": 10}, 1)} if is_kept else read.positions)
    assert written == ([(1, KEY), (1, "1/@")] if is_kept else [])
