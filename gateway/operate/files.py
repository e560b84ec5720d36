"""Files that a command reads: named, or ``-`` for standard input."""

import sys
from pathlib import Path
from typing import BinaryIO

from gateway.errors import UsageError


def open_input(name: str) -> BinaryIO:
    """The file of this name, opened to be read; ``-`` is standard input. Raises UsageError."""
    if name == "-":
        return sys.stdin.buffer
    try:
        return Path(name).open("rb")
    except OSError as error:
        raise UsageError(f"{name} cannot be read: {error.strerror}") from None
