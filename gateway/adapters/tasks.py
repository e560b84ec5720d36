"""Ends tasks whose cancelling may be lost on its way."""

import asyncio
from typing import Any

_CANCEL_AGAIN_S = 0.5


async def end_tasks(*tasks: asyncio.Task[Any]) -> None:
    """Cancel ``tasks`` and wait until they have ended; what they raised or returned is theirs.

    Each is cancelled again until it ends: where a client waits for a task of its own that it has just
    cancelled, that one takes the second cancelling for the first, and the client goes on as though there had
    been none. aiokafka's consumers do so amid a rebalance and while they are being closed.
    """
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_CANCEL_AGAIN_S)
    for task in tasks:
        if not task.cancelled():
            task.exception()  # asyncio would report one that nobody has looked at
