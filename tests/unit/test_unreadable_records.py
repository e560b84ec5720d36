"""Whatever bytes a broker sends: a consumer gives out every offset once, says what it cannot read, and goes
on."""

import hashlib
import json
import struct
from typing import Any

import pytest
from aiokafka.errors import CorruptRecordException
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.adapters import fetch_patches
from gateway.adapters.fetch_patches import Fetched
from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import packaged_config
from gateway.adapters.signatures import KeyRing
from gateway.adapters.unreadable import MissingRecords, UnreadableRecord
from gateway.contract.topics import LaneId, Topics
from gateway.core.decision import Outcome
from gateway.core.province import Province
from gateway.core.signature import SignatureStatus
from gateway.relay.deciding import decide_record
from gateway.relay.horizon import Horizon
from gateway.relay.turn import decide_turn
from tests.batches import (
    ATTRIBUTES,
    CODECS,
    COUNT,
    HEADER_BYTES,
    LAST_DELTA,
    MAX_TIMESTAMP,
    NOW,
    bomb,
    build,
    change,
    marker,
    packed,
    rows,
    seal,
    transactional,
    varint,
    with_bad_header,
)
from tests.unit.fetching import LANE, MIB, consume, fetch, shown


@pytest.fixture(autouse=True)
def _forget_crcs() -> None:
    fetch_patches._wrong_crcs.clear()


# -- a record among others


@pytest.mark.parametrize("codec", [None, *CODECS])
def test_header_name_not_in_utf8_spoils_one_record(codec: str | None) -> None:
    plain = build([*rows(b"a", b"b"), (b"key", b"c", [("zzzz", b"1")]), *rows(b"d")], 10)
    batch = with_bad_header(plain)
    for offset in range(10, 14):
        log = [batch if codec is None else packed(batch, codec), build(rows(b"e"), 14)]
        got = consume(log, offset)
        wanted = [(10, b"a"), (11, b"b"), (12, "the name of one of its headers is not UTF-8"), (13, b"d"), (14, b"e")]
        assert list(map(shown, got)) == wanted[offset - 10 :]
        for spoilt in got:
            if isinstance(spoilt, UnreadableRecord):
                own = batch[batch.index(b"\xff\xfe\xc3\x28") - 12 : batch.index(b"\xff\xfe\xc3\x28") + 6]
                assert own.endswith(b"\x021")
                assert own[0] == 2 * (len(own) - 1)
                assert (spoilt.digest, spoilt.size) == ("sha256:" + hashlib.sha256(own).hexdigest(), len(own))


def record(delta: int, value: bytes = b"v", *, time: int = 0, tail: bytes = b"\0") -> bytes:
    content = b"\0" + varint(time) + varint(delta) + varint(-1) + varint(len(value)) + value + tail
    return varint(len(content)) + content


def crafted(*records: bytes, last_delta: int | None = None, count: int | None = None, base: int = 0) -> bytes:
    count = len(records) if count is None else count
    fields = ((COUNT, count), (LAST_DELTA, count - 1 if last_delta is None else last_delta))
    return seal(change(build(rows(b""))[:HEADER_BYTES], *fields) + b"".join(records), base)


NO_ORDER, MALFORMED = fetch_patches.NO_ORDER, fetch_patches.MALFORMED


