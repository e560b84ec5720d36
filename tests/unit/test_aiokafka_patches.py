"""Each patch of aiokafka, checked against it: that what it relies on is there, and that it is still
needed."""

import asyncio
import contextlib
import gc
import inspect
import re
import struct
import subprocess
import sys
import time
import warnings
from collections.abc import AsyncIterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import aiokafka.admin.client
import aiokafka.client
import aiokafka.conn
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata
from aiokafka.errors import ProducerFenced
from aiokafka.producer import sender
from aiokafka.producer.sender import AddPartitionsToTxnHandler
from aiokafka.protocol.admin import DescribeGroupsResponse_v0
from aiokafka.protocol.metadata import MetadataRequest, MetadataRequest_v5
from aiokafka.util import create_task

from gateway.adapters import aiokafka_patches, fetch_patches
from gateway.adapters.kafka import client_options
from gateway.adapters.settings import load_settings, packaged_config
from tests.batches import ATTRIBUTES, build, change, rows, seal, with_bad_header
from tests.patience import PATIENCE_S

ROOT = Path(__file__).parents[2]
NOWHERE = "127.0.0.1:1"


@pytest.mark.parametrize(
    ("library", "written_for"), [("aiokafka", "0.14."), ("faust-streaming", "0.15.3"), ("mode-streaming", "0.7.1")]
)
def test_the_patches_are_read_again_for_each_release(library: str, written_for: str) -> None:
    assert version(library).startswith(written_for), (
        "read aiokafka_patches, batch_patches, fetch_patches and faust_patches against its source first"
    )


