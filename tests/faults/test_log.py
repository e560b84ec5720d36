"""What a log loses is named, what comes again is known, and two gateways send nothing twice."""

from tests.faults.log_faults import QUICK, QUICK_TIMES
from tests.faults.log_stage import play


async def test_log_faults_lose_nothing_silently_and_double_nothing() -> None:
    (row,) = await play([QUICK], QUICK_TIMES)
    row.assert_nothing_silent()
    assert (row.named, row.with_log) != (0, 0), "nothing was lost, so that nothing was tried"