@pytest.mark.parametrize(
    ("batch", "wanted"),
    [
        (crafted(record(0), record(1, tail=b"\x01"), record(2)), [b"v", MALFORMED, b"v"]),  # -1 headers
        (crafted(record(0), record(1, tail=b"\xff" * 11), record(2)), [b"v", MALFORMED, b"v"]),
        (crafted(record(0), varint(0), record(2)), [b"v", MALFORMED, b"v"]),
        (crafted(record(0), varint(-5), record(2)), [b"v", NO_ORDER, NO_ORDER]),
        (crafted(record(0), varint(1000) + b"x", record(2)), [b"v", NO_ORDER, NO_ORDER]),
        (crafted(record(0), record(0), record(0)), [b"v", NO_ORDER, NO_ORDER]),  # aiokafka leaves them out
        (crafted(record(0), record(2), record(1)), [b"v", NO_ORDER, NO_ORDER]),
        (crafted(record(7), record(8)), [NO_ORDER, NO_ORDER]),
        (crafted(record(-1), record(0)), [NO_ORDER, NO_ORDER]),
        (crafted(record(0), count=3), [b"v", NO_ORDER, NO_ORDER]),
        (crafted(record(0), record(1), count=2, last_delta=0), [NO_ORDER]),
        (crafted(record(0), record(1), count=-1, last_delta=1), [NO_ORDER, NO_ORDER]),
        (crafted(record(0), record(1) + b"more"), [b"v", b"v"]),
    ],
)  # fmt: skip
def test_a_broken_batch_spoils_only_the_offsets_affected(batch: bytes, wanted: list[Any]) -> None:
    after = build(rows(b"after"), len(wanted))
    whole = [*enumerate(wanted), (len(wanted), b"after")]
    for offset in range(len(wanted)):
        assert list(map(shown, consume([batch, after], offset))) == whole[offset:]
        assert list(map(shown, consume([packed(batch, "lz4"), after], offset))) == whole[offset:]


def test_batches_claiming_billions_of_records_are_read_lazily() -> None:
    records = iter(fetch(crafted(record(0), count=2**31 - 1), 0))
    assert [shown(next(records)) for _ in range(4)] == [(0, b"v"), (1, NO_ORDER), (2, NO_ORDER), (3, NO_ORDER)]


def test_an_invalid_producer_timestamp_is_unreadable() -> None:
    by_producer = (ATTRIBUTES, 0)
    plain = crafted(record(0), record(1, time=2**62), record(2, time=-NOW - 1), record(3, time=-NOW - 2), record(4))
    got = consume([seal(change(plain, by_producer))])
    assert [shown(each)[1] for each in got] == [b"v", *[fetch_patches.NO_TIME] * 3, b"v"]
    assert [each.timestamp for each in got] == [NOW] * 5
    assert [shown(each)[1] for each in consume([plain])] == [b"v"] * 5
    far = seal(change(plain, (MAX_TIMESTAMP, 2**62)))
    assert [(each.timestamp, each.problem) for each in consume([far])] == [
        (fetch_patches.LAST_TIME, fetch_patches.NO_TIME)
    ] * 5


# -- CRC, format, frame


def damaged(batch: bytes) -> bytes:
    return batch[:-2] + bytes([batch[-2] ^ 1]) + batch[-1:]


def test_a_wrong_crc_counts_after_three_fetches() -> None:
    good, bad, after = build(rows(b"a")), damaged(build(rows(b"b", b"c"), 1)), build(rows(b"d"), 3)
    log = good + bad + after
    assert [shown(each) for each in fetch(log, 0)] == [(0, b"a")]
    assert list(fetch(log, 1)) == []
    third = fetch(log, 1)
    spoilt = list(third)
    assert [shown(each) for each in spoilt] == [(1, fetch_patches.WRONG_CRC), (2, fetch_patches.WRONG_CRC)]
    assert {each.digest for each in spoilt} == {"sha256:" + hashlib.sha256(bad).hexdigest()}
    assert third.next_fetch_offset == 3
    assert [shown(each) for each in fetch(after, 3)] == [(3, b"d")]
    assert len(list(fetch(log, 2))) == 1, "once it is known, the middle of it is not tried again"


def test_a_batch_intact_when_fetched_again_is_read() -> None:
    good = build(rows(b"a", b"b"), 5)
    assert list(fetch(damaged(good), 5)) == []
    assert [shown(each) for each in fetch(good, 5)] == [(5, b"a"), (6, b"b")]


def test_an_old_message_is_unreadable() -> None:
    old = bytearray(struct.pack(">qiibbqii", 4, 26, 0, 1, 0, NOW, -1, -1) + bytes(4))
    struct.pack_into(">i", old, 8, len(old) - 12)
    (spoilt, after) = consume([bytes(old), build(rows(b"a"), 5)], 4)
    assert (shown(spoilt), spoilt.timestamp, after.value) == ((4, fetch_patches.OLD_FORMAT), NOW, b"a")


