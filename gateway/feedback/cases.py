"""Cases: rejections with the same problem, counted. A partition's share of one, and all shares put together. Pure.

Each partition's share is counted by whoever works that partition; a share knows the last offset that it counted, so that a
record which comes again is not counted again. Shares add up to the case.
"""

import datetime
from collections import Counter
from collections.abc import Collection, Iterable, MutableMapping
from typing import NamedTuple

import msgspec

from gateway.core.recognition import RowRef
from gateway.core.times import china_date
from gateway.feedback.problems import Observation, Problem

MAX_EXAMPLES = 5
KEPT_DAYS = 400
MAX_VALUES = 200
"""Values at fault that are told apart, for one reason, row and province in one partition; the rest are one case."""
OTHER_VALUES = "（其他取值）"


class Example(NamedTuple):
    """An event that has the problem: its id (None for a dead letter), when it was received (ms), and its origin."""

    event_id: str | None
    received: int
    origin: str


class Share(msgspec.Struct, frozen=True):
    """One partition's share of a case. ``days``: events by day received (UTC+8). ``since``, ``applied``: the first and the
    last offset of the rejection (dead-letter) topic's partition that it counts."""

    problem: Problem
    first: int
    last: int
    count: int
    days: dict[str, int]
    examples: tuple[Example, ...]
    since: int
    applied: int


Shares = MutableMapping[str, Share]
"""By ``partition/case id``."""


def share_key(partition: int, case_id: str) -> str:
    """Return the key of a share: its partition, then the case."""
    return f"{partition}/{case_id}"


_Kind = tuple[str | None, str, RowRef | None]
"""What values at fault are told apart within: province, reason and row."""


class CaseCounter:
    """Counts observations of one partition into its shares. ``shares`` may be a table or a dictionary."""

    def __init__(self, shares: Shares, partition: int) -> None:
        self._shares = shares
        self._partition = partition
        self._values: Counter[_Kind] = Counter()
        prefix = share_key(partition, "")
        for key, share in shares.items():
            if key.startswith(prefix):
                self._values[_kind(share.problem)] += 1

    def count(self, observations: Iterable[tuple[int, Observation]]) -> None:
        """Count observations, each with its offset, in offset order; what was counted before is left out."""
        changed: dict[str, Share] = {}
        for offset, observation in observations:
            for problem in observation.problems:
                self._add(changed, offset, observation, problem)
        for key, share in changed.items():
            self._shares[key] = share

    def _add(self, changed: dict[str, Share], offset: int, observation: Observation, problem: Problem) -> None:
        key = share_key(self._partition, problem.case_id)
        share = changed.get(key) or self._shares.get(key)
        is_full = self._values[_kind(problem)] >= MAX_VALUES
        if share is None and is_full and problem.value not in {None, OTHER_VALUES}:
            other = msgspec.structs.replace(problem, value=OTHER_VALUES)
            self._add(changed, offset, observation, other)
            return
        if share is None:
            self._values[_kind(problem)] += 1
        elif offset <= share.applied:
            return
        changed[key] = _add(share, offset, observation, problem)


def _kind(problem: Problem) -> _Kind:
    return problem.province, problem.code, problem.ref


def _add(share: Share | None, offset: int, observation: Observation, problem: Problem) -> Share:
    received, day = observation.received, china_date(observation.received * 1000)
    example = Example(observation.event_id, received, observation.origin)
    if share is None:
        return Share(problem, received, received, 1, {day: 1}, (example,), offset, offset)
    days = share.days | {day: share.days.get(day, 0) + 1}
    if day not in share.days:
        days = _pruned(days)
    return Share(
        problem,
        min(share.first, received),
        max(share.last, received),
        share.count + 1,
        days,
        (*(each for each in share.examples if not _same(each, example)), example)[-MAX_EXAMPLES:],
        share.since,
        offset,
    )


def _same(one: Example, other: Example) -> bool:
    """Tell whether two examples are of the same event: a repeated id is one example."""
    return one.event_id is not None and one.event_id == other.event_id


def _pruned(days: dict[str, int]) -> dict[str, int]:
    return dict(sorted(days.items())[-KEPT_DAYS:])


class Case(msgspec.Struct, frozen=True):
    """A case: all shares together. ``first``, ``last`` in milliseconds, of events received; examples newest first."""

    id: str
    problem: Problem
    first: int
    last: int
    count: int
    days: dict[str, int]
    examples: tuple[Example, ...]

    def in_days(self, first: str, last: str) -> int:
        """Count events received from day ``first`` to day ``last`` (YYYY-MM-DD, UTC+8), both inclusive."""
        return sum(count for day, count in self.days.items() if first <= day <= last)

    def trend(self, today: str) -> tuple[int, int]:
        """Count the events of the seven days up to ``today`` (YYYY-MM-DD), and of the seven before."""
        end = datetime.date.fromisoformat(today)
        week = [(end - datetime.timedelta(days=back)).isoformat() for back in (13, 7, 6, 0)]
        return self.in_days(week[2], week[3]), self.in_days(week[0], week[1])


def merge(shares: Iterable[tuple[str, Share]]) -> list[Case]:
    """Return the cases that ``shares`` (by key) add up to, the one last seen first."""
    by_case: dict[str, list[Share]] = {}
    for key, share in shares:
        by_case.setdefault(case_of(key), []).append(share)
    return newest_first(merge_case(case_id, found) for case_id, found in by_case.items())


def newest_first(cases: Iterable[Case]) -> list[Case]:
    """Return cases in the order in which they are shown."""
    return sorted(cases, key=lambda case: (-case.last, case.id))


def case_of(key: str) -> str:
    """Return the case that a share's key names."""
    return key.partition("/")[2]


def merge_case(case_id: str, shares: Collection[Share]) -> Case:
    """Return the case that ``shares`` (at least one) add up to."""
    days: Counter[str] = Counter()
    for share in shares:
        days.update(share.days)
    examples = sorted(
        (example for share in shares for example in share.examples), key=lambda each: (-each.received, each.origin)
    )
    distinct: dict[str, Example] = {}
    for example in examples:
        distinct.setdefault(example.event_id or example.origin, example)
    newest = max(shares, key=lambda share: share.last)
    return Case(
        case_id,
        newest.problem,
        min(share.first for share in shares),
        newest.last,
        sum(share.count for share in shares),
        dict(sorted(days.items())),
        tuple(distinct.values())[:MAX_EXAMPLES],
    )
