"""What the kernel repeats of events that do not fulfil a condition of their own.

Once words are known, and once any event of their group was rejected so, the reference is no longer asked.
"""

import dataclasses
import datetime
import json
from collections.abc import Callable
from typing import Any

import pytest
from aiokafka.structs import ConsumerRecord

from gateway.contract.display_event import names_of, read_event
from gateway.core.decision import Outcome
from gateway.core.province import Province
from gateway.core.reasons import Code, EventCheck
from gateway.relay import lessons as side
from gateway.relay.reported import Repeated
from gateway.relay.turn import DecidedTurn, decide_turn
from tests.kernel.both_ways import LANES, LIST, TOPICS, BothWays
from tests.kernel.mutations import record
from tests.kernel.test_both_ways import asked, simulated

SICHUAN = Province.SICHUAN
NOW = int(datetime.datetime(2026, 11, 23, 8, 5, 3, tzinfo=datetime.UTC).timestamp()) * 1000
_HOUR = 3_600_000
_WRONG = "11100000000013338W011.11430000006122244L.20230000403.001.V"

Change = Callable[[dict[str, Any]], None]


def _set(where: str, name: str, value: Any) -> Change:
    def change(event: dict[str, Any]) -> None:
        (event if not where else event["data"][where])[name] = value

    return change


def _both(*changes: Change) -> Change:
    def change(event: dict[str, Any]) -> None:
        for each in changes:
            each(event)

    return change


CHANGES = {
    (Code.FUTURE_EVENT,): _set("", "time", "2026-11-23T09:20:04.000Z"),
    (Code.STALE_EVENT,): _set("", "time", "2026-11-19T00:00:03+00:00"),
    (Code.CERTIFICATE_NOT_YET_VALID,): _set("certificate", "valid_from", "2027-01-01"),
    (Code.CERTIFICATE_EXPIRED,): _set("certificate", "valid_until", "2026-01-31"),
    (Code.IDENTIFIER_INVALID,): _set("certificate", "identifier", _WRONG),
    (Code.SOURCE_MISMATCH,): _set("", "source", "urn:chuanyu:chongqing"),
    (Code.STALE_EVENT, Code.IDENTIFIER_INVALID, Code.CERTIFICATE_EXPIRED): _both(
        _set("", "time", "2026-11-18T00:00:00Z"),
        _set("certificate", "identifier", _WRONG),
        _set("certificate", "valid_until", "2026-11-17"),
    ),
}  # fmt: skip


class Lane:
    """A lane of Sichuan's whose events are the same display, changed."""

    def __init__(self) -> None:
        self.both = BothWays()
        (self._first, *_) = simulated(1, 5, reject_share=0, duplicate_share=0, garbage_share=0, binary_share=0)
        self._next = 0

    def event(self, *changes: Change, name: str = "", at: int = NOW) -> ConsumerRecord:
        event = json.loads(self._first.value)
        event["time"] = "2026-11-23T08:00:00Z"
        event["id"] = name or f"e{self._next}"
        for change in changes:
            change(event)
        offset, self._next = self._next, self._next + 1
        return record(offset, at, self._first.key, json.dumps(event, ensure_ascii=False).encode())

    def take(self, *records: ConsumerRecord, aborts: bool = False) -> DecidedTurn:
        return self.both.take(SICHUAN, list(records), aborts=aborts)


