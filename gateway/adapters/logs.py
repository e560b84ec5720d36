"""The log: structlog to stderr, JSON lines unless stderr is a terminal; libraries' own logging goes the same way.

Events have stable dotted names (``record.rejected``); keys are OpenTelemetry's where it has one. Never a holder's data,
never raw bytes.
"""

import logging
import logging.config
import sys
from collections.abc import MutableMapping
from typing import Any

import msgspec
import structlog

from gateway.adapters.settings import LogSettings

# OpenTelemetry semantic conventions for messaging.
TOPIC = "messaging.destination.name"
PARTITION = "messaging.destination.partition.id"
OFFSET = "messaging.kafka.offset"

_EventDict = MutableMapping[str, Any]


def configure_logs(settings: LogSettings) -> dict[str, Any]:
    """Set logging up for this process; returns the ``logging.config`` dictionary, for libraries that install their own."""
    pretty = settings.format == "pretty" or (settings.format == "auto" and sys.stderr.isatty())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: Any = structlog.dev.ConsoleRenderer() if pretty else structlog.processors.JSONRenderer(_as_json)
    # A traceback's last lines may quote an event; its type and place never do.
    tail: list[Any] = [_place_of_exception, renderer]
    config: dict[str, Any] = {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "structlog": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": [*shared, structlog.stdlib.add_logger_name],
                "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *tail],
            }
        },
        "handlers": {
            "stderr": {"class": "logging.StreamHandler", "stream": "ext://sys.stderr", "formatter": "structlog"}
        },
        "root": {"handlers": ["stderr"], "level": settings.level.upper()},
        "loggers": {
            # They speak of every connection, heartbeat and service at INFO, and of what the relay handles at ERROR.
            "aiokafka": {"level": "CRITICAL"},
            "faust": {"level": "WARNING"},
            "mode": {"level": "WARNING"},
            "gateway.relay.app": {"level": "WARNING"},  # mode's logger of the app as a service, not ours
        },
    }
    logging.config.dictConfig(config)
    # Our own lines go straight to stderr: by way of the standard library's logging a rejection's line costs five times as much.
    structlog.configure(
        processors=[*shared, *tail],
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[settings.level.upper()]),
        cache_logger_on_first_use=True,
    )
    return config


def _as_json(event: _EventDict, **_: Any) -> str:
    return msgspec.json.encode(event, enc_hook=str).decode()


def _place_of_exception(_: Any, __: str, event: _EventDict) -> _EventDict:
    info = event.pop("exc_info", None)
    if info is True:
        info = sys.exc_info()
    if isinstance(info, BaseException):
        info = (type(info), info, info.__traceback__)
    if isinstance(info, tuple) and info[0] is not None:
        traceback = info[2]
        while traceback is not None and traceback.tb_next is not None:
            traceback = traceback.tb_next
        event["error.type"] = info[0].__name__
        if traceback is not None:
            event["error.place"] = f"{traceback.tb_frame.f_code.co_qualname}:{traceback.tb_lineno}"
    return event
