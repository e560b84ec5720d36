"""``/healthz``, ``/readyz`` and ``/metrics`` of a relay worker."""

import datetime
from collections.abc import Iterable
from typing import Any, Protocol

from gateway.adapters.list_watch import ListWatch
from gateway.adapters.metrics import CONTENT_TYPE, LaneStatus, Metrics
from gateway.contract.topics import LaneId
from gateway.relay.group import LaneGroup
from gateway.relay.progress import LaneState, Progress

HOPELESS_S = 300.0
"""Where no lane has got on for so long though the broker answers, a new process may do better."""


class _Lane(Protocol):
    @property
    def id(self) -> LaneId: ...
    @property
    def progress(self) -> Progress: ...
    @property
    def has_ended(self) -> bool: ...


def add_health(app: Any, group: LaneGroup, metrics: Metrics, watch: ListWatch) -> None:
    """Put the three pages on the Faust app."""

    @app.page("/healthz")  # type: ignore[untyped-decorator]  # Faust's
    async def healthz(web: Any, _: Any) -> Any:
        why = find_failure(group.lanes, broker_answers=group.broker_answers)
        return web.json({"status": "failing", "why": why} if why else {"status": "ok"}, status=503 if why else 200)

    @app.page("/readyz")  # type: ignore[untyped-decorator]
    async def readyz(web: Any, _: Any) -> Any:
        status = {
            "ready": group.is_ready, **group.conditions, "list_loaded": True, "standby": group.is_standby,
            "lanes": {str(lane.id): describe_lane(lane.progress) for lane in group.lanes},
            "list_digest": watch.current.digest,
        }  # fmt: skip
        return web.json(status, status=200 if group.is_ready else 503)

    @app.page("/metrics")  # type: ignore[untyped-decorator]
    async def metrics_page(web: Any, _: Any) -> Any:
        metrics.show_lanes(
            LaneStatus(
                lane.id.province.value, lane.id.partition, lane.progress.state.value, lane.lag, lane.remembered_ids,
                lane.progress.stalled_s, lane.progress.cause,
            )
            for lane in group.lanes
        )  # fmt: skip
        return web.bytes(metrics.render(), headers={"Content-Type": CONTENT_TYPE})


def describe_lane(progress: Progress) -> dict[str, Any]:
    """Return a lane's state for ``/readyz``; of one that is not open, also why, and since when."""
    described: dict[str, Any] = {"state": progress.state.value}
    if progress.state is not LaneState.OPEN:
        since = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=progress.stalled_s)
        described |= {"cause": progress.cause, "since": since.isoformat(timespec="seconds").replace("+00:00", "Z")}
    return described


def find_failure(lanes: Iterable[_Lane], *, broker_answers: bool) -> str | None:
    """Say why this process should be ended and started again; None where it should not.

    Lanes that wait for a broker that does not answer are no reason: a new process would not even start.
    """
    progress = list(lanes)
    if ended := [lane for lane in progress if lane.has_ended]:
        return "; ".join(f"lane {lane.id} has ended ({lane.progress.cause})" for lane in ended)
    if not broker_answers or not progress or min(lane.progress.stalled_s for lane in progress) < HOPELESS_S:
        return None
    longest = max(lane.progress.stalled_s for lane in progress)
    causes = ", ".join(sorted({lane.progress.cause or "records that are not decided" for lane in progress}))
    return f"none of {len(progress)} lanes has got on for up to {longest:.0f} s ({causes})"
