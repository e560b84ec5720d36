"""The page's routes on the app's web server. Read-only, but for marking a case with the operator's token."""

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from aiohttp import web

from gateway.adapters.list_watch import ListWatch
from gateway.adapters.settings import Settings
from gateway.core.province import Province
from gateway.core.recognition import RowRef
from gateway.errors import UsageError
from gateway.feedback.page import views
from gateway.feedback.page.answers import answer, carefully, date, number, period, refuse, texts
from gateway.feedback.page.case_list import CaseQuery, list_cases, units_of
from gateway.feedback.page.cluster import Cluster
from gateway.feedback.page.effectiveness import effectiveness
from gateway.feedback.page.live import KEPT_REJECTIONS, Live
from gateway.feedback.page.marks import Marks, read_token
from gateway.feedback.page.rejection_list import list_rejections
from gateway.feedback.report.folder import INDEX, POLICY, find_report
from gateway.feedback.report.model import known_units
from gateway.feedback.report.write import DEFAULT_DAYS
from gateway.feedback.shown import today
from gateway.feedback.state import StateFollower

STATIC = Path(__file__).parent / "static"
MAX_STREAMS = 50
MOST_AT_ONCE = 20
"""Rejections in one push; of the others only the number is sent."""
_TICK_S = 1.0
_BEATS = 15

Trace = Callable[[str | None, str | None], Awaitable[dict[str, Any]]]
"""By an event's id, or by the place of its input record, ``topic/partition/offset``."""
FindRow = Callable[[str], RowRef]


class ReportFile(NamedTuple):
    """A report as it is downloaded: its content, media type and file name."""

    content: bytes
    media_type: str
    name: str


Report = Callable[[str | None, str | None, str | None, str], Awaitable[ReportFile]]

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True)
class Sources:
    """Where the page's answers come from. ``trace``, ``report`` and ``find_row`` (``1/5``, or ``5``) are
    other commands' work, handed in; they raise GatewayError."""

    settings: Settings
    follower: StateFollower
    watch: ListWatch
    live: Live
    cluster: Cluster
    trace: Trace
    report: Report
    find_row: FindRow


def add_page(app: web.Application, sources: Sources) -> None:
    """Put the page's routes on ``app``. Raises ConfigurationError for a token that cannot be read."""
    token = read_token(sources.settings)
    page = _Page(sources, read_only=token is None)
    app.on_response_prepare.append(_add_headers)
    app.on_shutdown.append(page.close)
    app.router.add_get("/", page.index)
    app.router.add_static("/static", STATIC)
    for path, handler in {
        "overview": page.overview,
        "codes": page.codes,
        "rejections": page.rejections,
        "cases": page.cases,
        "list": page.list,
        "effectiveness": page.effectiveness,
        "trace": page.trace,
        "report": page.report,
    }.items():
        app.router.add_get(f"/api/{path}", carefully(handler))
    app.router.add_get("/reports/{name:.*}", page.dated_report)
    marks = Marks(sources.settings, sources.follower, token)
    app.router.add_post("/api/cases/mark", carefully(marks.mark))
    app.router.add_get("/api/events", page.events)


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)


