"""``gateway check``: decide events out of a file, without a broker."""

import gc
import multiprocessing
import sys
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

import msgspec
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from gateway.adapters.console import Terminal
from gateway.adapters.cores import usable_cores
from gateway.adapters.list_files import load_recognition
from gateway.adapters.native import find_module
from gateway.adapters.settings import load_settings
from gateway.adapters.signatures import load_key_ring
from gateway.adapters.terminal import write_json_lines, write_lines
from gateway.core.decision import DeadLetter, Decision, Forwarded, Outcome, Reject, codes_of, row_of
from gateway.core.event import Identity, Valid
from gateway.core.province import Province
from gateway.core.times import parse_instant
from gateway.core.visible import visible
from gateway.core.words import count_of
from gateway.decide import decide_bytes
from gateway.operate.check_native import NativeLines
from gateway.operate.files import lines_of, open_input, require_inputs
from gateway.operate.lane_pool import end_with_parent, out_of_processes

Format = Literal["text", "json"]

_encode = msgspec.json.Encoder().encode
_CHUNK_LINES = 2000
_CHUNKS_AHEAD = 16
_OUTCOMES_ZH = {
    Outcome.FORWARD: "通过",
    Outcome.REJECT: "退回",
    Outcome.DUPLICATE: "重复",
    Outcome.DEAD_LETTER: "无法识别",
}


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms events are decided.

    ``province`` None lets each event's source say it; ``received_at`` (milliseconds since the epoch) None
    counts each event's own time as received. ``config`` is the settings file, for whose events are to be
    signed.
    """

    config: Path | None
    list_dir: Path
    province: Province | None
    received_at: int | None
    output: Format


class Decider:
    """Decides one line after the other; what is forwarded of them is one horizon for duplicates."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self.recognition = load_recognition(terms.list_dir)
        self.settings = load_settings(terms.config)
        self._key_ring = load_key_ring(self.settings)
        self.asks_for_signatures = not all(map(self._key_ring.is_off, Province))
        self.show = _json_line if terms.output == "json" else _text_line
        self._forwarded: dict[Identity, tuple[str, ...]] = {}

    def decide(self, raw: bytes) -> tuple[Decision, str]:
        """Decide one event, and say how that is printed; nothing is remembered."""
        decision = self.decide_after(raw, lambda _: self._forwarded)
        return decision, self.show(decision)

    def decide_after(self, raw: bytes, forwarded_at: Callable[[int], Forwarded]) -> Decision:
        """Decide one event after others, which ``forwarded_at`` tells of by when this one was received."""
        received_at = self._terms.received_at
        if received_at is None:
            received_at = _received(raw)
        forwarded = forwarded_at(received_at)
        decision = decide_bytes(raw, self._terms.province, received_at, self.recognition, forwarded=forwarded)
        province = decision.province
        if province is not None and not self._key_ring.is_off(province):
            signature = self._key_ring.status(province, received_at, raw)
            decision = decide_bytes(
                raw, province, received_at, self.recognition, forwarded=forwarded, signature=signature
            )
        return decision

    def decide_in_order(self, raw: bytes, alone: "DecidedLine") -> "DecidedLine":
        """Decide ``raw`` with regard to earlier lines, given what was decided of it ``alone``; remember it
        where it is forwarded.

        Nothing but the forwarding of an event with its identity can change what a line becomes.
        """
        if alone.identity is None:
            return alone
        identity = Identity(*alone.identity)
        if identity in self._forwarded:
            decision, line = self.decide(raw)
            return alone._replace(outcome=decision.outcome.value, line=line)
        if alone.outcome == Outcome.FORWARD.value:
            self._forwarded[identity] = (alone.content,)
        return alone


class DecidedLine(NamedTuple):
    """A line's outcome, how it is printed, and what tells it from others; plain values, as they pass between
    processes.

    ``identity`` is source, id and holder; None where the line holds no valid event.
    """

    outcome: str
    line: str
    identity: tuple[str, str, str] | None = None
    content: str = ""


def decide_chunk(terms: Terms, chunk: list[bytes]) -> list[DecidedLine]:
    """Decide each line of ``chunk`` by itself; run in a worker process, which keeps its decider."""
    decider = _deciders.get(terms) or _deciders.setdefault(terms, Decider(terms))
    return [_plain(*decider.decide(raw)) for raw in chunk]


def _plain(decision: Decision, line: str) -> DecidedLine:
    if isinstance(decision, DeadLetter) or not isinstance(decision.reading, Valid):
        return DecidedLine(decision.outcome.value, line)
    identity = decision.reading.identity
    return DecidedLine(
        decision.outcome.value,
        line,
        (identity.source, identity.id, identity.holder),
        decision.reading.content_digest,
    )


_deciders: dict[Terms, Decider] = {}


class _Time(msgspec.Struct):
    time: str


_decode_time = msgspec.json.Decoder(_Time).decode


