"""Looks at each line before it is sent: makes an event of it where there is a mapping, says what is wrong,
counts."""

from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from enum import StrEnum
from typing import Literal, NamedTuple

from gateway.adapters.console import Terminal
from gateway.adapters.terminal import write_json
from gateway.core.dead_letter_codes import DeadLetterCode
from gateway.core.province import Province
from gateway.core.words import count_of
from gateway.operate.publish.checking import LineProblem, NotMappedError, find_problems
from gateway.operate.publish.guess import guess_format
from gateway.operate.publish.lines import LONGEST_LINE, Line, read_lines
from gateway.operate.publish.mapping import Mapping

_SHOWN = 20
_NO_OBJECT = frozenset({DeadLetterCode.NOT_UTF8.value, DeadLetterCode.NOT_JSON.value})
_DEAD_LETTERS = frozenset(code.value for code in DeadLetterCode)


class Invalid(StrEnum):
    """Says what is done with a line that is not a valid event."""

    REFUSE = "refuse"
    """Nothing is sent at all."""
    SKIP = "skip"
    """The others are sent."""
    EVENTS = "events"
    """Events are sent, valid or not: the gateway rejects those. What is not an event would become a dead
    letter and is not sent; a file that does not even begin with a JSON object is refused as a whole."""
    SEND = "send"
    """It is sent as it is, whatever it is."""


class Ready(NamedTuple):
    """An event that is to be sent, and the line that it comes from: file and number."""

    file: str
    number: int
    event: bytes

    @property
    def place(self) -> str:
        """The line as messages name it."""
        return f"{self.file}:{self.number}"


