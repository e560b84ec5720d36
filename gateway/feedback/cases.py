"""Cases: rejections with the same problem, counted. A partition's share of one, and all shares put together.
Pure.

Each partition's share is counted by whoever works that partition; a share knows the last offset that it
counted, so that a record which comes again is not counted again. Shares add up to the case.
"""

import datetime
from collections import Counter
from collections.abc import Collection, Iterable, MutableMapping
from typing import NamedTuple

import msgspec

from gateway.core.recognition import RowRef
from gateway.core.times import china_date
from gateway.feedback.bounds import CountOf, MillisecondsOf, OffsetOf
from gateway.feedback.problems import EVENT_FIELDS, WORDS, Observation, Problem

MAX_EXAMPLES = 5
KEPT_DAYS = 400
MAX_VALUES = 200
"""Values at fault, and the contract's own fields, that are told apart, for one reason, row and province in
one partition; the rest are one case."""
MAX_FIELDS = 20
"""Fields that the contract does not have, likewise: a sender may make up any number, and each partition
meets others."""
MAX_SHARES = 2000
"""Cases of one province that a partition distinguishes; what is new beyond them is one case for each reason,
of no row."""
OTHER_VALUES = "（其他取值）"
OTHER_FIELDS = "（其他字段）"


class Example(NamedTuple):
    """An event that has the problem: its id (None for a dead letter), when it was received (ms), and its
    origin."""

    event_id: str | None
    received: MillisecondsOf
    origin: str


class Share(msgspec.Struct, frozen=True):
    """One partition's share of a case. ``days``: events by day received (UTC+8); ``behind``: those of them
    whose primary reason is another unit's matter. ``since``, ``applied``: the first and the last offset of
    the rejection (dead-letter) topic's partition that it counts."""

    problem: Problem
    first: MillisecondsOf
    last: MillisecondsOf
    count: CountOf
    days: dict[str, CountOf]
    examples: tuple[Example, ...]
    since: OffsetOf
    applied: OffsetOf
    behind: dict[str, CountOf] = {}


Shares = MutableMapping[str, Share]
"""By ``partition/case id``."""


def share_key(partition: int, case_id: str) -> str:
    """Return the key of a share: its partition, then the case."""
    return f"{partition}/{case_id}"


_Kind = tuple[str | None, str, RowRef | None, bool]
"""What fields and values at fault are told apart within: province, reason and row, and whether the contract
has the field."""


class CaseCounter:
    """Counts observations of one partition into its shares. ``shares`` may be a table or a dictionary.

    Whatever senders write, the number of shares stays bounded: what they can choose freely is distinguished
    up to a limit.
    """

    def __init__(self, shares: Shares, partition: int) -> None:
        self._shares = shares
        self._partition = partition
        self._values: Counter[_Kind] = Counter()
        self._of_province: Counter[str | None] = Counter()
        prefix = share_key(partition, "")
        for key, share in shares.items():
            if key.startswith(prefix):
                self._is_new(share.problem)

    def count(self, observations: Iterable[tuple[int, Observation]]) -> None:
        """Count observations, each with its offset, in offset order; what was counted before is left out."""
        changed: dict[str, Share] = {}
        for offset, observation in observations:
            for problem in observation.problems:
                self._add(changed, offset, observation, problem)
        for key, share in changed.items():
            self._shares[key] = share

    def _add(self, changed: dict[str, Share], offset: int, observation: Observation, problem: Problem) -> None:
        share = self._share(changed, problem)
        for wider in (_of_other_values, _of_no_row):
            if share is None and not self._has_room(problem):
                problem = wider(problem)
                share = self._share(changed, problem)
        if share is None:
            self._is_new(problem)
        elif offset <= share.applied:
            return
        changed[share_key(self._partition, problem.case_id)] = _add(share, offset, observation, problem)

    def _share(self, changed: dict[str, Share], problem: Problem) -> Share | None:
        key = share_key(self._partition, problem.case_id)
        return changed.get(key) or self._shares.get(key)

    def _is_new(self, problem: Problem) -> None:
        self._values[_kind(problem)] += 1
        self._of_province[problem.province] += 1

    def _has_room(self, problem: Problem) -> bool:
        """Tell whether a case that has no share yet may have one of its own."""
        is_one_of_few = problem.value in {None, OTHER_VALUES} and _is_known(problem)
        most = MAX_VALUES if _is_known(problem) else MAX_FIELDS
        return self._of_province[problem.province] < MAX_SHARES and (
            is_one_of_few or self._values[_kind(problem)] < most
        )


