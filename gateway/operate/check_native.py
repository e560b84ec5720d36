"""``gateway check`` by the native kernel: Python decides and prints what is new or unusual, and the kernel
repeats what was printed of events like it."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from gateway.core.checks import FUTURE_TOLERANCE, STALE_AFTER
from gateway.core.decision import Decision, Forward, Forwarded, Outcome
from gateway.core.province import Province
from gateway.core.recognition import Recognition
from gateway.core.signature import SignatureStatus
from gateway.relay.lessons import (
    MARKS,
    MOST_LEARNT,
    PROVINCES,
    STATUSES,
    Group,
    Lesson,
    Numbered,
    Template,
    first_days,
    group_of,
    is_repeatable,
    mark,
    place_of,
)

_NO_PART: Template = ([b""], [])
_FOR_EVER_MS = 2**60
_ALL_IDS = 2**62

Decide = Callable[[bytes, Callable[[int], Forwarded]], Decision]
"""Decides an event with regard to what was forwarded before it, of which a function tells by when it was
received."""


class NativeLines:
    """Decides lines one after the other, each with regard to those before, by the module ``kernel``.

    ``province`` None lets each event's source say it; ``received_at`` (milliseconds since the epoch) None
    counts each event's own time as received. No province's events are asked to be signed.
    """

    def __init__(
        self, kernel: Any, recognition: Recognition, province: Province | None, received_at: int | None,
        decide: Decide, show: Callable[[Decision], str],
    ) -> None:  # fmt: skip
        self._panic: type[BaseException] = kernel.PanicException
        self._kernel = kernel.Kernel(("", b""), "", "", FUTURE_TOLERANCE, STALE_AFTER, 0, 0)
        self._forwarded = kernel.Horizon(_FOR_EVER_MS, _ALL_IDS)
        self._recognition, self._decide, self._show = recognition, decide, show
        self._terms = (
            [(PROVINCES[each], each.source) for each in Province],
            None if province is None else PROVINCES[province], received_at, STATUSES[SignatureStatus.UNASKED],
        )  # fmt: skip
        self._begin()

    def decide(self, lines: list[bytes]) -> tuple[str, Counter[str]]:
        """Return what becomes of ``lines`` as it is printed, and how many there are of each outcome."""
        if len(self._kernel) > MOST_LEARNT:
            self._begin()
        counts = Counter[str]()

        def ask(index: int, unmet: int | None) -> tuple[bytes, int | None, Lesson | None]:
            decision, line = self._ask(lines[index], counts)
            return line, place_of(decision), None if unmet is None else self._teach(decision)

        try:
            printed, forwarded, rejected = self._kernel.print(self._terms, lines, self._forwarded, ask)
        except self._panic:  # what it says could quote an event; the reference knows an answer to every line
            self._forwarded.forget()
            counts.clear()
            printed, forwarded, rejected = b"".join(self._ask(each, counts)[1] for each in lines), 0, 0
        self._forwarded.keep()
        counts[Outcome.FORWARD] += forwarded
        counts[Outcome.REJECT] += rejected
        return printed.decode(), counts

    def _begin(self) -> None:
        self._kernel.clear(first_days(self._recognition))
        self._groups = Numbered[Group]()

    def _ask(self, raw: bytes, counts: Counter[str]) -> tuple[Decision, bytes]:
        decision = self._decide(raw, self._forwarded.at)
        if isinstance(decision, Forward):
            reading = decision.reading
            self._forwarded.remember(reading.identity, reading.content_digest, decision.received_at)
        counts[decision.outcome] += 1
        return decision, self._show(decision).encode()

    def _teach(self, decision: Decision) -> Lesson | None:
        """Say what is printed of events of the same words that do not fulfil the same conditions; None where
        the kernel is not to repeat it."""
        if not is_repeatable(decision) or decision.listing is None:
            return None
        marked = mark(decision)
        group = self._groups.number_of(group_of(decision, marked))
        rejection = None if isinstance(decision, Forward) else 0
        return Lesson(
            unit_matters=decision.listing.unit_matters, group=group, rejection=rejection,
            template=MARKS.split(self._show(marked).encode()),
            # Nothing is counted by the kernel, and no digest stands in a line.
            part=_NO_PART, facets=0, ground=b"",
        )  # fmt: skip
