"""How the page and `gateway top` see that a partition is stuck: events wait, and nothing is committed for a
minute."""

from gateway.adapters.settings import load_settings
from gateway.feedback.page.cluster import STUCK_S, Cluster
from gateway.feedback.page.live import Live
from gateway.feedback.page.views import as_of


def test_partition_with_lag_and_no_commits_is_stuck() -> None:
    cluster, stuck, idle, busy = Cluster(load_settings()), ("a", 0), ("a", 1), ("b", 0)
    for second in range(0, int(STUCK_S) + 31, 3):
        cluster.committed = {stuck: 100, idle: 100, busy: second}
        cluster.lag = {stuck: 5, idle: 0, busy: 1000}
        cluster._note_moves(1000.0 + second)
        assert (stuck in cluster.stuck_s) is (second >= STUCK_S)
    assert cluster.stuck_s == {stuck: 90}
    cluster.committed = cluster.committed | {stuck: 105}
    cluster._note_moves(2000.0)
    assert stuck not in cluster.stuck_s


def test_old_data_has_a_time_once_both_were_answered() -> None:
    settings = load_settings()
    cluster, live = Cluster(settings), Live(settings)
    cluster.answered_at = 100
    assert as_of(live, cluster) is None
    live.answered_at = 97
    assert as_of(live, cluster) == 97
