"""``gateway check``: decide events out of a file, without a broker."""

import gc
import multiprocessing
import sys
from collections import Counter, deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

import msgspec
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from gateway.adapters.cores import usable_cores
from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import load_settings
from gateway.adapters.signatures import load_key_ring
from gateway.core.decision import DeadLetter, Decision, Outcome, Reject, codes_of, row_of
from gateway.core.event import Identity, Valid
from gateway.core.province import Province
from gateway.core.times import parse_instant
from gateway.decide import decide_bytes
from gateway.operate.files import open_input
from gateway.operate.lane_pool import end_with_parent

Format = Literal["text", "json"]

_encode = msgspec.json.Encoder().encode
_CHUNK_LINES = 2000
_CHUNKS_AHEAD = 16
_OUTCOMES_ZH = {
    Outcome.FORWARD: "通过",
    Outcome.REJECT: "不通过",
    Outcome.DUPLICATE: "重复",
    Outcome.DEAD_LETTER: "无法识别",
}


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms events are decided.

    ``province`` None lets each event's source say it; ``received_at`` (milliseconds since the epoch) None counts each event's
    own time as received. ``config`` is the settings file, for whose events are to be signed.
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
        self._recognition = load_recognition(terms.list_dir)
        self._key_ring = load_key_ring(load_settings(terms.config))
        self._show = _json_line if terms.output == "json" else _text_line
        self._forwarded: dict[Identity, tuple[str, ...]] = {}

    def decide(self, raw: bytes) -> tuple[Decision, bytes]:
        """Decide one event, and say how that is printed; nothing is remembered."""
        received_at = self._terms.received_at
        if received_at is None:
            received_at = _received(raw)
        decision = decide_bytes(raw, self._terms.province, received_at, self._recognition, forwarded=self._forwarded)
        province = decision.province
        if province is not None and not self._key_ring.is_off(province):
            signature = self._key_ring.status(province, received_at, raw)
            decision = decide_bytes(
                raw, province, received_at, self._recognition, forwarded=self._forwarded, signature=signature
            )
        return decision, self._show(decision)

    def settle(self, raw: bytes, alone: "DecidedLine") -> "DecidedLine":
        """Decide ``raw`` with regard to earlier lines, given what was decided of it ``alone``; remember it where it is forwarded.

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
    """A line's outcome, how it is printed, and what tells it from others; plain values, as they pass between processes.

    ``identity`` is source, id and holder; None where the line holds no valid event.
    """

    outcome: str
    line: bytes
    identity: tuple[str, str, str] | None = None
    content: str = ""


def decide_chunk(terms: Terms, chunk: list[bytes]) -> list[DecidedLine]:
    """Decide each line of ``chunk`` by itself; run in a worker process, which keeps its decider."""
    decider = _deciders.get(terms) or _deciders.setdefault(terms, Decider(terms))
    return [_plain(*decider.decide(raw)) for raw in chunk]


def _plain(decision: Decision, line: bytes) -> DecidedLine:
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
    """The event's own time in milliseconds, rounded up so that it is not later than itself; 0 where there is none."""
    try:
        instant = parse_instant(_decode_time(raw).time)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return 0
    return -(-instant // 1000) if instant is not None else 0


def run_check(files: list[str], terms: Terms) -> int:
    """Decide the events of ``files`` (``-`` is standard input) and print what becomes of each; returns the exit code.

    The work is spread over all cores: an event's decision depends on earlier ones only where one was forwarded under its id, and
    that is settled here, in input order.
    """
    # Thousands of objects come and go a chunk, and none in cycles.
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
    decider = Decider(terms)
    counts: Counter[str] = Counter()
    console = Console(stderr=True)
    with ExitStack() as stack:
        streams = [stack.enter_context(open_input(name)) for name in files]
        decided = stack.enter_context(closing(_decide_all(_chunks(streams), terms)))
        # The first result before the progress bar: its thread must not be there yet when the workers are forked.
        ready = [each for each in [next(decided, None)] if each is not None]
        columns = (SpinnerColumn(), TextColumn("{task.completed} events decided"), TimeElapsedColumn())
        progress = stack.enter_context(
            Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        )
        task = progress.add_task("check", total=None)
        for chunk, results in chain(ready, decided):
            settled = [decider.settle(raw, result) for raw, result in zip(chunk, results, strict=True)]
            counts.update(result.outcome for result in settled)
            sys.stdout.buffer.write(b"".join(result.line for result in settled))
            progress.advance(task, len(chunk))
        sys.stdout.buffer.flush()
    if terms.output == "text":
        summary = ", ".join(f"{outcome.value} {counts[outcome.value]}" for outcome in Outcome)
        console.print(f"{counts.total()} events: {summary}", highlight=False)
    return 0


def _chunks(streams: Iterable[BinaryIO]) -> Iterator[list[bytes]]:
    """The lines that are not empty, some thousands at a time: an empty line is no record, files end with one."""
    lines = (raw for stream in streams for line in stream if (raw := line.rstrip(b"\r\n")))
    while chunk := list(islice(lines, _CHUNK_LINES)):
        yield chunk


def _decide_all(
    chunks: Iterator[list[bytes]], terms: Terms
) -> Generator[tuple[list[bytes], list[DecidedLine]], None, None]:
    """Each chunk with its decisions, in order; in this process where there is one chunk only, or one core."""
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
    return pair[0], pair[1].result()


def _json_line(decision: Decision) -> bytes:
    row = row_of(decision)
    return _encode(
        {
            "id": _id_of(decision),
            "province": decision.province,
            "outcome": decision.outcome,
            "batch": row.batch if row else None,
            "row": row.row if row else None,
            "reasons": codes_of(decision),
        }
    ) + b"\n"  # fmt: skip


def _text_line(decision: Decision) -> bytes:
    parts = [_OUTCOMES_ZH[decision.outcome], decision.outcome.value, _id_of(decision) or "(no id)"]
    if row := row_of(decision):
        parts.append(f"row {row}")
    lines = ["  ".join(parts)]
    if isinstance(decision, Reject):
        for reason in decision.reasons:
            lines.append(f"    {reason.code.value}  {reason.field}  {reason.zh}")
            if reason.accepted:
                lines.append(f"        可接受：{'；'.join(reason.accepted)}")
        lines.append(f"    反馈：{'、'.join(decision.units)}")
    elif isinstance(decision, DeadLetter):
        lines.append(f"    {decision.code.value}  {decision.message}")
    return ("\n".join(lines) + "\n").encode("utf-8", "replace")


def _id_of(decision: Decision) -> str | None:
    return None if isinstance(decision, DeadLetter) else decision.reading.id
