"""The relay as a Faust app: Faust and mode supervise one service, which runs the lanes, and serve its health pages."""

import asyncio
import gc
import os
from collections import Counter
from typing import Any

import structlog
from faust.app import BootStrategy
from mode import Service

from gateway import __version__
from gateway.adapters import faust_worker, kafka
from gateway.adapters.certificates import certificate_ends
from gateway.adapters.faust_patches import AppWithoutDirectories
from gateway.adapters.list_watch import ListWatch, ReloadResult
from gateway.adapters.logs import configure_logs
from gateway.adapters.metrics import CONTENT_TYPE, LaneStatus, Metrics
from gateway.adapters.own_signatures import load_record_signer
from gateway.adapters.settings import Settings
from gateway.adapters.signatures import load_key_ring
from gateway.adapters.tracing import make_tracer_provider, require_tracing
from gateway.errors import ConfigurationError
from gateway.relay.group import LaneGroup
from gateway.relay.lane import Observer
from gateway.relay.log_budget import LogBudget
from gateway.relay.reporting import TurnLog

log = structlog.get_logger("gateway.relay")

_REPORT_WITHHELD_S = 10
_CERTIFICATES_S = 3600


class _WithoutOwnKafka(BootStrategy):
    """Faust's own consumer and producer stay out: the lanes have theirs, and its conductor needs an agent to run."""

    enable_kafka = False


class RelayApp(AppWithoutDirectories):
    """Faust's app with the lanes as its work."""

    BootStrategy = _WithoutOwnKafka


def make_app(settings: Settings, watch: ListWatch) -> RelayApp:
    """Make the app: a service with the lanes; ``/healthz``, ``/readyz`` and ``/metrics`` where the web server is on."""
    app = faust_worker.make_app(RelayApp, "chuanyu-relay", settings)
    metrics = Metrics()
    metrics.show_list(watch.current, edit_refused=False)
    turn_log = TurnLog(metrics, LogBudget(settings.log.rejections_per_s, settings.log.rejections_burst))
    observer: Observer = turn_log
    provider = make_tracer_provider(settings) if settings.tracing.enabled else None
    if provider is not None:
        from gateway.relay.tracing import TracedTurns  # noqa: PLC0415 — it needs the extra `otel`

        observer = TracedTurns(turn_log, provider.get_tracer("gateway.relay", __version__), settings)
    group = LaneGroup(settings, lambda: watch.current, load_key_ring(settings), observer, load_record_signer(settings))

    @app.service
    class LaneService(Service):
        """Starts the lanes with the app and drains them with it; keeps the list up to date meanwhile."""

        async def on_start(self) -> None:
            log.info("relay.starting", list_digest=watch.current.digest, pid=os.getpid())
            await group.start()
            self.add_future(group.watch_broker())

        async def on_stop(self) -> None:
            log.info("relay.draining")
            await group.stop()
            turn_log.report_withheld()
            if provider is not None:
                await asyncio.to_thread(
                    provider.shutdown
                )  # sends what is left, or gives up after the exporter's timeout
            log.info("relay.stopped")

        @Service.task
        async def report_withheld(self) -> None:
            while not self.should_stop:
                await self.sleep(_REPORT_WITHHELD_S)
                turn_log.report_withheld()

        @Service.task
        async def watch_list(self) -> None:
            while not self.should_stop:
                await self.sleep(settings.recognition_poll_s)
                outcome = await asyncio.to_thread(watch.reload)
                if outcome is ReloadResult.NOTHING_NEW:
                    continue
                metrics.show_list(watch.current, edit_refused=outcome is ReloadResult.REFUSED)
                if outcome is ReloadResult.LOADED:
                    log.info("list.loaded", list_digest=watch.current.digest, editions=len(watch.current.editions))
                else:
                    log.error("list.refused", problems=watch.problems, list_digest_in_force=watch.current.digest)

        @Service.task
        async def watch_certificates(self) -> None:
            while not self.should_stop:
                try:
                    metrics.show_certificates(await certificate_ends(settings))
                except (
                    ConfigurationError
                ) as error:  # the file went; what it held when we started is in use all the same
                    log.warning("certificates.unknown", error=str(error))
                await self.sleep(_CERTIFICATES_S)

    @app.page("/healthz")
    async def healthz(web: Any, _: Any) -> Any:
        return web.json({"status": "ok"})

    @app.page("/readyz")
    async def readyz(web: Any, _: Any) -> Any:
        lanes = {str(lane.id): lane.is_open for lane in group.lanes}
        status = {
            "ready": group.is_ready, **group.conditions, "list_loaded": True, "standby": group.is_standby,
            "lanes": lanes, "list_digest": watch.current.digest,
        }  # fmt: skip
        return web.json(status, status=200 if group.is_ready else 503)

    @app.page("/metrics")
    async def metrics_page(web: Any, _: Any) -> Any:
        metrics.show_lanes(
            LaneStatus(lane.id.province.value, lane.id.partition, lane.is_open, lane.lag, lane.remembered_ids)
            for lane in group.lanes
        )
        return web.bytes(metrics.render(), headers={"Content-Type": CONTENT_TYPE})

    return app


def run_gateway(settings: Settings) -> int:
    """Run the relay until SIGTERM or SIGINT, then drain; returns the process's exit code.

    Raises ConfigurationError where list or topics do not fit, BrokerUnreachableError where no broker answers at start;
    once running it outlives the broker's absence.
    """
    if settings.tracing.enabled:
        require_tracing()
    watch = ListWatch(settings.recognition_dir)
    logging_config = configure_logs(settings.log)
    asyncio.run(_preflight(settings))
    # A turn drops thousands of objects together; Python's 700 would look for cycles among them again and again. But aiokafka's
    # fetched records are in cycles, megabytes each: looked for too seldom, they pile up (at 100,000 objects to 80 MB).
    gc.freeze()
    gc.set_threshold(10_000, 10, 20)
    return faust_worker.run_worker(make_app(settings, watch), settings, logging_config)


async def _preflight(settings: Settings) -> None:
    """See that the broker answers, and that all topics have one number of partitions: an output keeps its input's."""
    topics = settings.topic_names
    needed = [name for name in topics.all if name != topics.feedback]
    counts = Counter(partition.topic for partition in await kafka.partitions_of(settings, needed))
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise ConfigurationError(f"the topics differ in partitions ({listed}); `gateway topics plan` says what to do.")
