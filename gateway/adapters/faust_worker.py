"""What both Faust apps need: the broker's security in Faust's words, an app, and a worker to run it."""

import os
from typing import Any, TypeVar

import structlog
from faust import SASLCredentials, SSLCredentials
from faust.auth import Credentials

from gateway import __version__
from gateway.adapters import aiokafka_patches, kafka
from gateway.adapters.drain import Drain
from gateway.adapters.faust_patches import AppWithoutDirectories, DrainingWorker
from gateway.adapters.listening import cannot_listen, is_about_an_address
from gateway.adapters.logs import describe_error
from gateway.adapters.settings import Settings

log = structlog.get_logger("gateway.worker")

_WEB_SHUTDOWN_S = 1.0
"""So long an open request may go on while the web server stops."""

AnyApp = TypeVar("AnyApp", bound=AppWithoutDirectories)


def make_app(app_class: type[AnyApp], app_id: str, settings: Settings, **options: Any) -> AnyApp:
    """Make an app with the settings' brokers, security and web server. Raises ConfigurationError."""
    aiokafka_patches.apply()  # the app makes its own clients
    app = app_class(
        app_id,
        broker=[f"kafka://{server.strip()}" for server in settings.bootstrap_servers.split(",")],
        broker_credentials=credentials(settings),
        broker_max_poll_records=kafka.MOST_POLLED,
        broker_client_id=kafka.CLIENT_ID,
        store="memory://",
        web_enabled=settings.web.enabled,
        web_bind=settings.web.host,
        web_port=settings.web.port,
        web_router_enabled=False,
        web_tables_enabled=False,
        worker_redirect_stdouts=False,
        **options,
    )
    app.drain = Drain(settings.relay.drain_timeout_s)
    if settings.web.enabled:
        app.bound_web_shutdown(_WEB_SHUTDOWN_S)
    return app


def describe(settings: Settings, group: str) -> dict[str, Any]:
    """Return what a worker's first line says: version, process, broker, consumer group, and the web server's
    address."""
    web = settings.web
    return {
        "version": __version__,
        "pid": os.getpid(),
        "broker": settings.bootstrap_servers,
        "group": group,
        "address": f"http://{web.host}:{web.port}" if web.enabled else None,
    }


def run_worker(app: AppWithoutDirectories, settings: Settings, logging_config: dict[str, Any]) -> int:
    """Run ``app`` until SIGTERM, SIGINT or SIGHUP; returns the process's exit code, NOT_DRAINED where
    something was left.

    Raises ConfigurationError where the web server cannot listen on its address, else what the worker crashed
    on.
    """
    worker = DrainingWorker(
        app,
        loglevel=settings.log.level,
        logging_config=logging_config,
        override_logging=False,
        redirect_stdouts=False,
        quiet=True,
    )
    worker.spinner = None  # it draws on stdout, which is not for that
    try:
        worker.execute_from_commandline()
    except SystemExit as exit_request:
        failure = worker.failure or exit_request.__context__
        if isinstance(failure, OSError) and settings.web.enabled and is_about_an_address(failure):
            failure = cannot_listen(settings.web, failure)
        if isinstance(failure, Exception):
            log.error("worker.crashed", **describe_error(failure))  # noqa: TRY400 — a traceback may quote an event
            raise failure from None
        code = exit_request.code if isinstance(exit_request.code, int) else 1
        return code or app.drain.exit_code
    return app.drain.exit_code


def credentials(settings: Settings) -> Credentials | None:
    """Return the settings' security, as Faust takes it. Raises ConfigurationError."""
    options = kafka.client_options(settings)
    context = options.get("ssl_context")
    if "sasl_mechanism" in options:
        return SASLCredentials(
            username=options["sasl_plain_username"],
            password=options["sasl_plain_password"],
            mechanism=options["sasl_mechanism"],
            ssl_context=context,
        )
    return SSLCredentials(context=context) if context is not None else None
