"""How many of the machine's cores this process may use."""

import os


def usable_cores() -> int:
    """Count the cores that this process is kept to (``cpuset``, ``taskset``), else the machine's; at least
    one."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
