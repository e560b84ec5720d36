"""``gateway replay``: what if? The history in the display topics decided again under another list. Writes
nothing to Kafka."""

import asyncio
import gc
import time
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from aiokafka.errors import KafkaError

from gateway.adapters import kafka
from gateway.adapters.console import Terminal
from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import Settings
from gateway.adapters.signatures import load_key_ring
from gateway.adapters.terminal import write_json
from gateway.adapters.topic_reader import find_readable_spans, find_spans
from gateway.contract.topics import LaneId
from gateway.core.recognition import Recognition, RowRef
from gateway.core.times import china_date
from gateway.core.words import count_of
from gateway.errors import UsageError
from gateway.operate.lane_pool import run_lanes
from gateway.operate.replay.lane_replay import LaneReplay, LaneSpan, ReplaySummary, Side, merge, replay_lane
from gateway.operate.replay.report import print_report, to_markdown
from gateway.operate.unread import Unread, exit_code_of, report_unread
from gateway.relay.horizon import Horizon


@dataclass(frozen=True, slots=True)
class Question:
    """Which list is tried, against which one, on which events: [``since``, ``until``) in broker time, ms
    since the epoch."""

    list_dir: Path
    against: Path
    since: int | None = None
    until: int | None = None
    examples: int = 3


def run_replay(settings: Settings, question: Question, output: Literal["text", "json"], file: Path | None) -> int:
    """Replay, print what would change, and write it to ``file`` (Markdown) too; returns the exit code.

    Raises UsageError, RecognitionListError, ConfigurationError, BrokerUnreachableError.
    """
    if question.since is not None and question.until is not None and question.since >= question.until:
        raise UsageError("--until must be later than --since")
    if file is not None and (file.is_dir() or not file.absolute().parent.is_dir()):
        raise UsageError(f"--output: {file} is not a file that can be made")
    started = time.monotonic()
    tally = replay(settings, question)
    seconds = time.monotonic() - started
    result = summarise(tally, load(question.against), load(question.list_dir))
    if output == "json":
        write_json(result)
    else:
        print_report(result)
        Terminal(err=True).print(
            f"{count_of(tally.events, 'event')} decided under two lists in {seconds:.1f} s ({tally.events / seconds:,.0f}/s)"
        )
    if file is not None:
        _write(file, to_markdown(result))
    report_unread(tally.unread)
    return exit_code_of(tally.unread, all_lanes=tally.lanes)


def replay(settings: Settings, question: Question) -> ReplaySummary:
    """Decide every event of ``question`` under both lists, on all cores, a lane at a time in each.

    Raises RecognitionListError, ConfigurationError, BrokerUnreachableError.
    """
    # Mistakes are said before anything is read, and forks have the lists already.
    load_key_ring(settings)
    _, tried = load(question.against), load(question.list_dir)
    _warn_of_days_to_come(tried)
    spans, silent = asyncio.run(_survey(settings, question))
    jobs = [(settings, question, span) for span in sorted(spans, key=lambda span: span.warm - span.end)]
    tallies = run_lanes(_replay_lane, jobs, name="replay", size=sum(span.end - span.warm for span in spans))
    tally = merge(tallies, question.examples)
    tally.unread += silent
    tally.lanes = len(jobs) + len(silent)
    return tally


def _warn_of_days_to_come(tried: Recognition) -> None:
    """Say on stderr which editions decide nothing here: an event is decided by the one in force when it was
    shown."""
    today = china_date(time.time_ns() // 1000)
    if days := [edition.since for edition in tried.editions if edition.since > today]:
        Terminal(err=True).print(
            f"the list tried has more editions, from {', '.join(days)} on: these touch no event received so far. "
            "To see what they would do, let a copy of them take effect earlier."
        )


@lru_cache(maxsize=4)
def load(folder: Path) -> Recognition:
    """Load the list of ``folder``, once per process. Raises RecognitionListError."""
    return load_recognition(folder)


async def _survey(settings: Settings, question: Question) -> tuple[list[LaneSpan], list[Unread]]:
    """Find the lanes that have events of the time, with their offsets; and the partitions that give no
    answer.

    What came within the duplicates' horizon before ``since`` is read too: it decides what is a repetition.
    """
    displays = settings.topic_names.displays
    partitions = await kafka.partitions_of(settings, list(displays))
    since, until = question.since, question.until
    try:
        async with kafka.consumer(settings) as consumer:
            spans = await find_readable_spans(consumer, partitions, since=since, until=until)
            horizon = None if since is None else since - settings.duplicates.horizon_ms
            warm = await find_spans(consumer, spans, since=horizon, until=until)
    except (KafkaError, OSError) as error:
        raise kafka.unreachable(settings, error) from None
    lanes = [
        LaneSpan(LaneId(displays[each.topic], *each), warm[each].start, span.start, span.end)
        for each, span in spans.items()
        if span.start < span.end
    ]
    silent = [
        Unread(each.topic, each.partition, None, "the broker does not answer for it")
        for each in partitions
        if each not in spans
    ]
    return lanes, silent


def _replay_lane(job: tuple[Settings, Question, LaneSpan]) -> ReplaySummary:
    settings, question, span = job
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)  # thousands of objects come and go a batch, and none in cycles
    duplicates = settings.duplicates
    horizons = (
        Horizon(duplicates.horizon_ms, duplicates.max_ids), Horizon(duplicates.horizon_ms, duplicates.max_ids),
    )  # fmt: skip
    key_ring = load_key_ring(settings)
    work = LaneReplay(span.lane, load(question.against), load(question.list_dir), horizons, question.examples, key_ring)
    return asyncio.run(replay_lane(settings, span, work))


