"""Sends events in order and learns what became of each: the broker has it, refuses it, or nobody can say."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field

import msgspec
from aiokafka import AIOKafkaProducer, errors
from aiokafka.errors import KafkaError

from gateway.adapters import aiokafka_patches, kafka
from gateway.adapters.console import Terminal
from gateway.adapters.settings import Settings
from gateway.contract.data_encoding import decode_base64
from gateway.core.words import count_of
from gateway.errors import GatewayError
from gateway.operate.publish.line_checker import Ready

IN_FLIGHT = 2000
_TIMEOUT_S = 120.0
"""How long no acknowledgement may come: as long as Java's producer gives a record (delivery.timeout.ms)."""
_LAST_ACKNOWLEDGEMENTS_S = 5.0
_WAITING_IS_SAID_S = 10.0
# The broker refused a whole batch for one record of it, or because the batch before it was refused.
_BATCH_REFUSED = (
    errors.MessageSizeTooLargeError, errors.RecordListTooLargeError, errors.InvalidTimestampError,
    errors.OutOfOrderSequenceNumber, errors.UnknownProducerId,
)  # fmt: skip


class _Holder(msgspec.Struct):
    ref: str


class _Data(msgspec.Struct):
    holder: _Holder


class _Keyed(msgspec.Struct):
    """Of an event, what the record's key is made of."""

    data: _Data | None = None
    data_base64: str | None = None


_decode = msgspec.json.Decoder(_Keyed).decode
_decode_data = msgspec.json.Decoder(_Data).decode


def record_key(raw: bytes) -> bytes | None:
    """Return the event's ``holder.ref`` as the record's key; None where there is none: judging that is the
    gateway's work."""
    try:
        event = _decode(raw)
        data = _decode_data(decode_base64(event.data_base64) or b"") if event.data is None else event.data
        return data.holder.ref.encode()
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


@dataclass(slots=True)
class Delivery:
    """What became of the events, each of them once.

    ``sent`` are acknowledged, ``keyless`` of them have no key; ``refused`` counts those that the broker does
    not take. ``unknown`` were on their way when it went wrong: the broker may have them or not.
    ``next_line`` was not sent any more.
    """

    sent: int = 0
    keyless: int = 0
    refused: int = 0
    unknown: list[Ready] = field(default_factory=list)
    next_line: Ready | None = None
    error: GatewayError | None = None


class _BrokerGoneError(Exception):
    """The broker does not take or acknowledge records any more."""

    def __init__(self, cause: Exception, next_line: Ready | None = None) -> None:
        self.cause, self.next_line = cause, next_line
        super().__init__(str(cause))


