"""Marking cases from the page, with the operator's token: one case or many, in one request."""

import asyncio
import hmac
import time
from collections.abc import Callable
from typing import Any

from aiohttp import web

from gateway.adapters.settings import Settings
from gateway.errors import ConfigurationError, UsageError
from gateway.feedback.history import Status
from gateway.feedback.marking import Marked, mark_all
from gateway.feedback.page.answers import answer, refuse
from gateway.feedback.state import State, StateFollower

MOST = 200
"""Cases in one request."""
_MAX_BYTES = 20_000
_WITHIN_S = 10.0


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


class Marks:
    """Marks cases for whoever has the token."""

    def __init__(self, settings: Settings, follower: StateFollower, token: str | None) -> None:
        self._settings, self._follower, self._token = settings, follower, token

    async def mark(self, request: web.Request) -> web.Response:
        """Mark the cases that the body names; answers which were marked, which stood there already, and why
        the others were not.

        Each was announced, and each mark can be read, by the time of the answer. Raises UsageError,
        BrokerUnreachableError.
        """
        if self._token is None:
            return refuse("read_only", "read-only: web.operator_token_file is not set", 403)
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode(), self._token.encode()):
            return refuse("token_wrong", "the operator's token is wrong", 401)
        if request.content_type != "application/json" or (request.content_length or 0) > _MAX_BYTES:
            return refuse("body_invalid", f"send JSON of at most {_MAX_BYTES:,} bytes", 415)
        cases, status, by, note = _read(await _json_of(request))
        # A case is seen here a moment before it is announced, and waits for that on the topic.
        await self._until(lambda state: all(_steps(state, case) for case in cases if case in state.cases))
        known = {case: _steps(self._follower.state, case) for case in cases}
        done = await mark_all(self._settings, self._follower.state, cases, status, by, note)
        written = [*done.cases, *(done.already if done.is_noted else ())]
        await self._until(lambda state: all(_steps(state, case.id) > known.get(case.id, 0) for case in written))
        return answer(_shown(done, status))

    async def _until(self, is_so: Callable[[State], bool]) -> None:
        deadline = time.monotonic() + _WITHIN_S
        # What is waited for comes from a topic, in the follower's own time.
        while not is_so(self._follower.state) and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.1)


def _steps(state: State, case_id: str) -> int:
    return len(state.history.steps.get(case_id, ()))


async def _json_of(request: web.Request) -> Any:
    try:
        return await request.json()
    except ValueError:
        return None


def _read(body: Any) -> tuple[list[str], Status, str, str | None]:
    try:
        cases, status, by, note = body["cases"], Status(body["status"]), str(body["by"]), body.get("note")
        cases = list(dict.fromkeys(str(each) for each in cases)) if isinstance(cases, list) else []
    except (ValueError, KeyError, TypeError, AttributeError):
        cases = []
    if not 0 < len(cases) <= MOST:
        raise UsageError(
            f"the body needs cases (ids, {MOST} at most), status (fed_back, verified) and by; note may stand beside them",
            code="body_invalid",
        )
    return cases, status, by, note and str(note)


def _shown(done: Marked, status: Status) -> dict[str, Any]:
    return {
        "status": status.value,
        "marked": [case.id for case in done.cases],
        "already": [case.id for case in done.already],
        "refused": [{"id": each.case_id, "code": each.error.code, "error": str(each.error)} for each in done.refused],
    }
