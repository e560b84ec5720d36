"""A ``gateway`` process of its own, as in production, for as long as a command needs it."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.adapters.settings import Settings
from gateway.errors import GatewayError

_END_TIMEOUT_S = 20


class Background:
    """The running process, and the file of its log; ``require_running`` raises GatewayError, with that
    file's name, where it has ended by itself."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path, words: str) -> None:
        self._process, self.log, self._words = process, log, words

    def require_running(self) -> None:
        """Raise GatewayError unless it runs."""
        if self._process.poll() is not None:
            raise GatewayError(
                f"{self._words} ended by itself with exit code {self._process.returncode}; its log is {self.log}"
            )


@contextmanager
def background(settings: Settings, *command: str, **environment: str) -> Iterator[Background]:
    """Run ``gateway COMMAND`` until the context ends; keep its log to be read after a failure. Raises
    GatewayError."""
    variables = os.environ | settings.as_environment() | {"GATEWAY_LOG__FORMAT": "json"} | environment
    with tempfile.NamedTemporaryFile(prefix="gateway-demo-", suffix=".log", delete=False) as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway", *command], env=variables, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True,  # a Ctrl-C at the terminal is the command's, which ends this one in order
        )  # fmt: skip
    running = Background(process, Path(log.name), f"`gateway {' '.join(command)}`")
    try:
        yield running
        running.require_running()
    finally:
        process.terminate()
        try:
            process.wait(_END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.returncode == 0:
        Path(log.name).unlink(missing_ok=True)
