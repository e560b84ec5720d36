"""What ``gateway restore`` does with its options."""

import asyncio
from collections import Counter
from typing import Literal

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from gateway.adapters import kafka
from gateway.adapters.console import Terminal
from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import Settings
from gateway.adapters.terminal import write_json
from gateway.contract.topics import LaneId, lanes_of
from gateway.core.recognition import Recognition
from gateway.core.words import count_of
from gateway.operate.audit.expiry import find_retention
from gateway.operate.confirm import is_confirmed
from gateway.operate.restore.lane_restore import LaneRestore, RestoreTally


def run_restore(settings: Settings, *, dry_run: bool, confirmed: bool, output: Literal["text", "json"]) -> int:
    """Say which forwards are missing, then write them again; returns the exit code, 1 where some cannot be.

    On a terminal it asks before it writes, unless ``confirmed``. Raises GatewayError.
    """
    recognition = load_recognition(settings.recognition_dir)
    console = Terminal(err=True)
    tally, lanes = asyncio.run(_restore(settings, recognition, console))
    can_be = tally.missing - tally.left.total()
    if output == "text":
        _print(tally, "试运行 dry run" if dry_run else "计划 plan")
    if can_be and not dry_run:
        if confirmed or is_confirmed(f"write {count_of(can_be, 'forward')} again?", console):
            tally, _ = asyncio.run(_restore(settings, recognition, console, write=lanes))
            if output == "text":
                _print(tally, "已补写 restored")
        else:
            console.print("nothing was written")
    if output == "json":
        write_json({"dry_run": dry_run, "missing": tally.missing, "restored": tally.written, "left": dict(tally.left)})
    return 1 if tally.left.total() else 0


async def _restore(
    settings: Settings, recognition: Recognition, console: Terminal, *, write: list[LaneId] | None = None
) -> tuple[RestoreTally, list[LaneId]]:
    """Look for what is missing in all lanes; or in those of ``write``, and write it. Returns the sum, and
    where there is any."""
    topics, tally, found = settings.topic_names, RestoreTally(), list[LaneId]()
    names = [name for name in topics.all if name != topics.feedback]
    retention = await find_retention(settings, names)
    partitions = Counter(each.topic for each in await kafka.partitions_of(settings, list(topics.displays)))
    lanes = lanes_of(topics, partitions) if write is None else write
    columns = (
        TextColumn("looking" if write is None else "restoring"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("lanes"),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        for lane in progress.track(lanes):
            of_lane = await LaneRestore(settings, lane, recognition, retention, write=write is not None).run()
            tally.add(of_lane)
            if of_lane.missing > of_lane.left.total():
                found.append(lane)
    return tally, found


def _print(tally: RestoreTally, heading: str) -> None:
    console = Terminal()
    console.print(f"{heading}: {tally.missing:,} 件 forwards are missing in their topics, and have not expired")
    if tally.written:
        console.print(f"  {tally.written:>7,}  已补写 written again, as the same bytes")
    for why, count in tally.left.most_common():
        console.print(f"  {count:>7,}  不能补写 cannot be restored: {why}")
