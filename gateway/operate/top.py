"""``gateway top``: a terminal view of both directions, from the topics and the consumer group; it writes nothing."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator

import structlog
from rich.console import Console
from rich.live import Live

from gateway.adapters import kafka
from gateway.adapters.settings import Settings
from gateway.contract.topics import Topics
from gateway.errors import UsageError
from gateway.feedback.page.cluster import Cluster
from gateway.feedback.page.live import Live as Followed
from gateway.operate.top_view import Picture, draw

_QUIT = b"qQ\x04"  # and Ctrl-D


def require_terminal() -> None:
    """Raises UsageError where there is no terminal to draw on and to read keys from."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()) or os.environ.get("TERM", "dumb") in {"dumb", "unknown"}:
        raise UsageError(
            "top draws on a terminal, and this is none. For a pipe or a file: `gateway tail gateway.ledger`, "
            "`gateway doctor --format json`, or the workers' /metrics."
        )


def run_top(settings: Settings, every_s: float) -> int:
    """Show and refresh until q is pressed; returns the exit code. Raises GatewayError, and KeyboardInterrupt on Ctrl-C."""
    # What the sources log would be written across the picture, which says itself that the broker is not connected.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.getLogger().addHandler(logging.NullHandler())
    asyncio.run(_run(settings, every_s))
    return 0


async def _run(settings: Settings, every_s: float) -> None:
    topics = settings.topic_names
    await kafka.partitions_of(settings, [*topics.displays, topics.ledger, *topics.rejections, topics.deadletter])
    followed, cluster = Followed(settings), Cluster(settings)
    asking = [asyncio.create_task(followed.run()), asyncio.create_task(cluster.run())]
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    console = Console()
    try:
        with _keys(stop.set), Live(console=console, screen=True, auto_refresh=False) as live:
            while not stop.is_set():
                for task in asking:
                    if task.done():
                        task.result()
                live.update(draw(_picture(settings, topics, followed, cluster)), refresh=True)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), every_s)
    finally:
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)


def _picture(settings: Settings, topics: Topics, followed: Followed, cluster: Cluster) -> Picture:
    return Picture(
        time.time(), settings.bootstrap_servers, followed.connected, topics, followed.recent(),
        list(followed.rejections), cluster.workers,
        cluster.lag, cluster.known,
    )  # fmt: skip


@contextlib.contextmanager
def _keys(quit_: Callable[[], None]) -> Iterator[None]:
    """Keys as they are pressed, without Enter and unseen; the terminal is as it was at the end. Ctrl-C stays a signal."""
    descriptor, loop = sys.stdin.fileno(), asyncio.get_running_loop()
    before = termios.tcgetattr(descriptor)

    def pressed() -> None:
        keys = os.read(descriptor, 64)
        if not keys or any(key in _QUIT for key in keys):  # nothing: the terminal is gone
            quit_()

    tty.setcbreak(descriptor)
    loop.add_reader(descriptor, pressed)
    try:
        yield
    finally:
        loop.remove_reader(descriptor)
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
