"""The queries of docs/archive.md, on an archive, by DuckDB: each says what the records say."""

import datetime
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import pytest

from gateway.operate.archive.parquet import read_rows
from gateway.operate.archive.rows import COLUMNS
from tests.archives import ArchivedLanes, shipped

PAGE = Path(__file__).parents[2] / "docs" / "archive.md"
DAYS = ("2026-09-30", "2026-10-01")
BY_UNIT, BY_REASON, EFFECTIVENESS, HOLDER, EDITION = re.findall(
    r"```sql\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL
)


@pytest.fixture(scope="module")
def archived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which ``archive`` is."""
    folder = tmp_path_factory.mktemp("queries")
    lanes = ArchivedLanes(shipped(), folder / "archive")
    for number, day in enumerate(DAYS):
        lanes.write_day(day, 120, seed=number + 5)
    return folder


def ask(folder: Path, query: str, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    monkeypatch.chdir(folder)
    with duckdb.connect() as connection:
        return connection.execute(query).fetchall()


def records(folder: Path, file: str) -> list[dict[str, Any]]:
    """The records of one kind, as JSON."""
    place = list(COLUMNS[file]).index("value")
    rows = [row for path in sorted(folder.rglob(file)) for row in read_rows(file, path.read_bytes())]
    return [json.loads(row[place])["data"] for row in rows]


def day_in_china(instant: str) -> datetime.date:
    china = datetime.timezone(datetime.timedelta(hours=8))
    return datetime.datetime.fromisoformat(instant).astimezone(china).date()


def test_displays_by_unit_and_month(archived: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = Counter(
        (each["certificate"]["issuer_name"], f"{day_in_china(each['event']['time']):%Y-%m}")
        for each in records(archived, "verifications.parquet")
    )
    assert {row[:2]: row[2] for row in ask(archived, BY_UNIT, monkeypatch)} == expected
    assert len({month for _, month in expected}) == 2


def test_rejections_by_reason_and_quarter(archived: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = Counter(
        (each["reasons"][0]["code"], f"2026 Q{(day_in_china(each['decision']['received']).month + 2) // 3}")
        for each in records(archived, "rejections.parquet")
    )
    assert {row[:2]: row[2] for row in ask(archived, BY_REASON, monkeypatch)} == expected
    assert {quarter for _, quarter in expected} == {"2026 Q3", "2026 Q4"}


def test_the_effectiveness_of_a_year(archived: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = Counter(
        (each["list"]["batch"], each["list"]["row"], each["display"]["region_code"])
        for each in records(archived, "verifications.parquet")
    )
    found = ask(archived, EFFECTIVENESS, monkeypatch)
    assert {row[:3]: row[3] for row in found if row[3]} == expected
    listed = [each for each in records(archived, "rejections.parquet") if (each["nearest_row"] or {}).get("listed")]
    assert sum(row[4] or 0 for row in found) == len(listed)
    assert ask(archived, EFFECTIVENESS.replace("2026", "2025"), monkeypatch) == []


def test_one_holders_displays(archived: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = records(archived, "verifications.parquet")
    (holder, count), *_ = Counter(each["holder"]["ref"] for each in sent).most_common(1)
    query = re.sub("sm3:[0-9a-f]+", holder, HOLDER)
    found = ask(archived, query, monkeypatch)
    assert [row[0] for row in found] == sorted(
        each["event"]["time"] for each in sent if each["holder"]["ref"] == holder
    )
    assert len(found) == count > 0


def test_what_an_edition_let_through(archived: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = Counter(
        (each["list"]["digest"], each["list"]["row"]) for each in records(archived, "verifications.parquet")
    )
    assert {(row[0], row[2]): row[4] for row in ask(archived, EDITION, monkeypatch)} == expected
