"""The one door to the terminal: every line that a command prints to stdout or stderr is written here.

What others wrote is shown with escapes for characters that command a terminal or cannot be seen
(``gateway.core.visible``), and ``console`` holds what is laid out by Rich. Where the terminal's encoding
lacks a character, a like one stands for it.
"""

import codecs
import io
import json
import os
import sys
from collections.abc import Iterable
from typing import Any

from gateway.adapters.wrapping import wrap
from gateway.core.visible import ascii_json, visible, visible_json

_FALLBACK = "gateway_fallback"
# In GBK, in Latin-1, and in ASCII: the first that there is.
_LIKE = {
    "✓": "√+", "✗": "×x", "•": "·*", "·": "·*", "–": "-", "—": "-", "…": "….", "→": ">", "←": "<", "－": "-", "＋": "+",
    "“": '"', "”": '"', "‘": "'", "’": "'", "、": ",", "，": ",", "；": ";", "：": ":", "（": "(", "）": ")", "。": ".",
    "×": "x", "●": "o", "█": "#", "━": "-", "╸": "-", "╺": "-", "─": "-", "│": "|", "¥": "Y",
}  # fmt: skip


def prepare() -> None:
    """Make stdout and stderr take every character; a stream that is closed is written to nowhere. Call it
    once, at the start."""
    codecs.register_error(_FALLBACK, _stand_in)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by whoever called us
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 — it is open to the end
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_FALLBACK)


def _stand_in(error: UnicodeError) -> tuple[str, int]:
    """Give what stands for characters that an encoding lacks: a like one, else an escape."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    shown = "".join(_encodable(character, error.encoding) for character in error.object[error.start : error.end])
    return shown, error.end


def _encodable(character: str, encoding: str) -> str:
    for candidate in _LIKE.get(character, ""):
        try:
            candidate.encode(encoding)
        except UnicodeEncodeError:
            continue
        return candidate
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def say(text: str, *, err: bool = False, lines: bool = False, whole: bool = False, flush: bool = False) -> None:
    """Write one line of text to stdout, or to stderr; with ``lines`` its newlines are meant, and stay.

    On a terminal a long line is wrapped, unless it is to be copied (``whole``).
    """
    stream, shown = sys.stderr if err else sys.stdout, visible(text, lines=lines)
    stream.write((shown if whole else wrap(shown, stream)) + "\n")
    if flush:
        stream.flush()


def write_lines(text: str) -> None:
    """Write whole lines of text to stdout, whose hidden characters are shown already; on a terminal long
    ones are wrapped."""
    sys.stdout.write(wrap(text, sys.stdout))


def write_cells(cells: Iterable[str]) -> None:
    """Write one line of a table to stdout, its cells parted by tabs."""
    sys.stdout.write("\t".join(map(visible, cells)) + "\n")


def write_json(value: Any, *, flush: bool = False) -> None:
    """Write ``value`` to stdout as one line of JSON."""
    write_json_lines(json.dumps(value, ensure_ascii=False) + "\n", flush=flush)


def write_json_lines(text: str, *, flush: bool = False) -> None:
    """Write whole lines of JSON to stdout: UTF-8, or ASCII with escapes, the same JSON, where stdout is not
    UTF-8."""
    is_unicode = codecs.lookup(getattr(sys.stdout, "encoding", None) or "utf-8").name.startswith("utf")
    sys.stdout.write(visible_json(text) if is_unicode else ascii_json(text))
    if flush:
        sys.stdout.flush()


def write_events(events: Iterable[bytes]) -> None:
    """Write events to stdout, one per line: as they are into a file or a pipe, on a terminal without hidden
    characters."""
    if sys.stdout.isatty():
        write_json_lines("".join(event.decode("utf-8", "backslashreplace") + "\n" for event in events), flush=True)
        return
    sys.stdout.flush()
    sys.stdout.buffer.writelines(event + b"\n" for event in events)
    sys.stdout.buffer.flush()
