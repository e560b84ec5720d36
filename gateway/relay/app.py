"""The relay as a Faust app: Faust and mode supervise one service, which runs the lanes, and serve its health
pages."""

import asyncio
import gc
import time
from collections import Counter
from collections.abc import Mapping

import structlog
from faust.app import BootStrategy
from mode import Service

from gateway import __version__
from gateway.adapters import faust_worker, kafka
from gateway.adapters.certificates import certificate_ends
from gateway.adapters.faust_patches import AppWithoutDirectories
from gateway.adapters.list_watch import ListWatch, ReloadResult
from gateway.adapters.logs import configure_logs
from gateway.adapters.metrics import Metrics
from gateway.adapters.native import Kernel, find_kernel
from gateway.adapters.own_signatures import load_record_signer
from gateway.adapters.settings import Settings
from gateway.adapters.signatures import load_key_ring
from gateway.adapters.tracing import make_tracer_provider, require_tracing
from gateway.core.recognition import Recognition
from gateway.core.times import china_date
from gateway.errors import ConfigurationError
from gateway.relay.group import LaneGroup
from gateway.relay.health import add_health
from gateway.relay.log_budget import LogBudget
from gateway.relay.observer import Observer
from gateway.relay.reporting import TurnLog

log = structlog.get_logger("gateway.relay")

_REPORT_WITHHELD_S = 10
_REPORT_COMMITTED_S = 60
_CERTIFICATES_S = 3600
_AFTERWARDS_S = 1.5
"""What the process needs after its lanes have stopped and left the group: to end its web server and its
loop."""


class _WithoutOwnKafka(BootStrategy):
    """Faust's own consumer and producer stay out: the lanes have theirs, and its conductor needs an agent to
    run."""

    enable_kafka = False


class RelayApp(AppWithoutDirectories):
    """Faust's app with the lanes as its work."""

    BootStrategy = _WithoutOwnKafka


def make_app(settings: Settings, watch: ListWatch) -> RelayApp:
    """Make the app: a service with the lanes; ``/healthz``, ``/readyz`` and ``/metrics`` where the web
    server is on."""
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
            log.info(
                "relay.starting",
                **faust_worker.describe(settings, settings.groups[0]),
                **_digests(watch.current),
                **_describe(find_kernel(settings)),
            )
            await group.start()
            self.add_future(group.watch_broker())

        async def on_stop(self) -> None:
            log.info("relay.draining")
            app.drain.is_done = is_drained = await group.stop(app.drain.remaining_s - _AFTERWARDS_S)
            turn_log.report_withheld()
            turn_log.report_committed()
            (log.info if is_drained else log.warning)("relay.stopped", drained=is_drained)
            if provider is not None:  # it sends what is left, or gives up after the exporter's timeout
                await asyncio.to_thread(provider.shutdown)

        @Service.task
        async def report_withheld(self) -> None:
            while not self.should_stop:
                await self.sleep(_REPORT_WITHHELD_S)
                turn_log.report_withheld()

        @Service.task
        async def report_committed(self) -> None:
            while not self.should_stop:
                await self.sleep(_REPORT_COMMITTED_S)
                turn_log.report_committed()

        @Service.task
        async def watch_list(self) -> None:
            while not self.should_stop:
                await self.sleep(settings.recognition_poll_s)
                outcome = await asyncio.to_thread(watch.reload)
                if outcome is ReloadResult.NOTHING_NEW:
                    continue
                metrics.show_list(watch.current, edit_refused=outcome is ReloadResult.REFUSED)
                if outcome is ReloadResult.LOADED:
                    log.info("list.loaded", editions=len(watch.current.editions), **_digests(watch.current))
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

    add_health(app, group, metrics, watch)
    return app


def _describe(kernel: Kernel) -> dict[str, str]:
    """Say whether the lanes work by the native kernel, and why."""
    return {"kernel": "python" if kernel.module is None else "native", "kernel_because": kernel.because}


def _digests(recognition: Recognition) -> dict[str, str]:
    """Name the list as the ledger does, and the edition in force today as records do."""
    edition = recognition.edition_on(china_date(int(time.time() * 1_000_000)))
    return {"list_digest": recognition.digest, "edition_digest": edition.digest}


def run_gateway(settings: Settings, process: int | None = None) -> int:
    """Run the relay until SIGTERM or SIGINT, then drain; returns the process's exit code.

    ``process`` is its number among several that write one log: it stands in each of its lines.

    Raises ConfigurationError where list or topics are not valid, BrokerUnreachableError where no broker
    answers at start; once running it outlives the broker's absence.
    """
    if settings.tracing.enabled:
        require_tracing()
    watch = ListWatch(settings.recognition_dir)
    logging_config = configure_logs(settings.log)
    if process is not None:
        structlog.contextvars.bind_contextvars(process=process)
    asyncio.run(_preflight(settings))
    # A turn drops thousands of objects together; Python's 700 would look for cycles among them again and
    # again. But aiokafka's fetched records are in cycles, megabytes each: looked for too seldom, they pile
    # up (at 100,000 objects to 80 MB).
    gc.freeze()
    gc.set_threshold(10_000, 10, 20)
    return faust_worker.run_worker(make_app(settings, watch), settings, logging_config)


async def _preflight(settings: Settings) -> None:
    """See that the broker answers, that all topics are there, and that the input topics are what decisions
    rely on."""
    topics = settings.topic_names
    needed = [name for name in topics.all if name != topics.feedback]
    counts = Counter(partition.topic for partition in await kafka.partitions_of(settings, needed))
    if len(set(counts.values())) > 1:
        # An output keeps its input's partition: lanes that have none wait (see Lane), and the others do not
        # wait for them.
        listed = ", ".join(f"{name} {count}" for name, count in counts.items())
        log.error("topics.differ", partitions=listed, hint="`gateway topics plan` says what to do")
    async with kafka.admin(settings) as admin:
        configs = await kafka.topic_configs(admin, topics.displays)
    if configs is None:
        log.warning("topics.unchecked", hint="run `gateway doctor` as operator: it may read the topics' configuration")
    for name, config in (configs or {}).items():
        _require_whole_log(name, config)


def _require_whole_log(topic: str, config: Mapping[str, str]) -> None:
    """Raise ConfigurationError where ``config`` lets records of an input topic vanish, or its publisher set
    their times."""
    for setting, why in (
        ("cleanup.policy", "compaction removes events that are still to be decided or proved"),
        (
            "message.timestamp.type",
            "when an event was received is the broker's to say, not its publisher's",
        ),
    ):
        needed = kafka.WHOLE_LOG[setting]
        if config.get(setting, needed) != needed:
            raise ConfigurationError(
                f"{topic}: {setting} is {config[setting]}, and must be {needed}: {why}. Set it as the broker's admin: "
                f"`kafka-configs --alter --entity-type topics --entity-name {topic} --add-config {setting}={needed}`"
            )
