"""What both Faust apps need: the broker's security in Faust's words, an app, and a worker to run it."""

from typing import Any, TypeVar

import faust
from faust.auth import Credentials

from gateway.adapters import aiokafka_patches, kafka
from gateway.adapters.faust_patches import AppWithoutDirectories
from gateway.adapters.settings import Settings

AnyApp = TypeVar("AnyApp", bound=AppWithoutDirectories)


def make_app(app_class: type[AnyApp], app_id: str, settings: Settings, **options: Any) -> AnyApp:
    """Make an app with the settings' brokers, security and web server. Raises ConfigurationError."""
    aiokafka_patches.apply()  # the app makes its own clients
    return app_class(
        app_id,
        broker=[f"kafka://{server.strip()}" for server in settings.bootstrap_servers.split(",")],
        broker_credentials=credentials(settings),
        store="memory://",
        web_enabled=settings.web.enabled,
        web_bind=settings.web.host,
        web_port=settings.web.port,
        web_router_enabled=False,
        web_tables_enabled=False,
        worker_redirect_stdouts=False,
        **options,
    )


def run_worker(app: AppWithoutDirectories, settings: Settings, logging_config: dict[str, Any]) -> int:
    """Run ``app`` until SIGTERM or SIGINT; returns the process's exit code."""
    worker = faust.Worker(
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
        return exit_request.code if isinstance(exit_request.code, int) else 1
    return 0


def credentials(settings: Settings) -> Credentials | None:
    """Return the settings' security, as Faust takes it. Raises ConfigurationError."""
    options = kafka.client_options(settings)
    context = options.get("ssl_context")
    if "sasl_mechanism" in options:
        return faust.SASLCredentials(
            username=options["sasl_plain_username"],
            password=options["sasl_plain_password"],
            mechanism=options["sasl_mechanism"],
            ssl_context=context,
        )
    return faust.SSLCredentials(context=context) if context is not None else None
