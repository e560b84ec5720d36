"""The simulated year of ``make archive-bench``: as many events as were asked for, each to be found."""

from pathlib import Path

from benchmarks.archive_year import write_year
from gateway.operate.archive.trace import trace_archive
from gateway.operate.times import parse_since, parse_until
from gateway.operate.trace.query import Query
from tests.archives import ArchivedLanes, shipped


def test_each_event_of_a_year_is_found(tmp_path: Path) -> None:
    ArchivedLanes(shipped(), tmp_path / "day", per_segment=100).write_day("2026-11-21", 60)
    year = write_year(tmp_path / "day", tmp_path / "year", 150, days=5)
    assert 150 <= year.events <= 200
    for query in (Query(year.wanted), Query(year.wanted, since=parse_since(year.day), until=parse_until(year.day))):
        story, code = trace_archive(shipped(), str(tmp_path / "year"), query)
        assert (code, story["searched"]["unread"]) == (0, [])
        assert [(each["id"], each["archived_day"]) for each in story["occurrences"]] == [(year.wanted, year.day)]
    assert story["searched"]["segments"] == 2
