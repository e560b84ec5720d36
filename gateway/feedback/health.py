"""``/healthz``, ``/readyz`` and ``/metrics`` of a feedback worker."""

from collections import Counter
from typing import Any

from faust.exceptions import ConsumerNotStarted
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from gateway.adapters.log_stream import LostLines
from gateway.contract.topics import Topics
from gateway.feedback.history import Status
from gateway.feedback.page.cluster import Cluster
from gateway.feedback.state import State, StateFollower


def add_health(app: Any, follower: StateFollower, cluster: Cluster, topics: Topics) -> None:
    """Put the three pages on the Faust app. ``cluster`` says how the relays stand, and whether the broker
    answers."""
    registry = CollectorRegistry()
    shown = FeedbackMetrics(topics, registry)

    @app.page("/healthz")  # type: ignore[untyped-decorator]  # Faust's
    async def healthz(web: Any, _: Any) -> Any:
        return web.json({"status": "ok"})

    @app.page("/readyz")  # type: ignore[untyped-decorator]
    async def readyz(web: Any, _: Any) -> Any:
        conditions = {
            "assigned": app.consumer_generation_id > 0,  # by the group: perhaps nothing, to a worker that stands by
            "recovered": not app.in_recovery,
            "state_followed": follower.is_ready,
            "counts_complete": not follower.state.is_counted_again,
            "broker_answers": cluster.known,
        }
        ready, standby = all(conditions.values()), not _assigned(app)
        status = {"ready": ready, **conditions, "list_loaded": True, "standby": standby}
        return web.json(status, status=200 if ready else 503)

    @app.page("/metrics")  # type: ignore[untyped-decorator]
    async def metrics(web: Any, _: Any) -> Any:
        shown.show_counting(follower.state, _assigned(app))
        shown.show_relays(cluster)
        return web.bytes(generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


def _assigned(app: Any) -> int:
    """Return how many partitions this worker counts: none yet while its consumer starts."""
    try:
        return len(app.consumer.assignment())
    except ConsumerNotStarted:
        return 0


class FeedbackMetrics:
    """A feedback worker's metrics; and how far the relays are, as the broker knows it: also where none runs,
    or gets to work."""

    def __init__(self, topics: Topics, registry: CollectorRegistry) -> None:
        self._provinces = topics.displays
        self._cases = Gauge("gateway_feedback_cases", "Cases by status.", ["status"], registry=registry)
        self._assigned = Gauge("gateway_feedback_partitions", "Partitions that this worker counts.", registry=registry)
        labels = ["province", "partition"]
        self._lag = Gauge(
            "gateway_group_lag_records",
            "Input records that the relays' group has not committed yet; a transaction's marker at the end counts as one.",
            labels, registry=registry,
        )  # fmt: skip
        self._committed = Gauge(
            "gateway_group_committed_offset", "The input offset up to which the relays' group has committed.",
            labels, registry=registry,
        )  # fmt: skip
        registry.register(LostLines())
        self._workers = Gauge("gateway_group_workers", "Relays in the group.", registry=registry)

    def show_counting(self, state: State, partitions: int) -> None:
        """Show the cases as they stand, and how many partitions this worker counts."""
        standing = Counter(state.standing(case).status for case in state.cases.values())
        for status in Status:
            self._cases.labels(status.value).set(standing[status])
        self._assigned.set(partitions)

    def show_relays(self, cluster: Cluster) -> None:
        """Show what the broker said last; nothing while it does not answer."""
        for gauge in (self._lag, self._committed):
            gauge.clear()
        if not cluster.known:
            return
        for gauge, found in ((self._lag, cluster.lag), (self._committed, cluster.committed)):
            for (topic, partition), value in found.items():
                gauge.labels(self._provinces[topic].value, partition).set(value)
        self._workers.set(len(cluster.workers))