@pytest.mark.parametrize("length", [-2147483648, -13, -12, -1, 0, 13, 20, 48])
def test_bytes_that_are_no_batches_are_named_and_end(length: int) -> None:
    broken = bytearray(build(rows(b"secret"), 1))
    struct.pack_into(">i", broken, 8, length)
    records = fetch(build(rows(b"a")) + bytes(broken), 0)
    assert next(records).value == b"a"
    with pytest.raises(CorruptRecordException, match="display/3, from offset 1: what the broker holds") as raised:
        next(records)
    assert "secret" not in str(raised.value)
    assert Fetched(bytes(broken)).has_next()
    assert not Fetched(b"").has_next()
    assert not Fetched(build(rows(b"a"))[:-1]).has_next(), "what a broker cuts off is fetched again"


# -- transactions, and what is missing


def test_aborted_batches_are_skipped_without_unpacking(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> bytes:
        raise AssertionError

    monkeypatch.setattr(fetch_patches, "unpack", never)
    log = [
        transactional(bomb(MIB, 0), 7), transactional(build(rows(b"other"), 1), 8), marker(2, 7, aborts=True),
        transactional(build(rows(b"again"), 3), 7), marker(4, 7, aborts=False), marker(5, 8, aborts=False),
        build(rows(b"last"), 6),
    ]  # fmt: skip
    got = consume(log, aborted=[(7, 0)], missing=True)
    assert list(map(shown, got)) == [(1, b"other"), (3, b"again"), (6, b"last")]


def test_what_the_log_lacks_is_reported_to_whom_asks() -> None:
    thinned = crafted(record(1), record(4), last_delta=6, base=10)
    log = [build(rows(b"a")), thinned, crafted(count=0, last_delta=2, base=20), build(rows(b"z"), 30)]
    assert list(map(shown, consume(log))) == [(0, b"a"), (11, b"v"), (14, b"v"), (30, b"z")]
    for codec in (None, "gzip"):
        third = log[1] if codec is None else packed(log[1], codec)
        got = consume([log[0], third, *log[2:]], missing=True)
        assert list(map(shown, got)) == [
            (0, b"a"), (1, "missing up to", 9), (10, "missing up to", 10), (11, b"v"), (12, "missing up to", 13), (14, b"v"),
            (15, "missing up to", 16), (17, "missing up to", 19), (20, "missing up to", 22), (23, "missing up to", 29),
            (30, b"z"),
        ]  # fmt: skip
    assert list(map(shown, consume(log[1:2], 12, missing=True))) == [
        (12, "missing up to", 13), (14, b"v"), (15, "missing up to", 16),
    ]  # fmt: skip
    (hole, *_) = consume(log[3:], 25, missing=True)
    assert (hole.topic, hole.partition, hole.timestamp, hole.key, hole.value, hole.headers) == (
        *LANE,
        NOW,
        None,
        None,
        (),
    )


def test_fetching_from_mid_batch_reports_nothing_missing() -> None:
    assert list(map(shown, consume([build(rows(b"a", b"b", b"c"), 5)], 6, missing=True))) == [(6, b"b"), (7, b"c")]


# -- whatever bytes

values = st.one_of(st.none(), st.binary(max_size=20))
names = st.sampled_from(["ce_id", "name", "级"])
contents = st.lists(
    st.tuples(values, values, st.lists(st.tuples(names, st.binary(max_size=5)), max_size=2)), min_size=1, max_size=6
)


@settings(max_examples=300, deadline=None)
@given(
    contents, st.sampled_from([None, *CODECS]), st.integers(0, 8),
    st.lists(st.tuples(st.integers(0, 400), st.binary(min_size=1, max_size=4)), max_size=4), st.booleans(),
)  # fmt: skip
def test_whatever_the_bytes_every_offset_is_given_out_once(
    content: Any, codec: str | None, offset: int, splashes: list[tuple[int, bytes]], inner: bool
) -> None:
    """Bytes are changed in the records as they are stored, or before they are packed; the batch is sealed
    over them."""
    fetch_patches._wrong_crcs.clear()
    plain = bytearray(build(content))
    splashed = plain if codec is None or inner else bytearray(packed(bytes(plain), codec))
    for place, splash in splashes:
        if len(splashed) > HEADER_BYTES:
            at = HEADER_BYTES + place % (len(splashed) - HEADER_BYTES)
            splashed[at : at + len(splash)] = splash[: len(splashed) - at]
    batch = seal(bytes(splashed))
    if splashed is plain and codec is not None:
        batch = packed(batch, codec)
    end = len(content)
    log = [batch, build(rows(b"after"), end)]
    whole = consume(log)
    assert [each.offset for each in whole] == list(range(end + 1))
    assert whole[-1].value == b"after"
    start = min(offset, end)
    assert consume(log, start) == whole[start:]
    assert consume(log, missing=True) == whole


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(12, 60), st.integers(0, 255)), min_size=1, max_size=4), st.booleans())
def test_whatever_the_header_reading_goes_on(splashes: list[tuple[int, int]], sealed: bool) -> None:
    fetch_patches._wrong_crcs.clear()
    header = bytearray(build(rows(b"a", b"b", b"c")))
    for place, value in splashes:
        header[place] = value
    batch = seal(bytes(header)) if sealed else bytes(header)
    for missing in (False, True):
        offset, given_out = 0, list[Any]()
        for _ in range(5):
            records = fetch(batch, offset, missing=missing)
            given_out += [each for each, _ in zip(records, range(1000), strict=False)]
            offset = records.next_fetch_offset
        offsets = [each.offset for each in given_out]
        assert offset > 0
        assert offsets == sorted(set(offsets))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
