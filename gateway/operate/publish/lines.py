"""The lines of files and pipes, each with its place, as they come: a pipe's writer may pause for hours."""

import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncGenerator
from concurrent.futures import CancelledError
from contextlib import ExitStack, aclosing
from typing import BinaryIO, NamedTuple

from gateway.errors import GatewayError
from gateway.operate.files import BOM, open_input

LONGEST_LINE = 64_000_000
"""Bytes of the longest line that is read: a platform's own record may hold pictures, and memory is not
endless."""
_CHUNK_BYTES = 65_536
_CHUNKS_AHEAD = 16
_LOOK_S = 0.5


class Line(NamedTuple):
    """One line that is not empty: the file's name, the line's number from 1 on, its bytes without the line's
    end.

    ``size`` is its length in bytes; of a line longer than ``LONGEST_LINE`` only that much is kept. ``head``
    is what there is of the file's beginning, with its first line only.
    """

    file: str
    number: int
    raw: bytes
    size: int
    head: bytes = b""


async def read_lines(files: list[str]) -> AsyncGenerator[list[Line], None]:
    """Read the lines of ``files`` (``-`` is standard input), some at a time. Raises UsageError before the
    first is read."""
    with ExitStack() as stack:
        streams = [(name, stack.enter_context(open_input(name))) for name in files]
        for name, stream in streams:
            file = "standard input" if name == "-" else name
            collector = _Collector(file)
            async with aclosing(_chunks(file, stream)) as chunks:
                async for chunk in chunks:
                    if found := collector.add(chunk):
                        yield found
            if last := collector.end():
                yield last


class _Collector:
    """Puts chunks together to lines."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._number = 0
        self._parts: list[bytes] = []
        self._size = 0
        self._head: bytes | None = None
        self._begun = b""

    def add(self, chunk: bytes) -> list[Line]:
        """Take in the next bytes; return the lines that they complete."""
        if self._head is None:
            chunk = self._begun + chunk
            if len(chunk) < len(BOM) and BOM.startswith(chunk):  # a pipe may give out any number of bytes
                self._begun = chunk
                return []
            chunk = chunk.removeprefix(BOM)
            self._head, self._begun = chunk, b""
        *whole, rest = chunk.split(b"\n")
        lines = []
        for part in whole:
            self._keep(part)
            lines += self.end()
        self._keep(rest)
        return lines

    def end(self) -> list[Line]:
        """Return the line at hand, if it is not empty, and begin the next."""
        self._keep(self._begun)
        raw, size = b"".join(self._parts).rstrip(b"\r"), self._size
        self._number += 1
        self._parts, self._size, self._begun = [], 0, b""
        if not raw:
            return []
        head, self._head = self._head or b"", b""
        return [Line(self._file, self._number, raw, size if size > LONGEST_LINE else len(raw), head)]

    def _keep(self, part: bytes) -> None:
        if self._size < LONGEST_LINE:
            self._parts.append(part[: LONGEST_LINE - self._size])
        self._size += len(part)


async def _chunks(file: str, stream: BinaryIO) -> AsyncGenerator[bytes, None]:
    """Yield what ``stream`` has, as soon as it has it.

    A thread reads, so that what was sent before is on its way while a pipe is silent. It is a daemon that
    reads the descriptor itself: whoever ends the command does not have to wait for the pipe's next byte.
    """
    loop, queue = asyncio.get_running_loop(), asyncio.Queue[bytes | OSError](_CHUNKS_AHEAD)
    is_wanted = threading.Event()
    is_wanted.set()

    def read() -> None:
        # The loop is gone, or the reader of the queue and with it the file: nobody wants what is read.
        with contextlib.suppress(RuntimeError, ValueError, CancelledError):
            chunk: bytes | OSError = b"-"
            while chunk and isinstance(chunk, bytes) and is_wanted.is_set():
                try:
                    chunk = os.read(stream.fileno(), _CHUNK_BYTES)
                except OSError as error:
                    chunk = error
                asyncio.run_coroutine_threadsafe(queue.put(chunk), loop).result()

    threading.Thread(target=read, name="publish-input", daemon=True).start()
    try:
        while chunk := await _next_chunk(queue):
            if isinstance(chunk, OSError):
                raise GatewayError(f"{file} cannot be read on: {chunk.strerror}")
            yield chunk
    finally:
        is_wanted.clear()
        while not queue.empty():  # or the thread waits for ever to put the next one
            queue.get_nowait()


async def _next_chunk(queue: "asyncio.Queue[bytes | OSError]") -> bytes | OSError:
    """Return the queue's next chunk. A loop with nothing else to do may sleep through a signal, so it wakes
    every _LOOK_S."""
    pending = asyncio.ensure_future(queue.get())
    while not pending.done():
        await asyncio.wait({pending}, timeout=_LOOK_S)
    return pending.result()
