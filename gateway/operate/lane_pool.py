"""Lanes worked side by side: a process for each core, one lane at a time in each, and a count of what has
been read."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.sharedctypes import Synchronized
from typing import TypeVar

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from gateway.adapters.console import Terminal
from gateway.adapters.cores import usable_cores
from gateway.errors import InternalError

_Job = TypeVar("_Job")
_Result = TypeVar("_Result")
_REFRESH_S = 0.2

_counter: "Synchronized[int] | None" = None


def run_lanes(work: Callable[[_Job], _Result], jobs: Sequence[_Job], *, name: str, size: int) -> list[_Result]:
    """Return what ``work`` (a module's function, as it is called in other processes) makes of each job, in
    the jobs' order.

    ``work`` says with ``count_read`` how far it is; the bar, on stderr where that is a terminal, goes to
    ``size``. What ``work`` raises is raised here, and all jobs end.
    """
    # A fork has everything loaded already, the lists too.
    method = "fork" if "fork" in multiprocessing.get_all_start_methods() else None
    context = multiprocessing.get_context(method)
    counter: Synchronized[int] = context.Value("q", 0)
    columns = (
        TextColumn(name),
        BarColumn(),
        TextColumn("{task.completed:,}/{task.total:,} records"),
        TimeElapsedColumn(),
    )
    console = Terminal(err=True, wrap=True)
    results: dict[int, _Result] = {}
    with ProcessPoolExecutor(usable_cores(), mp_context=context, initializer=_begin, initargs=(counter,)) as pool:
        futures = {pool.submit(work, job): number for number, job in enumerate(jobs)}
        # After the workers were forked: the bar's thread must not be there yet.
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
            task, waiting = progress.add_task(name, total=size), set(futures)
            try:
                while waiting:
                    done, waiting = wait(waiting, timeout=_REFRESH_S, return_when=FIRST_COMPLETED)
                    results |= {futures[future]: future.result() for future in done}
                    progress.update(task, completed=min(counter.value, size))
            except BrokenProcessPool:
                raise out_of_processes() from None
            except BaseException:  # Ctrl-C too
                pool.shutdown(wait=False, cancel_futures=True)
                for child in multiprocessing.active_children():
                    child.terminate()
                raise
    return [results[number] for number in range(len(jobs))]


def out_of_processes() -> InternalError:
    """Return the error for a pool of which a process was ended from outside."""
    return InternalError(
        "the system ended a process of this command, most likely for want of memory: give it more, or less to read"
    )


def count_read(records: int) -> None:
    """Add to what the bar shows; called by ``work``."""
    if _counter is not None:
        with _counter.get_lock():
            _counter.value += records


def end_with_parent() -> None:
    """End this process of a pool when its parent has ended, even if it was killed; a pool alone would wait
    for ever."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # on Ctrl-C it ends without a word: its parent has the say
    parent = multiprocessing.parent_process()
    assert parent is not None  # noqa: S101 — this is a pool's process

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _begin(counter: "Synchronized[int]") -> None:
    global _counter  # noqa: PLW0603 — how a pool's initializer hands something to its process
    end_with_parent()
    _counter = counter
