"""The question before something is written, where somebody is there to answer it."""

import sys

from gateway.adapters.console import Terminal


def is_confirmed(question: str, console: Terminal) -> bool:
    """Ask ``question`` on ``console``, if standard input is a terminal; where it is not, the options have
    said it all."""
    if not sys.stdin.isatty():
        return True
    console.print(f"{question} [y/N] ", end="")
    return sys.stdin.readline().strip().lower() in {"y", "yes"}
