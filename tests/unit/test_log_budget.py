"""The log's budget: every line of a trickle, the first of a flood, and a count of the rest."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.relay.log_budget import LineKind, LogBudget

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
