"""Programs beside Python that tests use: one that is missing is named, with how to install it, before it is
run."""

import shutil
import subprocess
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[1] / ".ci" / "tools"


def require_tool(name: str) -> None:
    """Fail with the sentence of ``.ci/tools`` where ``name`` is not installed; nothing is installed by a
    test."""
    if shutil.which(name) is None:
        done = subprocess.run([TOOLS, "--only-name", name], capture_output=True, text=True, check=False)
        pytest.fail(done.stderr.strip(), pytrace=False)
