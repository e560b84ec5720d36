"""Which machine, which versions, how busy: what figures mean nothing without."""

import datetime
import os
import platform
import subprocess
import sys
import sysconfig
from pathlib import Path

from benchmarks.engines import ROOT
from gateway import __version__
from gateway.operate.local_kafka.jars import java_version


def describe_machine(broker: str) -> dict[str, str]:
    """The machine, and what ran on it."""
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "machine": f"{os.cpu_count()} cores ({_cpu_model()}), {memory_gb:.0f} GB, {platform.system()}",
        "software": f"{broker}; Python {platform.python_version()} ({_build()}), Java {java_version() or '–'}",
    }


def describe_moment() -> dict[str, str]:
    """When it is measured, of which version, and the load average of the last minute."""
    return {
        "measured": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "version": f"{__version__} ({_commit()})",
        "load": f"{os.getloadavg()[0]:.1f}",
    }


def _build() -> str:
    """How the interpreter was built: without profile-guided optimisation it takes a tenth longer or more."""
    if sys.base_prefix == "/usr":
        return "the distribution's build"
    is_optimised = "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or "")
    return f"built with{'' if is_optimised else 'out'} --enable-optimizations"


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _commit() -> str:
    asked = subprocess.run(
        ["git", "-C", str(ROOT), "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() or "no checkout"
