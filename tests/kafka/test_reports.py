"""Everybody's reports by schedule, on a real broker: once all is counted, once for each period, and it ends
on SIGTERM."""

import asyncio
import datetime
import time
from pathlib import Path

from gateway.adapters.settings import Settings
from gateway.feedback.report.folder import read_sets
from gateway.feedback.state import read_state
from gateway.operate.feedback.schedule import why_incomplete
from gateway.operate.topics import apply_topics
from tests.kafka.harness import Worker
from tests.kafka.relays_work import RelaysWork
from tests.kafka.test_feedback import feedback_workers, rejected_events

CHINA = datetime.timezone(datetime.timedelta(hours=8))
EVENTS = 200


def test_a_past_day_is_reported_once_all_is_counted(settings: Settings, tmp_path: Path) -> None:
    asyncio.run(apply_topics(settings))
    noon = datetime.datetime.now(CHINA).replace(hour=12) - datetime.timedelta(days=1)
    work = RelaysWork(settings)
    asyncio.run(work.write(rejected_events(settings, EVENTS, 1), int(noon.timestamp() * 1000)))
    reporter = Worker(
        settings, "report", "--each", "--to", str(tmp_path), "--form", "md", "--every", "day", "--at", "00:00"
    ).start()
    try:
        reporter.wait_for("reports.not_written")  # feedback has never run
        with feedback_workers(settings, 1):
            reporter.wait_for("reports.written")
            while why := asyncio.run(_why(settings)):
                assert "is a worker running?" in why
                time.sleep(0.5)
        (written,), _ = read_sets(tmp_path)
        assert (written.first, written.last) == (noon.date().isoformat(),) * 2
        assert len(written.reports) > 20
        # What came while no worker runs is not counted, and a report would leave it out.
        asyncio.run(work.write(rejected_events(settings, EVENTS, 2), int(noon.timestamp() * 1000)))
        assert "feedback has not counted" in str(asyncio.run(_why(settings)))
        assert reporter.terminate() == 0
        # Started again it finds the day done.
        reporter.start()
        reporter.wait_for("reports.starting", count=2)
        dues = [line["next_due"] for line in reporter.events("reports.starting")]
        today, tomorrow = ((noon + datetime.timedelta(days=days)).date().isoformat() for days in (1, 2))
        assert dues == [f"{today}T00:00+08:00", f"{tomorrow}T00:00+08:00"]
        time.sleep(3)
        assert reporter.terminate() == 0
        assert len(reporter.events("reports.written")) == 1
    finally:
        reporter.discard()


async def _why(settings: Settings) -> str | None:
    # A minute is what feedback may be behind; so long nobody waits here.
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=2)
    return await why_incomplete(settings, await read_state(settings), soon)
