"""``gateway redrive``: rejected and dead-lettered events go through again, under the list as it is now."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from gateway.adapters import kafka
from gateway.adapters.console import Terminal
from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import Settings
from gateway.adapters.terminal import write_json
from gateway.adapters.topic_reader import UnreadablePartitionError
from gateway.contract.topics import LaneId, lanes_of
from gateway.core.decision import Reject
from gateway.core.recognition import Recognition, RowRef
from gateway.core.words import count_of
from gateway.errors import UsageError
from gateway.feedback.report.model import require_listed_units
from gateway.operate.confirm import is_confirmed
from gateway.operate.redrive.lane_redrive import Candidate, LaneRedrive, Redecided
from gateway.operate.rows import require_rows
from gateway.operate.unread import Unread, report_unread, unread_by


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rejections and dead letters; every condition that is set must hold.

    ``codes`` are reason codes (any of a rejection's) or dead letters' error codes; ``rows`` as a person
    names them (see ``gateway.operate.rows``); ``since`` and ``until`` are of the rejection itself, in broker
    time, milliseconds since the epoch.
    """

    codes: frozenset[str] = frozenset()
    rows: tuple[str, ...] = ()
    ids: frozenset[str] = frozenset()
    units: frozenset[str] = frozenset()
    since: int | None = None
    until: int | None = None
    everything: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing was asked for."""
        return not (self.codes or self.rows or self.ids or self.units or self.since or self.until or self.everything)

    def admits(self, candidate: Candidate, rows: frozenset[RowRef]) -> bool:
        """Tell whether ``candidate`` is meant; ``rows`` are those that the selection names."""
        return (
            (not self.codes or not self.codes.isdisjoint(candidate.codes))
            and (not rows or candidate.row in rows)
            and (not self.ids or candidate.event_id in self.ids)
            and (not self.units or not self.units.isdisjoint(candidate.units))
            and (self.since is None or candidate.rejected_at >= self.since)
            and (self.until is None or candidate.rejected_at < self.until)
        )


@dataclass(slots=True)
class RedriveSummary:
    """What became of the selected events."""

    selected: int = 0
    becomes: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    changing: list[LaneId] = field(default_factory=list)
    """The lanes in which something changes."""
    written: int = 0
    unread: list[Unread] = field(default_factory=list)
    """The lanes that could not be read whole, and are left out."""

    @property
    def sends(self) -> int:
        """How many give a new record."""
        return self.becomes["forward"] + self.becomes["reject"]

    def add(self, redecided: Redecided) -> None:
        """Count one."""
        self.selected += 1
        self.becomes[redecided.result] += 1
        if redecided.result == "reject" and isinstance(redecided.decision, Reject):
            self.reasons[redecided.decision.codes[0].value] += 1
        examples = self.examples.setdefault(redecided.result, [])
        if len(examples) < 5:
            examples.append(redecided.candidate.event_id or redecided.candidate.origin_in_words)


RESULTS = {
    "forward": "转发 will be forwarded",
    "reject": "仍退回，原因已变 rejected for another reason",
    "unchanged": "结果不变，不再发送 the same again: nothing is sent",
    "duplicate": "已另行转发，不再发送 forwarded already: nothing is sent",
    "dead_letter": "仍无法识别 still a dead letter: nothing is sent",
    "unreadable": "原始消息无法读取，不能重新处理 the input record cannot be read: it has to be published again",
    "expired": "原始事件已不在 the input record is no longer kept, or another one stands in its place",
    "refused": "Kafka（消息系统）拒收 the broker refused the record",
}


def run_redrive(
    settings: Settings, selection: Selection, *, dry_run: bool, confirmed: bool, output: Literal["text", "json"]
) -> int:
    """Show what would become of the selected events, then send it; returns the exit code.

    On a terminal it asks before it sends, unless ``confirmed``. Raises UsageError, GatewayError.
    """
    if selection.is_empty:
        raise UsageError("say which events: --reason, --row, --unit, --id, --since, --until, or --all for every one")
    recognition = load_recognition(settings.recognition_dir)
    require_listed_units(selection.units, recognition)
    console = Terminal(err=True)
    plan = asyncio.run(_redrive(settings, recognition, selection, console))
    report_unread(plan.unread)
    if output == "text":
        _print(plan, "试运行 dry run" if dry_run else "计划 plan")
    if dry_run or not plan.sends:
        if output == "json":
            _print_json(plan, dry_run=True)
        return int(bool(plan.unread))
    if not confirmed and not is_confirmed(f"put {count_of(plan.sends, 'event')} through again?", console):
        console.print("nothing was sent")
        return int(bool(plan.unread))
    done = asyncio.run(_redrive(settings, recognition, selection, console, write=frozenset(plan.changing)))
    if output == "json":
        _print_json(done, dry_run=False)
    else:
        _print(done, "已重新处理 redriven")
    return int(bool(done.becomes["refused"] or plan.unread or done.unread))


async def _redrive(
    settings: Settings, recognition: Recognition, selection: Selection, console: Terminal,
    *, write: frozenset[LaneId] = frozenset(),
) -> RedriveSummary:  # fmt: skip
    """Decide again; write in the lanes ``write`` alone, as a lane that is written to is taken from its
    worker."""
    topics, tally, rows = settings.topic_names, RedriveSummary(), require_rows("--row", recognition, *selection.rows)
    partitions = Counter(each.topic for each in await kafka.partitions_of(settings, list(topics.displays)))
    lanes = lanes_of(topics, partitions)
    columns = (
        TextColumn("redrive" if write else "deciding again"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("lanes"),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        for lane in progress.track(lanes):
            redrive = LaneRedrive(settings, lane, recognition, partial(selection.admits, rows=rows), tally.add)
            sends = tally.sends
            try:
                tally.written += await redrive.run(write=lane in write)
            except UnreadablePartitionError as error:
                # What the lane forwarded is not known whole: nothing of it is put through again.
                tally.unread.append(unread_by(error, lane.topic, lane.partition, settings))
            if tally.sends > sends:
                tally.changing.append(lane)
    return tally


def _print_json(tally: RedriveSummary, *, dry_run: bool) -> None:
    content: dict[str, Any] = {
        "dry_run": dry_run,
        "selected": tally.selected,
        **{result: tally.becomes[result] for result in RESULTS},
        "reasons": dict(tally.reasons),
        "examples": tally.examples,
        "written": tally.written,
        "unread": [each.as_dict() for each in tally.unread],
    }
    write_json(content)


def _print(tally: RedriveSummary, heading: str) -> None:
    console = Terminal()
    console.print(f"{heading}: {tally.selected:,} 件 rejected or dead-lettered events selected")
    for result, words in RESULTS.items():
        if count := tally.becomes[result]:
            console.print(f"  {count:>7,}  {words}  ({', '.join(tally.examples[result])}{' …' if count > 5 else ''})")
    for reason, count in tally.reasons.most_common():
        console.print(f"           {count:,} × {reason}")
