"""Moments and days: RFC 3339 in, microseconds inside, days as they are counted in UTC+8."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.times import HOUR, MINUTE, china_date, format_instant, is_date, parse_instant
from gateway.operate.times import parse_day, parse_since, parse_until, time_for_people

CHINA = datetime.timezone(datetime.timedelta(hours=8))
OFFSETS = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda m: datetime.timezone(datetime.timedelta(minutes=m)))
MOMENTS = st.builds(
    lambda moment, offset: moment.replace(tzinfo=offset),
    # Every offset leaves these years in range.
    st.datetimes(timezones=st.just(datetime.UTC)).filter(lambda moment: 1 < moment.year < 9999),
    OFFSETS,
)


@given(MOMENTS)
def test_moment_is_microseconds_since_the_epoch_in_any_offset(moment: datetime.datetime) -> None:
    instant = parse_instant(moment.isoformat())
    assert instant is not None
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    assert epoch + datetime.timedelta(microseconds=instant) == moment
    assert china_date(instant) == moment.astimezone(CHINA).date().isoformat()


@given(MOMENTS)
def test_formatting_keeps_milliseconds(moment: datetime.datetime) -> None:
    instant = parse_instant(moment.isoformat())
    assert instant is not None
    written = format_instant(instant)
    assert written.endswith("Z")
    assert len(written) == len("2026-11-23T00:00:00.000Z")
    assert parse_instant(written) == instant // 1000 * 1000


@pytest.mark.parametrize(
    "same",
    [
        "2026-11-23T00:00:00Z",
        "2026-11-23t00:00:00z",
        "2026-11-23T08:00:00+08:00",
        "2026-11-22T19:00:00-05:00",
        "2026-11-23T00:00:00.0Z",
        "2026-11-23T00:00:00.000000000Z",
        "2026-11-23T00:00:00-00:00",
        "2026-11-23T05:45:00+05:45",
    ],
)
def test_spellings_of_one_moment(same: str) -> None:
    assert parse_instant(same) == 1_795_392_000_000_000


@pytest.mark.parametrize(
    "none",
    [
        "2026-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-11-31T00:00:00Z",
        "2026-11-23T24:00:00Z",
        "2026-11-23T00:60:00Z",
        "2026-11-23T23:59:60Z",
        "2026-11-23T00:00:00+24:00",
        "2026-11-23T00:00:00+08:60",
        "2026-11-23T00:00:00-08:99",
        "0000-01-01T00:00:00Z",
        "9999-12-31T23:59:59-12:00",  # its day in UTC+8 has five digits
        "0001-01-01T00:00:00+14:00",
        "2026-11-23T00:00:00",  # no offset, and so no moment
        "2026-11-23",
    ],
)
def test_moment_that_does_not_exist(none: str) -> None:
    assert parse_instant(none) is None


def test_instants_are_in_microseconds() -> None:
    start = parse_instant("2026-11-23T00:00:00Z")
    assert start is not None
    assert parse_instant("2026-11-23T00:05:00Z") == start + 5 * MINUTE
    assert parse_instant("2026-11-26T00:00:00Z") == start + 72 * HOUR
    assert parse_instant("2026-11-23T00:00:00.001Z") == start + 1000


def test_day_begins_at_midnight_in_china() -> None:
    midnight = parse_instant("2026-11-23T00:00:00+08:00")
    assert midnight is not None
    assert (china_date(midnight - 1), china_date(midnight)) == ("2026-11-22", "2026-11-23")


@pytest.mark.parametrize("text", ["2024-02-29", "0001-01-01", "9999-12-31"])
def test_valid_dates_are_accepted(text: str) -> None:
    assert is_date(text)


@pytest.mark.parametrize(
    "text", ["2023-02-29", "2024-2-9", "20240229", "2024-W09-4", "2024-02-29T00:00", "", "0000-01-01", "２０２４-01-01"]
)
def test_values_that_are_not_dates_are_refused(text: str) -> None:
    assert not is_date(text)


def test_since_and_until_take_days_and_instants() -> None:
    """A day is Beijing's: since its beginning, until its end, so that it is meant itself."""
    midnight = 1_795_363_200_000  # 2026-11-23T00:00:00+08:00
    assert parse_since("2026-11-23") == midnight
    assert parse_until("2026-11-23") == midnight + 86_400_000
    for parse in (parse_since, parse_until):
        assert parse("2026-11-22T16:00:00Z") == parse("2026-11-23t00:00:00+08:00") == midnight
        assert parse(None) is None


def test_counted_days_are_those_of_beijing() -> None:
    assert parse_day("--since", "2026-11-23") == "2026-11-23"
    assert parse_day("--since", "2026-11-22T16:00:00Z") == "2026-11-23"
    assert parse_day("--since", None) is None


def test_times_are_read_in_beijing_with_the_offset() -> None:
    assert time_for_people(1_795_392_003_999) == "2026-11-23 08:00:03 +08:00"
    assert time_for_people("2026-11-22T23:59:59.999Z") == "2026-11-23 07:59:59 +08:00"
    assert time_for_people("no time at all") == "no time at all"
