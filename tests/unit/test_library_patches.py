"""Each patch of a library, held against the library: that what it relies on is there, and that it is still needed."""

import ast
import asyncio
import contextlib
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import aiokafka.client
import aiokafka.conn
import faust
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.producer import sender
from aiokafka.producer.sender import AddPartitionsToTxnHandler
from aiokafka.protocol.admin import DescribeGroupsResponse_v0
from faust.transport import consumer as faust_consumer
from faust.transport.drivers import aiokafka as driver
from faust.types.settings import Settings as FaustSettings

import gateway
from gateway.adapters import aiokafka_patches, faust_patches
from gateway.adapters.kafka import client_options
from gateway.adapters.settings import load_settings, packaged_config

ROOT = Path(__file__).parents[2]
NOWHERE = "127.0.0.1:1"
LIBRARIES = ("aiokafka", "faust", "mode", "confluent_kafka")


@pytest.mark.parametrize(
    ("library", "written_for"), [("aiokafka", "0.14."), ("faust-streaming", "0.15.3"), ("mode-streaming", "0.7.1")]
)
def test_the_patches_are_read_again_for_each_release(library: str, written_for: str) -> None:
    assert version(library).startswith(written_for), "read aiokafka_patches and faust_patches against its source first"


# -- aiokafka ---------------------------------------------------------------------------------------------------------


