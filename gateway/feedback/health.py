"""``/healthz``, ``/readyz`` and ``/metrics`` of a feedback worker."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from gateway.feedback.history import Status
from gateway.feedback.state import StateFollower


def add_health(app: Any, follower: StateFollower, broker_answers: Callable[[], bool]) -> None:
    """Put the three pages on the Faust app. ``broker_answers`` says whether it did when it was last asked."""
    registry = CollectorRegistry()
    cases = Gauge("gateway_feedback_cases", "Cases by status.", ["status"], registry=registry)
    assigned = Gauge("gateway_feedback_partitions", "Partitions that this worker counts.", registry=registry)

    @app.page("/healthz")  # type: ignore[untyped-decorator]  # Faust's
    async def healthz(web: Any, _: Any) -> Any:
        return web.json({"status": "ok"})

    @app.page("/readyz")  # type: ignore[untyped-decorator]
    async def readyz(web: Any, _: Any) -> Any:
        conditions = {
            "assigned": app.consumer_generation_id > 0,  # by the group: perhaps nothing, to a worker that stands by
            "recovered": not app.in_recovery,
            "state_followed": follower.is_ready,
            "broker_answers": broker_answers(),
        }
        ready, standby = all(conditions.values()), not app.consumer.assignment()
        status = {"ready": ready, **conditions, "list_loaded": True, "standby": standby}
        return web.json(status, status=200 if ready else 503)

    @app.page("/metrics")  # type: ignore[untyped-decorator]
    async def metrics(web: Any, _: Any) -> Any:
        state = follower.state
        standing = Counter(state.standing(case).status for case in state.cases.values())
        for status in Status:
            cases.labels(status.value).set(standing[status])
        assigned.set(len(app.consumer.assignment()))
        return web.bytes(generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})
