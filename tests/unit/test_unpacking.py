"""Records of every codec are unpacked, up to a limit."""

import contextlib
import gzip
import hashlib
import random
import time

import cramjam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.adapters import fetch_patches, unpacking
from gateway.adapters.unpacking import MAX_UNPACKED_BYTES, UnpackError, unpack
from tests.batches import (
    ATTRIBUTES,
    CODECS,
    GZIP,
    HEADER_BYTES,
    NOW,
    bomb,
    build,
    change,
    packed,
    repacked,
    rows,
    seal,
)
from tests.unit.fetching import MIB, consume, fetch, shown


@pytest.mark.parametrize("codec", CODECS)
def test_records_of_every_codec_are_read(codec: str) -> None:
    content = [(b"k%d" % n, b"v%d" % n * (n % 50), [("ce_id", b"%d" % n)]) for n in range(3000)]
    plain = build(content, 70)
    expected = list(fetch(plain, 70))
    assert [(each.key, each.value, each.headers) for each in expected] == [(k, v, tuple(h)) for k, v, h in content]
    got = list(fetch(packed(plain, codec), 70))
    assert got == expected
    assert [each.offset for each in fetch(packed(plain, codec), 3000)] == list(range(3000, 3070))


@pytest.mark.parametrize("codec", CODECS)
def test_a_codec_unpacks_exactly_up_to_its_limit(codec: str) -> None:
    number, pack = CODECS[codec]
    stream = pack(bytes(100_000))
    assert unpack(number, memoryview(stream), 100_000) == bytes(100_000)
    with pytest.raises(UnpackError):
        unpack(number, memoryview(stream), 99_999)


@pytest.mark.parametrize("codec", CODECS)
def test_a_damaged_stream_is_refused(codec: str) -> None:
    number, pack = CODECS[codec]
    stream = pack(random.Random(1).randbytes(5000))
    for bad in (stream[:-3], stream[: len(stream) // 2], b"", b"abc", b"\xff" * 40):
        if not (codec in {"gzip", "xerial"} and bad == b""):
            with pytest.raises(UnpackError):
                unpack(number, memoryview(bad))


def test_members_of_a_gzip_file_are_one_stream() -> None:
    assert unpack(GZIP, memoryview(gzip.compress(b"a") + gzip.compress(b"b") + bytes(8))) == b"ab"
    large = random.Random(1).randbytes(100_000)
    assert (
        unpack(GZIP, memoryview(gzip.compress(large) + bytes(3) + gzip.compress(large[:5000]))) == large + large[:5000]
    )


def test_many_gzip_members_take_time_in_proportion() -> None:
    member, took_s = gzip.compress(b""), []
    for members in (6_500, 52_000):  # 1 MiB, the largest batch
        packed, began = memoryview(member * members), time.process_time()
        assert unpack(GZIP, packed) == b""
        took_s.append(time.process_time() - began)
    assert took_s[1] < 20 * took_s[0], took_s  # eight times as much; it was sixty times


def test_a_codec_of_no_known_number_is_unreadable() -> None:
    batch = seal(change(build(rows(b"a", b"b")), (ATTRIBUTES, 0x0D)))
    assert list(map(shown, consume([batch, build(rows(b"c"), 2)]))) == [
        (0, fetch_patches.NOT_UNPACKED), (1, fetch_patches.NOT_UNPACKED), (2, b"c"),
    ]  # fmt: skip


def test_records_around_a_bomb_are_still_read() -> None:
    log = [packed(build(rows(b"before")), "zstd"), bomb(200 * MIB, 1), packed(build(rows(b"after"), 2), "lz4")]
    before, spoilt, after = consume(log)
    assert (before.value, after.value) == (b"before", b"after")
    assert shown(spoilt) == (1, "its batch cannot be unpacked to 16 MiB or less")
    assert spoilt.digest == "sha256:" + hashlib.sha256(log[1]).hexdigest()
    assert (spoilt.size, spoilt.key, spoilt.value, spoilt.headers, spoilt.timestamp) == (
        len(log[1]),
        None,
        None,
        (),
        NOW,
    )


def test_one_fetch_unpacks_no_more_than_one_batch_may(monkeypatch: pytest.MonkeyPatch) -> None:
    unpacked: list[int] = []

    def count(codec: int, stream: memoryview, limit: int) -> bytes:
        content = unpacking.unpack(codec, stream, limit)
        unpacked.append(len(content))
        return content

    monkeypatch.setattr(fetch_patches, "unpack", count)
    log = [packed(build(rows(bytes(9 * MIB)), n), "zstd") for n in range(4)]
    for n in range(4):
        records = fetch(b"".join(log[n:]), n)
        assert [len(each.value) for each in records] == [9 * MIB]
        assert records.next_fetch_offset == n + 1
    assert len(unpacked) == 4
    assert len(consume(log)) == 4


def test_one_fetch_tries_one_bomb(monkeypatch: pytest.MonkeyPatch) -> None:
    """To try one takes 20 ms, and a fetch may hold a thousand: a turn would outlast the session."""
    tried: list[int] = []

    def count(_: int, __: memoryview, limit: int) -> bytes:
        tried.append(limit)
        raise UnpackError

    monkeypatch.setattr(fetch_patches, "unpack", count)
    log = [bomb(MIB, n) for n in range(5)]
    assert len(list(fetch(b"".join(log), 0))) == 1
    assert tried == [MAX_UNPACKED_BYTES, 0]
    assert [shown(each) for each in consume(log)] == [(n, fetch_patches.NOT_UNPACKED) for n in range(5)]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.integers(1, 4))
def test_no_stream_breaks_an_unpacker(stream: bytes, codec: int) -> None:
    with contextlib.suppress(UnpackError):
        assert len(unpack(codec, memoryview(stream), 1000)) <= 1000


def test_cramjam_is_the_one_with_all_codecs() -> None:
    assert {"snappy", "lz4", "zstd"} <= set(dir(cramjam))
    assert repacked(build(rows(b"a")), GZIP, gzip.compress(build(rows(b"a"))[HEADER_BYTES:]))
