"""Looks at each line before it is sent: makes an event of it where there is a mapping, says what is wrong, counts."""

import json
import sys
from collections import Counter
from collections.abc import AsyncIterator
from enum import StrEnum
from typing import Literal

from rich.console import Console

from gateway.core.province import Province
from gateway.operate.publish.checking import LineProblem, NotMappedError, find_problems
from gateway.operate.publish.lines import Line, read_lines
from gateway.operate.publish.mapping import Mapping

_SHOWN = 20


class Invalid(StrEnum):
    """Says what is done with a line that is not a valid event."""

    REFUSE = "refuse"
    """Nothing is sent at all."""
    SKIP = "skip"
    """The others are sent."""
    SEND = "send"
    """It is sent as it is; the gateway will reject it."""


class LineChecker:
    """Checks every line that is to be sent.

    ``lines`` counts all, ``found`` those with something wrong, ``refused`` those of them that are not sent.
    """

    def __init__(
        self, province: Province, mapping: Mapping | None, invalid: Invalid, output: Literal["text", "json"]
    ) -> None:
        self._province, self._mapping, self._invalid, self._output = province, mapping, invalid, output
        self._console = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)
        self._by_field: Counter[str] = Counter()
        self.lines = self.found = self.refused = 0

    async def events(self, files: list[str]) -> AsyncIterator[list[bytes]]:
        """The events to send, some at a time. Raises UsageError where a file cannot be read."""
        async for lines in read_lines(files):
            yield [event for line in lines if (event := self._admit(line)) is not None]

    def _admit(self, line: Line) -> bytes | None:
        self.lines += 1
        event = line.raw
        try:
            if self._mapping is not None:
                event = self._mapping.apply(line.raw)
        except NotMappedError as error:
            # A platform's own fields are nobody else's: what cannot be mapped is never sent.
            self._say(line, error.problems)
            self.refused += 1
            return None
        problems = find_problems(event, self._province)
        if problems:
            self._say(line, [self._mapping.explain(each) for each in problems] if self._mapping else problems)
            if self._invalid is not Invalid.SEND:
                self.refused += 1
                return None
        return event

    def _say(self, line: Line, problems: list[LineProblem]) -> None:
        self.found += 1
        self._by_field.update({f"{problem.field} ({problem.code})" for problem in problems})
        if self._output == "json":
            found = [problem._asdict() for problem in problems]
            _write_json({"file": line.file, "line": line.number, "problems": found})
        elif self.found <= _SHOWN:
            for problem in problems:
                self._console.print(f"{line.file}:{line.number}: {problem}")

    def report(self, topic: str, sent: int, keyless: int, *, dry_run: bool) -> None:
        """What came of it: on standard error, and as one object on standard output where JSON is asked for."""
        say = self._console.print
        if self._output == "json":
            counts = {"lines": self.lines, "sent": sent, "invalid": self.found, "refused": self.refused}
            _write_json({"topic": topic, **counts})
        elif self.found > _SHOWN:
            say(
                f"… and {self.found - _SHOWN:,} more lines; --format json names each. What is wrong, by how many lines:"
            )
            for field, count in self._by_field.most_common(10):
                say(f"    {count:,} × {field}")
        if self.refused and self._invalid is Invalid.REFUSE:
            say(
                f"{self.refused:,} of {self.lines:,} lines are no valid events, and nothing was sent. "
                "Mend them, or send the others with --invalid skip."
            )
            return
        where = "written, none sent" if dry_run else f"sent to {topic}"
        say(f"{sent} events {where}" + (f"; {self.refused} lines were refused" if self.refused else ""))
        if known := self.found - self.refused:
            say(f"{known} of them are not valid: the gateway will not forward them")
        if keyless:
            say(f"{keyless} of them have no holder.ref and went without a key")


def _write_json(value: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
    sys.stdout.flush()
