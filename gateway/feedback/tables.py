"""Feedback's tables: Faust's, whose changelog is written before anything is acknowledged and read whole after a rebalance."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import faust
import msgspec
import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from faust.serializers import codecs

from gateway.adapters import kafka
from gateway.adapters.settings import Settings
from gateway.adapters.topic_reader import find_spans, read_spans
from gateway.errors import GatewayError

log = structlog.get_logger("gateway.feedback")

_RETRY_S = 2


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

    def __init__(self, app: Any, *, kind: type[msgspec.Struct], settings: Settings, **options: Any) -> None:
        super().__init__(app, **options)
        self._settings = settings
        self._kind = kind
        self._sent: list[Any] = []
        self.holds: int | None = None
        """The group's generation whose partitions the table holds, whole."""
        self.key_serializer, self.value_serializer = Utf8(), Struct(kind=kind)

    def partition_for_key(self, key: str) -> int:
        """Return the partition that the key names."""
        return int(key.partition("/")[0])

    def send_changelog(self, *args: Any, **kwargs: Any) -> Any:
        """As Faust does it; the write's future is kept for `take_sent`."""
        future = super().send_changelog(*args, **kwargs)
        self._sent.append(future)
        return future

    def take_sent(self) -> list[Any]:
        """Return the futures of all changelog writes since the last call: done when the broker has them, or failed."""
        sent, self._sent = self._sent, []
        return sent

    def apply_changelog_batch(self, batch: Iterable[Any]) -> None:
        """Nothing: Faust's own recovery can skip records where one rebalance follows another. See `on_recovery_completed`."""

    def write_again(self, overwritten: Mapping[str, int]) -> None:
        """Write those shares once more that this worker holds, over older ones that came late; ``overwritten`` is by key
        the last offset that the newest one counts."""
        if self.holds == self.app.consumer_generation_id:
            for key, applied in overwritten.items():
                if key in self.data and self.data[key].applied >= applied:
                    self[key] = self.data[key]

    def let_go(self) -> None:
        """Return the partitions may go to other workers."""
        self.holds = None

    async def on_recovery_completed(self, active_tps: set[Any], standby_tps: set[Any]) -> None:
        """Read the changelog of this worker's partitions, whole, before their counting begins."""
        generation = self.app.consumer_generation_id
        while generation == self.app.consumer_generation_id and self.holds != generation:
            try:
                found = await self._read_changelog([TopicPartition(*tp) for tp in active_tps])
            except (KafkaError, OSError, GatewayError) as error:
                log.warning("table.waiting", table=self.name, error=type(error).__name__)
                await asyncio.sleep(_RETRY_S)
            except Exception as error:  # noqa: BLE001 — Faust would go on without
                await self.app.crash(error)
                return
            else:
                self._hold(generation, found)
        await super().on_recovery_completed(active_tps, standby_tps)

    async def _read_changelog(self, partitions: list[TopicPartition]) -> dict[str, Any]:
        decode: Callable[[bytes], Any] = msgspec.json.Decoder(self._kind).decode
        found: dict[str, Any] = {}
        async with kafka.consumer(self._settings) as consumer:
            consumer.assign(partitions)
            spans = await find_spans(consumer, partitions)
            async for _, records in read_spans(consumer, spans):
                for record in records:
                    key = record.key.decode()
                    value = decode(record.value) if record.value else None
                    if value is None:
                        found.pop(key, None)
                    elif key not in found or value.applied >= found[key].applied:
                        # A worker that was frozen may have written once more after it lost the partition: what is
                        # older never replaces what is newer.
                        found[key] = value
        return found

    def _hold(self, generation: int, found: dict[str, Any]) -> None:
        if generation != self.app.consumer_generation_id:
            return
        self.data.clear()
        for key, value in found.items():
            self.data[key] = value
        self.holds = generation
