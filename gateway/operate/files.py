"""Files that a command reads: named, or ``-`` for standard input."""

import os
import sys
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from gateway.errors import UsageError

BOM = b"\xef\xbb\xbf"
"""What some editors put before a UTF-8 text; at a file's beginning it is not part of the first line."""


def require_inputs(names: Sequence[str]) -> None:
    """Raise UsageError where a file cannot be read, before anything else is begun."""
    if names.count("-") > 1:
        raise UsageError("- is named twice, but standard input can be read only once: leave one out")
    for name in names:
        if name != "-" and not os.access(name, os.R_OK):
            open_input(name).close()  # says why


def open_input(name: str) -> BinaryIO:
    """Open the file of this name to be read; ``-`` is standard input. Raises UsageError."""
    if name == "-":
        return sys.stdin.buffer
    try:
        return Path(name).open("rb")
    except OSError as error:
        raise UsageError(f"{name} cannot be read: {error.strerror}") from None


def lines_of(stream: BinaryIO) -> Iterable[bytes]:
    """Iterate over the lines as they stand, with their ends; a byte order mark before the first one left
    out."""
    return chain([stream.readline().removeprefix(BOM)], stream)