def _of_other_values(problem: Problem) -> Problem:
    """Widen a problem to all further values of its field, or to all further fields that the contract does
    not have."""
    value = None if problem.value is None else OTHER_VALUES
    field = problem.field if problem.field in EVENT_FIELDS else OTHER_FIELDS
    return msgspec.structs.replace(problem, value=value, field=field)


def _of_no_row(problem: Problem) -> Problem:
    """Widen a problem to all that have its reason."""
    words = WORDS[problem.code]
    return Problem(
        problem.province, problem.code, None, None, None, OTHER_FIELDS, None, (), words.zh, words.en, problem.units
    )


def _kind(problem: Problem) -> _Kind:
    return problem.province, problem.code, problem.ref, _is_known(problem)


def _is_known(problem: Problem) -> bool:
    """Tell whether the field is the contract's, or stands for all that are not."""
    return problem.field in EVENT_FIELDS or problem.field == OTHER_FIELDS


def _add(share: Share | None, offset: int, observation: Observation, problem: Problem) -> Share:
    received, day = observation.received, china_date(observation.received * 1000)
    example = Example(observation.event_id, received, observation.origin)
    is_behind = set(problem.units).isdisjoint(observation.problems[0].units)
    if share is None:
        return Share(
            problem, received, received, 1, {day: 1}, (example,), offset, offset, {day: 1} if is_behind else {}
        )
    days = _counted(share.days, day)
    return Share(
        problem,
        min(share.first, received),
        max(share.last, received),
        share.count + 1,
        days,
        (*(each for each in share.examples if not _same(each, example)), example)[-MAX_EXAMPLES:],
        share.since,
        offset,
        _counted(share.behind, day) if is_behind else share.behind,
    )


def _same(one: Example, other: Example) -> bool:
    """Tell whether two examples are of the same event: a repeated id is one example."""
    return one.event_id is not None and one.event_id == other.event_id


def _counted(days: dict[str, int], day: str) -> dict[str, int]:
    """Return ``days`` with one event more on ``day``; where that is a new one, without those that are too
    old."""
    counted = days | {day: days.get(day, 0) + 1}
    return counted if day in days else dict(sorted(counted.items())[-KEPT_DAYS:])


class Case(msgspec.Struct, frozen=True):
    """A case: all shares together. ``first``, ``last`` in milliseconds, of events received; examples newest
    first.

    ``behind`` counts, by day, the events whose primary reason is another unit's matter: this unit is not
    asked about them.
    """

    id: str
    problem: Problem
    first: int
    last: int
    count: int
    days: dict[str, int]
    examples: tuple[Example, ...]
    behind: dict[str, int] = {}

    def in_days(self, first: str, last: str) -> int:
        """Count events received from day ``first`` to day ``last`` (YYYY-MM-DD, UTC+8), both inclusive."""
        return _in_days(self.days, first, last)

    @property
    def is_behind(self) -> bool:
        """Whether another unit has to see to all of its events first, so that nobody is asked about it."""
        return self.behind_count == self.count

    @property
    def behind_count(self) -> int:
        """How many of its events are another unit's matter first."""
        return sum(self.behind.values())

    def came_back_after(self, at: int) -> bool:
        """Tell whether its own units are asked about it again: events came after ``at`` (milliseconds), and
        not all since that day are another unit's matter first."""
        if self.last <= at:
            return False
        since = china_date(at * 1000)
        return sum(self.days[day] - self.behind.get(day, 0) for day in self.days if day >= since) > 0

    def behind_in_days(self, first: str, last: str) -> int:
        """Count those of them whose primary reason is another unit's matter."""
        return _in_days(self.behind, first, last)

    def trend(self, today: str) -> tuple[int, int]:
        """Count the events of the seven days up to ``today`` (YYYY-MM-DD), and of the seven before."""
        end = datetime.date.fromisoformat(today)
        week = [(end - datetime.timedelta(days=back)).isoformat() for back in (13, 7, 6, 0)]
        return self.in_days(week[2], week[3]), self.in_days(week[0], week[1])


def _in_days(days: dict[str, int], first: str, last: str) -> int:
    return sum(count for day, count in days.items() if first <= day <= last)


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
    behind: Counter[str] = Counter()
    for share in shares:
        days.update(share.days)
        behind.update(share.behind)
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
        dict(sorted(behind.items())),
    )
