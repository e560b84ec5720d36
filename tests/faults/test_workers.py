"""Workers that are wrong about the time, blocked, rebalanced, or handed a broken list lose nothing and
double nothing."""

from pathlib import Path

from gateway.adapters.settings import Settings
from tests.faults.stage import play
from tests.faults.worker_faults import quick


async def test_faults_of_workers_lose_and_double_nothing(settings: Settings, tmp_path: Path) -> None:
    scenario = quick(tmp_path)
    (await play(scenario, settings, times=len(scenario.faults))).assert_nothing_amiss()
