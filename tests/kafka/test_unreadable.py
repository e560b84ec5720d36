"""What no Kafka client can read, on a real broker: a dead letter each, around which everything goes on."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import confluent_kafka
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import for_code
from aiokafka.protocol.produce import ProduceRequest

from gateway.adapters import kafka
from gateway.adapters.aiokafka_patches import report_missing
from gateway.adapters.kafka_requests import raw_client
from gateway.adapters.log_facts import wait_until_known
from gateway.adapters.raw_log import OffsetRange, describe_offsets
from gateway.adapters.settings import Settings
from gateway.adapters.unreadable import MissingRecords, UnreadableRecord
from gateway.contract.verification import VERIFIED_TYPE
from gateway.core.province import Province
from gateway.operate.topics import apply_topics
from tests.batches import (
    APPEND_TIME,
    ATTRIBUTES,
    CODECS,
    attributes,
    bomb,
    build,
    change,
    packed,
    rows,
    seal,
    with_bad_header,
)
from tests.kafka.harness import audit, publish, read_topics, wait_until_accounted, with_short_sessions, workers
from tests.kafka.test_trace import permit, trace
from tests.patience import PATIENCE_S


@pytest.fixture
def settings(settings: Settings) -> Settings:
    topics = settings.topics.model_copy(update={"partitions": 1})
    return with_short_sessions(settings).model_copy(update={"topics": topics})


async def produce(settings: Settings, partition: TopicPartition, *batches: bytes) -> list[int]:
    """Send batches as they are, each in a request of its own; their first offsets."""
    offsets = []
    async with raw_client(settings) as client:
        await client.set_topics([partition.topic])
        for batch in batches:
            made = seal(change(batch, (ATTRIBUTES, attributes(batch) & ~APPEND_TIME)))  # the broker's to say
            request = ProduceRequest(None, -1, 30_000, [(partition.topic, [(partition.partition, made)])])
            answer = await client.send(client.cluster.leader_for_partition(partition), request)
            ((_, ((_, code, offset, *_),)),) = answer.topics
            assert code == 0, (for_code(code), attributes(batch))
            offsets.append(offset)
    return offsets


def events(*numbers: int) -> list[tuple[bytes, bytes, list[tuple[str, bytes]]]]:
    made = [permit(number, f"event-{number}") for number in numbers]
    return [
        (each.key, each.value, [("zzzz", b"1")] if number % 10 == 5 else [])
        for number, each in zip(numbers, made, strict=True)
    ]


def run(settings: Settings, *command: str, expect: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "gateway", *command], env=os.environ | settings.as_environment(), capture_output=True,
        text=True, timeout=PATIENCE_S, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == expect, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


async def send_by_librdkafka(settings: Settings, topic: str, codec: str, content: Sequence[Any]) -> None:
    producer = confluent_kafka.Producer(
        {"bootstrap.servers": settings.bootstrap_servers, "compression.type": codec, "linger.ms": 200}
    )
    for key, value, _ in content:
        producer.produce(topic, key=key, value=value, partition=0)
    assert await asyncio.to_thread(producer.flush, 20) == 0


def peak_memory_of(process: int) -> int:
    """The most that a process has had at once, in kB."""
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    (peak,) = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
    return int(peak)


async def publish_in_every_codec(settings: Settings, lane: TopicPartition) -> tuple[int, dict[int, tuple[str, int]]]:
    """Publish what can be read and what cannot: how many can; by offset the problem, and the size, of the
    others.

    A header's name that is not UTF-8 among ten events, in each codec and none; a bomb of 1 GB; between them
    good ones.
    """
    number, good = 0, 0
    for codec in ("gzip", "snappy", "lz4", "zstd"):
        await send_by_librdkafka(settings, lane.topic, codec, events(*range(number, number + 5)))
        number, good = number + 10, good + 5
    unreadable = {}
    for codec in (None, *CODECS):
        batch = with_bad_header(build(events(*range(number, number + 10))))
        (first,) = await produce(settings, lane, batch if codec is None else packed(batch, codec))
        _, value, _ = events(number + 5)[0]
        # Length, attributes, time, offset and lengths; the key; the value; one header.
        unreadable[first + 5] = ("the name of one of its headers is not UTF-8", 2 + 3 + 2 + 68 + 2 + len(value) + 8)
        number, good = number + 10, good + 9
    blast = await asyncio.to_thread(bomb, 1_000_000_000)
    (first,) = await produce(settings, lane, blast)
    unreadable[first] = ("its batch cannot be unpacked to 16 MiB or less", len(blast))
    await produce(settings, lane, build(events(*range(number, number + 5))))
    return good + 5, unreadable


async def test_records_of_all_codecs_are_read_or_dead_lettered(settings: Settings) -> None:
    await apply_topics(settings)
    topics = settings.topic_names
    lane = TopicPartition(topics.display(Province.SICHUAN), 0)
    good, unreadable = await publish_in_every_codec(settings, lane)
    total = good + len(unreadable)
    with workers(settings, 1) as (worker,):
        account = await wait_until_accounted(settings, total)
        assert worker.process is not None
        assert peak_memory_of(worker.process.pid) < 300_000, "the bomb was unpacked"
        assert worker.events("lane.failed") == []
        assert {each["code"] for each in worker.events("record.dead_lettered")} == {"UNREADABLE_RECORD"}
        assert worker.terminate() == 0
    account.assert_proper(total)
    assert account.outcome_count(VERIFIED_TYPE) == good
    sent = [json.loads(each.value)["data"] async for each in read_topics(settings, [topics.deadletter])]
    letters = {each["origin"]["offset"]: each for each in sent}
    assert {offset: (each["error"]["message"], each["size"]) for offset, each in letters.items()} == {
        offset: (f"the record cannot be read: {problem}", size) for offset, (problem, size) in unreadable.items()
    }
    for each in sent:
        assert (each["error"]["code"], each["bytes_base64"], each["withheld"]) == (
            "UNREADABLE_RECORD",
            None,
            "unreadable",
        )
    bad = max(unreadable)
    async with kafka.consumer(settings) as consumer:
        consumer.assign([lane])
        consumer.seek(lane, bad)
        (record,) = (await consumer.getmany(timeout_ms=PATIENCE_S * 1000, max_records=1))[lane]
        assert isinstance(record, UnreadableRecord)
        assert record.digest == letters[bad]["input_digest"]
        assert abs(record.timestamp - time.time() * 1000) < 600_000, "the broker's time"

    proved = audit(settings, "--prove")
    assert (proved["ok"], proved["gaps"], proved["unprovable"]) == (True, 0, {})
    (story,) = trace(settings, "--at", f"sichuan.display/0/{bad}")["occurrences"]
    assert (story["outcome"], story["error"]["code"], story["proved"]) == ("dead_letter", "UNREADABLE_RECORD", "yes")
    redriven = json.loads(run(settings, "redrive", "--reason", "UNREADABLE_RECORD", "--format", "json"))
    assert (redriven["selected"], redriven["unreadable"], redriven["written"]) == (7, 7, 0)
    shown = run(settings, "tail", "sichuan.display", "--from-beginning", "--limit", str(total))
    assert f"/{bad}  (unreadable: its batch cannot be unpacked to 16 MiB or less)" in shown


async def test_a_ledger_that_the_broker_compresses_is_read_again(settings: Settings) -> None:
    await apply_topics(settings)
    topics = settings.topic_names
    async with kafka.admin(settings) as admin:
        every = [*topics.rejections, topics.ledger, topics.verification(Province.CHONGQING), topics.deadletter]
        codec = {"compression.type": "zstd"}
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, each, configs=codec) for each in every])
    sent = [permit(number, f"event-{number}") for number in range(200)]
    with workers(settings, 1) as (worker,):
        await publish(settings, sent)
        await wait_until_accounted(settings, 200)
        assert worker.terminate() == 0
    with workers(settings, 1) as (worker,):
        await publish(settings, sent)
        account = await wait_until_accounted(settings, 400)
        assert worker.events("lane.failed") == []
        assert worker.terminate() == 0
    assert (account.outcome_count(VERIFIED_TYPE), account.duplicates) == (200, 200)
    assert audit(settings, "--prove")["ok"]


async def test_an_unreadable_foreign_record_is_an_audit_finding(settings: Settings) -> None:
    await apply_topics(settings)
    topics = settings.topic_names
    with workers(settings, 1) as (worker,):
        await publish(settings, [permit(1, "event")])
        await wait_until_accounted(settings, 1)
        assert worker.terminate() == 0
    bad = with_bad_header(build([(b"key", b"value", [("zzzz", b"")])]))
    for topic in (topics.ledger, topics.deadletter, topics.verification(Province.CHONGQING)):
        await produce(settings, TopicPartition(topic, 0), bad)
    with workers(settings, 1) as (worker,):
        worker.wait_for("lane.opened", 2)
        assert worker.terminate() == 0
    found = audit(settings, expect=1)["findings"]
    details = {(each["topic"].removeprefix(settings.topic_prefix), each["detail"]) for each in found}
    assert details == {
        (topic, "the record cannot be read: the name of one of its headers is not UTF-8")
        for topic in ("gateway.ledger", "gateway.deadletter", "chongqing.verification")
    }


# -- the raw log
# ------------------------------------------------------------------------------------------------------


async def described(settings: Settings, partition: TopicPartition, first: int, last: int) -> list[OffsetRange]:
    return [each async for each in describe_offsets(settings, partition, first, last)]


async def topic_of(settings: Settings, name: str, **configs: str) -> TopicPartition:
    topic = settings.topic_prefix + name
    async with kafka.admin(settings) as admin:
        stamped = configs | {"message.timestamp.type": "LogAppendTime"}
        await admin.create_topics([NewTopic(topic, 1, 1, topic_configs=stamped)])
        await wait_until_known(settings, [topic])
    return TopicPartition(topic, 0)


async def test_the_raw_log_reports_markers_aborts_and_gaps(settings: Settings) -> None:
    lane = await topic_of(settings, "raw")
    async with kafka.producer(settings, transactional_id=settings.topic_prefix + "raw") as producer:
        for commits in (True, False, True):
            await producer.begin_transaction()
            for number in range(3):
                await producer.send_and_wait(lane.topic, b"%d" % number, partition=0)
            await (producer.commit_transaction() if commits else producer.abort_transaction())
        async with asyncio.timeout(PATIENCE_S):  # a broker answers before the marker stands
            while await described(settings, lane, 11, 11) != [OffsetRange(11, 11, "marker")]:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        await produce(settings, lane, packed(build(rows(b"a", b"b")), "zstd"))
        whole = [
            OffsetRange(0, 2, "record"), OffsetRange(3, 3, "marker"), OffsetRange(4, 6, "aborted"),
            OffsetRange(7, 7, "marker"), OffsetRange(8, 10, "record"), OffsetRange(11, 11, "marker"),
            OffsetRange(12, 13, "record"),
        ]  # fmt: skip
        assert await described(settings, lane, 0, 13) == whole
        assert await described(settings, lane, 5, 8) == [
            OffsetRange(5, 6, "aborted"),
            *whole[3:4],
            OffsetRange(8, 8, "record"),
        ]
        assert await described(settings, lane, 12, 20) == [
            OffsetRange(12, 13, "record"),
            OffsetRange(14, 20, "missing"),
        ]
        # Behind an open transaction nothing is decided, and of others only the markers.
        await producer.begin_transaction()
        await producer.send_and_wait(lane.topic, b"open", partition=0)
        await produce(settings, lane, build(rows(b"c")))
        assert await described(settings, lane, 11, 16) == [
            *whole[5:], OffsetRange(14, 15, "undecided"), OffsetRange(16, 16, "missing"),
        ]  # fmt: skip
        await producer.commit_transaction()
    async with kafka.admin(settings) as admin:
        await admin.delete_records({lane: RecordsToDelete(before_offset=6)})
    assert await described(settings, lane, 2, 9) == [
        OffsetRange(2, 5, "missing"), OffsetRange(6, 6, "aborted"), OffsetRange(7, 7, "marker"), OffsetRange(8, 9, "record"),
    ]  # fmt: skip


async def test_the_raw_log_holds_one_fetch_at_a_time(settings: Settings) -> None:
    lane = await topic_of(settings, "long")
    await produce(settings, lane, *[build(rows(*[bytes(1000)] * 900)) for _ in range(5)])
    assert await described(settings, lane, 10, 4499) == [OffsetRange(10, 4499, "record")]


COMPACTS = {"cleanup.policy": "compact", "segment.ms": "100", "min.cleanable.dirty.ratio": "0.01"}
KEYS = [b"a", b"b", b"a", b"c", b"b", b"b"]
LEFT = [
    OffsetRange(0, 1, "missing"),
    OffsetRange(2, 2, "record"),
    OffsetRange(3, 4, "missing"),
    OffsetRange(5, 6, "record"),
]


async def produce_and_compact(settings: Settings, lane: TopicPartition, codec: str) -> None:
    """Write records of ``KEYS``, and one more; wait until only the newest of each key are left, as ``LEFT``
    has them.

    The segment that is written to is never compacted, so that others are begun until this one is.
    """
    await produce(
        settings, lane, packed(build([(key, b"value", []) for key in KEYS]), codec), build([(b"c", b"x", [])])
    )
    deadline = time.monotonic() + PATIENCE_S
    while (found := await described(settings, lane, 0, 6)) != LEFT:
        assert time.monotonic() < deadline, found
        await asyncio.sleep(1)
        await produce(settings, lane, build([(b"later", b"", [])]))


async def test_compacted_offsets_are_reported_only_on_request(settings: Settings) -> None:
    lane = await topic_of(settings, "thin", **COMPACTS)
    await produce_and_compact(settings, lane, "gzip")
    for reports in (False, True):
        given_out: list[Any] = []
        async with kafka.consumer(settings) as consumer:
            if reports:
                report_missing(consumer)
            consumer.assign([lane])
            consumer.seek(lane, 0)
            while not given_out or given_out[-1].offset < 6:
                for records in (await consumer.getmany(timeout_ms=500)).values():
                    given_out += records
        holes = [(each.offset, each.last_offset) for each in given_out if isinstance(each, MissingRecords)]
        offsets = [each.offset for each in given_out if not isinstance(each, MissingRecords) and each.offset <= 6]
        assert offsets == [2, 5, 6]
        assert [hole for hole in holes if hole[0] <= 6] == ([(0, 1), (3, 4)] if reports else [])
