"""Answers as JSON, and what a request asks for. An error has a ``code``, for which the page has words of its
own."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from gateway.core.times import is_date
from gateway.errors import GatewayError, UsageError
from gateway.feedback.shown import today

Handler = Callable[[web.Request], Awaitable[web.Response]]


def answer(content: Any, status: int = 200) -> web.Response:
    """Answer ``content`` as JSON."""
    return web.json_response(content, status=status, dumps=lambda value: json.dumps(value, ensure_ascii=False))


def refuse(code: str, error: str, status: int) -> web.Response:
    """Answer what is wrong: ``error`` in English, and the ``code`` by which the page finds its words."""
    return answer({"error": error, "code": code}, status)


def carefully(handler: Handler) -> Handler:
    """Return ``handler`` with its errors as answers: 400 for what was asked, 503 for what could not be
    answered."""

    async def handle(request: web.Request) -> web.Response:
        try:
            return await handler(request)
        except UsageError as error:
            return refuse(error.code, str(error), 400)
        except GatewayError as error:
            return refuse(error.code, str(error), 503)

    return handle


def texts(request: web.Request, *names: str) -> dict[str, str]:
    """Return those of the query's parameters that are there and not empty. Raises UsageError for one of over
    500 characters."""
    found = {name: request.query[name] for name in names if request.query.get(name)}
    for name, text in found.items():
        if len(text) > 500:
            raise UsageError(f"{name}: at most 500 characters", code="text_too_long")
    return found


def number(request: web.Request, name: str) -> int | None:
    """Return a number of the query; None where it is not there. Raises UsageError."""
    text = request.query.get(name)
    if text is None:
        return None
    if not text.isdecimal() or len(text) > 15:
        raise UsageError(f"{name}: a number", code="number_invalid")
    return int(text)


def date(request: web.Request, name: str) -> str | None:
    """Return a date of the query (YYYY-MM-DD); None where it is not there. Raises UsageError."""
    text = request.query.get(name)
    if text and not is_date(text):
        raise UsageError(f"{name}: {text[:20]} is not a date (YYYY-MM-DD)", code="date_invalid")
    return text or None


def period(request: web.Request) -> tuple[str, str] | None:
    """Return the days of the query from ``since`` to ``until`` (without: today); None where it has neither.

    Raises UsageError, also where the last day lies before the first.
    """
    since, until = date(request, "since"), date(request, "until")
    if since is None and until is None:
        return None
    first, last = since or "0001-01-01", until or today()
    if first > last:
        raise UsageError(f"until ({last}) lies before since ({first})", code="period_reversed")
    return first, last
