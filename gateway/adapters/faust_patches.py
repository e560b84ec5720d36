"""All that is done to Faust and mode: classes that override or use their private names. Nothing else does.

Written for faust-streaming 0.15.3 and mode-streaming 0.7.1. ``tests/unit/test_faust_patches.py`` fails
where a release changes what stands here, and where it makes one needless. Nothing of Faust's is replaced:
these classes are derived from and named by whoever needs them, so there is nothing to apply. Faust's own
Kafka clients are aiokafka's: see ``aiokafka_patches.apply``.
"""

# mypy: disable-error-code="misc"
# Every class of Faust's is Any to mypy, and these are made to be derived from.

import asyncio
import contextlib
import signal
from collections.abc import Collection, Iterator, Mapping
from typing import Any, ClassVar

import faust
from aiohttp.web import AppRunner
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import IllegalStateError, UnknownTopicOrPartitionError
from faust.transport.drivers import aiokafka as driver

from gateway.adapters.aiokafka_patches import read_committed_only
from gateway.adapters.drain import Drain

Fetched = Mapping[TopicPartition, list[Any]]


class AppWithoutDirectories(faust.App):
    """Faust's app without directories: what it keeps, it keeps in memory and in Kafka.

    Faust makes its data directory at start, beside the current one, whatever the tables' store is; the root
    filesystem may be read-only.

    Goes when an app whose store is ``memory://`` makes none.
    """

    drain: Drain
    """How long it may take to stop; set by who makes the app."""

    def _create_directories(self) -> None:
        pass

    def bound_web_shutdown(self, timeout_s: float) -> None:
        """Let the web server stop ``timeout_s`` after it was asked to, whatever requests are still open.

        Faust gives its server no time, and aiohttp's own is a minute. Goes when Faust has a setting for it.
        """
        web: Any = self.web
        web._runner = AppRunner(web.web_app, access_log=None, shutdown_timeout=timeout_s)


class DrainingWorker(faust.Worker):
    """Faust's worker, which stops on SIGHUP too, within the time of ``drain``, and ends at once at a second
    signal.

    Faust knows no SIGHUP, waits for whatever a service waits for, and passes over a second SIGTERM or
    SIGINT. A second SIGHUP is passed over here too: a terminal that is closed may send two. On what it
    crashed, it says in words of its own, and its exit code does not say; here that is ``failure``.

    Goes when Faust has a limit for its shutdown, and raises what its services raised.
    """

    failure: Exception | None = None
    """What kept it from starting, or ended it."""

    def __init__(self, app: AppWithoutDirectories, **options: Any) -> None:
        super().__init__(app, **options)
        self._drain = app.drain

    async def start(self) -> None:
        """Start all services, and run until they stop. Faust takes what is raised here for its end."""
        try:
            await super().start()
        except Exception as error:
            self.failure = error
            raise asyncio.CancelledError from error

    async def stop(self) -> None:
        """Stop all services; then all is finished, unless one of them knows better."""
        await super().stop()
        if self._drain.is_done is None:
            self._drain.is_done = True

    def install_signal_handlers(self) -> None:
        """Stop on the first of SIGTERM, SIGINT and SIGHUP; the last only where it is not ignored, as under
        nohup."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                self.loop.add_signal_handler(number, self.on_signal, number)

    def on_signal(self, number: signal.Signals) -> None:
        """Stop; leave the next SIGTERM or SIGINT to the kernel, which ends the process at once."""
        if number is not signal.SIGHUP:
            for each in (signal.SIGTERM, signal.SIGINT):
                self.loop.remove_signal_handler(each)
                signal.signal(each, signal.SIG_DFL)
        self._drain.begin()
        self._flag_as_shutdown_by_signal()
        self._schedule_shutdown(number)


async def see_partitions(app: Any, topic: str, partitions: Collection[int]) -> None:
    """Have the app's producer know ``partitions`` of ``topic``, which may have been added a moment ago.

    It looks at its topics now and then only, and a write to a partition that it has not seen is an
    AssertionError, which ends the worker. Raises KafkaError where the broker does not name them all.

    Goes when aiokafka looks again before it refuses a partition.
    """
    producer = app.producer._ensure_producer()
    if set(partitions) <= await producer.partitions_for(topic):
        return
    await producer.client.force_metadata_update()
    if missing := set(partitions) - await producer.partitions_for(topic):
        raise UnknownTopicOrPartitionError(f"{topic}: {sorted(missing)}")


class ReadingThread(driver.AIOKafkaConsumerThread):
    """The thread of a ``ReadingConsumer``: reads committed records only, and shows what it has fetched to
    ``take_fetched``.

    Faust asks for committed records only where it makes transactions itself, and has no setting for it. It
    gives no sight of a fetch as a whole either, which alone tells from where to where it reads.

    Goes when Faust has a setting for the isolation level, and its records say which position they were read
    from.
    """

    def _create_worker_consumer(self, transport: Any) -> AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        read_committed_only(consumer)
        return consumer

    async def _fetch_records(self, *args: Any, **kwargs: Any) -> Fetched:
        return self.take_fetched(await super()._fetch_records(*args, **kwargs))

    async def _seek_wait(self, consumer: AIOKafkaConsumer, partitions: Mapping[TopicPartition, int | None]) -> None:
        ours = consumer.assignment()
        known = {tp: offset for tp, offset in partitions.items() if offset is not None and tp in ours}
        # What is left out came or went with a rebalance, and that begins another recovery.
        with contextlib.suppress(IllegalStateError):
            await super()._seek_wait(consumer, known)

    def take_fetched(self, fetched: Fetched) -> Fetched:
        """Return ``fetched`` as it is to go on to ``make_message``, record by record. To be overridden."""
        return fetched

    @property
    def client(self) -> AIOKafkaConsumer:
        """The thread's own client, for calls made in the thread (``call_thread``)."""
        return self._ensure_consumer()


