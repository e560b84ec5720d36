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
_OVERDUE_S = 0.5
"""A worker ends itself within its drain time; one that is frozen does not, and is killed this long after."""
_HOPELESS = frozenset({ConfigurationError.exit_code, BrokerUnreachableError.exit_code})


def run_workers(count: int, settings: Settings, arguments: Sequence[str]) -> int:
    """Run ``count`` times ``gateway run`` with ``arguments`` until SIGTERM, SIGINT or SIGHUP, then let them
    drain.

    Returns the exit code, the workers' highest. A second SIGTERM or SIGINT kills them.

    A worker that ends by itself is started again. Each line of its log has its number (``process``).
    Where the first start fails for a setting or for want of a broker, all end, with its exit code. Worker
    n (from 0) serves its pages at ``web.port`` + n.
    """
    configure_logs(settings.log)
    return asyncio.run(_Workers(count, settings, [sys.executable, "-m", "gateway", "run", *arguments]).run())


class _Workers:
    def __init__(self, count: int, settings: Settings, command: Sequence[str]) -> None:
        self._count, self._web, self._command = count, settings.web, command
        self._drain_s = settings.relay.drain_timeout_s + _OVERDUE_S
        # SIGHUP, as a service manager that sends SIGTERM to all of us must not make ours the second one,
        # which kills.
        self._drain = signal.SIGTERM if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else signal.SIGHUP
        self._stopping, self._killing = asyncio.Event(), asyncio.Event()
        self._was_asked = False
        self._codes: list[int] = []
        self._failed_with = 0

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for wanted in {signal.SIGTERM, signal.SIGINT, self._drain}:
            loop.add_signal_handler(wanted, self._on_signal, wanted)
        log.info("workers.starting", workers=self._count, pid=os.getpid())
        async with asyncio.TaskGroup() as group:
            for number in range(self._count):
                group.create_task(self._keep(number))
        log.info("workers.stopped", exit_codes=self._codes)
        return self._failed_with or max(self._codes, default=0)

    def _on_signal(self, number: signal.Signals) -> None:
        self._stopping.set()
        if number is not signal.SIGHUP:  # of which a terminal that is closed may send two
            (self._killing if self._was_asked else self._stopping).set()
            self._was_asked = True

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
            log.error("worker.ended", process=number, exit_code=code, restart_in_s=backoff)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), backoff)
            backoff, is_first = min(backoff * 2, _LAST_BACKOFF_S), False

    async def _work(self, number: int) -> int:
        """Run one process until it ends, or all are to stop; return its exit code."""
        # In a group of its own: Ctrl-C reaches this process, which asks the workers once, and not each of
        # them as well.
        process = await asyncio.create_subprocess_exec(
            *self._command,
            f"--process={number}",
            env=self._environment(number),
            stdin=asyncio.subprocess.DEVNULL,
            process_group=0,
        )
        ended = asyncio.create_task(process.wait())
        await self._wait_for(ended, self._stopping)
        if not ended.done():
            process.send_signal(self._drain)
            await self._wait_for(ended, self._killing, self._drain_s)
        if not ended.done():
            process.kill()
        code = await ended
        # It does so only before it has begun: then it had nothing to drain.
        return 0 if code == -self._drain and self._stopping.is_set() else code

    async def _wait_for(self, ended: asyncio.Task[int], event: asyncio.Event, timeout_s: float | None = None) -> None:
        """Wait until the process has ended or ``event`` is set, for ``timeout_s`` seconds at the most."""
        waiting = asyncio.create_task(event.wait())
        await asyncio.wait({ended, waiting}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()

    def _environment(self, number: int) -> Mapping[str, str]:
        port = {"GATEWAY_WEB__PORT": str(self._web.port + number)} if self._web.enabled else {}
        return os.environ | port
