"""What an operator sees of the lanes: in the log one line a rejection, one a batch of forwards; and the metrics."""

from collections import Counter

import structlog

from gateway.adapters.logs import OFFSET, PARTITION, TOPIC
from gateway.adapters.metrics import Metrics
from gateway.core.decision import Decision, Outcome
from gateway.relay.lane import Times
from gateway.relay.log_budget import LineKind, LogBudget
from gateway.relay.turn import Decided, LaneId, Turn

log = structlog.get_logger("gateway.relay")

_REJECTED, _DEAD_LETTERED = "record.rejected", "record.dead_lettered"


class TurnLog:
    """Logs and counts committed turns. Field names, codes, units and ids; never a value out of the event beyond its id."""

    def __init__(self, metrics: Metrics, budget: LogBudget) -> None:
        self._metrics = metrics
        self._budget = budget

    def committed(self, lane: LaneId, turn: Turn, times: Times) -> None:
        """One line for each rejection and dead letter, within their budget, and one for the transaction."""
        for decided in turn.told:
            outcome = decided.decision.outcome
            if outcome is Outcome.REJECT:
                if self._budget.admits(
                    LineKind(_REJECTED, lane.province.value, decided.decision.reasons[0].code.value)
                ):
                    _log_rejection(lane, decided)
            elif outcome is Outcome.DEAD_LETTER:
                code, message = decided.decision.error or ("", "")
                if self._budget.admits(LineKind(_DEAD_LETTERED, lane.province.value, code)):
                    log.warning(_DEAD_LETTERED, code=code, message=message, **_place(lane, decided))
            else:
                event = "record.forwarded" if outcome is Outcome.FORWARD else "record.duplicate"
                log.info(event, row=decided.decision.row, **_identity(decided.decision), **_place(lane, decided))
        counts: Counter[str] = Counter()
        reasons: Counter[str] = Counter()
        for facets, count in turn.counts.items():
            counts[facets.outcome] += count
            if facets.reason is not None:
                reasons[facets.reason] += count
        self._metrics.count_turn(lane.province.value, counts, reasons, times.deciding, times.committing)
        place = {TOPIC: lane.topic, PARTITION: lane.partition, "next_offset": turn.next_offset}
        log.info("turn.committed", **counts, **place)

    def tell_withheld(self) -> None:
        """Say how many lines were left out since this was last said."""
        for kind, count in self._budget.take_withheld().items():
            log.warning("log.withheld", withheld=kind.event, province=kind.province, code=kind.code, count=count)

    def aborted(self, lane: LaneId) -> None:
        """Counted; the lane itself says why."""
        self._metrics.count_abort(lane.province.value)

    def fenced(self, lane: LaneId) -> None:
        """Counted; the lane has logged it."""
        self._metrics.count_fence(lane.province.value)


def _log_rejection(lane: LaneId, decided: Decided) -> None:
    decision = decided.decision
    primary = decision.reasons[0]
    log.warning(
        _REJECTED,
        code=primary.code.value,
        codes=[code.value for code in decision.codes],
        field=primary.field,
        reason=primary.zh,
        row=decision.row,
        responsible_units=list(decision.responsible_units),
        **_identity(decision),
        **_place(lane, decided),
    )


def _identity(decision: Decision) -> dict[str, str | None]:
    reading = decision.reading
    return {"event_id": reading.id, "source": reading.source, "trace_id": reading.trace_id} if reading else {}


def _place(lane: LaneId, decided: Decided) -> dict[str, str | int]:
    return {TOPIC: lane.topic, PARTITION: lane.partition, OFFSET: decided.record.offset}
