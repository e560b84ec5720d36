"""``gateway feedback run``: a feedback worker with its page; what the page asks of other commands is put in here."""

from typing import Any

from gateway.adapters.settings import Settings
from gateway.feedback.health import add_health
from gateway.feedback.run import run_feedback
from gateway.feedback.state import StateFollower


def serve_feedback(settings: Settings) -> int:
    """Run until SIGTERM; returns the exit code. Raises ConfigurationError, BrokerUnreachableError."""

    def add_pages(app: Any, follower: StateFollower) -> None:
        add_health(app, follower)

    return run_feedback(settings, add_pages)