def test_patches_are_applied_by_clients_not_by_imports() -> None:
    script = """
import aiokafka.client, aiokafka.conn, aiokafka.record.memory_records
from aiokafka import AIOKafkaProducer
from aiokafka.consumer import fetcher
from aiokafka.producer import sender
import gateway.cli.main, gateway.feedback.app, gateway.operate.feedback.serve, gateway.relay.app
from gateway.adapters import aiokafka_patches, fetch_patches, kafka
from gateway.adapters.settings import Settings

assert aiokafka.client.create_conn is aiokafka.conn.create_conn
assert aiokafka.client.AIOKafkaClient.bootstrap.__module__ == "aiokafka.client"
assert sender.BACKOFF_OVERRIDE == 0.02
assert sender.create_task.__module__ == "aiokafka.util"
assert fetcher.PartitionRecords.__module__ == "aiokafka.consumer.fetcher"
assert fetcher.MemoryRecords is aiokafka.record.memory_records.MemoryRecords
kafka.make_client(lambda **options: None, Settings())
aiokafka_patches.apply()
assert aiokafka.client.create_conn is aiokafka_patches._set_up
assert aiokafka_patches.create_conn is aiokafka.conn.create_conn
assert aiokafka.client.AIOKafkaClient.bootstrap is aiokafka_patches._bootstrap
assert sender.BACKOFF_OVERRIDE == aiokafka_patches.BUSY_COORDINATOR_S
assert sender.create_task is aiokafka_patches._create_task
assert fetcher.PartitionRecords is fetch_patches.PartitionRecords
assert fetcher.MemoryRecords is fetch_patches.Fetched
assert aiokafka.client.MetadataRequest is not aiokafka.protocol.metadata.MetadataRequest
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr


@contextlib.asynccontextmanager
async def silent_broker() -> AsyncIterator[int]:
    """Takes connections and says nothing; its port."""
    ended = asyncio.Event()

    async def say_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await ended.wait()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1")
    async with server:
        yield server.sockets[0].getsockname()[1]
        ended.set()


@contextlib.asynccontextmanager
async def half_silent_broker(asked: asyncio.Event) -> AsyncIterator[int]:
    """Answers which versions it knows, and nothing else; its port. ``asked`` is set by the next request."""
    ended = asyncio.Event()

    async def answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readexactly(int.from_bytes(await reader.readexactly(4)))
        versions = struct.pack(">hi" + "hhh" * 2, 0, 2, 3, 0, 5, 18, 0, 0)
        writer.write(struct.pack(">i", 4 + len(versions)) + request[4:8] + versions)
        await reader.readexactly(4)
        asked.set()
        await ended.wait()
        writer.close()

    server = await asyncio.start_server(answer_once, "127.0.0.1")
    async with server:
        yield server.sockets[0].getsockname()[1]
        ended.set()


@pytest.mark.parametrize("is_patched", [False, True])
async def test_only_our_patch_closes_a_cancelled_bootstrap(is_patched: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    aiokafka_patches.apply()
    if not is_patched:
        monkeypatch.setattr(AIOKafkaClient, "bootstrap", aiokafka_patches.bootstrap)
    asked = asyncio.Event()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        async with half_silent_broker(asked) as port:
            client = AIOKafkaClient(bootstrap_servers=f"127.0.0.1:{port}")
            connecting = asyncio.create_task(client.bootstrap())
            await asyncio.wait_for(asked.wait(), PATIENCE_S)
            connecting.cancel()
            await asyncio.wait([connecting])
            assert connecting.cancelled()
            await client.close()
            del connecting
            gc.collect()
    assert any("Unclosed AIOKafkaConnection" in str(each.message) for each in warned) is not is_patched


async def test_connection_setup_is_bounded_only_by_our_patch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for connects in (aiokafka_patches.bootstrap, AIOKafkaClient._get_conn):
        assert "create_conn" in connects.__code__.co_names
        assert connects.__globals__ is vars(aiokafka.client)
    for kind in (AIOKafkaClient, AIOKafkaConsumer, AIOKafkaProducer):
        assert not [
            name for name in inspect.signature(kind).parameters if re.search("setup|connect.*timeout|reconn", name)
        ]
    monkeypatch.setattr(aiokafka_patches, "SETUP_TIMEOUT_S", 0.1)
    monkeypatch.setattr(aiokafka_patches, "RECONNECT_BACKOFF_S", 0.2)
    aiokafka_patches.apply()
    async with silent_broker() as port:
        connecting = asyncio.create_task(aiokafka.conn.create_conn("127.0.0.1", port))
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            await aiokafka.client.create_conn("127.0.0.1", port)
        assert 0.3 <= time.monotonic() - began < 5
        assert not connecting.done()
        connecting.cancel()
        await asyncio.wait([connecting])


NEEDS_THE_PATCH = {
    "a header name": with_bad_header(build([(b"key", b"value", [("zzzz", b"")])])),
    "a record": seal(build(rows(b"value"))[:-1] + b"\x01"),
    "a codec": seal(change(build(rows(b"value")), (ATTRIBUTES, 0x0D))),
}


@pytest.mark.parametrize("batch", NEEDS_THE_PATCH.values(), ids=NEEDS_THE_PATCH)
def test_unpatched_aiokafka_still_raises_on_unreadable_records(batch: bytes) -> None:
    script = f"""
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.record.memory_records import MemoryRecords

list(PartitionRecords(TopicPartition("t", 0), MemoryRecords({batch!r}), [], 0, None, None, True, 1))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode != 0
    assert re.search("UnicodeDecodeError|CorruptRecordException|UnsupportedCodecError", done.stderr)