class ReadingConsumer(driver.Consumer):
    """Faust's consumer, where who derives from it says what is committed (``to_commit``) and what a message
    is.

    Faust commits what its streams acknowledged, and drops records that are older than the newest that it
    delivered: after a rebalance both can leave records out. Here it remembers nothing of either.

    Goes when Faust commits what it is asked to, and delivers again what is sought again.
    """

    Thread: ClassVar[type[ReadingThread]] = ReadingThread

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._read_offset = _Nothing()

    @property
    def thread(self) -> Any:
        """The thread with the client, of the class ``Thread``."""
        return self._thread

    def make_message(self, tp: TopicPartition, record: Any) -> Any:
        """Return the message for ``record``, as it came out of ``take_fetched``. To be overridden."""
        return super()._to_message(tp, record)

    def to_commit(self) -> Mapping[TopicPartition, int]:
        """Return the offsets that may be committed. To be overridden."""
        return {}

    def _new_consumer_thread(self) -> ReadingThread:
        return self.Thread(self, loop=self.loop, beacon=self.beacon)

    def _to_message(self, tp: Any, record: Any) -> Any:
        return self.make_message(tp, record)

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[Any]:
        return iter([tp for tp in self.to_commit() if topics is None or tp in topics or tp.topic in topics])

    def _new_offset(self, tp: Any) -> int | None:
        return self.to_commit().get(tp)


class ReadingTransport(driver.Transport):
    """Faust's Kafka driver; who derives from it sets ``Consumer`` to a ``ReadingConsumer`` of its own."""

    Consumer: ClassVar[type[ReadingConsumer]] = ReadingConsumer


class _Nothing(dict[Any, Any]):
    """The offsets that Faust has delivered, to drop what is older: forgotten, since an agent wants it again
    at times."""

    def __missing__(self, tp: Any) -> None:
        return None

    def __setitem__(self, tp: Any, offset: int | None) -> None:
        pass

    def update(self, *args: Any, **kwargs: Any) -> None:
        pass
