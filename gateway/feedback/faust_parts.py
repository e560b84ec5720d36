"""What Faust needs to be told, to count nothing that was aborted and to keep a partition's shares with their partition."""

from collections.abc import Iterable
from typing import Any

import aiokafka
import faust
import msgspec
from faust.serializers import codecs
from faust.transport.drivers import aiokafka as driver

from gateway.adapters import kafka
from gateway.adapters.settings import Settings


class _CommittedThread(driver.AIOKafkaConsumerThread):
    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        # Faust asks for committed records only where it makes transactions itself, and has no setting for it; the
        # client reads this when it starts.
        consumer._isolation_level = "read_committed"
        return consumer


class _CommittedConsumer(driver.Consumer):
    def _new_consumer_thread(self) -> _CommittedThread:
        return _CommittedThread(self, loop=self.loop, beacon=self.beacon)


class CommittedTransport(driver.Transport):
    """Faust's Kafka driver, reading committed records only: what the relay aborted never happened."""

    Consumer = _CommittedConsumer


class Utf8(codecs.Codec):
    """Keys as plain text."""

    def _dumps(self, s: str) -> bytes:
        return s.encode()

    def _loads(self, s: bytes) -> str:
        return s.decode()


class Struct(codecs.Codec):
    """A msgspec struct as JSON; ``kind`` is its class."""

    def __init__(self, children: Any = None, *, kind: type[msgspec.Struct]) -> None:
        super().__init__(children=children, kind=kind)
        self._decode = msgspec.json.Decoder(kind).decode

    def _dumps(self, s: msgspec.Struct) -> bytes:
        return msgspec.json.encode(s)

    def _loads(self, s: bytes) -> msgspec.Struct:
        return self._decode(s)


class ShareTable(faust.Table[str, Any]):
    """A table whose keys begin with their partition, ``3/…``; its values, of ``kind``, know the last offset that they count.

    Faust would take the partition from the event that is being worked on, and a batch holds events of several.
    """

    def __init__(self, app: Any, *, kind: type[msgspec.Struct], **options: Any) -> None:
        super().__init__(app, **options)
        self.key_serializer, self.value_serializer = Utf8(), Struct(kind=kind)

    def partition_for_key(self, key: str) -> int:
        """The partition that the key names."""
        return int(key.partition("/")[0])

    def apply_changelog_batch(self, batch: Iterable[Any]) -> None:
        """Recover from the changelog. A worker that was frozen may have written once more after it lost the partition:
        what is older never replaces what is newer."""
        newest: dict[str, int] = {}
        kept = []
        for event in batch:
            known = newest.get(event.key, self.data[event.key].applied if event.key in self.data else -1)
            if event.value is None:
                newest[event.key] = -1
            elif event.value.applied >= known:
                newest[event.key] = event.value.applied
            else:
                continue
            kept.append(event)
        super().apply_changelog_batch(kept)


def credentials(settings: Settings) -> faust.auth.Credentials | None:
    """The settings' security, as Faust takes it. Raises ConfigurationError."""
    options = kafka.client_options(settings)
    context = options.get("ssl_context")
    if "sasl_mechanism" in options:
        return faust.SASLCredentials(
            username=options["sasl_plain_username"],
            password=options["sasl_plain_password"],
            mechanism=options["sasl_mechanism"],
            ssl_context=context,
        )
    return faust.SSLCredentials(context=context) if context is not None else None
