"""``gateway archive run``: archives until SIGTERM, or once; what keeps it from that is logged, and tried
again."""

import asyncio
import signal
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import structlog
from aiokafka.errors import KafkaError

from gateway.adapters.logs import configure_logs
from gateway.adapters.metrics_server import serving_metrics
from gateway.adapters.repeating import repeat_until, set_by_signals
from gateway.adapters.settings import Settings
from gateway.adapters.terminal import say, write_json
from gateway.adapters.waiting import WaitingLog
from gateway.core.words import count_of
from gateway.errors import BrokerUnreachableError, GatewayError
from gateway.operate.archive.archiver import Archiver
from gateway.operate.archive.metrics import ArchiveMetrics
from gateway.operate.archive.segment import FencedError
from gateway.operate.archive.standing import BEHIND, shortest_retention
from gateway.operate.archive.store import Store, open_store

log = structlog.get_logger("gateway.archive")

_LOOK_S = 10.0
_BEHIND_AGAIN_S = 3600


def run_archive(
    settings: Settings,
    place: str,
    *,
    once: bool,
    output: Literal["text", "json"],
    clock: Callable[[], float] = time.time,
) -> int:
    """Archive into ``place`` until SIGTERM, or ``once`` all that is there; returns the exit code.

    Raises UsageError, ConfigurationError, GatewayError where it cannot begin, BrokerUnreachableError with
    ``once``.
    """
    store = open_store(place)
    configure_logs(settings.log)
    if once:
        return asyncio.run(_archive_once(settings, store, output, clock))
    metrics = ArchiveMetrics()
    # The lock may have to be waited for: SIGTERM ends that at once.
    with serving_metrics(settings.web, metrics.registry), store.locked():
        return asyncio.run(_keep_archiving(settings, store, metrics, clock))


async def _archive_once(
    settings: Settings, store: Store, output: Literal["text", "json"], clock: Callable[[], float]
) -> int:
    with store.locked():
        archiver = Archiver.prepared(settings, store, clock())
        states = list((await archiver.run_pass(clock(), everything=True)).values())
    done: dict[str, Any] = {
        "archive": store.place,
        "segments": sum(each.segments for each in states),
        "entries": sum(each.entries for each in states),
        "records": sum(each.records for each in states),
        "lost": sum(each.lost for each in states),
        "waiting": sorted({each.waits_for for each in states if each.waits_for is not None}),
        "failed": sorted({each.failed for each in states if each.failed is not None}),
    }
    if output == "json":
        write_json(done)
    else:
        words = f"{count_of(done['records'], 'input record')} in {count_of(done['segments'], 'segment')}"
        say(f"{store.place}: {words}", err=True)
        if done["lost"]:
            say("some records were gone before they were archived: `gateway audit --archive` says which", err=True)
        for each in done["waiting"]:
            say(f"{each}: an open transaction hides what is to be archived; run this again once it has ended", err=True)
        for each in done["failed"]:
            say(each, err=True)
    return 1 if done["lost"] or done["waiting"] or done["failed"] else 0


async def _keep_archiving(settings: Settings, store: Store, metrics: ArchiveMetrics, clock: Callable[[], float]) -> int:
    stopping = set_by_signals(signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    log.info("archive.starting", archive=store.place)
    archiver = Archiver.prepared(settings, store, clock())
    archiver.on_written = metrics.count
    waiting, behind = WaitingLog(log, "archive.waiting", "archive.resumed", settings), _BehindLog()
    pass_once = partial(_pass_once, archiver, metrics, waiting, behind, clock)
    await repeat_until(stopping, pass_once, _LOOK_S, counts_pauses=True)
    log.info("archive.stopped")
    return 0


async def _pass_once(
    archiver: Archiver, metrics: ArchiveMetrics, waiting: WaitingLog, behind: "_BehindLog", clock: Callable[[], float]
) -> None:
    now = clock()
    try:
        retention_s = await shortest_retention(archiver.settings)
        metrics.retention.set(retention_s)  # before a pass, which may be long
        archiver.keep_list(now)
        states = await archiver.run_pass(now, everything=False)
    except FencedError:
        raise
    except (BrokerUnreachableError, KafkaError) as error:
        metrics.errors.inc()
        waiting.note(error)
    except (GatewayError, OSError) as error:
        metrics.errors.inc()
        log.error("archive.not_written", why=str(error) or type(error).__name__)  # noqa: TRY400
    else:
        waiting.over()
        behind.note(metrics.show(states.values(), now), retention_s, now)


class _BehindLog:
    """Says once an hour that the archive is so far behind that retention may take what it has not
    archived."""

    def __init__(self) -> None:
        self._due = 0.0

    def note(self, oldest_s: float, retention_s: float, now: float) -> None:
        """Log it, if it is so, and a line is due."""
        if oldest_s > BEHIND * retention_s and now >= self._due:
            self._due = now + _BEHIND_AGAIN_S
            log.error("archive.behind", oldest_s=round(oldest_s), retention_s=round(retention_s))
