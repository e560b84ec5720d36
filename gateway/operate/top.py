"""``gateway top``: a terminal view of both directions, from the topics and the consumer group; it writes
nothing."""

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
from rich.live import Live

from gateway.adapters import kafka
from gateway.adapters.console import Terminal
from gateway.adapters.settings import Settings
from gateway.adapters.tasks import end_tasks
from gateway.contract.topics import Topics
from gateway.errors import UsageError
from gateway.feedback.page.cluster import Cluster
from gateway.feedback.page.live import Live as Followed
from gateway.feedback.page.views import as_of
from gateway.operate.top_view import Picture, draw

_QUIT = b"qQ\x04"  # and Ctrl-D


def require_terminal() -> None:
    """Raise UsageError where there is no terminal to draw on and to read keys from."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()) or os.environ.get("TERM", "dumb") in {"dumb", "unknown"}:
        raise UsageError(
            "`gateway top` needs a terminal. For a pipe or a file: `gateway tail gateway.ledger`, "
            "`gateway doctor --format json`, or the workers' /metrics."
        )


def run_top(settings: Settings, every_s: float) -> int:
    """Show and refresh until q is pressed; returns the exit code. Raises GatewayError, and KeyboardInterrupt
    on Ctrl-C."""
    # What the sources log would be written across the picture, which says itself that the broker is not
    # connected.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.getLogger().addHandler(logging.NullHandler())
    asyncio.run(_run(settings, every_s))
    return 0


async def _run(settings: Settings, every_s: float) -> None:
    topics = settings.topic_names
    needed = [*topics.displays, topics.ledger, *topics.rejections, topics.deadletter]
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    with read_keys(stop.set):  # before anything is asked: a key that is pressed meanwhile counts
        reaching, quitting = (
            asyncio.create_task(kafka.partitions_of(settings, needed)),
            asyncio.create_task(stop.wait()),
        )
        await asyncio.wait((reaching, quitting), return_when=asyncio.FIRST_COMPLETED)
        await end_tasks(quitting)
        if stop.is_set():
            await end_tasks(reaching)
            return
        reaching.result()
        followed, cluster = Followed(settings), Cluster(settings)
        asking = [asyncio.create_task(followed.run()), asyncio.create_task(cluster.run())]
        console, has_connected = Terminal(wrap=True), False
        try:
            with Live(console=console, screen=True, auto_refresh=False) as live:
                while not stop.is_set():
                    for task in asking:
                        if task.done():
                            task.result()
                    has_connected = has_connected or followed.connected
                    picture = _picture(settings, topics, followed, cluster, has_connected=has_connected)
                    live.update(draw(picture, console.width), refresh=True)
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(stop.wait(), every_s)
        finally:
            await end_tasks(*asking)


def _picture(
    settings: Settings, topics: Topics, followed: Followed, cluster: Cluster, *, has_connected: bool
) -> Picture:
    return Picture(
        time.time(), settings.bootstrap_servers, followed.connected if has_connected else None, topics, followed.recent(),
        list(followed.rejections), cluster.workers,
        cluster.lag, cluster.stuck_s, cluster.strangers, cluster.known, as_of(followed, cluster),
    )  # fmt: skip


@contextlib.contextmanager
def read_keys(quit_: Callable[[], None]) -> Iterator[None]:
    """Read keys as they are pressed, without Enter and unseen; the terminal is as it was at the end. Ctrl-C
    stays a signal."""
    descriptor, loop = sys.stdin.fileno(), asyncio.get_running_loop()
    before = termios.tcgetattr(descriptor)

    def pressed() -> None:
        keys = os.read(descriptor, 64)
        if not keys or any(key in _QUIT for key in keys):  # nothing: the terminal is gone
            quit_()

    tty.setcbreak(descriptor, termios.TCSADRAIN)  # and not TCSAFLUSH: what was pressed before still counts
    loop.add_reader(descriptor, pressed)
    try:
        yield
    finally:
        loop.remove_reader(descriptor)
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
