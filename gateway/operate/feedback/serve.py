"""``gateway feedback run``: a feedback worker with its page; what the page asks of other commands is put in
here."""

import asyncio
import dataclasses
import datetime
from typing import Any

from mode import Service

from gateway.adapters.list_watch import ListWatch
from gateway.adapters.settings import Settings
from gateway.core.recognition import RowRef
from gateway.core.times import format_instant
from gateway.feedback.areas import region_names
from gateway.feedback.health import add_health
from gateway.feedback.page.cluster import Cluster
from gateway.feedback.page.live import Live
from gateway.feedback.page.server import ReportFile, Sources, add_page
from gateway.feedback.page.views import as_of, is_current
from gateway.feedback.report.write import file_name, form_of, make_report
from gateway.feedback.state import StateFollower
from gateway.feedback.worker import run_feedback
from gateway.operate.feedback.trace import trace_event
from gateway.operate.rows import require_rows
from gateway.operate.trace.search import parse_at


def serve_feedback(settings: Settings) -> int:
    """Run until SIGTERM; returns the exit code. Raises ConfigurationError, BrokerUnreachableError."""
    watch = ListWatch(settings.recognition_dir)

    def add_pages(app: Any, follower: StateFollower) -> None:
        if not settings.web.enabled:
            return
        live, cluster = Live(settings), Cluster(settings)
        add_health(app, follower, cluster, settings.topic_names)
        one_at_a_time = asyncio.Semaphore(1)

        async def trace(event_id: str | None, at: str | None) -> dict[str, Any]:
            if at:
                parse_at(at, settings.topic_prefix)
            async with one_at_a_time:
                story = await trace_event(settings, event_id, at)
            for case in [case for each in story["occurrences"] for case in each["cases"]]:
                if case["status"] is None and (known := follower.state.cases.get(case["id"])) is not None:
                    status = follower.state.standing(known).status  # an archive does not know it
                    case["status"] = {"code": status.value, "zh": status.zh}
            return story

        async def report(unit: str | None, since: str | None, until: str | None, suffix: str) -> ReportFile:
            form = form_of(suffix)
            now = datetime.datetime.now(datetime.UTC)
            made = make_report(follower.state, watch.current, unit, since, until, now, settings.feedback.answer)
            if not is_current(live, cluster):
                answered = as_of(live, cluster)
                data_of = None if answered is None else format_instant(answered * 1_000_000)
                made = dataclasses.replace(made, is_current=False, data_of=data_of)
            return ReportFile(await asyncio.to_thread(form.render, made), form.media_type, file_name(made, suffix))

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
                self.add_future(asyncio.to_thread(region_names))  # remembered before the first page asks

            @Service.task
            async def watch_list(self) -> None:
                while not self.should_stop:
                    await self.sleep(settings.recognition_poll_s)
                    await asyncio.to_thread(watch.reload)

    return run_feedback(settings, add_pages)
