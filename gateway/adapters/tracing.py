"""OpenTelemetry, where `tracing.enabled`: spans go to a collector by OTLP over HTTP. It comes with the extra
``otel``."""

import logging
import os
from typing import TYPE_CHECKING

from gateway import __version__
from gateway.adapters import extras
from gateway.adapters.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

_SERVICE = "chuanyu-gateway"
_TRACES = "/v1/traces"
_QUEUE, _BATCH, _DELAY_MS = 100_000, 2_000, 1_000
"""Several turns' spans have room: those that find no room are dropped, and the SDK says so in the log."""


def require_tracing() -> None:
    """Raise ConfigurationError where the libraries are missing."""
    extras.require("otel", "tracing.enabled")


def make_tracer_provider(settings: Settings) -> "TracerProvider":
    """Make the source of tracers, with an exporter in a thread of its own. Raises ConfigurationError.

    What the settings do not say, OpenTelemetry's own variables do (``OTEL_EXPORTER_OTLP_HEADERS``,
    ``OTEL_TRACES_SAMPLER``, ``OTEL_SERVICE_NAME``, …).
    """
    require_tracing()
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 — an extra
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import SpanLimits, TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    about = {"service.version": __version__, "service.instance.id": f"{os.uname().nodename}-{os.getpid()}"}
    if not os.environ.get("OTEL_SERVICE_NAME"):
        about["service.name"] = _SERVICE
    provider = TracerProvider(
        resource=Resource.create(about),
        span_limits=SpanLimits(max_links=settings.relay.max_records),  # one for each event of a turn
        shutdown_on_exit=False,
    )
    endpoint = settings.tracing.endpoint
    exporter = OTLPSpanExporter(endpoint=endpoint.rstrip("/") + _TRACES if endpoint else None)
    provider.add_span_processor(
        BatchSpanProcessor(
            exporter, max_queue_size=_QUEUE, max_export_batch_size=_BATCH, schedule_delay_millis=_DELAY_MS
        )
    )
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # it warns of each try; the exporter says what came of them
    return provider
