"""A key's partition is that of Kafka's own (Java) partitioner, whichever client of ours or of a platform
publishes it."""

import hashlib

import pytest
from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given
from hypothesis import strategies as st

from gateway.adapters.partitioning import fast_partitions_of, partition_of


def holder(number: int) -> bytes:
    """A holder's reference, made up."""
    return f"sm3:{hashlib.sha256(str(number).encode()).hexdigest()}".encode()


COUNTS = (4, 12, 100)
# Computed with kafka-clients 4.1.1:
# org.apache.kafka.clients.producer.internals.BuiltInPartitioner.partitionForKey(key, count), for each of
# COUNTS.
JAVA = [
    (b"", [1, 9, 81]),
    (b"a", [0, 4, 24]),
    (b"ab", [2, 2, 34]),
    (b"abc", [3, 3, 7]),
    (b"abcd", [0, 8, 0]),
    (b"abcde", [1, 1, 41]),
    (b"\x00", [0, 8, 88]),
    (b"\xff\xff\xff", [2, 6, 22]),
    (bytes(range(256)), [2, 10, 74]),
    ("成都某运输公司".encode(), [3, 7, 11]),
    (b"not-the-holder", [2, 10, 42]),
    (b"sm3:" + b"5c" * 32, [1, 1, 41]),
    (b"sm3:" + b"a1" * 32, [2, 6, 2]),
    (b"sm3:" + b"ab" * 32, [2, 2, 94]),
    (b"sm3:" + b"00" * 32, [2, 2, 10]),
    (holder(0), [0, 8, 96]),
    (holder(1), [0, 0, 12]),
    (holder(2), [2, 10, 34]),
    (holder(3), [0, 4, 40]),
    (holder(4), [2, 2, 38]),
    (holder(5), [1, 9, 17]),
    (holder(6), [3, 7, 75]),
    (holder(7), [3, 3, 71]),
    (holder(8), [2, 10, 14]),
]  # fmt: skip


@pytest.mark.parametrize(("key", "expected"), JAVA, ids=range(len(JAVA)))
def test_partition_of_a_key_is_the_java_clients(key: bytes, expected: list[int]) -> None:
    assert [partition_of(key, count) for count in COUNTS] == expected
    of_aiokafka = DefaultPartitioner()
    assert [of_aiokafka(key, list(range(count)), []) for count in COUNTS] == expected
    assert [fast_partitions_of([key], count) for count in COUNTS] == [[each] for each in expected]


# Kafka's own: org.apache.kafka.common.utils.UtilsTest.testMurmur2.
MURMUR2 = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


def test_both_hash_as_kafkas_own_tests_want_it() -> None:
    count = 2**31  # what is left of the hash is all but its sign
    expected = [hashed % count for hashed in MURMUR2.values()]
    assert [partition_of(key, count) for key in MURMUR2] == expected
    assert fast_partitions_of(list(MURMUR2), count) == expected


@given(
    st.lists(st.binary(max_size=140) | st.binary(min_size=68, max_size=68), max_size=40),
    st.sampled_from([1, 4, 12, 2**31]),
)
def test_the_fast_one_agrees_with_the_plain_one(keys: list[bytes], count: int) -> None:
    assert fast_partitions_of(keys, count) == [partition_of(key, count) for key in keys]


def test_fast_partitions_equal_the_plain_ones() -> None:
    keys = [holder(number) for number in range(500)]
    keys[250] = b"another length"
    assert fast_partitions_of(keys, 12) == [partition_of(key, 12) for key in keys]
