"""What can happen to a log, its topic and its ledger: expired, recreated, cut back, hidden, unreadable; and
to who writes it."""

import asyncio
import secrets
import signal
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiokafka import AIOKafkaProducer, TopicPartition

from gateway.adapters import kafka
from gateway.core.province import Province
from tests import batches
from tests.faults.log_stage import LogScenario, LogStage
from tests.kafka import one_lane
from tests.kafka.harness import Worker
from tests.kafka.test_unreadable import produce, run

_EXPIRED, _KEPT = 20, 10
_CUT = 25
_BOMB_BYTES = 1_000_000_000


@asynccontextmanager
async def reported(stage: LogStage, event: str, times: int = 1) -> AsyncIterator[None]:
    """Make a fault in here; at the end, wait until the worker has reported ``event`` ``times`` more
    times."""
    before = stage.times_reported(event)
    yield
    await stage.wait_until_reported(event, before + times - 1)


@asynccontextmanager
async def stopped(stage: LogStage) -> AsyncIterator[None]:
    """Have no worker run in here."""
    await stage.stop()
    yield
    stage.worker.start()


# The input log.


async def expire_unread(stage: LogStage) -> None:
    """Retention takes what a frozen worker has not read yet; what it has fetched already is decided."""
    async with reported(stage, "input.lost"):
        stage.worker.signal(signal.SIGSTOP)
        await stage.publish(5)
        await expire(stage)
        stage.worker.signal(signal.SIGCONT)


async def expire_while_stopped(stage: LogStage) -> None:
    """Delete unread records while no worker runs."""
    async with reported(stage, "input.lost"), stopped(stage):
        await expire(stage)


async def expire(stage: LogStage) -> None:
    await stage.publish(_EXPIRED)
    await one_lane.delete_before(stage.settings, stage.topic, await stage.end())
    await stage.publish(_KEPT)


async def recreate_topic(stage: LogStage) -> None:
    """The topic is deleted and made again under a worker that runs; then new events and repeated ones
    come."""
    async with reported(stage, "input.log_changed"):
        await recreate(stage)


async def recreate_topic_while_stopped(stage: LogStage) -> None:
    """The same while no worker runs, with events in it that nobody has decided."""
    async with reported(stage, "input.log_changed"), stopped(stage):
        await stage.publish(10)
        await recreate(stage)


async def recreate(stage: LogStage) -> None:
    await one_lane.recreate_topic(stage.settings, stage.topic)
    stage.incarnation += 1
    repeated = range(
        len(stage.places) - 20, len(stage.places) - 10
    )  # decided, and not the last that nobody has decided
    await stage.publish(10 + 60 * (stage.turn % 2))  # shorter than what was there, and longer
    await stage.publish_again(repeated)


async def cut_back(stage: LogStage) -> None:
    """The broker comes back with a shorter log, as from a disk that was restored; then events go on where it
    ends."""
    async with reported(stage, "input.log_changed"):
        await cut(stage)


async def cut_back_while_stopped(stage: LogStage) -> None:
    """The same while no worker runs; the last ten events that are gone with it were never decided."""
    async with reported(stage, "input.log_changed"), stopped(stage):
        await stage.publish(10)
        await cut(stage)


async def cut(stage: LogStage) -> None:
    await asyncio.to_thread(stage.broker.kill)
    end = truncate(stage.data / f"{stage.topic}-0", _CUT)
    await asyncio.to_thread(stage.broker.start)
    assert await stage.end() == end, "the log was not cut"
    stage.incarnation += 1
    for number, places in enumerate(stage.places):  # what is still there stands in this log too
        kept = [
            (stage.incarnation, at) for incarnation, at in places if incarnation == stage.incarnation - 1 and at < end
        ]
        stage.places[number] += kept
    await stage.publish(10 + 60 * (stage.turn % 2))  # ends before the old end, and beyond it


def truncate(folder: Path, records: int) -> int:
    """Cut at least ``records`` records off the partition's last segment, at the end of a batch; return where
    it ends now."""
    segment = max(folder.glob("*.log"))
    content, at, ends = segment.read_bytes(), 0, []
    while at + batches.HEADER_BYTES <= len(content):
        base, size = struct.unpack_from(">qi", content, at)
        last = base + int(struct.unpack_from(">i", content, at + 23)[0])
        at += 12 + size
        ends.append((last + 1, at))
    wanted = ends[-1][0] - records
    end, size = max((each for each in ends if each[0] <= wanted), default=(int(segment.stem), 0))
    with segment.open("r+b") as file:
        file.truncate(size)
    for pattern in ("*.index", "*.timeindex", "*.txnindex", "*.snapshot"):  # made again from the segment
        for each in folder.glob(pattern):
            each.unlink()
    return end


# The ledger.