def summarise(tally: ReplaySummary, against: Recognition, tried: Recognition) -> dict[str, Any]:
    """Return the replay as one object, as ``--format json`` prints it. Counts are of events.

    - ``lists``: the two lists' digests, ``against`` and ``list``
    - ``events``: how many were decided; ``outcomes``: what they are under either list
    - ``unread``: the partitions that could not be read to their end: ``topic``, ``partition``, ``offset``,
      ``why``
    - ``changed``: decisions whose outcome, primary reason or row differ; of these ``opened`` are forwarded
      only under the list tried, ``closed`` only under the other
    - ``further_reasons``: decisions of which just reasons behind the primary one differ; not in ``changed``
    - ``changes``: the kinds of change, most frequent first: ``from`` and ``to`` (``outcome``, primary
      ``reason``, ``batch``, ``row``), ``count``, ``examples`` (event ids)
    - ``by_row``: ``batch``, ``row``, ``certificate``, ``events`` (that it lists), ``changed``, ``opened``,
      ``closed``
    - ``by_reason``, ``by_unit``: of the changed decisions, how many have this primary ``reason``, or this
      responsible ``unit``, under the one list (``from``) and under the other (``to``)
    - ``by_region``: ``region`` (place of display), ``changed``, ``opened``, ``closed``
    """
    flows: Counter[str] = Counter()
    rows: dict[RowRef, Counter[str]] = {row: Counter(events=count) for row, count in sorted(tally.touched.items())}
    regions: dict[str, Counter[str]] = {}
    before: Counter[str] = Counter()
    after: Counter[str] = Counter()
    for change, count in tally.changes.items():
        counted = {"changed": count, change.flow: count}
        flows.update(counted)
        if change.row:
            rows[change.row].update(counted)
        before.update({change.before.reason: count} if change.before.reason else {})
        after.update({change.after.reason: count} if change.after.reason else {})
    for (region, flow), count in tally.regions.items():
        regions.setdefault(region, Counter()).update({"changed": count, flow: count})
    return {
        "lists": {"against": against.digest, "list": tried.digest},
        "events": tally.events,
        "unread": [each.as_dict() for each in tally.unread],
        "outcomes": {"against": dict(sorted(tally.before.items())), "list": dict(sorted(tally.after.items()))},
        "changed": tally.changed,
        "opened": flows["opened"],
        "closed": flows["closed"],
        "further_reasons": tally.further,
        "changes": [
            {
                "from": _side(change.before),
                "to": _side(change.after),
                "count": count,
                "examples": tally.examples.get(change, []),
            }
            for change, count in tally.changes.most_common()
        ],
        "by_row": [
            {
                "batch": row.batch,
                "row": row.row,
                "certificate": _certificate(row, tried, against),
                "events": counts["events"],
            }
            | _flows(counts)
            for row, counts in rows.items()
        ],
        "by_reason": _from_to("reason", before, after),
        "by_unit": _from_to("unit", tally.units_before, tally.units_after),
        "by_region": [{"region": region} | _flows(counts) for region, counts in sorted(regions.items())],
    }


def _flows(counts: Counter[str]) -> dict[str, int]:
    return {name: counts[name] for name in ("changed", "opened", "closed")}


def _from_to(name: str, before: Counter[str], after: Counter[str]) -> list[dict[str, Any]]:
    keys = sorted(before.keys() | after.keys(), key=lambda key: (-before[key] - after[key], key))
    return [{name: key, "from": before[key], "to": after[key]} for key in keys]


def _side(side: Side) -> dict[str, Any]:
    batch, row = side.row or (None, None)
    return {"outcome": side.outcome, "reason": side.reason, "batch": batch, "row": row}


def _certificate(ref: RowRef, *lists: Recognition) -> str | None:
    """Return the newest words for the row's certificate, of the first list that has the row."""
    editions = (edition for each in lists for edition in reversed(each.editions))
    found = (listed.row for edition in editions for listed in edition.rows if listed.ref == ref)
    return next((row.certificate.value for row in found), None)


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--output: {file} cannot be written: {error.strerror}") from None
