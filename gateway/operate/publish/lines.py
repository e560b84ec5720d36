"""The lines of files and pipes, each with its place, as they come: a pipe's writer may pause for hours."""

import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import BinaryIO, NamedTuple

from gateway.operate.files import open_input

_CHUNK_BYTES = 65_536
_CHUNKS_AHEAD = 16
_LOOK_S = 0.5


class Line(NamedTuple):
    """One line that is not empty: the file's name, the line's number from 1 on, its bytes without the line's end."""

    file: str
    number: int
    raw: bytes


async def read_lines(files: list[str]) -> AsyncIterator[list[Line]]:
    """The lines of ``files`` (``-`` is standard input), some at a time. Raises UsageError before the first is read."""
    with ExitStack() as stack:
        streams = [(name, stack.enter_context(open_input(name))) for name in files]
        for name, stream in streams:
            file = "standard input" if name == "-" else name
            number, rest = 0, b""
            async for chunk in _chunks(stream):
                *whole, rest = (rest + chunk).split(b"\n")
                lines = [Line(file, number + index, raw) for index, raw in enumerate(whole, start=1)]
                number += len(whole)
                if found := _not_empty(lines):
                    yield found
            if last := _not_empty([Line(file, number + 1, rest)]):
                yield last


def _not_empty(lines: list[Line]) -> list[Line]:
    return [line._replace(raw=raw) for line in lines if (raw := line.raw.rstrip(b"\r"))]


async def _chunks(stream: BinaryIO) -> AsyncIterator[bytes]:
    """What ``stream`` has, as soon as it has it.

    A thread reads, so that what was sent before is on its way while a pipe is silent. It is a daemon that reads the descriptor
    itself: whoever ends the command does not have to wait for the pipe's next byte.
    """
    loop, queue = asyncio.get_running_loop(), asyncio.Queue[bytes | OSError](_CHUNKS_AHEAD)

    def read() -> None:
        # The loop is gone, or the reader of the queue: nobody wants what is read.
        with contextlib.suppress(RuntimeError, asyncio.CancelledError):
            chunk: bytes | OSError = b"-"
            while chunk and isinstance(chunk, bytes):
                try:
                    chunk = os.read(stream.fileno(), _CHUNK_BYTES)
                except OSError as error:
                    chunk = error
                asyncio.run_coroutine_threadsafe(queue.put(chunk), loop).result()

    threading.Thread(target=read, name="publish-input", daemon=True).start()
    while chunk := await _soon(queue):
        if isinstance(chunk, OSError):
            raise chunk
        yield chunk


async def _soon(queue: "asyncio.Queue[bytes | OSError]") -> bytes | OSError:
    """The queue's next. A loop with nothing else to do may sleep through a signal that comes as it goes to sleep: it looks up."""
    coming = asyncio.ensure_future(queue.get())
    while not coming.done():
        await asyncio.wait({coming}, timeout=_LOOK_S)
    return coming.result()
