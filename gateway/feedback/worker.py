"""Runs a feedback worker: topics first, then the Faust app with the page, until SIGTERM."""

import asyncio
from collections.abc import Callable
from typing import Any

import structlog

from gateway.adapters.faust_worker import run_worker
from gateway.adapters.logs import configure_logs
from gateway.adapters.settings import Settings
from gateway.errors import TopicsDifferError
from gateway.feedback.app import make_app
from gateway.feedback.prepare import prepare_topics
from gateway.feedback.state import StateFollower

log = structlog.get_logger("gateway.feedback")


def run_feedback(settings: Settings, add_pages: Callable[[Any, StateFollower], None]) -> int:
    """Run until SIGTERM or SIGINT; returns the exit code. ``add_pages`` gets the Faust app, to put its
    routes on.

    Raises ConfigurationError where topics do not match, BrokerUnreachableError where no broker answers at
    start. Where they only differ in partitions it starts, as a relay does, and its tables wait.
    """
    logging_config = configure_logs(settings.log)
    try:
        asyncio.run(prepare_topics(settings))
    except TopicsDifferError as error:
        hint = "`gateway topics plan` says what to do; nothing is counted until then"
        log.error("topics.differ", partitions=error.partitions, hint=hint)  # noqa: TRY400 — it says all
    follower = StateFollower(settings)
    app = make_app(settings, follower)
    add_pages(app, follower)
    return run_worker(app, settings, logging_config)
