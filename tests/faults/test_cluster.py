"""A cluster of which a broker is killed, and comes back, loses nothing and doubles nothing."""

from gateway.adapters.settings import Settings
from gateway.operate.local_kafka.cluster import LocalCluster
from tests.faults.cluster_faults import QUICK, on_cluster
from tests.faults.stage import play


async def test_killed_coordinator_loses_and_doubles_nothing(bare_settings: Settings) -> None:
    with LocalCluster(announce=print) as cluster:
        settings = on_cluster(bare_settings, cluster.bootstrap_servers)
        row = await play(QUICK, settings, ground=cluster)
    row.assert_nothing_amiss()
