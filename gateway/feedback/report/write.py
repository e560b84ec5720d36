"""From state to a report's file: the days that are meant, the form that its name asks for, and what it is
called."""

import datetime
import re
from collections.abc import Callable
from typing import NamedTuple

from gateway.adapters import extras
from gateway.core.recognition import Recognition
from gateway.core.times import china_date, is_date, parse_instant
from gateway.errors import UsageError
from gateway.feedback.report.markdown import render_markdown
from gateway.feedback.report.model import ALL_UNITS, Report, build_report
from gateway.feedback.state import State

DEFAULT_DAYS = 30
_MAX_NAME = 60
"""Characters of a unit's name in a file's name: 3 bytes each, of the 255 that file systems allow."""
_NOT_IN_NAMES = re.compile(r"[^\w（）()-]+")


class Form(NamedTuple):
    """How a report is written, and its media type."""

    render: Callable[[Report], bytes]
    media_type: str


def _render_html(report: Report) -> bytes:
    from gateway.feedback.report.html import render_html  # noqa: PLC0415 — its charts come with an extra

    return render_html(report)


def _render_xlsx(report: Report) -> bytes:
    from gateway.feedback.report.xlsx import render_xlsx  # noqa: PLC0415 — an extra

    return render_xlsx(report)


FORMS = {
    "html": Form(_render_html, "text/html"),
    "md": Form(render_markdown, "text/markdown"),
    "xlsx": Form(_render_xlsx, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
}


def form_of(suffix: str) -> Form:
    """Return the form ``html``, ``md`` or ``xlsx``. Raises UsageError; ConfigurationError if its extra is
    missing."""
    form = FORMS.get(suffix.removeprefix(".").lower())
    if form is None:
        what = f"unsupported format {suffix[:20]}" if suffix else "the file's name has no ending"
        raise UsageError(f"{what}: use .html, .md or .xlsx", code="format_invalid")
    if form is not FORMS["md"]:
        extras.require("report", "a report as .html or .xlsx")
    return form


def make_report(
    state: State,
    recognition: Recognition,
    unit: str | None,
    since: str | None,
    until: str | None,
    now: datetime.datetime,
    answer: tuple[str, int] | None = None,
) -> Report:
    """Make the report of the days from ``since`` to ``until``; ``answer`` is the settings'. Raises
    UsageError."""
    made = now.astimezone(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return build_report(state, recognition, unit or None, *period_of(since, until, now), made, answer)


def period_of(since: str | None, until: str | None, now: datetime.datetime) -> tuple[str, str]:
    """Return the first and the last day that are meant (dates in China or RFC 3339; default: 30 days up to
    ``now``).

    Raises UsageError.
    """
    last = _day("until", until) or china_date(int(now.timestamp() * 1_000_000))
    days_back = datetime.timedelta(days=DEFAULT_DAYS - 1)
    return _day("since", since) or (datetime.date.fromisoformat(last) - days_back).isoformat(), last


def file_name(report: Report, suffix: str) -> str:
    """Name a report's file by its unit and period, in letters and digits only: units' names come from
    outside."""
    unit = _NOT_IN_NAMES.sub("_", report.unit or ALL_UNITS)[:_MAX_NAME]
    period = report.first if report.first == report.last else f"{report.first}至{report.last}"
    return f"亮证互认情况反馈_{unit}_{period}.{suffix.removeprefix('.').lower()}"


def _day(option: str, text: str | None) -> str | None:
    if not text:
        return None
    if is_date(text):
        return text
    instant = parse_instant(text) if "T" in text else None
    if instant is None:
        message = f"{option}: '{text[:40]}' is not a day (2026-10-01) or a time (2026-10-01T08:00:00+08:00)"
        raise UsageError(message, code="date_invalid")
    return china_date(instant)