async def truncate_ledger(stage: LogStage) -> None:
    """All entries are gone when a worker opens the lane; everything that it decided comes again."""
    async with reported(stage, "ledger.discontinued"), stopped(stage):
        await one_lane.delete_before(stage.settings, stage.settings.topic_names.ledger, -1)
        await stage.publish_again(range(len(stage.places) - 40, len(stage.places)))


async def hide_ledger(stage: LogStage) -> None:
    """A neighbour's transaction hides the ledger's end from a worker that opens the lane, and everything
    comes again."""
    options = {"transactional_id": f"neighbour-{secrets.token_hex(4)}", "transaction_timeout_ms": 60_000}
    neighbour: AIOKafkaProducer
    async with kafka.producer(stage.settings, **options) as neighbour:
        await neighbour.begin_transaction()
        async with reported(stage, "lane.waiting"), stopped(stage):
            await neighbour.send_and_wait(stage.settings.topic_names.ledger, b"x", b"neighbour", partition=0)
            await stage.publish_again(range(len(stage.places) - 40, len(stage.places)))
        await neighbour.abort_transaction()


# What stands in it.


async def send_unreadable(stage: LogStage) -> None:
    """A record that no client reads, in a batch of each codec in turn, and a bomb; good events behind
    them."""
    partition = TopicPartition(stage.topic, 0)
    content: list[batches.Row] = [(b"key", b"{}", [("zzzz", b"1")])]
    bad = batches.with_bad_header(batches.build(content))
    codec = [None, *batches.CODECS][stage.turn % (1 + len(batches.CODECS))]
    blast = await asyncio.to_thread(batches.bomb, _BOMB_BYTES)
    async with reported(stage, "record.dead_lettered", times=2):
        await produce(stage.settings, partition, bad if codec is None else batches.packed(bad, codec))
        await produce(stage.settings, partition, blast)
    await stage.publish(10)


# Who writes.


async def second_gateway(stage: LogStage) -> None:
    """Another gateway works on the same topics with a group of its own, while events come; then it goes."""
    other = Worker(stage.settings, GATEWAY_RELAY__GROUP_ID="second-gateway")
    try:
        async with reported(stage, "lane.fenced"):
            other.start()
            await asyncio.to_thread(other.wait_for, "lane.opened", 1)
            await stage.publish(10)
        for _ in range(4):
            await stage.publish(10)
            await asyncio.sleep(0.5)
        assert await asyncio.to_thread(other.terminate, 30) == 0
    finally:
        other.discard()
    await stage.publish(10)


async def redrive_and_repeat(stage: LogStage) -> None:
    """Events that the broker refused to the gateway are redriven beside the worker, and then published
    again."""
    await take_messages_of(stage, 200)
    async with reported(stage, "record.dead_lettered", times=5):
        numbers = await stage.publish(5)
    await stage.wait_until_decided()
    await take_messages_of(stage, 1_000_000)
    await asyncio.to_thread(run, stage.settings, "redrive", "--reason", "REFUSED_BY_BROKER")
    await stage.publish_again(numbers)
    await stage.publish(5)


async def take_messages_of(stage: LogStage, size: int) -> None:
    topic = stage.settings.topic_names.verification(Province.CHONGQING)
    async with kafka.admin(stage.settings) as admin:
        assert await kafka.change_topic_config(admin, topic, {"max.message.bytes": str(size)}) is None


SCENARIOS = (
    LogScenario("log: expired under a frozen worker", expire_unread, findings=True),
    LogScenario("log: expired while no worker ran", expire_while_stopped, findings=True),
    LogScenario("topic: recreated under a worker", recreate_topic, findings=None),
    LogScenario("topic: recreated while no worker ran", recreate_topic_while_stopped, findings=None),
    LogScenario("log: cut back under a worker", cut_back, findings=None),
    LogScenario("log: cut back while no worker ran", cut_back_while_stopped, findings=None),
    LogScenario("ledger: truncated", truncate_ledger, findings=True),
    LogScenario("ledger: hidden by a transaction", hide_ledger, findings=False),
    LogScenario("log: unreadable record and bomb", send_unreadable, findings=False),
    LogScenario("a second gateway", second_gateway, findings=False),
    LogScenario("redriven, then repeated", redrive_and_repeat, findings=False),
)


async def each_in_turn(stage: LogStage) -> None:
    """Make one of the faults that need no wait, and that no test of tests/kafka plays with a worker of its
    own."""
    faults = (expire_unread, recreate_topic_while_stopped, truncate_ledger, hide_ledger, second_gateway, recreate_topic)
    await faults[stage.turn % len(faults)](stage)


QUICK = LogScenario("logs: expired, recreated, hidden, written by two", each_in_turn, findings=True)
QUICK_TIMES = 6
