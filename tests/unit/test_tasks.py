"""Tasks end, whatever swallows their cancelling."""

import asyncio

from gateway.adapters.tasks import end_tasks
from tests.patience import PATIENCE_S


async def test_a_task_that_swallows_its_cancellation_is_ended() -> None:
    swallowed = 0

    async def work() -> None:
        nonlocal swallowed
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                swallowed += 1
                if swallowed > 1:
                    raise

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    await asyncio.wait_for(end_tasks(task), PATIENCE_S)
    assert (task.cancelled(), swallowed) == (True, 2)
