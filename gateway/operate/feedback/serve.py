"""``gateway feedback run``: a feedback worker with its page; what the page asks of other commands is put in here."""

import asyncio
import datetime
import json
import os
import sys
from typing import Any

from mode import Service

from gateway.adapters.list_watch import ListWatch
from gateway.adapters.settings import Settings
from gateway.core.recognition import RowRef
from gateway.errors import GatewayError
from gateway.feedback.health import add_health
from gateway.feedback.page.cluster import Cluster
from gateway.feedback.page.live import Live
from gateway.feedback.page.server import Sources, add_page
from gateway.feedback.report.write import form_of, make_report
from gateway.feedback.state import StateFollower
from gateway.feedback.worker import run_feedback
from gateway.operate.rows import require_rows

_TRACE_S = 120


def serve_feedback(settings: Settings) -> int:
    """Run until SIGTERM; returns the exit code. Raises ConfigurationError, BrokerUnreachableError."""
    watch = ListWatch(settings.recognition_dir)

    def add_pages(app: Any, follower: StateFollower) -> None:
        if not settings.web.enabled:
            return
        live, cluster = Live(settings), Cluster(settings)
        add_health(app, follower, cluster, settings.topic_names)
        one_at_a_time = asyncio.Semaphore(1)

        async def trace(event_id: str) -> dict[str, Any]:
            async with one_at_a_time:
                return await _trace(settings, event_id)

        async def report(unit: str | None, since: str | None, until: str | None, suffix: str) -> tuple[bytes, str]:
            form = form_of(suffix)
            made = make_report(follower.state, watch.current, unit, since, until, datetime.datetime.now(datetime.UTC))
            return await asyncio.to_thread(form.render, made), form.media_type

        def find_row(text: str) -> RowRef:
            (row,) = require_rows("row", watch.current, text)
            return row

        add_page(app.web.web_app, Sources(settings, follower, watch, live, cluster, trace, report, find_row))

        @app.service
        class PageService(Service):
            """Keeps what the page shows up to date."""

            async def on_start(self) -> None:
                self.add_future(live.run())
                self.add_future(cluster.run())

            @Service.task
            async def watch_list(self) -> None:
                while not self.should_stop:
                    await self.sleep(settings.recognition_poll_s)
                    await asyncio.to_thread(watch.reload)

    return run_feedback(settings, add_pages)


async def _trace(settings: Settings, event_id: str) -> dict[str, Any]:
    """`gateway trace`, in a process of its own: it uses all cores, and a server must not be forked."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "trace", "--format", "json", "--", event_id,
        env=os.environ | settings.as_environment(),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        told, complaint = await asyncio.wait_for(process.communicate(), _TRACE_S)
    except TimeoutError:
        process.kill()
        raise GatewayError(f"not found within {_TRACE_S} s; `gateway trace --since` can look at less") from None
    if process.returncode not in {0, 1} or not told:
        raise GatewayError(complaint.decode("utf-8", "replace").strip().removeprefix("gateway: ")[-500:])
    story: dict[str, Any] = json.loads(told)
    return story