def test_whatever_is_fetched_iterating_ends(data: bytes) -> None:
    records = fetch(data, 0)
    try:
        given_out = [each for each, _ in zip(records, range(1000), strict=False)]
    except CorruptRecordException:
        return
    offsets = [each.offset for each in given_out]
    assert offsets == sorted(set(offsets))


# -- what a lane makes of them


def unreadable(offset: int = 7) -> UnreadableRecord:
    (spoilt,) = consume([with_bad_header(build([(b"k", b"v", [("zzzz", b"")])], offset))], offset)
    assert isinstance(spoilt, UnreadableRecord)
    return spoilt


LIST = load_recognition(packaged_config() / "recognition")
TOPICS = Topics("x.")
LANE_ID = LaneId(Province.SICHUAN, TOPICS.display(Province.SICHUAN), 3)


@pytest.mark.parametrize("refused", [False, True])
def test_unreadable_records_become_dead_letters_holding_only_digests(refused: bool) -> None:
    spoilt = unreadable()
    turn = decide_turn(LANE_ID, [spoilt], LIST, Horizon(1000, 10), topics=TOPICS, refused_by_broker=refused)
    (output,) = turn.outputs
    assert (output.topic, output.key, output.headers[1:]) == (
        TOPICS.deadletter,
        None,
        (("chuanyu-origin", b"x.sichuan.display/3/7"),),
    )
    data = json.loads(output.value)["data"]
    assert (data["size"], data["input_digest"]) == (spoilt.size, spoilt.digest)
    assert (turn.span.first_offset, turn.span.last_offset, len(turn.span.inputs)) == (7, 7, 1)
    if refused:
        assert data["error"]["code"] == "REFUSED_BY_BROKER"
        return
    assert (data["bytes_base64"], data["withheld"]) == (None, "unreadable")
    assert data["error"] == {
        "code": "UNREADABLE_RECORD",
        "message": "the record cannot be read: the name of one of its headers is not UTF-8",
    }
    again = decide_turn(LANE_ID, [unreadable()], LIST, Horizon(1000, 10), topics=TOPICS)
    assert again.outputs == turn.outputs


async def test_an_unreadable_record_has_no_signature() -> None:
    ring = KeyRing({Province.SICHUAN: "required", Province.CHONGQING: "optional"}, {})
    assert await ring.statuses(Province.SICHUAN, [unreadable()]) == [SignatureStatus.MISSING]
    assert await ring.statuses(Province.CHONGQING, [unreadable()]) == [SignatureStatus.UNASKED]


def test_what_is_missing_decides_without_an_error() -> None:
    (hole, *_) = consume([build(rows(b"z"), 9)], 7, missing=True)
    assert isinstance(hole, MissingRecords)
    assert decide_record(LANE_ID, hole, LIST, Horizon(1000, 10)).outcome is Outcome.DEAD_LETTER
