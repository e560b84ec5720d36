"""``gateway demo --keep``: what the demo ran on stays, so that a platform's own program can be tried against
it."""

import json
import secrets
import shlex
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Literal

from gateway.adapters.access import Role
from gateway.adapters.console import Terminal
from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import Settings
from gateway.adapters.terminal import say, write_json
from gateway.core.province import Province
from gateway.errors import GatewayError
from gateway.operate.background import Background, background
from gateway.operate.local_kafka.broker import free_ports, is_free
from gateway.operate.simulate import Simulator

_READY_TIMEOUT_S = 120
_LOOK_S = 0.5
_SAMPLES = 20
_PARTITIONER = "murmur2_random"
"""What librdkafka calls the partitioner of Kafka's own clients."""
_TOKEN_FILE = "operator-token"  # noqa: S105 — a file's name


@dataclass(frozen=True, slots=True)
class Sandbox:
    """What runs: the broker's settings, the folder of everything that logs in, the page's address, the two
    workers."""

    settings: Settings
    folder: Path
    page: str
    relay: Background
    feedback: Background


@contextmanager
def sandbox(settings: Settings, folder: Path, relay: Background) -> Iterator[Sandbox]:
    """Run the page beside a running relay; write into ``folder``, with the passwords, what a person at a
    terminal needs.

    For each principal a file that sets the environment, for each province some events to send. Raises
    GatewayError.
    """
    token = folder / _TOKEN_FILE
    token.write_text(secrets.token_urlsafe(16), encoding="ascii")
    _write_environments(settings, folder)
    _write_samples(settings, folder)
    with ExitStack() as running:
        page, feedback = start_page(settings, token, running)
        yield Sandbox(settings, folder, page, relay, feedback)


def start_page(settings: Settings, token: Path, running: ExitStack) -> tuple[str, Background]:
    """Run the page until ``running`` ends, on the settings' port or, where that is taken, on another one;
    return its address and process. Raises GatewayError."""
    port = settings.web.port if is_free(settings.web.port) else free_ports(1)[0]
    try:
        return _start_page_at(port, settings, token, running)
    except GatewayError:
        if is_free(port):
            raise
    # Somebody took it after it was looked at.
    return _start_page_at(free_ports(1)[0], settings, token, running)


def _start_page_at(port: int, settings: Settings, token: Path, running: ExitStack) -> tuple[str, Background]:
    web = {"HOST": "127.0.0.1", "PORT": str(port), "ENABLED": "true", "OPERATOR_TOKEN_FILE": str(token)}
    environment = {f"GATEWAY_WEB__{name}": value for name, value in web.items()}
    page = f"http://127.0.0.1:{port}"
    with ExitStack() as started:
        feedback = started.enter_context(background(settings.acting_as(Role.GATEWAY), "feedback", "run", **environment))
        _wait_until_ready(page, feedback)
        running.push(started.pop_all())
    return page, feedback


def hold(held: Sandbox, console: Terminal, output: Literal["text", "json"]) -> None:
    """Say how to connect, and return on SIGINT or SIGTERM. Raises GatewayError where a process ends by
    itself."""
    before = signal.signal(signal.SIGTERM, _interrupt), signal.signal(signal.SIGINT, _interrupt)
    try:
        _announce(held, console, output)
        while True:
            for process in (held.relay, held.feedback):
                process.require_running()
            time.sleep(_LOOK_S)
    except KeyboardInterrupt:
        console.print("Ending all of it …")
    finally:
        for number, handler in zip((signal.SIGTERM, signal.SIGINT), before, strict=True):
            signal.signal(number, handler)


def _interrupt(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt


def _write_environments(settings: Settings, folder: Path) -> None:
    for role in Role:
        variables = settings.acting_as(role).as_environment()
        variables["GATEWAY_TOPICS__PARTITIONS"] = str(settings.topics.partitions)
        lines = [f"export {name}={shlex.quote(value)}\n" for name, value in variables.items()]
        (folder / f"{role}.env").write_text("".join(lines), encoding="utf-8")


def _write_samples(settings: Settings, folder: Path) -> None:
    """Write, for each province, events of now that the list recognises, one holder each."""
    simulator = Simulator(load_recognition(settings.recognition_dir), time.time_ns())
    for province in Province:
        events = [simulator.display(province, int(time.time() * 1000)) for _ in range(_SAMPLES)]
        for number, event in enumerate(events):
            event["id"] = f"sample-{province}-{number}"
        lines = [json.dumps(event, ensure_ascii=False) + "\n" for event in events]
        (folder / f"{province}.ndjson").write_text("".join(lines), encoding="utf-8")


def _wait_until_ready(page: str, feedback: Background) -> None:
    deadline = time.monotonic() + _READY_TIMEOUT_S
    while time.monotonic() < deadline:
        feedback.require_running()
        try:
            with urllib.request.urlopen(f"{page}/readyz", timeout=2):  # noqa: S310 — our own page
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise GatewayError(f"the page at {page} was not ready within {_READY_TIMEOUT_S} s")


def _announce(held: Sandbox, console: Terminal, output: Literal["text", "json"]) -> None:
    settings, folder = held.settings, held.folder
    security = {"security_protocol": settings.kafka.security_protocol, "sasl_mechanism": "SCRAM-SHA-512"}
    if output == "json":
        principals = {settings.access.name_of(role): str(folder / role) for role in Role}
        known = {
            "bootstrap_servers": settings.bootstrap_servers,
            **security,
            "partitioner": _PARTITIONER,
            "principals": principals,
        }
        known |= {"logs": {"relay": str(held.relay.log), "feedback": str(held.feedback.log)}}
        known |= {"page": held.page, "operator_token_file": str(folder / _TOKEN_FILE), "folder": str(folder)}
        write_json({"sandbox": known}, flush=True)
        return
    lines = [
        "",
        "沙箱 The sandbox runs until Ctrl-C; then all of it goes.",
        "",
        f"  Kafka       {settings.bootstrap_servers}  ({', '.join(security.values())})",
        f"  Keys        partitioner murmur2, as Java's clients have it; librdkafka: partitioner={_PARTITIONER}",
        f"  Page        {held.page}  (to mark cases: the token in {folder / _TOKEN_FILE})",
        f"  Logs        of the relay {held.relay.log}, of feedback {held.feedback.log}",
    ]
    lines += [
        f"  {settings.access.name_of(role):<10}  password in {folder / role}, environment in {folder / role}.env"
        for role in Role
    ]
    lines += [
        "",
        "Try, in another terminal, with the virtual environment activated there too:",
        "",
        f"  export SANDBOX={folder}",
        "  (. $SANDBOX/sichuan.env; gateway publish $SANDBOX/sichuan.ndjson --province sichuan)",
        "  (. $SANDBOX/chongqing.env; gateway tail chongqing.verification --from-beginning --timeout 5 | grep sample-)",
        "  (. $SANDBOX/operator.env; gateway trace sample-sichuan-0; gateway audit --prove)",
        "",
    ]
    say("\n".join(lines), lines=True, whole=True, flush=True)
