"""Whether the broker answers, as a worker finds by asking; its log says so for all its lanes."""

import asyncio
import time

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import ConsumerStoppedError, KafkaError

from gateway.adapters.aiokafka_patches import is_cancelled
from gateway.adapters.settings import Settings
from gateway.adapters.waiting import WaitingLog
from gateway.errors import BrokerUnreachableError

log = structlog.get_logger("gateway.relay")

_OF_A_BROKER = (KafkaError, OSError, TimeoutError, BrokerUnreachableError, ConsumerStoppedError, asyncio.CancelledError)
"""Errors that a broker which is down may cause; a library cancels what it gave up."""


class BrokerWatch:
    """Asks the broker one small thing again and again: silence alone says nothing."""

    def __init__(self, settings: Settings) -> None:
        self._every_s = settings.relay.session_timeout_ms / 3000
        self._asked = [TopicPartition(settings.topic_names.ledger, 0)]
        self._waiting = WaitingLog(log, "relay.waiting", "relay.resumed", settings)
        self._consumer: AIOKafkaConsumer | None = None
        self._lock = asyncio.Lock()
        self._began = 0.0
        self.answers = False
        """Whether it answered when it was last asked."""

    def use(self, consumer: AIOKafkaConsumer | None) -> None:
        """Ask by ``consumer`` from now on; by none, nothing is asked or said."""
        self._consumer = consumer

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            await self._ask()
            await asyncio.sleep(self._every_s)

    async def is_down(self, error: BaseException) -> bool:
        """Tell whether ``error``, which a lane met just now, is the whole worker's: the broker does not
        answer."""
        if not isinstance(error, _OF_A_BROKER) or self._consumer is None:
            return False
        if self.answers:  # it was a moment ago
            await self._ask()
        return not self.answers

    async def _ask(self) -> None:
        """Ask it; for all who wait here meanwhile, once."""
        now = time.monotonic()
        async with self._lock:
            consumer = self._consumer
            if consumer is None or self._began > now:
                return
            self._began = time.monotonic()
            try:
                await asyncio.wait_for(consumer.end_offsets(self._asked), self._every_s)
            except _OF_A_BROKER as error:
                if is_cancelled():
                    raise
                self.answers = False
                if self._consumer is not None:
                    self._waiting.note(error)
            else:
                self.answers = True
                self._waiting.over()
