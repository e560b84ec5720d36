"""The page's routes on the app's web server. Read-only, but for marking a case with the operator's token."""

import asyncio
import contextlib
import hmac
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from gateway.adapters.list_watch import ListWatch
from gateway.adapters.settings import Settings
from gateway.core.province import Province
from gateway.core.recognition import RowRef
from gateway.core.times import is_date
from gateway.errors import ConfigurationError, GatewayError, UsageError
from gateway.feedback.history import Status
from gateway.feedback.marking import mark
from gateway.feedback.page import views
from gateway.feedback.page.cluster import Cluster
from gateway.feedback.page.live import Live
from gateway.feedback.shown import today
from gateway.feedback.state import StateFollower

STATIC = Path(__file__).parent / "static"
MAX_STREAMS = 50
MOST_AT_ONCE = 20
"""Rejections in one push; of more the number is told."""
_TICK_S = 1.0
_BEATS = 15

Trace = Callable[[str], Awaitable[dict[str, Any]]]
FindRow = Callable[[str], RowRef]
Report = Callable[[str | None, str | None, str | None, str], Awaitable[tuple[bytes, str]]]

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
    """Where the page's answers come from. ``trace``, ``report`` and ``find_row`` (``1/5``, or ``5``) are other commands' work,
    handed in; they raise GatewayError."""

    settings: Settings
    follower: StateFollower
    watch: ListWatch
    live: Live
    cluster: Cluster
    trace: Trace
    report: Report
    find_row: FindRow


def read_token(settings: Settings) -> str | None:
    """Return the operator's token; None where none is set. Raises ConfigurationError."""
    file = settings.web.operator_token_file
    if file is None:
        return None
    path = settings.beside_file(file)
    try:
        token = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigurationError(f"web.operator_token_file: {path} cannot be read ({error.strerror})") from None
    if len(token) < 16:
        raise ConfigurationError(f"web.operator_token_file: {path} holds fewer than 16 characters")
    return token


def add_page(app: web.Application, sources: Sources) -> None:
    """Put the page's routes on ``app``. Raises ConfigurationError for a token that cannot be read."""
    page = _Page(sources, read_token(sources.settings))
    app.on_response_prepare.append(_add_headers)
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
        app.router.add_get(f"/api/{path}", _carefully(handler))
    app.router.add_post("/api/cases/{case}/mark", _carefully(page.mark))
    app.router.add_get("/api/events", page.events)


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)


def _carefully(handler: Callable[[web.Request], Awaitable[web.Response]]) -> Any:
    async def handle(request: web.Request) -> web.Response:
        try:
            return await handler(request)
        except UsageError as error:
            return _json({"error": str(error)}, status=400)
        except GatewayError as error:
            return _json({"error": str(error)}, status=503)

    return handle


def _json(content: Any, status: int = 200) -> web.Response:
    return web.json_response(content, status=status, dumps=lambda value: json.dumps(value, ensure_ascii=False))


