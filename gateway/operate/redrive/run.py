"""``gateway redrive``: rejected and dead-lettered events go through again, under the list as it is now."""

import asyncio
import json
import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from gateway.adapters import kafka
from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import Settings
from gateway.adapters.topics import Topics
from gateway.core.recognition import Recognition
from gateway.errors import UsageError
from gateway.operate.redrive.lane import Again, Candidate, LaneRedrive
from gateway.relay.turn import lanes_of


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rejections and dead letters; every condition that is set must hold.

    ``codes`` are reason codes (any of a rejection's) or dead letters' error codes; ``since`` and ``until`` are of the rejection
    itself, in broker time, milliseconds since the epoch.
    """

    codes: frozenset[str] = frozenset()
    rows: frozenset[int] = frozenset()
    ids: frozenset[str] = frozenset()
    units: frozenset[str] = frozenset()
    since: int | None = None
    until: int | None = None
    everything: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing was asked for."""
        return not (self.codes or self.rows or self.ids or self.units or self.since or self.until or self.everything)

    def admits(self, candidate: Candidate) -> bool:
        """Whether ``candidate`` is meant."""
        return (
            (not self.codes or not self.codes.isdisjoint(candidate.codes))
            and (not self.rows or candidate.row in self.rows)
            and (not self.ids or candidate.event_id in self.ids)
            and (not self.units or not self.units.isdisjoint(candidate.units))
            and (self.since is None or candidate.rejected_at >= self.since)
            and (self.until is None or candidate.rejected_at < self.until)
        )


@dataclass(slots=True)
class Tally:
    """What became of the selected events."""

    selected: int = 0
    becomes: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    written: int = 0

    def add(self, again: Again) -> None:
        """Count one."""
        self.selected += 1
        self.becomes[again.result] += 1
        if again.result == "reject" and again.decision is not None:
            self.reasons[again.decision.reasons[0].code.value] += 1
        examples = self.examples.setdefault(again.result, [])
        if len(examples) < 5:
            examples.append(again.candidate.event_id or again.candidate.origin_in_words)


RESULTS = {
    "forward": "转发 will be forwarded",
    "reject": "仍不通过，原因已变 rejected for another reason",
    "unchanged": "结果不变，不再发送 the same again: nothing is sent",
    "duplicate": "已另行转发，不再发送 its content was forwarded meanwhile: nothing is sent",
    "dead_letter": "仍无法识别 still a dead letter: nothing is sent",
    "expired": "原始事件已过保留期 the input record is no longer kept",
    "refused": "消息代理拒收 the broker refused the record",
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
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    plan = asyncio.run(_redrive(settings, recognition, selection, console, write=False))
    sends = plan.becomes["forward"] + plan.becomes["reject"]
    if output == "text":
        _print(plan, "试运行 dry run" if dry_run else "计划 plan")
    if dry_run or not sends:
        if output == "json":
            _print_json(plan, dry_run=True)
        return 0
    if not confirmed and sys.stdin.isatty():
        console.print(f"put {sends} events through again? [y/N] ", end="")
        if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
            console.print("nothing was sent")
            return 0
    done = asyncio.run(_redrive(settings, recognition, selection, console, write=True))
    if output == "json":
        _print_json(done, dry_run=False)
    else:
        _print(done, "已重新处理 redriven")
    return 1 if done.becomes["refused"] else 0


async def _redrive(
    settings: Settings, recognition: Recognition, selection: Selection, console: Console, *, write: bool
) -> Tally:
    topics, tally = Topics(settings.topic_prefix), Tally()
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
            redrive = LaneRedrive(settings, lane, recognition, selection.admits)
            tally.written += await redrive.run(tally.add, write=write)
    return tally


def _print_json(tally: Tally, *, dry_run: bool) -> None:
    content: dict[str, Any] = {
        "dry_run": dry_run,
        "selected": tally.selected,
        **{result: tally.becomes[result] for result in RESULTS},
        "reasons": dict(tally.reasons),
        "examples": tally.examples,
        "written": tally.written,
    }
    sys.stdout.write(json.dumps(content, ensure_ascii=False) + "\n")


def _print(tally: Tally, heading: str) -> None:
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{heading}: {tally.selected:,} 件 rejected or dead-lettered events selected")
    for result, words in RESULTS.items():
        if count := tally.becomes[result]:
            console.print(f"  {count:>7,}  {words}  ({', '.join(tally.examples[result])}{' …' if count > 5 else ''})")
    for reason, count in tally.reasons.most_common():
        console.print(f"           {count:,} × {reason}")
