"""``gateway`` with faults built in, as a script of its own: a blocked event loop, a wrong clock.

SIGRTMIN blocks the main thread, and so the event loop, for FAULT_BLOCK_S seconds. SIGRTMIN+1 sets ``time.time`` off by
FAULT_CLOCK_S seconds, from its start where FAULT_CLOCK_FROM_START is set. (Faust has SIGUSR1 and SIGUSR2 for itself.)
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
    # Time is spent in Python's main thread while sockets fill and other threads run on; SIGSTOP would stop those too.
    time.sleep(float(os.environ["FAULT_BLOCK_S"]))


if __name__ == "__main__":
    # Before anything is imported, so that nobody holds the real function.
    time.time = _shifted_time
    signal.signal(signal.SIGRTMIN, _block)
    signal.signal(signal.SIGRTMIN + 1, _shift)
    if os.environ.get("FAULT_CLOCK_FROM_START"):
        _shift()
    from gateway.cli.main import main

    main()
