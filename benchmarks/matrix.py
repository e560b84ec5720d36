"""The matrix: which engines at which points, in rounds that are interleaved so that a slow minute strikes
all alike."""

import asyncio
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.engines import ENGINES, Engine
from benchmarks.ground import new_log
from benchmarks.machine import describe_moment
from benchmarks.results import Results
from benchmarks.throughput import SHARES, Point, Round, measure, publish_for, remove
from gateway.adapters.settings import Settings

FAST = ("gateway", "gateway-python", "kafka-streams", "quix", "bare")
"""Also measured away from the base point, where nobody names the engines."""


@dataclass(frozen=True)
class Plan:
    """What is to be measured. The first of ``sizes``, ``partitions`` and ``workers`` is the base point; the
    others are varied one at a time. A round of an engine takes ``seconds`` of CPU time a worker at the most;
    after ``minutes`` no further round begins."""

    engines: tuple[str, ...]
    sizes: tuple[str, ...]
    partitions: tuple[int, ...]
    workers: tuple[int, ...]
    events: int
    rounds: int
    seconds: float
    minutes: float

    @property
    def points(self) -> dict[Point, tuple[str, ...]]:
        """Every point with its engines, the base point first."""
        base = Point(self.sizes[0], self.partitions[0], self.workers[0])
        varied = [
            *(Point(size, base.partitions, base.workers) for size in self.sizes[1:]),
            *(Point(base.size, partitions, base.workers) for partitions in self.partitions[1:]),
            *(Point(base.size, base.partitions, workers) for workers in self.workers[1:]),
        ]
        some = self.engines if set(self.engines) != set(ENGINES) else FAST
        return {base: self.engines} | dict.fromkeys(varied, some)

    def steps(self) -> Iterator[tuple[int, Point, Engine]]:
        """Round by round, every point's engines in turn."""
        for number in range(1, self.rounds + 1):
            for point, engines in self.points.items():
                for key in engines:
                    yield number, point, ENGINES[key]

    def events_at(self, point: Point) -> int:
        """Large events are fewer."""
        return max(1, int(self.events * SHARES.get(point.size, 1)))


class Matrix:
    """Carries a plan out; keeps what was measured in ``results`` after every round."""

    def __init__(self, plan: Plan, settings: Settings, results: Results, console: Console) -> None:
        self._plan, self._settings, self._results, self._console = plan, settings, results, console
        self._log, self._run = new_log(), describe_moment()["measured"]
        self._inputs: dict[tuple[str, int], tuple[Settings, int]] = {}
        self._measured: dict[tuple[Point, str], list[Round]] = {}
        self._failed: set[tuple[Point, str]] = set()

    def run(self) -> bool:
        """True if every engine did what it should."""
        try:
            skipped = self._run_all()
        finally:
            for own, _ in self._inputs.values():
                remove(own)
        if skipped:
            self._console.print(f"{self._plan.minutes:.0f} minutes were up, {skipped} rounds not done: see --minutes")
        if self._failed:
            self._console.print(f"the engines' log: {self._log}")
        else:
            shutil.rmtree(self._log.parent, ignore_errors=True)
        return not self._failed

    def _run_all(self) -> int:
        """Every step in turn; how many there was no time for."""
        steps, deadline, skipped = list(self._plan.steps()), time.monotonic() + self._plan.minutes * 60, 0
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(
            *columns, console=self._console, transient=True, disable=not self._console.is_terminal
        ) as progress:
            whole, inner = progress.add_task("all rounds", total=len(steps)), progress.add_task("", total=None)
            for number, point, engine in steps:
                name = f"round {number}: {engine.name} ({engine.job}), {point}"
                if number > 1 and time.monotonic() > deadline:
                    skipped += 1
                elif (point, engine.key) not in self._failed:
                    total = self._plan.events_at(point)
                    progress.update(inner, description=name, total=total, completed=0)
                    self._step(name, point, engine, lambda count: progress.update(inner, completed=count))
                progress.advance(whole)
        return skipped

    def _step(self, name: str, point: Point, engine: Engine, tell: Callable[[int], None]) -> None:
        events = self._plan.events_at(point)
        own, size = self._inputs_for(point, events)
        try:
            made = asyncio.run(
                measure(engine, own, events, point.workers, seconds=self._plan.seconds, log=self._log, tell=tell)
            )
        except Exception as error:  # noqa: BLE001 — the other engines are still to be measured
            self._failed.add((point, engine.key))
            self._console.print(f"{name}: failed: {error}", markup=False, highlight=False)
            return
        self._console.print(
            f"{name}: {made.rate:,.0f} events/s, {made.cpu_us:.1f} CPU µs an event; others took {made.others:.1f} cores",
            highlight=False,
        )
        rounds = self._measured.setdefault((point, engine.key), [])
        rounds.append(made)
        entry = {
            "engine": engine.key, **asdict(point), "bytes": size, "rounds": [asdict(each) for each in rounds],
            "run": self._run, **describe_moment(),
        }  # fmt: skip
        self._results.put("throughput", entry, "engine", "size", "partitions", "workers")
        self._results.save()

    def _inputs_for(self, point: Point, events: int) -> tuple[Settings, int]:
        """Published once for all engines and rounds."""
        key = (point.size, point.partitions)
        if key not in self._inputs:
            self._console.print(f"publishing {events:,} events of {point.size} to {point.partitions} partitions")
            self._inputs[key] = publish_for(point, self._settings, events)
        return self._inputs[key]