def test_what_aiokafka_asks_of_the_classes_that_are_replaced() -> None:
    script = """
import inspect
from aiokafka.consumer import fetcher
from gateway.adapters import fetch_patches

arguments = [list(inspect.signature(each).parameters) for each in (fetcher.PartitionRecords, fetch_patches.PartitionRecords)]
assert arguments[0] == arguments[1], arguments
names = fetcher.Fetcher._proc_fetch_request.__code__.co_names
assert {"MemoryRecords", "PartitionRecords", "has_next", "size_in_bytes", "_check_crcs"} <= set(names), names
assert "next_fetch_offset" in fetcher.FetchResult._update_position.__code__.co_names
source = inspect.getsource(fetcher)
assert source.count("self._check_crcs") == 4, "check_crcs carries whether missing offsets are to be reported"
assert source.count("MemoryRecords(") == source.count("= PartitionRecords(") == 1
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr


async def test_a_consumer_passes_on_its_report_missing_flag() -> None:
    assert "_check_crcs" in AIOKafkaConsumer.start.__code__.co_names
    consumer = AIOKafkaConsumer(bootstrap_servers=NOWHERE)
    assert (consumer._check_crcs, consumer._fetcher) == (True, None)
    aiokafka_patches.report_missing(consumer)
    assert consumer._check_crcs == fetch_patches.REPORT_MISSING
    await consumer.stop()


def test_only_our_patch_stops_metadata_requests_creating_topics() -> None:
    for asks in (AIOKafkaClient._metadata_update, AIOKafkaAdminClient._get_cluster_metadata):
        assert "MetadataRequest" in asks.__code__.co_names
    assert MetadataRequest(["t"]).build(MetadataRequest_v5).allow_auto_topic_creation is True
    for kind in (AIOKafkaClient, AIOKafkaConsumer, AIOKafkaProducer, AIOKafkaAdminClient):
        assert not [name for name in inspect.signature(kind).parameters if "creat" in name]
    aiokafka_patches.apply()
    for module in (aiokafka.client, aiokafka.admin.client):
        request = module.MetadataRequest(["t"]).build(MetadataRequest_v5)
        assert (request.topics, request.allow_auto_topic_creation) == (["t"], False)
        assert module.MetadataRequest(None).build(MetadataRequest_v5).topics is None  # all


def test_aiokafka_still_heeds_the_transaction_backoff_constant() -> None:
    heeded = AddPartitionsToTxnHandler.handle_response
    assert "BACKOFF_OVERRIDE" in heeded.__code__.co_names
    assert heeded.__globals__ is vars(sender)
    assert "BACKOFF_OVERRIDE = 0.02 " in inspect.getsource(sender)
    aiokafka_patches.apply()
    assert sender.BACKOFF_OVERRIDE < 0.02


@pytest.mark.parametrize("is_patched", [False, True])
async def test_only_our_patch_quiets_a_senders_second_error(is_patched: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one's is the producer's, as before."""
    aiokafka_patches.apply()
    if not is_patched:
        monkeypatch.setattr(sender, "create_task", create_task)
    said: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(context["message"]))
    producer = AIOKafkaProducer(bootstrap_servers=NOWHERE)

    async def fail(*_: object) -> None:
        raise ProducerFenced

    async def know_the_producer_id() -> None:
        pass

    both = {node: {TopicPartition("topic", node): None} for node in (0, 1)}
    producer._sender._maybe_wait_for_pid, producer._sender._send_produce_req = know_the_producer_id, fail
    producer._message_accumulator.drain_by_nodes = lambda **_: (both, False)
    await producer._sender.start()
    await asyncio.wait([producer._sender.sender_task])
    assert isinstance(producer._sender.sender_task.exception(), ProducerFenced)
    with contextlib.suppress(ProducerFenced):
        await producer.stop()
    del producer
    gc.collect()
    assert said == ([] if is_patched else ["Task exception was never retrieved"])


def pausing_fetcher() -> Any:
    """A fetcher as it is while a fetch sleeps after an error."""
    fetcher = object.__new__(Fetcher)
    ended = asyncio.get_running_loop().create_future()
    ended.set_result(None)
    fetcher._fetch_task, fetcher._fetch_waiters = ended, set()
    fetcher._pending_tasks = {asyncio.create_task(asyncio.sleep(3600)) for _ in range(3)}
    return fetcher


async def test_aiokafka_still_raises_cancelled_error_from_pausing_fetches() -> None:
    fetcher = pausing_fetcher()
    await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await fetcher.close()
    assert not all(task.done() for task in fetcher._pending_tasks)
    for task in fetcher._pending_tasks:
        task.cancel()
    consumer = AIOKafkaConsumer(bootstrap_servers=NOWHERE)
    consumer._fetcher = pausing_fetcher()
    closed: list[bool] = []

    class Client:
        async def close(self) -> None:
            closed.append(True)

    assert isinstance(consumer._client, AIOKafkaClient)
    consumer._client = Client()
    await asyncio.sleep(0)
    await aiokafka_patches.stop(consumer)
    await asyncio.sleep(0)
    assert closed == [True]
    assert all(task.done() for task in consumer._fetcher._pending_tasks)