class LineChecker:
    """Checks every line that is to be sent.

    ``lines`` counts all, ``found`` those with something wrong, ``refused`` those of them that are not sent;
    ``refused_files`` names the files of which nothing was.
    """

    def __init__(
        self, province: Province, mapping: Mapping | None, invalid: Invalid, output: Literal["text", "json"]
    ) -> None:
        self._province, self._mapping, self._invalid, self._output = province, mapping, invalid, output
        self._console = Terminal(err=True)
        self._by_field: Counter[str] = Counter()
        self.lines = self.found = self.refused = 0
        self.refused_files: list[str] = []

    async def events(self, files: list[str]) -> AsyncGenerator[list[Ready], None]:
        """Yield the events to send, some at a time. Raises UsageError where a file cannot be read."""
        for file in files:
            async with aclosing(read_lines([file])) as some:
                async for lines in some:
                    yield [ready for line in lines if (ready := self._admit(line)) is not None]
                    if lines[0].file in self.refused_files:
                        break

    def _admit(self, line: Line) -> Ready | None:
        if line.file in self.refused_files:
            return None
        self.lines += 1
        event = line.raw
        problems = self._too_long(line)
        if not problems and self._mapping is not None:
            try:
                event = self._mapping.apply(line.raw)
            except NotMappedError as error:
                problems = error.problems
        # What is too long, and a platform's own fields that make no event, are never sent.
        is_refused = bool(problems)
        if not problems:
            problems = find_problems(event, self._province)
            is_refused = self._refuses(problems)
            if self._mapping:
                problems = [self._mapping.explain(each) for each in problems]
        if problems:
            self._report(line, problems)
            self.refused += is_refused
            self._judge_file(line, problems)
        return None if is_refused else Ready(line.file, line.number, event)

    def _too_long(self, line: Line) -> list[LineProblem]:
        if line.size <= LONGEST_LINE:
            return []
        code = DeadLetterCode.TOO_LARGE
        return [LineProblem(code.value, "event", code.entry.zh, f"longer than {LONGEST_LINE:,} bytes: {line.size:,}")]

    def _refuses(self, problems: list[LineProblem]) -> bool:
        match self._invalid:
            case Invalid.SEND:
                return False
            case Invalid.EVENTS:
                return any(problem.code in _DEAD_LETTERS for problem in problems)
            case _:
                return bool(problems)

    def _judge_file(self, line: Line, problems: list[LineProblem]) -> None:
        """Say what a file seems to be that does not begin with a JSON object; by default nothing of it is
        sent."""
        is_object = line.raw.lstrip().startswith(b"{") and problems[0].code not in _NO_OBJECT
        if not line.head or self._invalid is Invalid.SEND or is_object:
            return
        guess = guess_format(line.head)
        if guess is None:
            return
        advice = f" ({guess.advice})" if guess.advice else ""
        is_whole = self._invalid is Invalid.EVENTS
        if is_whole:
            self.refused_files.append(line.file)
        zh = f"每行应为一个 JSON 对象（NDJSON），该文件似为{guess.zh}" + ("，未发送" if is_whole else "")
        en = f"each line has to be one JSON object (NDJSON); the file seems to be {guess.en}{advice}"
        en += "; nothing of it is sent" if is_whole else ""
        if self._output == "json":
            write_json(
                {"file": line.file, "guess": {"zh": guess.zh, "en": guess.en, "advice": guess.advice}}, flush=True
            )
        else:
            self._console.print(f"{line.file}: {zh}。{en[0].upper()}{en[1:]}.")

    def _report(self, line: Line, problems: list[LineProblem]) -> None:
        self.found += 1
        self._by_field.update({f"{problem.field} ({problem.code})" for problem in problems})
        self._write(line.file, line.number, problems, is_shown=self.found <= _SHOWN)

    def report_unsent(self, ready: Ready, zh: str, en: str) -> None:
        """Report a valid line that the broker does not take."""
        self._write(ready.file, ready.number, [LineProblem("REFUSED_BY_BROKER", "event", zh, en)], is_shown=True)

    def _write(self, file: str, number: int, problems: list[LineProblem], *, is_shown: bool) -> None:
        if self._output == "json":
            write_json(
                {"file": file, "line": number, "problems": [problem._asdict() for problem in problems]}, flush=True
            )
        elif is_shown:
            for problem in problems:
                self._console.print(f"{file}:{number}: {problem}")

    def report(
        self, topic: str, sent: int, keyless: int, *,
        refused_by_broker: int = 0, unacknowledged: Sequence[str] = (), dry_run: bool,
    ) -> None:  # fmt: skip
        """Say what came of it: on standard error, and as one object on standard output where JSON is asked
        for.

        ``sent`` lines are acknowledged by the broker; of those that ``unacknowledged`` names nobody knows.
        """
        say = self._console.print
        if self._output == "json":
            counts = {"lines": self.lines, "sent": sent, "invalid": self.found, "refused": self.refused}
            more = {"refused_by_broker": refused_by_broker, "unacknowledged": list(unacknowledged)}
            write_json({"topic": topic, **counts, **{name: what for name, what in more.items() if what}}, flush=True)
        elif self.found > _SHOWN:
            say(
                f"… and {count_of(self.found - _SHOWN, 'more line')}; --format json names each. What is wrong, by how many lines:"
            )
            for field, count in self._by_field.most_common(10):
                say(f"    {count:,} × {field}")
        if self.refused and self._invalid is Invalid.REFUSE:
            are = "is" if self.refused == 1 else "are"
            say(
                f"{self.refused:,} of {count_of(self.lines, 'line')} {are} invalid; nothing was sent. "
                "Fix them, or send the others with --invalid skip."
            )
            return
        where = "written, none sent" if dry_run else f"sent to {topic}"
        lines, files = self.refused - len(self.refused_files), len(self.refused_files)
        refused = [count_of(number, noun) for number, noun in ((lines, "line"), (files, "whole file")) if number]
        were = "was" if lines + files == 1 else "were"
        say(f"{count_of(sent, 'event')} {where}" + (f"; {' and '.join(refused)} {were} refused" if refused else ""))
        if known := self.found - self.refused:
            say(f"{known} of them {'is' if known == 1 else 'are'} not valid: the gateway will not forward them")
        if keyless:
            say(f"{keyless} of them {'has' if keyless == 1 else 'have'} no holder.ref and went without a key")
        if refused_by_broker:
            were = "was" if refused_by_broker == 1 else "were"
            say(f"{count_of(refused_by_broker, 'line')} {were} refused by the broker, as named above")
