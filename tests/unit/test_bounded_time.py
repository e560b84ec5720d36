"""A record takes time in proportion to its length, whatever its text is, and well under a second at the
greatest length."""

import json
import time
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import packaged_config
from gateway.contract.display_event.model import MAX_EVENT_BYTES
from gateway.contract.outputs import build_output
from gateway.contract.topics import LaneId, Topics
from gateway.core.province import Province
from gateway.decide import decide_bytes
from gateway.operate.examples import display_event

LIST = load_recognition(packaged_config() / "recognition")
TOPICS = Topics("")
LANE = LaneId(Province.SICHUAN, TOPICS.display(Province.SICHUAN), 0)
RECEIVED = 1_795_392_003_000
LONGEST = MAX_EVENT_BYTES - 4096
PLACES = ["extension", "id", "certificate.identifier", "attribute's name", "key", "header", "bytes", "open string"]
MORE_PLACES = [
    *PLACES, "display.channel", "display.matter_name", "certificate.issuer_code", "certificate.valid_from", "holder.ref", "time",
    "field's name",
]  # fmt: skip
UNITS = [
    "\u0301\u0316", "\u0316\u0301\u0323", "\u0344", "\ufdfa", "1 ", " 2 0 1 0 1 0 1 0", "139000000001 ", "1\u200b", "１\u3000",
    "か\u3099", "\u1100\u1161\u11a8", "\U0001d7ce.", "APP", "\\", "\\\\u", '"', "[", "{", ":", "%31", "\0", "证",
]  # fmt: skip


@dataclass
class Record:
    value: bytes
    key: bytes | None
    headers: list[tuple[str, bytes]] = field(default_factory=list)
    offset: int = 7
    timestamp: int = RECEIVED


def record_with(text: str, place: str) -> Record:
    """A record that has ``text`` in ``place``."""
    event: dict[str, Any] = display_event(Province.SICHUAN)
    key, headers = event["data"]["holder"]["ref"].encode(), []
    section, _, name = place.rpartition(".")
    match place:
        case "key":
            key = text.encode()
        case "header":
            headers = [("traceparent", event["traceparent"].encode()), ("tracestate", text.encode()), (text, b"")]
        case "bytes":
            return Record(text.encode(), key)
        case "open string":
            return Record(b'{"a": "' + text.encode(), key)
        case "field's name":
            event["data"][text] = 1
        case "attribute's name":
            event[text] = 1
        case _ if section:
            event["data"][section][name] = text
        case _:
            event[place] = text
    return Record(json.dumps(event, ensure_ascii=False).encode(), key, headers)


def seconds(unit: str, size: int, place: str, times: int = 2) -> float:
    """The least CPU time, of ``times``, that such a record of ``size`` bytes takes, decided and made into
    what goes out."""
    one = len(json.dumps(unit, ensure_ascii=False).encode()) - 2
    record = record_with(unit * (size // one), place)
    taken = []
    for _ in range(times):
        started = time.thread_time()
        decision = decide_bytes(record.value, Province.SICHUAN, RECEIVED, LIST, key=record.key, headers=record.headers)
        build_output(LANE, record, decision, TOPICS)
        taken.append(time.thread_time() - started)
    return min(taken)


def check(unit: str, place: str) -> None:
    """Assert that four times the text takes about four times as long; with a search from each place it takes
    sixteen."""
    longest = 60_000 if place in {"bytes", "open string"} else LONGEST  # a longer dead letter is not looked into
    if seconds(unit, longest, place, times=1) > 0.1:  # as nearly nothing takes
        assert seconds(unit, longest, place) < 9 * seconds(unit, longest // 4, place)


@pytest.mark.parametrize("unit", UNITS, ids=ascii)
def test_hard_texts_take_time_in_proportion_in_every_place(unit: str) -> None:
    for place in PLACES:
        check(unit, place)


@settings(max_examples=40, deadline=None)
@given(
    st.text(st.sampled_from("".join(UNITS) + "0123456789-.xX \u202d"), min_size=1, max_size=12),
    st.sampled_from(MORE_PLACES),
)
def test_any_text_takes_time_in_proportion(unit: str, place: str) -> None:
    check(unit, place)