class Sender:
    """Sends events to one topic. ``delivery`` holds what is known so far, also after an interruption."""

    def __init__(self, settings: Settings, topic: str, refuse: Callable[[Ready, str, str], None]) -> None:
        self._settings, self._topic, self._refuse = settings, topic, refuse
        self._console = Terminal(err=True, wrap=True)
        self._pending: dict[asyncio.Future[object], Ready] = {}
        self._refused: list[Ready] = []
        self._again: deque[Ready] = deque()
        self.delivery = Delivery()

    async def send_all(self, events: AsyncIterator[list[Ready]]) -> None:
        """Send ``events``, and wait until the fate of each is known. Raises GatewayError before the first is
        sent only."""
        await kafka.partitions_of(
            self._settings, [self._topic]
        )  # a producer would ask for a missing topic again and again
        async with AsyncExitStack() as stack:
            producer = await stack.enter_async_context(self._producer())
            try:
                async for some in events:
                    for ready in some:
                        await self._send(producer, ready)
                        if len(self._pending) >= IN_FLIGHT:
                            await self._take_acknowledgements(until_empty=True)
                            if self._refused:
                                producer = await self._send_singly(stack)
                    await self._take_acknowledgements(until_empty=False)
                await self._take_acknowledgements(until_empty=True)
                if self._refused:
                    producer = await self._send_singly(stack)
            except _BrokerGoneError as gone:
                await self._give_up(producer, gone)
            except (asyncio.CancelledError, GatewayError):
                # Whoever interrupts it, or has a file that cannot be read on, gets to know what the broker
                # has.
                if self._pending:
                    await asyncio.wait(self._pending, timeout=_LAST_ACKNOWLEDGEMENTS_S)
                await self._give_up(producer, None)
                raise

    def _producer(self) -> AbstractAsyncContextManager[AIOKafkaProducer]:
        return kafka.producer(self._settings, enable_idempotence=True, linger_ms=5)

    async def _send(self, producer: AIOKafkaProducer, ready: Ready) -> None:
        try:
            future: asyncio.Future[object] = await producer.send(
                self._topic, value=ready.event, key=record_key(ready.event)
            )
        except errors.MessageSizeTooLargeError:
            self._take_as_refused(ready)
        except KafkaError as error:
            raise _BrokerGoneError(error, ready) from None
        else:
            self._pending[future] = ready

    async def _take_acknowledgements(self, *, until_empty: bool) -> None:
        """Take in the acknowledgements that there are, or wait for all. Raises _BrokerGoneError."""
        quiet_s = 0.0
        while until_empty and not all(future.done() for future in self._pending):
            waiting = [future for future in self._pending if not future.done()]
            done, _ = await asyncio.wait(waiting, timeout=_WAITING_IS_SAID_S)
            quiet_s = 0.0 if done else quiet_s + _WAITING_IS_SAID_S
            if quiet_s >= _TIMEOUT_S:
                raise _BrokerGoneError(errors.KafkaTimeoutError())
            if quiet_s:
                self._console.print(f"no acknowledgement for {quiet_s:.0f} s; waiting for the broker …")
        for future in [future for future in self._pending if future.done()]:
            error = future.exception()
            if isinstance(error, KafkaError) and not isinstance(error, _BATCH_REFUSED):
                raise _BrokerGoneError(error)
            ready = self._pending.pop(future)
            if error is None:
                self._take_as_sent(ready)
            elif isinstance(error, KafkaError):
                self._refused.append(ready)
            else:
                raise error
        if self._console.is_terminal and until_empty:
            self._console.print(f"{count_of(self.delivery.sent, 'event')} sent", end="\r")

    async def _send_singly(self, stack: AsyncExitStack) -> AIOKafkaProducer:
        """Send each event of the batches that were refused by itself: the broker refuses a batch for one
        record of it.

        A producer that had a batch refused counts its sequence on as though it had been taken: a new one
        goes on. Returns it.
        """
        producer = await stack.enter_async_context(self._producer())
        self._again, self._refused = deque(self._refused), []
        while self._again:
            ready = self._again.popleft()
            await self._send(producer, ready)
            await self._take_acknowledgements(until_empty=True)
            if self._refused:
                self._refused.clear()
                self._take_as_refused(ready)
                producer = await stack.enter_async_context(self._producer())
        return producer

    def _take_as_sent(self, ready: Ready) -> None:
        self.delivery.sent += 1
        self.delivery.keyless += record_key(ready.event) is None

    def _take_as_refused(self, ready: Ready) -> None:
        self.delivery.refused += 1
        self._refuse(ready, "消息过大，Kafka 不予接收", f"of {len(ready.event):,} bytes, more than the broker takes")

    async def _give_up(self, producer: AIOKafkaProducer, gone: _BrokerGoneError | None) -> None:
        """End the producer at once, and sort out what is known."""
        await aiokafka_patches.cut_off(producer)
        for future, ready in self._pending.items():
            if future.done() and not future.cancelled() and future.exception() is None:
                self._take_as_sent(ready)
            else:
                self.delivery.unknown.append(ready)
        self.delivery.unknown += [*self._again, *self._refused]
        self._pending.clear()
        if gone is not None:
            self.delivery.next_line = gone.next_line
            self.delivery.error = kafka.unreachable(self._settings, gone.cause)
