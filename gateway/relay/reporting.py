"""What an operator sees of the lanes: in the log one line per rejection, one per batch of forwards; and the
metrics."""

from collections import Counter
from typing import Any

import structlog

from gateway.adapters.logs import OFFSET, PARTITION, TOPIC
from gateway.adapters.metrics import Metrics
from gateway.contract.headers import trace_id
from gateway.contract.topics import LaneId
from gateway.core.decision import DeadLetter, Decision, Forward, Outcome, Reject, row_of
from gateway.relay.log_budget import LineKind, LogBudget
from gateway.relay.misplaced import MisplacedLog
from gateway.relay.observer import Times
from gateway.relay.turn import Reported, Turn

log = structlog.get_logger("gateway.relay")

_REJECTED, _DEAD_LETTERED = "record.rejected", "record.dead_lettered"


class TurnLog:
    """Logs and counts committed turns. Field names, codes, units and ids; never a value out of the event
    beyond its id."""

    def __init__(self, metrics: Metrics, budget: LogBudget) -> None:
        self._metrics = metrics
        self._budget = budget
        self._misplaced = MisplacedLog()
        self._turns = 0
        self._decided: Counter[str] = Counter()

    def committed(self, lane: LaneId, turn: Turn, times: Times) -> None:
        """Write one line for each rejection and dead letter, within their budget; for the transaction one at
        level debug."""
        for decided in turn.reported:
            decision = decided.alike
            if isinstance(decision, Reject):
                if self._budget.admits(LineKind(_REJECTED, lane.province.value, decision.reasons[0].code.value)):
                    log.warning(_REJECTED, **describe_rejection(decided, decision), **_place(lane, decided))
            elif isinstance(decision, DeadLetter):
                if self._budget.admits(LineKind(_DEAD_LETTERED, lane.province.value, decision.code.value)):
                    log.warning(
                        _DEAD_LETTERED, code=decision.code.value, message=decision.message, **_place(lane, decided)
                    )
            else:
                event = "record.forwarded" if isinstance(decision, Forward) else "record.duplicate"
                log.info(event, **_row(decision), **_identity(decided), **_place(lane, decided))
        if lost := sum(count for facets, count in turn.counts.items() if facets.outcome == Outcome.LOST):
            place = {TOPIC: lane.topic, PARTITION: lane.partition}
            log.error(
                "input.lost",
                first_offset=turn.span.first_offset,
                last_offset=turn.span.last_offset,
                count=lost,
                **place,
            )
        if turn.misplaced is not None:
            self._metrics.count_misplaced(lane.province.value, lane.partition, turn.misplaced.records)
            self._misplaced.note(lane, turn.misplaced)
        counts: Counter[str] = Counter()
        reasons: Counter[str] = Counter()
        for facets, count in turn.counts.items():
            counts[facets.outcome] += count
            if facets.reason is not None:
                reasons[facets.reason] += count
        self._metrics.count_turn(lane.province.value, counts, reasons, times.deciding, times.committing)
        place = {TOPIC: lane.topic, PARTITION: lane.partition, "next_offset": turn.next_offset}
        log.debug("turn.committed", **counts, **place)
        self._turns += 1
        self._decided.update(counts)

    def report_committed(self) -> None:
        """Log how many transactions were committed since the last time, and what became of their records;
        nothing if none."""
        turns, decided = self._turns, self._decided
        self._turns, self._decided = 0, Counter[str]()
        if turns:
            log.info("turns.committed", turns=turns, **decided)

    def report_withheld(self) -> None:
        """Log how many lines were left out since the last time, and the misplaced records that waited for
        their line."""
        self._misplaced.report()
        for kind, count in self._budget.take_withheld().items():
            log.warning("log.withheld", withheld=kind.event, province=kind.province, code=kind.code, count=count)

    def aborted(self, lane: LaneId) -> None:
        """Count it; the lane itself says why."""
        self._metrics.count_abort(lane.province.value)

    def fenced(self, lane: LaneId) -> None:
        """Count it; the lane has logged it."""
        self._metrics.count_fence(lane.province.value)

    def ended(self, lane: LaneId) -> None:
        """Count it; the lane has logged it."""
        self._metrics.count_lane_end(lane.province.value)


def describe_rejection(decided: Reported, decision: Reject) -> dict[str, Any]:
    """Return what the log says of a rejection: code, field and reason, row, units, and what the event is
    known by."""
    primary = decision.reasons[0]
    return {
        "code": primary.code.value,
        "codes": [code.value for code in decision.codes],
        "field": primary.field,
        "reason": primary.zh,
        **_row(decision),
        "responsible_units": list(decision.units),
        **_identity(decided),
    }


def _row(decision: Decision) -> dict[str, int | None]:
    ref = row_of(decision)
    return {"batch": None, "row": None} if ref is None else ref._asdict()


def _identity(decided: Reported) -> dict[str, str | None]:
    if (names := decided.names) is None:
        return {}
    return {"event_id": names.id, "source": names.source, "trace_id": trace_id(names.trace_context)}


def _place(lane: LaneId, decided: Reported) -> dict[str, str | int]:
    return {TOPIC: lane.topic, PARTITION: lane.partition, OFFSET: decided.record.offset}