class _Page:
    def __init__(self, sources: Sources, token: str | None) -> None:
        self._from = sources
        self._token = token
        self._streams = 0
        self._latest: tuple[float, dict[str, Any]] = (0, {})

    async def index(self, _: web.Request) -> web.StreamResponse:
        return web.FileResponse(STATIC / "index.html")

    def _overview(self) -> dict[str, Any]:
        """Return the same for all pages that are open, made once a second."""
        made, latest = self._latest
        if not latest or time.monotonic() - made >= _TICK_S / 2:
            watch = self._from.watch
            latest = views.overview(
                self._from.live, self._from.cluster, self._from.follower.state, watch.current,
                edit_refused=bool(watch.problems),
            ) | {"read_only": self._token is None}  # fmt: skip
            self._latest = time.monotonic(), latest
        return latest

    async def overview(self, _: web.Request) -> web.Response:
        return _json(self._overview())

    async def codes(self, _: web.Request) -> web.Response:
        return _json(views.codes())

    async def rejections(self, request: web.Request) -> web.Response:
        wanted = _wanted(request, "province", "code", "unit")
        before = _number(request, "before")
        limit = min(_number(request, "limit") or 50, views.MOST)
        return _json(views.rejections(self._from.live, wanted, self._row(request), before, limit))

    async def cases(self, request: web.Request) -> web.Response:
        wanted = _wanted(request, "id", "status", "province", "code", "unit")
        return _json(views.cases(self._from.follower.state, wanted, self._row(request)))

    def _row(self, request: web.Request) -> RowRef | None:
        text = request.query.get("row")
        return self._from.find_row(text) if text else None

    async def list(self, request: web.Request) -> web.Response:
        return _json(views.recognition_list(self._from.watch.current, _date(request, "date") or today()))

    async def effectiveness(self, request: web.Request) -> web.Response:
        province = request.query.get("province", Province.SICHUAN.value)
        if province not in {each.value for each in Province}:
            raise UsageError("province: sichuan or chongqing")
        first, last = _date(request, "since") or "0001-01-01", _date(request, "until") or today()
        state, recognition = self._from.follower.state, self._from.watch.current
        return _json(views.effectiveness(state, recognition, Province(province), first, last))

    async def trace(self, request: web.Request) -> web.Response:
        event_id = request.query.get("id", "")
        if not 0 < len(event_id) <= 500:
            raise UsageError("id: say which event")
        return _json(await self._from.trace(event_id))

    async def report(self, request: web.Request) -> web.Response:
        query, suffix = request.query, request.query.get("format", "html")
        content, content_type = await self._from.report(
            query.get("unit"), query.get("since"), query.get("until"), suffix
        )
        headers = {"Content-Disposition": f'attachment; filename="report.{suffix}"'}
        return web.Response(body=content, content_type=content_type, headers=headers)

    async def mark(self, request: web.Request) -> web.Response:
        if self._token is None:
            return _json({"error": "read-only: web.operator_token_file is not set"}, status=403)
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode(), self._token.encode()):
            return _json({"error": "the operator's token is wrong"}, status=401)
        if request.content_type != "application/json" or (request.content_length or 0) > 10_000:
            return _json({"error": "send JSON of at most 10,000 bytes"}, status=415)
        try:
            body = await request.json()
            status, by, note = Status(body["status"]), str(body["by"]), body.get("note")
        except (ValueError, KeyError, TypeError, AttributeError):
            raise UsageError("the body needs status (fed_back, verified) and by; note may stand beside them") from None
        state = self._from.follower.state
        case = await mark(self._from.settings, state, request.match_info["case"], status, by, note and str(note))
        return _json({"id": case.id, "status": status.value})

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events: ``overview`` each second, ``rejections`` as they come."""
        if self._streams >= MAX_STREAMS:
            return _json({"error": f"{MAX_STREAMS} pages are open already; close one"}, status=503)
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
        live, told, last, beats = self._from.live, self._from.live.seq, "", 0
        while True:
            overview = self._overview()
            told_now = json.dumps(overview | {"now": 0}, ensure_ascii=False)
            beats += 1
            if told_now != last or beats >= _BEATS:
                last, beats = told_now, 0
                await _send(response, "overview", overview)
            if live.seq > told:
                fresh = [item for item in live.rejections if item["seq"] > told]
                shown = fresh[-MOST_AT_ONCE:]
                left_out = live.seq - told - len(shown)
                told = live.seq
                await _send(response, "rejections", {"items": shown[::-1], "left_out": left_out})
            await asyncio.sleep(_TICK_S)


async def _send(response: web.StreamResponse, event: str, content: Any) -> None:
    await response.write(f"event: {event}\ndata: {json.dumps(content, ensure_ascii=False)}\n\n".encode())


def _wanted(request: web.Request, *names: str) -> dict[str, str]:
    return {name: request.query[name] for name in names if request.query.get(name)}


def _number(request: web.Request, name: str) -> int | None:
    text = request.query.get(name)
    if text is None:
        return None
    if not text.isdecimal() or len(text) > 15:
        raise UsageError(f"{name}: a number")
    return int(text)


def _date(request: web.Request, name: str) -> str | None:
    text = request.query.get(name)
    if text and not is_date(text):
        raise UsageError(f"{name}: {text[:20]} is no calendar date, YYYY-MM-DD")
    return text or None
