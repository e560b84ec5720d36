"""What an operator sees of the lanes: in the log one line per rejection, one per batch of forwards; and the
metrics."""

from collections import Counter
from collections.abc import Mapping

import structlog

from gateway.adapters.logs import OFFSET, PARTITION, TOPIC
from gateway.adapters.metrics import Metrics
from gateway.contract.topics import LaneId
from gateway.core.decision import DeadLetter, Forward, Outcome, Reject
from gateway.relay.log_budget import LineKind, LogBudget
from gateway.relay.misplaced import MisplacedLog
from gateway.relay.observer import Times
from gateway.relay.reported import Reported, identify
from gateway.relay.turn import Turn

log = structlog.get_logger("gateway.relay")


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
        place: dict[str, str | int] = {TOPIC: lane.topic, PARTITION: lane.partition}
        for each in turn.reported:
            self._report(lane, each, place)
        if lost := sum(count for facets, count in turn.counts.items() if facets.outcome == Outcome.LOST):
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
        log.debug("turn.committed", **counts, **place, next_offset=turn.next_offset)
        self._turns += 1
        self._decided.update(counts)

    def _report(self, lane: LaneId, reported: Reported, place: Mapping[str, str | int]) -> None:
        decision, write = reported.alike, log.warning
        if isinstance(decision, Reject):
            event, code = "record.rejected", decision.reasons[0].code.value
        elif isinstance(decision, DeadLetter):
            event, code = "record.dead_lettered", decision.code.value
        else:
            event, code = "record.forwarded" if isinstance(decision, Forward) else "record.duplicate", None
            write = log.info
        if code is None or self._budget.admits(LineKind(event, lane.province.value, code)):
            write(event, **reported.said, **identify(reported), **place, **{OFFSET: reported.record.offset})

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
