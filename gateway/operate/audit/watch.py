"""``gateway audit --every``: the audit again and again, with what came of it in the log and at
``/metrics``."""

import asyncio
import json
import math
import os
import signal
import sys
import time
from functools import partial
from typing import Any, Literal

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from gateway.adapters.logs import configure_logs
from gateway.adapters.metrics_server import serving_metrics
from gateway.adapters.repeating import repeat_until, set_by_signals
from gateway.adapters.settings import Settings
from gateway.adapters.terminal import write_json
from gateway.operate.audit.findings import KINDS

log = structlog.get_logger("gateway.audit")

_MISMATCH = "digest_mismatch"
_PLACE = ("kind", "topic", "partition", "offset")
_TOLD = 5


class AuditMetrics:
    """What the last audit found, and until when the next one has to be done."""

    def __init__(self, every_s: float) -> None:
        self.registry = CollectorRegistry()
        self._every_s = every_s
        self._ok = Gauge(
            "gateway_audit_ok", "1 if the last audit found nothing, 0 if it found something; NaN before the first.",
            registry=self.registry,
        )  # fmt: skip
        self._ok.set(math.nan)
        self._findings = Gauge(
            "gateway_audit_findings", "What the last audit found, by kind.", ["kind"], registry=self.registry
        )
        self._offsets = Gauge("gateway_audit_offsets", "Input records the last audit saw.", registry=self.registry)
        self._seconds = Gauge("gateway_audit_seconds", "How long the last audit took.", registry=self.registry)
        self._due = Gauge(
            "gateway_audit_due_timestamp_seconds", "When the next audit has to be done at the latest.",
            registry=self.registry,
        )  # fmt: skip
        self._errors = Counter("gateway_audit_errors", "Audits that came to nothing.", registry=self.registry)
        self._due.set(time.time() + 2 * every_s)

    def show(self, summary: dict[str, Any]) -> None:
        """Show the result of an audit; ``summary`` is its JSON object."""
        self._ok.set(summary["ok"])
        for kind in KINDS:
            name = {"gap": "gaps", "overlap": "overlaps", "broken_link": "broken_links"}.get(kind, kind)
            self._findings.labels(kind).set(summary[name])
        self._findings.labels(_MISMATCH).set(summary["digest_mismatches"])
        self._offsets.set(summary["offsets"])
        self._seconds.set(summary["seconds"])
        self._due.set(time.time() + 2 * self._every_s)

    def count_error(self) -> None:
        """Count an audit that could not be made to the end."""
        self._errors.inc()


def watch(settings: Settings, every_s: float, share: float, output: Literal["text", "json"]) -> int:
    """Audit every ``every_s`` seconds until SIGTERM, ``share`` of the decisions proved again; returns the
    exit code, 0.

    What an audit finds, and why one could not be made, is logged and shown at ``/metrics``
    (``web.enabled``), and the next one is made all the same. Raises ConfigurationError where ``web.port``
    cannot be had.
    """
    configure_logs(settings.log)
    metrics = AuditMetrics(every_s)
    with serving_metrics(settings.web, metrics.registry):
        asyncio.run(_keep_auditing(settings, every_s, share, output, metrics))
    return 0


async def _keep_auditing(
    settings: Settings, every_s: float, share: float, output: Literal["text", "json"], metrics: AuditMetrics
) -> None:
    await repeat_until(set_by_signals(signal.SIGTERM), partial(_audit_once, settings, share, output, metrics), every_s)


async def _audit_once(settings: Settings, share: float, output: Literal["text", "json"], metrics: AuditMetrics) -> None:
    """Run `gateway audit` in a process of its own: it uses all cores and much memory, and a server must not
    be forked."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "audit", "--format", "json", "--sample", str(share),
        env=os.environ | settings.as_environment(),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        answer, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    if process.returncode not in {0, 1} or not answer:
        metrics.count_error()
        why = errors.decode("utf-8", "replace").strip().removeprefix("gateway: ")[-500:]
        log.error("audit.not_done", exit_code=process.returncode, why=why)
        return
    summary: dict[str, Any] = json.loads(answer)
    metrics.show(summary)
    counts = {name: value for name, value in summary.items() if isinstance(value, int) and value}
    if summary["ok"]:
        log.info("audit.passed", **counts)
    else:
        places = [{key: finding[key] for key in _PLACE} for finding in summary["findings"][:_TOLD]]
        log.error("audit.failed", **counts, first_findings=places)
    if output == "json":
        write_json(summary, flush=True)
