"""Files that a command reads: named, or ``-`` for standard input."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from gateway.errors import UsageError


def require_inputs(names: Iterable[str]) -> None:
    """Raise UsageError where a file cannot be read, before anything else is begun."""
    for name in names:
        if name != "-" and not os.access(name, os.R_OK):
            open_input(name).close()  # says why


def open_input(name: str) -> BinaryIO:
    """The file of this name, opened to be read; ``-`` is standard input. Raises UsageError."""
    if name == "-":
        return sys.stdin.buffer
    try:
        return Path(name).open("rb")
    except OSError as error:
        raise UsageError(f"{name} cannot be read: {error.strerror}") from None
