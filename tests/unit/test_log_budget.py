"""The log's budget: every line of a trickle, the first of a flood, and a count of the rest."""

from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from gateway.adapters.metrics import Metrics
from gateway.relay.log_budget import LineKind, LogBudget
from gateway.relay.observer import Times
from gateway.relay.reporting import TurnLog
from tests.unit.test_turn import LANE, displays, turn

KIND, OTHER = (
    LineKind("record.rejected", "sichuan", "STALE_EVENT"),
    LineKind("record.rejected", "chongqing", "STALE_EVENT"),
)


@given(st.lists(st.floats(0, 5), max_size=200), st.integers(1, 20), st.floats(0.1, 10))
def test_written_and_withheld_are_all_there_were(pauses: list[float], burst: int, per_s: float) -> None:
    now = 0.0
    budget = LogBudget(per_s, burst, lambda: now)
    written = 0
    for pause in pauses:
        now += pause
        written += budget.admits(KIND)
    assert written + budget.take_withheld()[KIND] == len(pauses)
    assert written <= burst + now * per_s + 1
    assert written >= min(len(pauses), burst)
    assert not budget.take_withheld()


def test_kinds_have_budgets_of_their_own_which_fill_again() -> None:
    now = 0.0
    budget = LogBudget(1, 2, lambda: now)
    assert [budget.admits(KIND) for _ in range(4)] == [True, True, False, False]
    assert budget.admits(OTHER)
    now = 1.0
    assert [budget.admits(KIND) for _ in range(2)] == [True, False]
    assert budget.take_withheld() == {KIND: 3}


def test_a_minute_of_transactions_is_one_line() -> None:
    turn_log, done = TurnLog(Metrics(), LogBudget(1, 1)), turn(displays({}, {}))
    with capture_logs() as lines:
        for _ in range(3):
            turn_log.committed(LANE, done, Times(0.001, 0.001))
        turn_log.report_committed()
        turn_log.report_committed()  # nothing since
    assert [line["log_level"] for line in lines if line["event"] == "turn.committed"] == ["debug"] * 3
    (summary,) = [line for line in lines if line["event"] == "turns.committed"]
    assert summary == {"event": "turns.committed", "log_level": "info", "turns": 3, "forward": 6}
