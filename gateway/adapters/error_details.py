"""What is kept of an error that was not foreseen: its types and its places, and nothing that may be a value.

An error's own words and arguments, and the command's, may hold what a province sent: a traceback's last
line, such as ``KeyError: '510…'``, is a value. Kept are the types of the error and of those that led to it,
the lines of code that each came by, the names of the command and of its options.
"""

import os
import platform
import re
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType

from gateway import __version__

_PACKAGES = str(Path(__file__).parents[2]) + os.sep
_REMOTE_FRAME = re.compile(r'^\s*File "([^"]+)", line (\d+), in (\S+)$', re.MULTILINE)


def describe(error: BaseException) -> list[str]:
    """Describe ``error`` and those that led to it, outermost last: types and places, a line each."""
    return list(_describe(error))


def save_details(description: Iterable[str]) -> Path | None:
    """Save what ``describe`` said of one error, or of several, in a file of this user's; None where none can
    be written."""
    lines = [
        f"gateway {__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}",
        f"command: {_command()}",
        f"at: {time.strftime('%Y-%m-%dT%H:%M:%S%z')}",
        "",
        *description,
    ]
    try:
        descriptor, name = tempfile.mkstemp(prefix="gateway-error-", suffix=".txt")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
    except OSError:
        return None
    return Path(name)


def _command() -> str:
    """Name the command and its options, without what the user gave them."""
    words = [word.partition("=")[0] for word in sys.argv[1:] if word.startswith("--")]
    commands = [word for word in sys.argv[1:3] if re.fullmatch(r"[a-z]+", word)]
    return " ".join([*commands, *words])


def _describe(error: BaseException) -> Iterator[str]:
    seen: set[int] = set()
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        chain.append(link)
        link = link.__cause__ or link.__context__
    for each in reversed(chain):
        kind = type(each)
        number = f" (errno {each.errno})" if isinstance(each, OSError) else ""
        yield f"{kind.__module__}.{kind.__qualname__}{number}"
        yield from (f"    {place}" for place in _places(each))
        if isinstance(each, BaseExceptionGroup):
            for inner in each.exceptions:
                yield from (f"    | {line}" for line in _describe(inner))


def _places(error: BaseException) -> Iterator[str]:
    """Name the lines that ``error`` came by, innermost last; of another process's error those that it
    brought along."""
    # concurrent.futures makes one text of what was raised in another process: its frames are taken, its
    # words are not.
    if type(error).__name__ == "_RemoteTraceback":
        for file, line, function in _REMOTE_FRAME.findall(str(error)):
            yield _place(file, int(line), function)
    yield from map(_of_frame, _frames(error.__traceback__))


def _frames(trace: TracebackType | None) -> Iterator[TracebackType]:
    while trace is not None:
        yield trace
        trace = trace.tb_next


def _of_frame(trace: TracebackType) -> str:
    code = trace.tb_frame.f_code
    return _place(code.co_filename, trace.tb_lineno, code.co_qualname)


def _place(file: str, line: int, function: str) -> str:
    short = file.removeprefix(_PACKAGES)
    _, found, inside = short.rpartition(f"site-packages{os.sep}")
    return f"{inside if found else short}:{line} {function}"


def place_of(error: BaseException) -> str:
    """Name the innermost line of ours that ``error`` came by; else the innermost one."""
    places = [place for each in (error.__cause__, error) if each is not None for place in _places(each)]
    ours = [place for place in places if place.startswith("gateway")]
    return next(reversed(ours or places), "no known place").partition(" ")[0]