def _received(raw: bytes) -> int:
    """Return the event's own time in milliseconds, rounded up so as not to lie before the event; 0 where
    there is none."""
    try:
        instant = parse_instant(_decode_time(raw).time)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return 0
    return -(-instant // 1000) if instant is not None else 0


def run_check(files: list[str], terms: Terms, *, exit_code: bool = False) -> int:
    """Decide the events of ``files`` (``-`` is standard input) and print what becomes of each; returns the
    exit code.

    That is 0; with ``exit_code`` 1 where an event is rejected or cannot be read.

    Where the native kernel is installed it repeats what was decided of events alike. Else the work is spread
    over all cores: an event's decision depends on earlier ones only where one was forwarded under its id,
    and that is decided here, in input order.
    """
    require_inputs(files)
    # Thousands of objects come and go a chunk, and none in cycles.
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
    counts: Counter[str] = Counter()
    write = write_json_lines if terms.output == "json" else write_lines
    console = Terminal(err=True, wrap=True)
    with ExitStack() as stack:
        streams = [stack.enter_context(open_input(name)) for name in files]
        printed = stack.enter_context(closing(_print_all(_chunks(streams), terms)))
        # The first result before the progress bar: its thread must not be there yet when the workers are
        # forked.
        ready = [each for each in [next(printed, None)] if each is not None]
        columns = (SpinnerColumn(), TextColumn("{task.completed} events decided"), TimeElapsedColumn())
        progress = stack.enter_context(
            Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        )
        task = progress.add_task("check", total=None)
        for text, more in chain(ready, printed):
            counts.update(more)
            write(text)
            progress.advance(task, more.total())
        sys.stdout.flush()
    if terms.output == "text":
        summary = ", ".join(f"{outcome.value} {counts[outcome.value]}" for outcome in _OUTCOMES_ZH)
        console.print(f"{count_of(counts.total(), 'event')}: {summary}")
    return int(exit_code and bool(counts[Outcome.REJECT] + counts[Outcome.DEAD_LETTER]))


def _print_all(chunks: Iterator[list[bytes]], terms: Terms) -> Generator[tuple[str, Counter[str]], None, None]:
    """Yield what is printed of each chunk, in order, and how many of its events have each outcome."""
    decider = Decider(terms)
    kernel = None if decider.asks_for_signatures else find_module(decider.settings)
    if kernel is not None:
        native = NativeLines(
            kernel, decider.recognition, terms.province, terms.received_at, decider.decide_after, decider.show
        )
        yield from map(native.decide, chunks)
        return
    with closing(_decide_all(chunks, terms)) as decided:
        for chunk, results in decided:
            in_order = [decider.decide_in_order(raw, result) for raw, result in zip(chunk, results, strict=True)]
            yield "".join(each.line for each in in_order), Counter(each.outcome for each in in_order)


def _chunks(streams: Iterable[BinaryIO]) -> Iterator[list[bytes]]:
    """Yield the lines that are not empty, some thousands at a time: an empty line is not a record, and files
    end with one."""
    lines = (raw for stream in streams for line in lines_of(stream) if (raw := line.rstrip(b"\r\n")))
    while chunk := list(islice(lines, _CHUNK_LINES)):
        yield chunk


def _decide_all(
    chunks: Iterator[list[bytes]], terms: Terms
) -> Generator[tuple[list[bytes], list[DecidedLine]], None, None]:
    """Yield each chunk with its decisions, in order; in this process where there is only one chunk, or one
    core."""
    first, second = next(chunks, []), next(chunks, [])
    cores = usable_cores()
    if not second or cores == 1:
        for chunk in chain([first, second], chunks):
            yield chunk, decide_chunk(terms, chunk)
        return
    method = (
        "fork" if "fork" in multiprocessing.get_all_start_methods() else None
    )  # a fork has everything imported already
    with ProcessPoolExecutor(
        cores, mp_context=multiprocessing.get_context(method), initializer=end_with_parent
    ) as pool:
        under_way: deque[tuple[list[bytes], Future[list[DecidedLine]]]] = deque()
        for chunk in chain([first, second], chunks):
            under_way.append((chunk, pool.submit(decide_chunk, terms, chunk)))
            if len(under_way) > _CHUNKS_AHEAD:
                yield _result(under_way.popleft())
        while under_way:
            yield _result(under_way.popleft())


def _result(pair: "tuple[list[bytes], Future[list[DecidedLine]]]") -> tuple[list[bytes], list[DecidedLine]]:
    try:
        return pair[0], pair[1].result()
    except BrokenProcessPool:
        raise out_of_processes() from None


def _json_line(decision: Decision) -> str:
    row = row_of(decision)
    shown: dict[str, object] = {
        "id": _id_of(decision),
        "province": decision.province,
        "outcome": decision.outcome,
        "batch": row.batch if row else None,
        "row": row.row if row else None,
        "reasons": codes_of(decision),
    }
    if isinstance(decision, DeadLetter):
        shown["error"] = {"code": decision.code, "message": decision.message}
    return _encode(shown).decode() + "\n"


def _text_line(decision: Decision) -> str:
    parts = [_OUTCOMES_ZH[decision.outcome], decision.outcome.value, _id_of(decision) or "(no id)"]
    if row := row_of(decision):
        parts.append(f"row {row}")
    lines = ["  ".join(parts)]
    if isinstance(decision, Reject):
        for reason in decision.reasons:
            lines.append(f"    {reason.code.value}  {reason.field}  {reason.zh}")
            if reason.accepted:
                lines.append(f"        应为：{'；'.join(reason.accepted)}")
        lines.append(f"    怎么办：{decision.reasons[0].code.entry.advice_zh}")
        lines.append(f"    责任单位：{'、'.join(decision.units)}")
    elif isinstance(decision, DeadLetter):
        lines.append(f"    {decision.code.value}  {decision.message}")
    return "\n".join(map(visible, lines)) + "\n"


def _id_of(decision: Decision) -> str | None:
    return None if isinstance(decision, DeadLetter) else decision.reading.id
