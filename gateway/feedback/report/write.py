"""From state to a report's file: the days that are meant, the form that its name asks for."""

import datetime
from collections.abc import Callable
from typing import NamedTuple

from gateway.adapters import extras
from gateway.core.recognition import Recognition
from gateway.core.times import china_date, is_date, parse_instant
from gateway.errors import UsageError
from gateway.feedback.report.markdown import render_markdown
from gateway.feedback.report.model import Report, build_report
from gateway.feedback.state import State

DEFAULT_DAYS = 30


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
    """Return the form ``html``, ``md`` or ``xlsx``. Raises UsageError; ConfigurationError if its extra is missing."""
    form = FORMS.get(suffix.removeprefix(".").lower())
    if form is None:
        raise UsageError(f"a report is .html, .md or .xlsx; {suffix or 'a name without an ending'} is none of them")
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
) -> Report:
    """Make the report from ``since`` to ``until`` (dates in China or RFC 3339; default: 30 days up to ``now``).

    Raises UsageError.
    """
    made = now.astimezone(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    last = _day("until", until) or china_date(int(now.timestamp() * 1_000_000))
    days_back = datetime.timedelta(days=DEFAULT_DAYS - 1)
    first = _day("since", since) or (datetime.date.fromisoformat(last) - days_back).isoformat()
    return build_report(state, recognition, unit or None, first, last, made)


def _day(option: str, text: str | None) -> str | None:
    if not text:
        return None
    if is_date(text):
        return text
    instant = parse_instant(text) if "T" in text else None
    if instant is None:
        raise UsageError(f"{option}: {text[:40]} is no day (2026-10-01) and no time (2026-10-01T08:00:00+08:00)")
    return china_date(instant)
