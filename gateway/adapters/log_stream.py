"""Where log lines go: to stderr if it takes them. What it does not take is counted, and never stops the
work."""

import logging
import os
import select
from collections.abc import Callable, Iterable
from typing import TextIO

from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

_PIECE = 4096
"""A pipe that can be written to takes this much at once (PIPE_BUF): a line is written in such pieces, none
of which waits."""
_TIMEOUT_MS = 500
"""How long a reader that is slow may keep us; once a line was lost to it, it is not waited for again."""


class LogStream:
    """A text stream over ``stream`` that never raises and never waits for long: a closed pipe, a full disk,
    a stuck reader.

    Lines that were not written are counted in ``lost``. Once a line is written again, ``describe_loss`` of
    their number is written before it; it returns a line of the log.
    """

    def __init__(self, stream: TextIO | None, describe_loss: Callable[[int], str]) -> None:
        self._stream = stream  # None: the process was started with its stderr closed
        self._describe_loss = describe_loss
        self._is_cut = False  # a part of a line was written
        self._unreported = 0
        self.lost = 0
        self._descriptor = _descriptor_of(stream)
        self._poll = select.poll()
        if self._descriptor is not None:
            self._poll.register(self._descriptor, select.POLLOUT)

    def write(self, text: str) -> int:
        """Write a line, or count it; returns its length in either case."""
        unreported = self._unreported
        if unreported and self._wrote(self._describe_loss(unreported) + "\n"):
            self._unreported -= unreported
        if self._unreported or not self._wrote(text):
            self.count_lost()
        return len(text)

    def count_lost(self) -> None:
        """Count a line that could not be written, or not even made."""
        self.lost += 1
        self._unreported += 1

    def flush(self) -> None:
        """Do nothing: a line is written at once, or never."""

    def _wrote(self, text: str) -> bool:
        try:
            if self._descriptor is not None:
                self._write_bytes(self._descriptor, text.encode("utf-8", "backslashreplace"))
            elif self._stream is not None:
                self._stream.write(text)
                self._stream.flush()
        except (OSError, ValueError):
            return False
        return self._stream is not None

    def _write_bytes(self, descriptor: int, line: bytes) -> None:
        """Write all of ``line``. Raises OSError; then a part of it may have been written."""
        left = memoryview(b"\n" + line if self._is_cut else line)
        while left:
            if not self._poll.poll(0 if self._unreported else _TIMEOUT_MS):
                raise BlockingIOError
            left = left[os.write(descriptor, left[:_PIECE]) :]
            self._is_cut = bool(left)


def _descriptor_of(stream: TextIO | None) -> int | None:
    """Return the file descriptor; None of a stream that lives in memory only, as in tests."""
    try:
        return None if stream is None else stream.fileno()
    except (OSError, ValueError):
        return None


class LogHandler(logging.StreamHandler[LogStream]):
    """The standard library's handler over a LogStream: a record that cannot be made a line is counted
    too."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 — its name
        """Count it."""
        self.stream.count_lost()


class LostLines(Collector):
    """The metric of the lines that the process's log could not be given."""

    def collect(self) -> Iterable[Metric]:
        """Return the count as it is now."""
        name, text = "gateway_log_lines_lost", "Log lines that could not be written: a closed pipe, a full disk."
        yield CounterMetricFamily(name, text, value=sum(stream.lost for stream in _streams))


_streams: list[LogStream] = []


def open_log_stream(stream: TextIO | None, describe_loss: Callable[[int], str]) -> LogStream:
    """Return a LogStream over ``stream`` whose losses count in the process's metric."""
    opened = LogStream(stream, describe_loss)
    _streams.append(opened)
    return opened