class _Page:
    def __init__(self, sources: Sources, *, read_only: bool) -> None:
        self._from = sources
        self._read_only = read_only
        folder = sources.settings.feedback.reports_dir
        self._reports = None if folder is None else sources.settings.beside_file(folder)
        self._streams = 0
        self._closing = asyncio.Event()
        self._latest: tuple[float, dict[str, Any]] = (0, {})

    async def close(self, _: web.Application) -> None:
        """End the streams: a page that is open must not keep the process."""
        self._closing.set()

    async def index(self, _: web.Request) -> web.StreamResponse:
        return web.FileResponse(STATIC / "index.html")

    def _overview(self) -> dict[str, Any]:
        """Return the overview, which is made once a second and is the same for all open pages."""
        made, latest = self._latest
        if not latest or time.monotonic() - made >= _TICK_S / 2:
            watch = self._from.watch
            latest = views.overview(
                self._from.live, self._from.cluster, self._from.follower.state, watch.current,
                edit_refused=bool(watch.problems), overdue_days=self._from.settings.feedback.overdue_days,
            ) | {"read_only": self._read_only}  # fmt: skip
            self._latest = time.monotonic(), latest
        return latest

    async def overview(self, _: web.Request) -> web.Response:
        return answer(self._overview())

    async def codes(self, _: web.Request) -> web.Response:
        return answer(await asyncio.to_thread(views.codes))  # the first time it names every place

    async def rejections(self, request: web.Request) -> web.Response:
        wanted = texts(request, "province", "code", "unit", "place")
        before, limit = number(request, "before"), min(number(request, "limit") or 50, KEPT_REJECTIONS)
        units = units_of(self._from.follower.state)
        return answer(
            list_rejections(self._from.live, wanted, self._row(request), before, limit, units) | {"units": units}
        )

    async def cases(self, request: web.Request) -> web.Response:
        wanted = texts(request, "id", "status", "province", "code", "certificate", "unit", "text")
        query = CaseQuery(
            **wanted,
            row=self._row(request),
            reopened=bool(request.query.get("reopened")),
            own_matter=bool(request.query.get("own_matter")),
            period=period(request),
        )
        sort, state = request.query.get("sort") or "last-desc", self._from.follower.state
        units = known_units(state, self._from.watch.current) if query.unit else ()
        found = list_cases(state, query, sort, number(request, "limit") or 200, units)
        dated = find_report(self._reports, INDEX) is not None
        return answer(found | {"read_only": self._read_only, "reports": dated, "report_days": DEFAULT_DAYS})

    def _row(self, request: web.Request) -> RowRef | None:
        text = request.query.get("row")
        return self._from.find_row(text) if text else None

    async def list(self, request: web.Request) -> web.Response:
        return answer(views.recognition_list(self._from.watch.current, date(request, "date") or today()))

    async def effectiveness(self, request: web.Request) -> web.Response:
        province = request.query.get("province", Province.SICHUAN.value)
        if province not in {each.value for each in Province}:
            raise UsageError("province: sichuan or chongqing", code="province_invalid")
        first, last = period(request) or ("0001-01-01", today())
        state, recognition = self._from.follower.state, self._from.watch.current
        return answer(effectiveness(state, recognition, Province(province), first, last))

    async def trace(self, request: web.Request) -> web.Response:
        wanted = texts(request, "id", "at")
        if len(wanted) != 1:
            raise UsageError("say which event: id, or at", code="id_missing")
        return answer(await self._from.trace(wanted.get("id"), wanted.get("at")))

    async def report(self, request: web.Request) -> web.Response:
        query, suffix = request.query, request.query.get("format", "html")
        made = await self._from.report(query.get("unit"), query.get("since"), query.get("until"), suffix)
        # By RFC 6266 a name that is not ASCII stands beside one that is.
        disposition = f"attachment; filename=\"report.{suffix}\"; filename*=UTF-8''{quote(made.name)}"
        return web.Response(
            body=made.content, content_type=made.media_type, headers={"Content-Disposition": disposition}
        )

    async def dated_report(self, request: web.Request) -> web.StreamResponse:
        """Send a file of the folder of dated reports: its indexes and reports, and nothing else."""
        found = find_report(self._reports, request.match_info["name"] or INDEX)
        if found is None:
            raise web.HTTPNotFound
        return web.FileResponse(found, headers={"Content-Security-Policy": f"{POLICY}; frame-ancestors 'none'"})

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Stream server-sent events: ``overview`` each second, ``rejections`` as they come."""
        if self._streams >= MAX_STREAMS:
            return refuse("pages_open", f"{MAX_STREAMS} pages are open already; close one", 503)
        self._streams += 1
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        try:
            await response.prepare(request)
            with contextlib.suppress(ConnectionError):
                await self._push(response)
        finally:
            self._streams -= 1
        return response

    async def _push(self, response: web.StreamResponse) -> None:
        live, sent, last, beats = self._from.live, self._from.live.seq, "", 0
        while not self._closing.is_set():
            overview = self._overview()
            comparable = json.dumps(overview | {"now": 0}, ensure_ascii=False)
            beats += 1
            if comparable != last or beats >= _BEATS:
                last, beats = comparable, 0
                await _send(response, "overview", overview)
            if live.seq > sent:
                fresh = [item for item in live.rejections if item["seq"] > sent]
                shown = fresh[-MOST_AT_ONCE:]
                left_out = live.seq - sent - len(shown)
                sent = live.seq
                await _send(response, "rejections", {"items": shown[::-1], "left_out": left_out})
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), _TICK_S)


async def _send(response: web.StreamResponse, event: str, content: Any) -> None:
    await response.write(f"event: {event}\ndata: {json.dumps(content, ensure_ascii=False)}\n\n".encode())