@pytest.mark.parametrize("codes", CHANGES, ids="+".join)
def test_a_condition_is_repeated_for_other_words(codes: tuple[Code, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    lane = Lane()
    channels = ("天府通办", "天府通办APP")
    lane.take(*[lane.event(_set("display", "channel", channel)) for channel in channels for _ in range(2)])
    offsets = asked(lane.both, monkeypatch)
    change = CHANGES[codes]
    wrong = [lane.event(change, _set("display", "channel", channel)) for channel in (*channels, *channels)]
    horizon = BothWays().horizons[SICHUAN]
    expected = decide_turn(LANES[SICHUAN], wrong, LIST, horizon, topics=TOPICS).reported
    assert [each.alike.codes for each in expected] == [codes] * 4  # type: ignore[union-attr]
    lane.take(*wrong)
    assert set(offsets) <= {wrong[0].offset, wrong[1].offset}
    repeated = lane.both.kernel.last.reported[2:]
    assert [type(each) for each in repeated] == [Repeated, Repeated]
    assert [each.names for each in repeated] == [each.names for each in expected[2:]]


def test_repetitions_and_reused_ids_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    lane = Lane()
    other = _set("display", "matter_code", "M-1")
    rejected = _set("display", "channel", "无此渠道")
    lane.take(lane.event(), lane.event(), lane.event(name="forwarded"), lane.event(rejected, name="rejected"))
    lane.take(lane.event(other, name="forwarded"))  # teaches
    offsets = asked(lane.both, monkeypatch)
    turn = lane.take(
        lane.event(name="forwarded"),
        lane.event(other, name="forwarded"),
        lane.event(name="rejected"),  # nothing was forwarded under this id
        lane.event(name="twice"),
        lane.event(name="twice"),
        lane.event(other, name="twice"),
    )
    counts = {(facets.outcome, facets.reason): count for facets, count in turn.counts.items()}
    assert counts == {
        (Outcome.DUPLICATE, None): 2, (Outcome.REJECT, Code.ID_REUSED): 2, (Outcome.FORWARD, None): 2,
    }  # fmt: skip
    assert offsets == []


def test_an_aborted_turn_leaves_no_repetition_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    lane = Lane()
    lane.take(lane.event(), lane.event())
    offsets = asked(lane.both, monkeypatch)
    again = [lane.event(name="again"), lane.event(name="again")]
    for aborts in (True, False):
        turn = lane.take(*again, aborts=aborts)
        assert [facets.outcome for facets in turn.counts] == [Outcome.FORWARD, Outcome.DUPLICATE]
    assert [facets.outcome for facets in lane.take(*again).counts] == [Outcome.DUPLICATE]
    assert offsets == []


def test_days_of_validity_turn_at_midnight_in_china() -> None:
    lane = Lane()
    day = _set("certificate", "valid_until", "2026-11-23"), _set("certificate", "valid_from", "2026-11-23")
    at = NOW + 10 * _HOUR
    lane.take(*[lane.event(at=at) for _ in range(2)])
    times = ("2026-11-22T15:59:59.999Z", "2026-11-22T16:00:00Z", "2026-11-23T15:59:59.999999Z", "2026-11-23T16:00:00Z")
    for _ in range(2):  # taught, then repeated
        turn = lane.take(*[lane.event(*day, _set("", "time", time), at=at) for time in times])
        assert [facets.reason for facets in turn.counts] == [
            Code.CERTIFICATE_NOT_YET_VALID, None, Code.CERTIFICATE_EXPIRED,
        ]  # fmt: skip
    assert len(lane.both.kernel.last.reported) == sum(type(each) is Repeated for each in lane.both.kernel.last.reported)


def test_every_check_of_the_event_is_mirrored() -> None:
    """A new check of the event's own: the kernel must look at its condition (docs/kernel.md, An event's own
    values)."""
    assert {code for code in Code if isinstance(code.entry.check, EventCheck)} == side._MIRRORED


def test_a_check_not_mirrored_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side, "_MIRRORED", side._MIRRORED - {Code.CERTIFICATE_EXPIRED})
    lane = Lane()
    lane.take(lane.event(), lane.event())
    offsets = asked(lane.both, monkeypatch)
    wrong = [lane.event(CHANGES[Code.CERTIFICATE_EXPIRED,]) for _ in range(4)]
    lane.take(*wrong)
    assert offsets == [each.offset for each in wrong]


def test_of_a_repeated_rejection_the_log_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """However its names are written; and what is kept of the first one is nobody's."""
    lane = Lane()
    wrong = _both(_set("display", "channel", "无此渠道"), _set("", "note", "x" * 1000))
    lane.take(*[lane.event(wrong) for _ in range(3)])
    offsets = asked(lane.both, monkeypatch)
    parent, told = f"00-{'1' * 32}-{'2' * 16}-01", lane.event(wrong)
    traced = _both(wrong, _set("", "traceparent", parent), _set("", "tracestate", "a=1"))
    escaped = lane.event(traced)
    names = ((b'"id"', b'"\\u0069d"'), (b'"source"', b'"sourc\\u0065"'), (b'"traceparent"', b'"trac\\u0065parent"'))
    for name, written in names:
        assert name in escaped.value
        escaped = dataclasses.replace(escaped, value=escaped.value.replace(name, written, 1))
    lane.take(told, escaped)
    assert offsets == []
    repeated = lane.both.kernel.last.reported
    assert [type(each) for each in repeated] == [Repeated, Repeated]
    for each in repeated:
        assert each.names == names_of(read_event(each.record.value or b"", key=each.record.key))
    assert repeated[1].names == (repeated[1].names.id, SICHUAN.source, {"traceparent": parent, "tracestate": "a=1"})
    kept = str(lane.both.kernel._rejections)
    event = json.loads(told.value)
    for own in ("xxx", event["data"]["holder"]["ref"], event["data"]["holder"]["name_masked"]):
        assert own not in kept