async def test_a_stop_that_is_cancelled_itself_says_so() -> None:
    class Client:
        async def stop(self) -> None:
            await asyncio.sleep(3600)

    stopping = asyncio.create_task(aiokafka_patches.stop(Client()))
    await asyncio.sleep(0)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping


async def sending_producer() -> AIOKafkaProducer:
    """One with a record that no broker takes, and a sender that waits for an answer."""
    producer = AIOKafkaProducer(bootstrap_servers=NOWHERE)
    await producer._message_accumulator.add_message(TopicPartition("topic", 0), b"key", b"value", 1)
    assert producer._sender.sender_task is None
    producer._sender._sender_task = asyncio.create_task(asyncio.sleep(3600))
    return producer


async def test_aiokafkas_producer_stop_still_waits_for_every_answer() -> None:
    assert list(inspect.signature(AIOKafkaProducer.stop).parameters) == ["self"]
    producer = await sending_producer()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(producer.stop(), 0.2)
    producer._sender.sender_task.cancel()
    producer = await sending_producer()
    async with asyncio.timeout(5):
        await aiokafka_patches.cut_off(producer)
        await producer.stop()  # it counts as closed
    assert producer._sender.sender_task.cancelled()
    producer._message_accumulator.fail_all(RuntimeError())
    for each in asyncio.all_tasks() - {asyncio.current_task()}:
        each.cancel()
        await asyncio.wait([each])


async def test_a_consumer_takes_its_isolation_level_when_it_starts() -> None:
    ours = AIOKafkaConsumer(bootstrap_servers=NOWHERE)
    expected = AIOKafkaConsumer(bootstrap_servers=NOWHERE, isolation_level="read_committed")
    assert ours._isolation_level == "read_uncommitted"
    assert "_isolation_level" in AIOKafkaConsumer.start.__code__.co_names
    aiokafka_patches.read_committed_only(ours)
    assert ours._isolation_level == expected._isolation_level
    for each in (ours, expected):
        await each.stop()


async def test_aiokafka_still_hides_why_login_failed() -> None:
    taken = inspect.signature(aiokafka.conn.create_conn).parameters
    settings = load_settings(packaged_config() / "gateway.yaml", bootstrap_servers=NOWHERE)
    options = client_options(settings) | {"sasl_mechanism": "", "sasl_plain_username": "", "sasl_plain_password": ""}
    assert options.keys() - {"bootstrap_servers"} | {"ssl_context", "request_timeout_ms"} <= taken.keys()
    assert "except (OSError, KafkaError, asyncio.TimeoutError)" in inspect.getsource(aiokafka_patches.bootstrap)
    async with silent_broker() as port:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await aiokafka_patches.try_to_log_in("127.0.0.1", port, timeout_ms=3_600_000)
    with pytest.raises(OSError, match=r"refused|Connect"):
        await aiokafka_patches.try_to_log_in("127.0.0.1", 1, timeout_ms=1000)


def test_a_members_partitions_still_come_as_bytes() -> None:
    (_, groups) = DescribeGroupsResponse_v0.SCHEMA.names, DescribeGroupsResponse_v0.SCHEMA.fields[0]
    members = dict(zip(groups.array_of.names, groups.array_of.fields, strict=True))["members"].array_of
    assert members.names[-1] == "member_assignment"
    assert members.names[0] == "member_id"
    assigned = ConsumerProtocolMemberAssignment(0, [("b", [10, 2]), ("a", [0])], b"").encode()
    assert members.fields[-1].decode is not None
    assert aiokafka_patches.partitions_in(assigned) == [("a", 0), ("b", 2), ("b", 10)]
    assert members.names[-2] == "member_metadata"
    assert aiokafka_patches.topics_in(ConsumerProtocolMemberMetadata(0, ["b", "a"], b"").encode()) == ["a", "b"]
