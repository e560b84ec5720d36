"""All that is done to Faust and mode: classes that override or use their private names. Nothing else does.

Written for faust-streaming 0.15.3 and mode-streaming 0.7.1. ``tests/unit/test_library_patches.py`` fails where a release changes
what stands here, and where it makes one needless. Nothing of Faust's is replaced: these classes are derived from and named by
whoever needs them, so there is nothing to apply. Faust's own Kafka clients are aiokafka's: see ``aiokafka_patches.apply``.
"""

# mypy: disable-error-code="misc"
# Every class of Faust's is Any to mypy, and these are made to be derived from.

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import faust
from aiokafka import AIOKafkaConsumer, TopicPartition
from faust.transport.drivers import aiokafka as driver

from gateway.adapters.aiokafka_patches import read_committed_only

Fetched = Mapping[TopicPartition, list[Any]]


class AppWithoutDirectories(faust.App):
    """Faust's app without directories: what it keeps, it keeps in memory and in Kafka.

    Faust makes its data directory at start, beside the current one, whatever the tables' store is; the root filesystem may be
    read-only.

    Goes when an app whose store is ``memory://`` makes none.
    """

    def _create_directories(self) -> None:
        pass


class ReadingThread(driver.AIOKafkaConsumerThread):
    """The thread of a ``ReadingConsumer``: reads committed records only, and shows what it has fetched to ``take_fetched``.

    Faust asks for committed records only where it makes transactions itself, and has no setting for it. It gives no sight of
    a fetch as a whole either, which alone tells from where to where it reads.

    Goes when Faust has a setting for the isolation level, and its records say which position they were read from.
    """

    def _create_worker_consumer(self, transport: Any) -> AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        read_committed_only(consumer)
        return consumer

    async def _fetch_records(self, *args: Any, **kwargs: Any) -> Fetched:
        return self.take_fetched(await super()._fetch_records(*args, **kwargs))

    def take_fetched(self, fetched: Fetched) -> Fetched:
        """Return ``fetched`` as it is to go on to ``make_message``, record by record. To be overridden."""
        return fetched

    @property
    def client(self) -> AIOKafkaConsumer:
        """The thread's own client, for calls made in the thread (``call_thread``)."""
        return self._ensure_consumer()


class ReadingConsumer(driver.Consumer):
    """Faust's consumer, where who derives from it says what is committed (``to_commit``) and what a message is.

    Faust commits what its streams acknowledged, and drops records that are older than the newest that it delivered: after a
    rebalance both can leave records out. Here it remembers nothing of either.

    Goes when Faust commits what it is told to, and delivers again what is sought again.
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
    """The offsets that Faust has delivered, to drop what is older: forgotten, since an agent wants it again at times."""

    def __missing__(self, tp: Any) -> None:
        return None

    def __setitem__(self, tp: Any, offset: int | None) -> None:
        pass

    def update(self, *args: Any, **kwargs: Any) -> None:
        pass