def test_nothing_is_patched_by_an_import_and_all_by_the_first_client() -> None:
    script = """
import aiokafka.client, aiokafka.conn
from aiokafka import AIOKafkaProducer
from aiokafka.producer import sender
import gateway.cli.main, gateway.feedback.app, gateway.operate.feedback.serve, gateway.relay.app
from gateway.adapters import aiokafka_patches, kafka
from gateway.adapters.settings import Settings

assert aiokafka.client.create_conn is aiokafka.conn.create_conn
assert sender.BACKOFF_OVERRIDE == 0.02
kafka.make_client(lambda **options: None, Settings())
aiokafka_patches.apply()
assert aiokafka.client.create_conn is aiokafka_patches._set_up
assert aiokafka_patches.create_conn is aiokafka.conn.create_conn
assert sender.BACKOFF_OVERRIDE == aiokafka_patches.BUSY_COORDINATOR_S
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


async def test_a_connection_is_given_the_time_of_a_request_and_no_setting_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for connects in (AIOKafkaClient.bootstrap, AIOKafkaClient._get_conn):
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
        patient = asyncio.create_task(aiokafka.conn.create_conn("127.0.0.1", port))
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            await aiokafka.client.create_conn("127.0.0.1", port)
        assert 0.3 <= time.monotonic() - began < 5
        assert not patient.done()
        patient.cancel()
        await asyncio.wait([patient])


def test_the_wait_for_the_transaction_before_is_a_constant_that_aiokafka_heeds() -> None:
    heeded = AddPartitionsToTxnHandler.handle_response
    assert "BACKOFF_OVERRIDE" in heeded.__code__.co_names
    assert heeded.__globals__ is vars(sender)
    assert "BACKOFF_OVERRIDE = 0.02 " in inspect.getsource(sender)
    aiokafka_patches.apply()
    assert sender.BACKOFF_OVERRIDE < 0.02


def pausing_fetcher() -> Any:
    """A fetcher as it is while a fetch sleeps after an error."""
    fetcher = object.__new__(Fetcher)
    ended = asyncio.get_running_loop().create_future()
    ended.set_result(None)
    fetcher._fetch_task, fetcher._fetch_waiters = ended, set()
    fetcher._pending_tasks = {asyncio.create_task(asyncio.sleep(3600)) for _ in range(3)}
    return fetcher


async def test_a_consumers_stop_still_raises_the_cancelled_error_of_a_fetch_that_pauses() -> None:
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


async def test_a_producers_stop_still_waits_for_every_answer_and_has_no_other_way() -> None:
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
    told = AIOKafkaConsumer(bootstrap_servers=NOWHERE, isolation_level="read_committed")
    assert ours._isolation_level == "read_uncommitted"
    assert "_isolation_level" in AIOKafkaConsumer.start.__code__.co_names
    aiokafka_patches.read_committed_only(ours)
    assert ours._isolation_level == told._isolation_level
    for each in (ours, told):
        await each.stop()


async def test_a_client_that_cannot_log_in_still_does_not_say_why() -> None:
    taken = inspect.signature(aiokafka.conn.create_conn).parameters
    settings = load_settings(packaged_config() / "gateway.yaml", bootstrap_servers=NOWHERE)
    options = client_options(settings) | {"sasl_mechanism": "", "sasl_plain_username": "", "sasl_plain_password": ""}
    assert options.keys() - {"bootstrap_servers"} | {"ssl_context", "request_timeout_ms"} <= taken.keys()
    assert "except (OSError, KafkaError, asyncio.TimeoutError)" in inspect.getsource(AIOKafkaClient.bootstrap)
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
    told = ConsumerProtocolMemberAssignment(0, [("b", [10, 2]), ("a", [0])], b"").encode()
    assert members.fields[-1].decode is not None
    assert aiokafka_patches.partitions_in(told) == [("a", 0), ("b", 2), ("b", 10)]


# -- Faust ------------------------------------------------------------------------------------------------------------


def app_in(folder: Path, kind: type[faust.App] = faust.App) -> faust.App:
    return kind("patches", store="memory://", datadir=str(folder / "data"), broker=f"kafka://{NOWHERE}")


def test_faust_still_makes_directories_that_nobody_asked_for(tmp_path: Path) -> None:
    assert "_create_directories" in faust.App.on_first_start.__code__.co_names
    app_in(tmp_path, faust_patches.AppWithoutDirectories)._create_directories()
    assert not list(tmp_path.iterdir())
    app_in(tmp_path)._create_directories()
    assert (tmp_path / "data").is_dir()


class Counted(faust_patches.ReadingConsumer):
    """One that says what is to be committed, and names its messages."""

    class Thread(faust_patches.ReadingThread):
        def take_fetched(self, fetched: Any) -> Any:
            return {tp: [f"fetched {record}" for record in records] for tp, records in fetched.items()}

    def make_message(self, tp: Any, record: Any) -> Any:
        return f"message of {record}"

    def to_commit(self) -> Any:
        return {TopicPartition("a", 0): 7, TopicPartition("b", 1): 9}


@pytest.fixture
def consumer_of() -> Iterator[Callable[[faust.App, type[driver.Consumer]], Any]]:
    """Makes consumers of a class for an app; ends what they have made."""
    made: list[Any] = []

    def make(app: faust.App, kind: type[driver.Consumer]) -> Any:
        class Transport(faust_patches.ReadingTransport):
            Consumer = kind

        transport = Transport(app.conf.broker_consumer, app)
        made.append(transport.create_consumer(print, on_partitions_revoked=print, on_partitions_assigned=print))
        return made[-1]

    yield make
    for each in made:
        each._thread.thread_loop.close()


async def test_faust_still_reads_what_is_not_committed_and_has_no_setting_for_it(
    tmp_path: Path, consumer_of: Any
) -> None:
    assert not [name for name in vars(FaustSettings) if "isolation" in name]
    app = app_in(tmp_path)
    plain, ours = consumer_of(app, driver.Consumer), consumer_of(app, Counted)
    assert "_create_worker_consumer" in driver.AIOKafkaConsumerThread._create_consumer.__code__.co_names
    for consumer, level in ((plain, "read_uncommitted"), (ours, "read_committed")):
        client = consumer._thread._create_worker_consumer(consumer.transport)
        assert client._isolation_level == level
        await client.stop()


async def test_what_is_fetched_goes_through_our_hands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, consumer_of: Any
) -> None:
    assert "_fetch_records" in driver.AIOKafkaConsumerThread.getmany.__code__.co_names
    consumer = consumer_of(app_in(tmp_path), Counted)

    async def fetched(*_: Any, **__: Any) -> Any:
        return {TopicPartition("a", 0): [1, 2]}

    monkeypatch.setattr(driver.AIOKafkaConsumerThread, "_fetch_records", fetched)
    found = await consumer.thread._fetch_records(None, set())
    assert found == {TopicPartition("a", 0): ["fetched 1", "fetched 2"]}
    assert "_to_message" in faust_consumer.Consumer.getmany.__code__.co_names
    assert consumer._to_message(None, "it") == "message of it"
    consumer.thread._consumer = client = object()
    assert consumer.thread.client is client


async def test_what_is_committed_is_what_we_say_and_not_what_streams_acknowledged(
    tmp_path: Path, consumer_of: Any
) -> None:
    app = app_in(tmp_path)
    plain, ours = consumer_of(app, driver.Consumer), consumer_of(app, Counted)
    expected = {TopicPartition("a", 0): 7, TopicPartition("b", 1): 9}
    assert ours._filter_committable_offsets(ours._filter_tps_with_pending_acks()) == expected
    assert list(ours._filter_tps_with_pending_acks({"b"})) == [TopicPartition("b", 1)]
    assert plain._filter_committable_offsets(plain._filter_tps_with_pending_acks()) == {}
    assert "self._filter_tps_with_pending_acks(topics)" in inspect.getsource(faust_consumer.Consumer)
    for tp in expected:
        plain._acked[tp], plain._acked_index[tp] = [0, 1], {0, 1}
    assert set(plain._filter_tps_with_pending_acks()) == set(expected)


async def test_what_was_delivered_once_is_not_dropped_when_it_is_sought_again(tmp_path: Path, consumer_of: Any) -> None:
    draining = inspect.getsource(faust_consumer.Consumer._drain_messages)
    assert "self._read_offset.__getitem__" in draining
    assert "r_offset is None or offset >= r_offset" in draining
    app, tp = app_in(tmp_path), TopicPartition("a", 0)
    for kind, remembered in ((driver.Consumer, 8), (Counted, None)):
        consumer = consumer_of(app, kind)
        assert consumer._read_offset[tp] is None
        consumer._read_offset.update({tp: 3})
        consumer._read_offset.__setitem__(tp, 8)
        assert consumer._read_offset.__getitem__(tp) == remembered
        consumer._read_offset.pop(tp, None)


def foreign_bases(kind: type) -> list[type]:
    return [each for each in kind.__mro__ if each.__module__.partition(".")[0] in LIBRARIES]


def overridden() -> Iterator[tuple[type, str]]:
    for kind in vars(faust_patches).values():
        if inspect.isclass(kind) and kind.__module__ == faust_patches.__name__ and foreign_bases(kind):
            for name, value in vars(kind).items():
                if inspect.isfunction(value) and re.match(r"_[a-z]", name):
                    yield kind, name


@pytest.mark.parametrize(("kind", "name"), list(overridden()), ids=lambda each: getattr(each, "__name__", each))
def test_what_is_overridden_is_there(kind: type, name: str) -> None:
    original, ours = (inspect.signature(getattr(each, name)) for each in (foreign_bases(kind)[0], kind))
    takes_all = any(each.kind is inspect.Parameter.VAR_POSITIONAL for each in ours.parameters.values())
    assert takes_all or list(ours.parameters) == list(original.parameters)


# -- the only door ----------------------------------------------------------------------------------------------------

DOORS = {"gateway/adapters/aiokafka_patches.py", "gateway/adapters/faust_patches.py"}
PROTOCOL = (
    "gateway/adapters/kafka_requests.py"  # requests that aiokafka has no words for: made of its protocol's classes
)
INNER = re.compile(
    r"aiokafka\.(client|cluster|conn|consumer|coordinator|producer|protocol|record|util)\b|faust\.(transport|app\.base)\b|mode\.threads\b"
)
OPEN_PRIVATES = {"_replace", "_asdict", "_make", "_fields", "_field_defaults", "_exit"}
"""Of NamedTuple, and of os: documented."""


def sources() -> list[Path]:
    found = [path for folder in ("gateway", "benchmarks", "docs") for path in sorted((ROOT / folder).rglob("*.py"))]
    assert len(found) > 150
    return [path for path in found if str(path.relative_to(ROOT)) not in DOORS]


def private_access(tree: ast.AST) -> list[str]:
    """``thing._name`` where thing is not the object at work itself, nor of a class whose ``_name`` this module declares."""
    own = {
        node.target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    return [
        f"{node.lineno}: {ast.unparse(node)}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and re.match(r"_[a-z]", node.attr)
        and node.attr not in OPEN_PRIVATES | own
        and not (isinstance(node.value, ast.Name) and node.value.id in {"self", "cls"})
    ]


def replacements(tree: ast.AST) -> list[str]:
    """``library.name = …`` and ``setattr(library, …)``, by the names under which this module imports them."""
    imported = {
        (alias.asname or alias.name).partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
        if (node.module or "" if isinstance(node, ast.ImportFrom) else alias.name).partition(".")[0] in LIBRARIES
    }
    found = []
    for node in ast.walk(tree):
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign | ast.Delete):
            targets = [each for each in node.targets if isinstance(each, ast.Attribute)]
        elif isinstance(node, ast.AugAssign | ast.AnnAssign) and isinstance(node.target, ast.Attribute):
            targets = [node.target]
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in {"setattr", "delattr"}:
            targets = node.args[:1]
        found += [
            f"{each.lineno}: {ast.unparse(each)}" for each in targets if ast.unparse(each).partition(".")[0] in imported
        ]
    return found


def inner_imports(tree: ast.AST) -> list[str]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            found += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
    return [name for name in found if INNER.match(name)]


def made_clients(tree: ast.AST) -> list[str]:
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [ast.unparse(call) for call in calls if re.search(r"\bAIOKafka\w*$", ast.unparse(call.func))]


def test_nothing_but_the_patches_touches_what_is_private_to_a_library() -> None:
    found = []
    for path in sources():
        tree, name = ast.parse(path.read_text(encoding="utf-8")), str(path.relative_to(ROOT))
        wrong = [*private_access(tree), *replacements(tree)]
        if name != PROTOCOL:
            wrong += inner_imports(tree)
        # The local Kafka asks whether a broker is ready, the benchmark's peers stand alone: patches would be in the way.
        if name.startswith("gateway/") and "/local_kafka/" not in name:
            wrong += made_clients(tree)
        found += [f"{name}: {each}" for each in wrong]
    assert found == []


def test_these_rules_see_what_they_are_for() -> None:
    tree = ast.parse(
        "from aiokafka.producer import sender\nimport aiokafka.client\nsender.X = 1\naiokafka.client.y = 2\nc._z"
    )
    assert private_access(tree) == ["5: c._z"]
    assert replacements(tree) == ["3: sender.X", "4: aiokafka.client.y"]
    assert inner_imports(tree) == ["aiokafka.producer.sender", "aiokafka.client"]
    assert made_clients(ast.parse("aiokafka.AIOKafkaConsumer(x)")) == ["aiokafka.AIOKafkaConsumer(x)"]


def modules() -> list[ModuleType]:
    found = pkgutil.walk_packages(gateway.__path__, "gateway.")
    return [importlib.import_module(each.name) for each in found if not each.name.endswith("__main__")]


def test_no_class_of_ours_uses_or_overrides_a_private_name_of_a_librarys_class() -> None:
    """Two of them are documented as what a codec has to define."""
    found = set()
    for module in modules():
        for kind in (each for each in vars(module).values() if inspect.isclass(each)):
            bases = foreign_bases(kind)
            if not bases or kind.__module__ != module.__name__ or module in {aiokafka_patches, faust_patches}:
                continue
            theirs = {
                name for base in bases for name in (*vars(base), *re.findall(r"self\.(\w+)", inspect.getsource(base)))
            }
            ours = {*vars(kind), *re.findall(r"(?:self|super\(\))\.(\w+)", inspect.getsource(kind))}
            found |= {
                f"{kind.__name__}.{name}" for name in ours & theirs if re.match(r"_[a-z]", name) and name != "_abc_impl"
            }
    assert {each for each in found if not each.endswith(("._dumps", "._loads"))} == set()
    assert found, "codecs are to be seen here"
