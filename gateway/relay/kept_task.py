"""A task that is kept running: where it ends by itself, which is a defect, it is started again."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from gateway.adapters.tasks import end_tasks

AGAIN_S = 5.0
"""So long after it has ended by itself a task is started again."""


class KeptTask:
    """Keeps ``work`` running until it is stopped.

    ``on_end`` is called with the error of a task that ended by itself, which nobody else would miss.
    """

    def __init__(
        self, work: Callable[[], Coroutine[Any, Any, None]], name: str, on_end: Callable[[BaseException], None]
    ) -> None:
        self._work, self._name, self._on_end = work, name, on_end
        self._task: asyncio.Task[None] | None = None
        self._is_stopping = False

    @property
    def exists(self) -> bool:
        """Whether it was started and not cancelled since."""
        return self._task is not None

    @property
    def has_ended(self) -> bool:
        """Whether it has ended by itself and is not started again yet."""
        return self._task is not None and self._task.done() and not self._is_stopping

    def start(self) -> None:
        """Begin, or begin again."""
        self._is_stopping = False
        self._run_again()

    async def let_end(self, timeout_s: float) -> None:
        """Let it end by itself, for ``timeout_s`` seconds at the most: it is not to be started again."""
        self._is_stopping = True
        if self._task is not None and timeout_s:
            await asyncio.wait([self._task], timeout=timeout_s)

    async def cancel(self) -> None:
        """Cancel it, and wait until it has ended. Another caller may be doing so too."""
        self._is_stopping = True
        task = self._task
        if task is None:
            return
        await end_tasks(task)
        if task is self._task:
            self._task = None

    def _run_again(self) -> None:
        self._task = asyncio.create_task(self._work(), name=self._name)
        self._task.add_done_callback(self._note_end)

    def _note_end(self, task: asyncio.Task[None]) -> None:
        if task is not self._task or not self.has_ended:
            return
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        self._on_end(error or RuntimeError())
        task.get_loop().call_later(AGAIN_S, lambda: self._run_again() if self.has_ended else None)
