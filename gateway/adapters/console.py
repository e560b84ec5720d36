"""Rich's console behind the one door to the terminal (``terminal``): tables, colours, progress bars."""

import errno
import os
import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from gateway.adapters.wrapping import lay_out
from gateway.core.visible import visible


class Terminal(Console):
    """Rich's console for lines that may hold what others wrote: no markup, no emoji codes, no raw control
    characters.

    A string is one line: a newline in it is shown as an escape. More lines are several calls, or
    ``several_lines``.
    """

    def __init__(self, *, err: bool = False, wrap: bool = False) -> None:
        self._wraps = wrap
        super().__init__(
            file=sys.stderr if err else sys.stdout, highlight=False, markup=False, emoji=False, soft_wrap=not wrap
        )

    def print(self, *objects: Any, **options: Any) -> None:
        """Print; on a terminal a text is wrapped, and what goes on is indented (``wrapping``)."""
        if not self.is_terminal or len(objects) != 1 or not isinstance(objects[0], str | Text) or "end" in options:
            super().print(*objects, **options)
            return
        shown = self.render_str(objects[0]) if isinstance(objects[0], str) else objects[0]
        for line in shown.split("\n"):
            for part in lay_out(line.plain, self.width):
                each = Text(" " * part.indent).append_text(line[part.start : part.end])
                super().print(each, **options | {"soft_wrap": True})

    def render_str(self, text: str, **options: Any) -> Text:
        """Make a Text of a string, hidden characters as escapes: before it is laid out, so that columns stay
        straight."""
        return super().render_str(visible(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render; whatever of it is text, by whichever way it came in, holds no hidden character but
        newlines."""
        for segment in super().render(renderable, options):
            # A carriage return that stands alone is ours (``end``): Rich takes them out of all text.
            if (
                segment.control is None
                and segment.text != "\r"
                and (shown := visible(segment.text, lines=True)) != segment.text
            ):
                yield Segment(shown, segment.style)
            else:
                yield segment

    def on_broken_pipe(self) -> None:
        """Say that nobody reads any more; Rich would end the process here."""
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


def several_lines(parts: Iterable[str]) -> Text:
    """Make one cell, or one renderable, of several lines, each of them one line whatever it holds."""
    return Text("\n".join(map(visible, parts)))
