"""The kernel's parts, each beside its twin in Python: digests, horizon, and what may be a person's
number."""

import hashlib
import string
from random import Random

import gateway_kernel
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.adapters.partitioning import partition_of
from gateway.core.event import Identity
from gateway.core.privacy import holds_personal_code, holds_personal_number
from gateway.relay.horizon import OCCURRENCE_BYTES, Horizon

_SEPARATORS = " -.\t\n\u00b7\u2010\u3002\u30fb\uff0d\u200b\ufe0f"


@pytest.mark.parametrize("algorithm", ["sm3", "sha256"])
def test_digests_computed_side_by_side(algorithm: str) -> None:
    random = Random(1)
    texts = [random.randbytes(size) for size in (*range(300), 1000, 4096, 65_536, *random.choices(range(3000), k=50))]
    random.shuffle(texts)
    for count in (0, 1, 15, 16, 17, len(texts)):
        expected = [hashlib.new(algorithm, text).digest() for text in texts[:count]]
        assert gateway_kernel.digest_all(algorithm, texts[:count]) == expected


# Digits, letters, what may stand between digits, and forms that are digits after NFKC.
_NEARLY_NUMBERS = st.text(st.sampled_from("0123456789" * 3 + "8613X*王ab" + _SEPARATORS + "１３⑬⑩"), max_size=40)


@given(_NEARLY_NUMBERS | st.text(max_size=40) | st.from_regex(r"(\+?86)?[ .-]?1[3-9][0-9 .-]{9,12}", fullmatch=True))
@example("13800138000")
@example("110105 19491231 002X")
@example("138-0013-8000")
@example("00" + "86" + "13800138000")
def test_where_the_kernel_is_sure_no_number_is(text: str) -> None:
    if not gateway_kernel.may_hold_number(text):
        assert not holds_personal_number(text)
        assert not holds_personal_code(text)


@pytest.mark.parametrize(
    "number", ["13800138000", "1-3-8-0-0-1-3-8-0-0-0", "138 0013 8000", "+86 138.0013.8000", "110105-19491231-002X"]
)
@pytest.mark.parametrize("filler", ["Ab3", "a 1 b", "12-", " ", "/+"])
def test_a_number_is_seen_wherever_it_stands(number: str, filler: str) -> None:
    for before, after in [(before, after) for before in range(48) for after in (0, 1, 11, 40)]:
        left, right = (filler * before)[:before], (filler * after)[:after]
        text = f"{left}/{number}/{right}"
        assert holds_personal_number(text)
        assert gateway_kernel.may_hold_number(text)


def test_the_kernel_is_sure_of_what_platforms_write() -> None:
    usual = [
        "3f2b8c1e-9a47-4d21-8f5e-0c6b7a8d9e0f", "SC-20261127-000123-4", "张**", "四川省成都市第一政务服务中心（高新区）", "cd-5101-0042",
        "渝快办APP", "11510000008282201X",
    ]  # fmt: skip
    assert [text for text in usual if gateway_kernel.may_hold_number(text)] == []


@given(st.data())
def test_both_horizons_remember_the_same(data: st.DataObject) -> None:
    span, most = data.draw(st.tuples(st.integers(1, 50), st.integers(1, 12)))
    plain, native, now = Horizon(span, most), gateway_kernel.Horizon(span, most), 0
    identities = [Identity(source, name, holder) for source in "ab" for name in "12" for holder in "xy"]
    for _ in range(data.draw(st.integers(1, 40))):
        now += data.draw(st.integers(-3, 20))
        identity = data.draw(st.sampled_from(identities))
        match data.draw(st.integers(0, 5)):
            case 0:
                plain.keep(), native.keep()
            case 1:
                plain.forget(), native.forget()
            case 2:
                learnt = plain.pending
                plain.learn(learnt), native.learn(learnt)
            case _:
                digest = "sha256:" + hashlib.sha256(data.draw(st.sampled_from([b"one", b"two"]))).hexdigest()
                plain.remember(identity, digest, now), native.remember(identity, digest, now)
        assert (plain.pending, len(plain), plain.truncated) == (native.pending, len(native), native.truncated)
        for each in identities:
            assert sorted(plain.at(now).get(each, ())) == sorted(native.at(now).get(each, ()))


@given(st.lists(st.none() | st.binary(max_size=260), max_size=30), st.integers(1, 200))
def test_both_find_where_a_key_belongs(keys: list[bytes | None], partitions: int) -> None:
    given_keys = [key for key in keys if key is not None]
    assert [gateway_kernel.partition_of(key, partitions) for key in given_keys] == [
        partition_of(key, partitions) for key in given_keys
    ]


def test_a_horizon_refuses_what_is_no_occurrence() -> None:
    with pytest.raises(ValueError, match=f"31 bytes are not a whole number of occurrences of {OCCURRENCE_BYTES}"):
        gateway_kernel.Horizon(1, 1).learn(b"x" * 31)


def test_letters_and_digits_that_are_no_number() -> None:
    random = Random(3)
    sure = sum(
        not gateway_kernel.may_hold_number("".join(random.choices(string.hexdigits[:16], k=32))) for _ in range(2000)
    )
    assert sure == 2000  # a UUID's digits touch letters
