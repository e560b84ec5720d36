"""A TCP proxy whose network can be made bad: late, thin, silent or cut. It has a thread and an event loop of
its own."""

import asyncio
import contextlib
import random
import threading
from typing import Self

from gateway.operate.local_kafka.broker import free_ports

_CHUNK = 65_536


class Proxy:
    """Listens on ``port`` of the loopback interface and passes everything on to ``target``; a context
    manager.

    The faults may be set at any time, from any thread: ``delay_s`` for each chunk either way (from nothing
    to twice that), ``bytes_per_s`` for each connection (0: as fast as it goes), ``is_silent`` (nothing
    passes, no connection is closed), and ``cut``.
    """

    def __init__(self) -> None:
        (self.port,) = free_ports(1)
        self.target = 0
        self.delay_s = 0.0
        self.bytes_per_s = 0
        self.is_silent = False
        self._is_cut = False
        self._dice = random.Random(self.port)
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def cut(self) -> None:
        """Reset every connection, and new ones too, until ``heal``."""
        self._is_cut = True
        self._loop.call_soon_threadsafe(self._reset)

    def heal(self) -> None:
        """Pass everything on again; reset what was silent meanwhile, as a firewall does that has forgotten
        it."""
        if self.is_silent:
            self._loop.call_soon_threadsafe(self._reset)
        self.delay_s, self.bytes_per_s, self.is_silent, self._is_cut = 0.0, 0, False, False

    def __enter__(self) -> Self:
        self._thread.start()
        serving = asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self._server = asyncio.run_coroutine_threadsafe(serving, self._loop).result()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        self._reset()
        own = asyncio.current_task()
        tasks = [task for task in asyncio.all_tasks() if task is not own]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _reset(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_cut:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, far_writer}
        self._writers |= ends
        try:
            await asyncio.gather(self._pass_on(reader, far_writer), self._pass_on(far_reader, writer))
        finally:
            self._writers -= ends
            for end in ends:
                end.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                if self.delay_s:
                    await asyncio.sleep(self._dice.uniform(0, 2 * self.delay_s))
                while self.is_silent:  # noqa: ASYNC110 — set from another thread
                    await asyncio.sleep(0.05)
                while data:
                    # In tenths of a second, so that a drip shows and its end too.
                    size = max(1, self.bytes_per_s // 10) if self.bytes_per_s else len(data)
                    writer.write(data[:size])
                    await writer.drain()
                    data = data[size:]
                    if data:
                        await asyncio.sleep(0.1)
        # One end has closed: the other is to know.
        writer.transport.abort()
