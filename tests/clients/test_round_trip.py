"""The three things that hold for every client, as publisher and as reader, whichever its language
(``-k java``)."""

from collections import defaultdict

import pytest

from gateway.contract.feedback import CASE_TYPE, DIGEST_TYPE
from tests.clients.exchange import (
    DATA,
    MODES,
    Exchange,
    adorned,
    as_read,
    assert_each_once,
    elsewhere,
    is_rejected,
    odd,
    plain,
    with_instant,
)
from tests.clients.programs import CODECS, PROGRAMS, Program

REFERENCE = PROGRAMS["python-confluent-kafka"]
"""Publishes first what the others repeat."""


@pytest.fixture(params=PROGRAMS)
def program(request: pytest.FixtureRequest) -> Program:
    return PROGRAMS[request.param]


async def test_every_event_has_one_outcome(exchange: Exchange, program: Program) -> None:
    """In both modes, with data as object and as bytes, by all codecs."""
    orders = exchange.orders()
    outcomes = await exchange.publish(program, orders)
    assert_each_once(outcomes, orders)
    assert outcomes.codecs == set(range(len(CODECS)))


async def test_repetition_is_a_duplicate(exchange: Exchange, program: Program) -> None:
    """The same event by another SDK, and then in each other mode and form of data, is counted and not sent
    again."""
    events = [plain("sichuan"), adorned("chongqing"), elsewhere("chongqing")]
    first = [exchange.order(event, "structured", "object", "none") for event in events]
    before = await exchange.publish(REFERENCE, first)
    assert_each_once(before, first)
    again = [exchange.order(event, mode, data, "none") for mode in MODES for data in DATA for event in events]
    after = await exchange.publish(program, again)
    assert_each_once(after, first, times_published=1 + len(MODES) * len(DATA))
    assert after.duplicates - before.duplicates == sum(not is_rejected(order) for order in again)


async def test_every_record_is_read(exchange: Exchange, program: Program) -> None:
    """Of every topic that the gateway writes, and as Python's JSON reads it."""
    events = [
        plain("sichuan"),
        adorned("sichuan"),
        adorned("chongqing"),
        elsewhere("sichuan"),
        elsewhere("chongqing"),
        *odd(),
    ]
    await exchange.publish_garbage()
    await exchange.publish(REFERENCE, [exchange.order(event, "structured", "object", "none") for event in events])
    # A digest is of cases that have grown since they were announced.
    await exchange.written(CASE_TYPE)
    await exchange.publish(REFERENCE, [exchange.order(elsewhere("sichuan"), "structured", "object", "none")])
    written = await exchange.written(CASE_TYPE, DIGEST_TYPE)
    ends: dict[str, dict[int, int]] = defaultdict(dict)
    for topic, partition, offset in sorted(written):
        ends[topic][partition] = offset
    read = {}
    for line in program.read(exchange.bootstrap, ends):
        place = line.pop("topic"), line.pop("partition"), line.pop("offset")
        assert place not in read, f"read twice: {place}"
        read[place] = line
    errors = {place: line["error"] for place, line in read.items() if "error" in line}
    assert not errors, f"{len(errors)} of {len(read)} could not be read, such as {list(errors.items())[:3]}"
    assert read.keys() == written.keys()
    for place, record in written.items():
        assert with_instant(read[place]) == as_read(record), place
