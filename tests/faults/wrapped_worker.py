"""``gateway`` with faults built in, as a script of its own: a blocked event loop, a wrong clock.

SIGRTMIN blocks the main thread, and so the event loop, for FAULT_BLOCK_S seconds. SIGRTMIN+1 sets
``time.time`` off by FAULT_CLOCK_S seconds, from its start where FAULT_CLOCK_FROM_START is set. SIGRTMIN+2
closes the log, and the next one opens it again. (Faust has SIGUSR1 and SIGUSR2 for itself.)
"""

import os
import signal
import time

_real_time = time.time
_offset_s = 0.0


def _shifted_time() -> float:
    return _real_time() + _offset_s


def _shift(*_: object) -> None:
    global _offset_s  # noqa: PLW0603 — a clock is global
    _offset_s = float(os.environ.get("FAULT_CLOCK_S", "0"))


def _block(*_: object) -> None:
    # Time is spent in Python's main thread while sockets fill and other threads run on; SIGSTOP would stop
    # those too.
    time.sleep(float(os.environ["FAULT_BLOCK_S"]))


def _close_or_open_log(*_: object) -> None:
    """Put a pipe that nobody reads in the log's place; the next time put the log back."""
    global _log  # noqa: PLW0603 — a signal's handler has no other place
    if _log is None:
        _log = os.dup(2)
        reading, writing = os.pipe()
        os.dup2(writing, 2)
        os.close(reading)
        os.close(writing)
    else:
        os.dup2(_log, 2)
        os.close(_log)
        _log = None


_log: int | None = None

if __name__ == "__main__":
    # Before anything is imported, so that nobody holds the real function.
    time.time = _shifted_time
    signal.signal(signal.SIGRTMIN, _block)
    signal.signal(signal.SIGRTMIN + 1, _shift)
    signal.signal(signal.SIGRTMIN + 2, _close_or_open_log)
    if os.environ.get("FAULT_CLOCK_FROM_START"):
        _shift()
    from gateway.__main__ import main

    main()
