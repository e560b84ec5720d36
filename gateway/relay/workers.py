"""Several worker processes from one command: started together, restarted one by one, drained together."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence

import structlog

from gateway.adapters.logs import configure_logs
from gateway.adapters.settings import Settings
from gateway.errors import BrokerUnreachableError, ConfigurationError

log = structlog.get_logger("gateway.relay")

_FIRST_BACKOFF_S, _LAST_BACKOFF_S = 1.0, 30.0
_LASTED_S = 60
"""A worker that ran for so long is restarted as if it had never failed."""
_HOPELESS = frozenset({ConfigurationError.exit_code, BrokerUnreachableError.exit_code})


def run_workers(count: int, settings: Settings, arguments: Sequence[str]) -> int:
    """Run ``count`` times ``gateway run`` with ``arguments`` until SIGTERM or SIGINT, then let them drain; the exit code.

    A worker that ends by itself is started again. Where the first start fails for a setting or for want of a broker, all
    end, with its exit code. Worker n (from 0) serves its pages at ``web.port`` + n.
    """
    configure_logs(settings.log)
    return asyncio.run(_Workers(count, settings, [sys.executable, "-m", "gateway", "run", *arguments]).run())


class _Workers:
    def __init__(self, count: int, settings: Settings, command: Sequence[str]) -> None:
        self._count, self._web, self._command = count, settings.web, command
        self._stopping = asyncio.Event()
        self._codes: list[int] = []
        self._failed_with = 0

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for wanted in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(wanted, self._stopping.set)
        log.info("workers.starting", workers=self._count, pid=os.getpid())
        async with asyncio.TaskGroup() as group:
            for number in range(self._count):
                group.create_task(self._keep(number))
        log.info("workers.stopped", exit_codes=self._codes)
        return self._failed_with or max(self._codes, default=0)

    async def _keep(self, number: int) -> None:
        """Keep worker ``number`` running until all are to stop."""
        backoff, is_first = _FIRST_BACKOFF_S, True
        while not self._stopping.is_set():
            began = time.monotonic()
            code = await self._work(number)
            if is_first and code in _HOPELESS and not self._failed_with:
                self._failed_with = code
                self._stopping.set()
            if self._stopping.is_set():
                self._codes.append(code if code >= 0 else 128 - code)  # as a shell says it of a signal
                return
            backoff = _FIRST_BACKOFF_S if time.monotonic() - began > _LASTED_S else backoff
            log.error("worker.ended", worker=number, exit_code=code, restart_in_s=backoff)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), backoff)
            backoff, is_first = min(backoff * 2, _LAST_BACKOFF_S), False

    async def _work(self, number: int) -> int:
        """Run one process until it ends, or all are to stop; return its exit code."""
        # In a group of its own: Ctrl-C reaches this process, which asks the workers once, and not each of them as well.
        process = await asyncio.create_subprocess_exec(
            *self._command, env=self._environment(number), stdin=asyncio.subprocess.DEVNULL, process_group=0
        )
        ended, stopping = asyncio.create_task(process.wait()), asyncio.create_task(self._stopping.wait())
        await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not ended.done():
            process.terminate()
        return await ended

    def _environment(self, number: int) -> Mapping[str, str]:
        port = {"GATEWAY_WEB__PORT": str(self._web.port + number)} if self._web.enabled else {}
        return os.environ | port
