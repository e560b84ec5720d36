"""Repeats a task until the process is told to stop, as `audit --every`, `report --every` and `archive run`
do."""

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable, Coroutine
from typing import Any

from gateway.adapters.tasks import end_tasks


def set_by_signals(*signals: signal.Signals) -> asyncio.Event:
    """Return an event that is set once one of ``signals`` comes, which no longer ends the process then."""
    stopping, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in signals:
        loop.add_signal_handler(number, stopping.set)
    return stopping


async def repeat_until(
    stopping: asyncio.Event, task: Callable[[], Coroutine[Any, Any, None]], every_s: float, *, counts_pauses: bool = False
) -> None:  # fmt: skip
    """Run ``task`` again and again, until ``stopping`` is set: then it is cancelled, and waited for.

    It begins every ``every_s`` seconds, at once where it took longer; with ``counts_pauses`` that long after
    its end. What it raises is raised here, and ends it.
    """
    stopped = asyncio.create_task(stopping.wait())
    try:
        while not stopping.is_set():
            began = time.monotonic()
            running = asyncio.create_task(task())
            await asyncio.wait({running, stopped}, return_when=asyncio.FIRST_COMPLETED)
            await end_tasks(running)
            if not stopping.is_set():
                running.result()
            pause = every_s if counts_pauses else max(0.0, every_s - (time.monotonic() - began))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), pause)
    finally:
        await end_tasks(stopped)
