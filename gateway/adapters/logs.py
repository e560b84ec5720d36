"""The log: structlog to stderr, JSON lines unless stderr is a terminal; libraries' own logging goes the same
way.

Events have stable dotted names (``record.rejected``); keys are OpenTelemetry's where it has one. Never a
holder's data, never raw bytes.
"""

import logging
import logging.config
import sys
from collections.abc import MutableMapping, Sequence
from types import TracebackType
from typing import Any

import msgspec
import structlog
from aiokafka.errors import KafkaError

from gateway.adapters.log_stream import LogHandler, LogStream, open_log_stream
from gateway.adapters.setting_groups import LogSettings
from gateway.core.visible import visible, visible_json
from gateway.errors import GatewayError

# OpenTelemetry semantic conventions for messaging.
TOPIC = "messaging.destination.name"
PARTITION = "messaging.destination.partition.id"
OFFSET = "messaging.kafka.offset"

_FIRST = ("timestamp", "level", "event")
"""How a JSON line begins."""
_EventDict = MutableMapping[str, Any]
_SHARED: tuple[Any, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)
"""What every line has."""


def configure_logs(settings: LogSettings) -> dict[str, Any]:
    """Set logging up for this process; returns the ``logging.config`` dictionary, for libraries that install
    their own.

    No line raises, whatever it holds and wherever it goes: what cannot be written is counted, see
    ``LogStream``.
    """
    tail, stream = _configure_own_lines(settings, is_service=True)
    config: dict[str, Any] = {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "structlog": {
                "()": structlog.stdlib.ProcessorFormatter,
                "pass_foreign_args": True,
                "foreign_pre_chain": [*_SHARED, structlog.stdlib.add_logger_name, _without_values],
                "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *tail],
            }
        },
        "handlers": {"stderr": {"()": LogHandler, "stream": stream, "formatter": "structlog"}},
        "root": {"handlers": ["stderr"], "level": settings.level.upper()},
        "loggers": {
            # They speak of every connection, heartbeat and service at INFO, and of what the relay handles at
            # ERROR.
            "aiokafka": {"level": "CRITICAL"},
            "asyncio": {"level": "WARNING"},
            "faust": {"level": "WARNING"},
            "mode": {"level": "WARNING"},
            # A timer says that it overlaps where its work takes longer than its interval, as it does while
            # the broker is down: the next run waits for it, and what is waited for has a line of its own.
            "mode.timers": {"level": "ERROR"},
            "gateway": {
                "level": "WARNING"
            },  # mode's loggers of our services, by module; our own lines do not pass here
        },
    }
    logging.config.dictConfig(config)
    return config


def configure_command_logs(settings: LogSettings) -> None:
    """Set our own lines up for a command that is no service: they go to stderr, as stdout is for its data.

    structlog's own default is stdout.
    """
    _configure_own_lines(settings, is_service=False)


def _configure_own_lines(settings: LogSettings, *, is_service: bool) -> tuple[list[Any], LogStream]:
    """Set structlog up; return the steps that make a line of an event with what all have, and where it
    goes."""
    pretty = settings.format == "pretty" or (
        settings.format == "auto" and sys.stderr is not None and sys.stderr.isatty()
    )
    renderer: list[Any] = (
        [_show_hidden, structlog.dev.ConsoleRenderer()] if pretty else [structlog.processors.JSONRenderer(_as_json)]
    )
    # A traceback's last lines may quote an event; its type and place never do.
    tail: list[Any] = [_place_of_exception, *renderer]

    def describe_loss(lines: int) -> str:
        return str(_apply([*_SHARED[1:], *renderer], None, "warning", {"event": "log.lost", "lines": lines}))

    stream = open_log_stream(sys.stderr, describe_loss)
    # Our own lines go straight to stderr: by way of the standard library's logging a rejection's line costs
    # five times as much.
    structlog.configure(
        processors=[_Rendering([*_SHARED, *tail], stream)],
        logger_factory=structlog.WriteLoggerFactory(stream),  # type: ignore[arg-type]  # it writes and flushes, no more
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[settings.level.upper()]),
        cache_logger_on_first_use=is_service,
    )
    return tail, stream


class _Rendering:
    """All steps from an event to its line, as one that drops what cannot be made a line."""

    def __init__(self, steps: Sequence[Any], stream: LogStream) -> None:
        self._steps, self._stream = steps, stream

    def __call__(self, logger: Any, name: str, event: _EventDict) -> Any:
        try:
            return _apply(self._steps, logger, name, event)
        except Exception:  # noqa: BLE001 — whatever it is, whoever logs has work to do
            self._stream.count_lost()
            raise structlog.DropEvent from None


def _apply(steps: Sequence[Any], logger: Any, name: str, event: Any) -> Any:
    for step in steps:
        event = step(logger, name, event)
    return event


def _as_json(event: _EventDict, **_: Any) -> str:
    first = {name: event.pop(name, None) for name in _FIRST}
    return visible_json(msgspec.json.encode(first | dict(event), enc_hook=str).decode())


def _show_hidden(_: Any, __: str, event: _EventDict) -> _EventDict:
    """Put escapes for what commands a terminal; in JSON they are JSON's own."""
    return {name: visible(value) if isinstance(value, str) else value for name, value in event.items()}


def _without_values(_: Any, __: str, event: _EventDict) -> _EventDict:
    """Make a line with an event of ours of a library's, and keep of its message what quotes no error: errors
    by their types, and the first line: asyncio's second has one."""
    arguments = event.pop("positional_args", ())
    if isinstance(arguments, tuple) and any(isinstance(each, BaseException) for each in arguments):
        named = (type(each) if isinstance(each, BaseException) else each for each in arguments)
        event["event"] = str(event["_record"].msg) % tuple(named)
    event["message"] = str(event["event"]).partition("\n")[0]
    event["event"] = "library.message"
    return event


def _place_of_exception(_: Any, __: str, event: _EventDict) -> _EventDict:
    info = event.pop("exc_info", None)
    if info is True:
        info = sys.exc_info()
    if isinstance(info, BaseException):
        info = (type(info), info, info.__traceback__)
    if isinstance(info, tuple) and info[0] is not None:
        event["error.type"] = info[0].__name__
        event.update(_place_of(info[2]))
    return event


def describe_error(error: BaseException) -> dict[str, str]:
    """Describe an error for the log: its type, and its own words only where they are Kafka's or ours and so
    hold no event's."""
    details = {"error.type": type(error).__name__}
    if isinstance(error, KafkaError | TimeoutError | GatewayError):
        details["error.message"] = str(error)[:300]
    else:
        details |= _place_of(error.__traceback__)
    return details


def _place_of(traceback: TracebackType | None) -> dict[str, str]:
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return {"error.place": f"{traceback.tb_frame.f_code.co_qualname}:{traceback.tb_lineno}"} if traceback else {}
