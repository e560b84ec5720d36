"""What the page is told of one event: by `gateway trace`, of the topics and, where they have it no
longer, of the archive that the settings name."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Mapping
from typing import Any

from gateway.adapters import extras
from gateway.adapters.settings import Settings
from gateway.errors import BrokerUnreachableError, GatewayError, UsageError

_TRACE_S, _ARCHIVE_S, _END_S = 120.0, 60.0, 2.0
_TIMEOUT = "trace_timeout"


async def trace_event(settings: Settings, event_id: str | None, at: str | None) -> dict[str, Any]:
    """Tell the story of an event by its id, or by the place of its input, ``topic/partition/offset``.

    Raises GatewayError with a code that the page knows.
    """
    which = [f"--at={at}"] if at else ["--", event_id or ""]
    story = await _run(settings, which, _TRACE_S)
    if story["occurrences"] or settings.archive_place is None or not extras.is_installed("archive"):
        return story
    return await look_in_archive(settings, story, which)


async def look_in_archive(
    settings: Settings, story: Mapping[str, Any], which: list[str], limit_s: float = _ARCHIVE_S
) -> dict[str, Any]:
    """Complete the topics' ``story``, in which the event does not occur, from the archive, in ``limit_s``.

    ``which`` are the options that say which event. ``searched.archive`` is ``searched``, ``partly`` where
    files could not be read, ``timeout``, or ``failed``: the topics' story is told in any case, and alone
    where nothing is archived yet.
    """
    searched = story["searched"]
    try:
        found = await _run(settings, [f"--archive={settings.archive_place}", *which], limit_s)
    except GatewayError as error:
        return {**story, "searched": searched | {"archive": "timeout" if error.code == _TIMEOUT else "failed"}}
    if not found["searched"]["topics"]:
        return dict(story)
    state = "partly" if found["searched"]["unread"] else "searched"
    records = searched["records"] + found["searched"]["records"]
    return {
        **story,
        "occurrences": found["occurrences"],
        "searched": searched | {"archive": state, "records": records},
    }


async def _run(settings: Settings, options: list[str], limit_s: float) -> dict[str, Any]:
    """Run `gateway trace` in a process of its own: it uses all cores, and a server must not be forked."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "trace", "--format", "json", *options,
        env=os.environ | settings.as_environment(), start_new_session=True,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        answer, errors = await asyncio.wait_for(process.communicate(), limit_s)
    except TimeoutError:
        raise GatewayError(
            f"not found within {limit_s:.0f} s; `gateway trace --since` can look at less", code="trace_timeout"
        ) from None
    finally:
        if process.returncode is None:  # too slow, or the page's server ends: its own processes end with it
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            with contextlib.suppress(TimeoutError):  # one that waits for a dead file system does not even die
                await asyncio.wait_for(process.wait(), _END_S)
    if process.returncode not in {0, 1} or not answer:
        message = errors.decode("utf-8", "replace").strip().removeprefix("gateway: ")[-500:]
        if process.returncode == UsageError.exit_code:  # the id can be any text, and the place is one
            raise UsageError(message, code="partition_unknown")
        if process.returncode == BrokerUnreachableError.exit_code:
            raise BrokerUnreachableError(message)
        raise GatewayError(message)
    story: dict[str, Any] = json.loads(answer)
    return story
