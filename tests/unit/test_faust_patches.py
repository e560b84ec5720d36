"""Each class that overrides Faust's private names, checked against it: that they are there, and that it is
still needed."""

import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import faust
import mode
import pytest
from aiohttp.web import AppRunner
from aiokafka import TopicPartition
from faust.transport import consumer as faust_consumer
from faust.transport.drivers import aiokafka as driver
from faust.types.settings import Settings as FaustSettings
from faust.web.drivers import aiohttp as web_driver

from gateway.adapters import faust_patches
from tests.unit.foreign import foreign_bases

NOWHERE = "127.0.0.1:1"


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


async def test_faust_still_reads_uncommitted_without_our_patch(tmp_path: Path, consumer_of: Any) -> None:
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


async def test_our_offsets_are_committed_instead_of_fausts_acknowledgements(tmp_path: Path, consumer_of: Any) -> None:
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


async def test_delivered_records_are_delivered_again_after_a_seek(tmp_path: Path, consumer_of: Any) -> None:
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


def test_faust_still_lacks_sighup_and_a_shutdown_limit() -> None:
    installing = inspect.getsource(mode.Worker._install_signal_handlers_unix)
    assert "SIGTERM" in installing
    assert "SIGHUP" not in installing
    assert "if not self._signal_stop_time:" in inspect.getsource(mode.Worker._schedule_shutdown)
    assert {"_install_signal_handlers_unix"} <= set(mode.Worker.install_signal_handlers.__code__.co_names)
    assert "_schedule_shutdown" in mode.Worker._on_sigterm.__code__.co_names
    assert "_flag_as_shutdown_by_signal" in faust.Worker._on_sigterm.__code__.co_names


async def test_faust_still_gives_its_web_server_a_minute(tmp_path: Path) -> None:
    assert "self._runner: AppRunner = AppRunner(self.web_app, access_log=None)" in inspect.getsource(web_driver)
    assert inspect.signature(AppRunner).parameters.keys() >= {"app", "kwargs"}
    app = app_in(tmp_path, faust_patches.AppWithoutDirectories)
    assert app.web._runner._shutdown_timeout == 60
    app.bound_web_shutdown(1.5)
    assert app.web._runner._shutdown_timeout == 1.5


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
