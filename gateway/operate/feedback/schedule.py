"""``gateway report --each --every``: everybody's reports once a day or week, each period's once.

What was written is known by the folder alone: a process that starts again finds there what is done. Of
periods that passed while none ran, the newest is written.
"""

import asyncio
import datetime
import re
import signal
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from gateway.adapters import kafka
from gateway.adapters.list_files import load_recognition
from gateway.adapters.logs import configure_logs
from gateway.adapters.repeating import repeat_until, set_by_signals
from gateway.adapters.settings import Settings
from gateway.adapters.topic_reader import Span, find_last, find_spans
from gateway.errors import GatewayError, UsageError
from gateway.feedback.counting import case_sources
from gateway.feedback.report.folder import is_written
from gateway.feedback.state import State, read_state
from gateway.operate.feedback.report import require_forms, write_all

log = structlog.get_logger("gateway.report")

_CHINA = datetime.timezone(datetime.timedelta(hours=8))
_LOOK_S = 10
_COUNTED_WITHIN_S = 60
"""Feedback counts within seconds; what it has not counted after this long, it is behind with."""
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")


class Every(StrEnum):
    """How often: each period is a calendar day, or a week from Monday to Sunday."""

    DAY = "day"
    WEEK = "week"


def parse_every(text: str) -> Every:
    """Read how often, ``day`` or ``week``. Raises UsageError."""
    try:
        return Every(text)
    except ValueError:
        raise UsageError(f"--every: {text[:20]} is not day or week") from None


def parse_clock(text: str) -> datetime.time:
    """Read a time of day, HH:MM. Raises UsageError."""
    match = _CLOCK.fullmatch(text)
    if match is None:
        raise UsageError(f"--at: {text[:20]} is not a time of day (HH:MM, such as 07:00)")
    return datetime.time(int(match[1]), int(match[2]))


def due_period(every: Every, at: datetime.time, now: datetime.datetime) -> tuple[str, str]:
    """Return the first and last day of the newest period whose reports are due by ``now``: from ``at``, in
    China, on the day after it."""
    here = now.astimezone(_CHINA)
    day = here.date() if here.time() >= at else here.date() - datetime.timedelta(days=1)
    if every is Every.WEEK:
        day -= datetime.timedelta(days=day.weekday())
    length = 7 if every is Every.WEEK else 1
    return (day - datetime.timedelta(days=length)).isoformat(), (day - datetime.timedelta(days=1)).isoformat()


def period_after(every: Every, period: tuple[str, str]) -> tuple[str, str]:
    """Return the first and last day of the period that follows ``period``."""
    first = datetime.date.fromisoformat(period[1]) + datetime.timedelta(days=1)
    length = 7 if every is Every.WEEK else 1
    return first.isoformat(), (first + datetime.timedelta(days=length - 1)).isoformat()


def due_at(at: datetime.time, period: tuple[str, str]) -> str:
    """Return when the reports of ``period`` are due: on the day after it, in Beijing, with the offset."""
    day = datetime.date.fromisoformat(period[1]) + datetime.timedelta(days=1)
    return datetime.datetime.combine(day, at, _CHINA).isoformat(timespec="minutes")


def keep_reporting(settings: Settings, folder: Path, forms: Sequence[str], every: Every, at: datetime.time) -> int:
    """Write the reports of each period once it is due, until SIGTERM; returns the exit code, 0.

    What keeps them from being written is logged, and tried again.
    """
    require_forms(forms)
    configure_logs(settings.log)
    asyncio.run(_keep_reporting(settings, folder, forms, every, at))
    return 0


async def _keep_reporting(
    settings: Settings, folder: Path, forms: Sequence[str], every: Every, at: datetime.time
) -> None:
    stopping = set_by_signals(signal.SIGTERM)
    period = due_period(every, at, datetime.datetime.now(datetime.UTC))
    following = period_after(every, period) if is_written(folder, *period) else period
    next_due = due_at(at, following)
    log.info("reports.starting", folder=str(folder), every=every.value, at=at.strftime("%H:%M"), next_due=next_due)

    async def write_if_due() -> None:
        due = due_period(every, at, datetime.datetime.now(datetime.UTC))
        if not is_written(folder, *due):
            await _write_once(settings, folder, forms, due, due_at(at, period_after(every, due)))

    await repeat_until(stopping, write_if_due, _LOOK_S, counts_pauses=True)
    log.info("reports.stopped")


async def _write_once(
    settings: Settings, folder: Path, forms: Sequence[str], period: tuple[str, str], next_due: str
) -> None:
    """Write a period's set if all is counted; log what came of it, and when the next one is due. The set
    would not be written a second time."""
    since, until = period
    now = datetime.datetime.now(datetime.UTC)
    try:
        state = await read_state(settings)
        if why := await why_incomplete(settings, state, now):
            log.warning("reports.waiting", since=since, until=until, why=why)
            return
        recognition = load_recognition(settings.recognition_dir)
        written = await asyncio.to_thread(write_all, settings, state, recognition, period, now, folder, forms)
    except (GatewayError, KafkaError, OSError) as error:
        log.error("reports.not_written", since=since, until=until, why=str(error) or type(error).__name__)  # noqa: TRY400
    else:
        log.info("reports.written", since=since, until=until, folder=str(written), next_due=next_due)


async def why_incomplete(settings: Settings, state: State, now: datetime.datetime) -> str | None:
    """Return why counts are not complete; None where all records older than a minute are counted."""
    if state.is_counted_again:
        return "feedback is counting again"
    until = round((now.timestamp() - _COUNTED_WITHIN_S) * 1000)
    shares, days = settings.changelogs
    topics = settings.topic_names
    for changelog, sources in ((shares, case_sources(topics)), (days, (topics.ledger,))):
        partitions = await kafka.partitions_of(settings, list(sources))
        async with kafka.consumer(settings) as consumer:
            consumer.assign(partitions)
            for each, span in (await find_spans(consumer, partitions, until=until)).items():
                counted = _counted(state, changelog, each)
                rest = Span(span.log_start, max(span.log_start, counted), span.end)
                # What is left may be markers only, which are no records.
                if rest.start < rest.end and await find_last(consumer, each, rest) is not None:
                    place = f"{each.topic}/{each.partition} from offset {rest.start} on"
                    return f"feedback has not counted {place}: is a worker running?"
    return None


def _counted(state: State, changelog: str, source: TopicPartition) -> int:
    position = state.positions.get((changelog, source.partition))
    return position.next.get(source.topic, 0) if position else 0
