"""``gateway trace --archive``: the same story wherever the archive lies, and none that cannot be trusted."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.operate.archive.parquet import find_rows, find_traced, read_rows
from gateway.operate.archive.rows import COLUMNS, VERIFICATIONS
from gateway.operate.archive.trace import trace_archive
from gateway.operate.trace.query import Query
from tests.archives import ArchivedLanes, shipped
from tests.object_store import new_bucket, object_store

DAYS = ("2026-11-21", "2026-11-22")


@pytest.fixture
def endpoint() -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch, object_store(patch) as url:
        yield url


def test_folder_and_object_store_tell_the_same(endpoint: str, tmp_path: Path) -> None:
    places = (str(tmp_path), f"{new_bucket(endpoint)}?endpoint={endpoint}")
    for place in places:
        lanes = ArchivedLanes(shipped(), place)
        for number, day in enumerate(DAYS):
            lanes.write_day(day, 40, seed=number + 1)
    path = max(tmp_path.rglob(VERIFICATIONS))
    ((event,), *_) = read_rows(path.name, path.read_bytes(), columns=["event_id"])
    (here, code), (there, other) = (trace_archive(shipped(), place, Query(event)) for place in places)
    assert (code, other, len(here["occurrences"])) == (0, 0, 1)
    assert here["occurrences"] == there["occurrences"]
    assert here["searched"] | {"archive": ""} == there["searched"] | {"archive": ""}


def test_a_search_finds_the_rows_and_no_others(tmp_path: Path) -> None:
    ArchivedLanes(shipped(), tmp_path).write_day(DAYS[0], 60)
    path = max(tmp_path.rglob(VERIFICATIONS))
    rows = [dict(zip(COLUMNS[VERIFICATIONS], row, strict=True)) for row in read_rows(path.name, path.read_bytes())]
    wanted = rows[2]["event_id"]
    with path.open("rb") as file:
        found = list(find_rows(file, {"event_id": {wanted, "nobody"}}, ("epoch", "input")))
    assert found == [(row["epoch"], row["input"]) for row in rows if row["event_id"] == wanted]
    with path.open("rb") as file:
        assert list(find_rows(file, {"event_id": {"nobody"}}, ("epoch", "input"))) == []
    with path.open("rb") as file:
        assert list(find_traced(file, "f" * 32, ("epoch", "input"))) == []
    with path.open("rb") as file, pytest.raises(ValueError, match="KeyError"):
        find_rows(file, {"no such column": {"x"}}, ("epoch", "input"))
