"""A browser, and the real gateway behind the page: relay, feedback worker and broker."""

import shutil
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from gateway.adapters.settings import Settings
from tests.kafka.harness import Worker
from tests.tools import require_tool

expect.set_options(timeout=20_000)  # a machine with other work takes its time

TOKEN = "a-token-made-for-this-test"


@dataclass(frozen=True)
class Gateway:
    """What runs: settings, the page's address, and the feedback worker."""

    settings: Settings
    url: str
    feedback: Worker


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium. Without one the tests fail.

    For the module only: while it is there, Playwright's event loop runs in this thread, and other tests have their own.
    """
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        require_tool("chromium")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield launched
        launched.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_ready(url: str, worker: Worker, timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=2) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            pass
        assert worker.process is not None
        assert worker.process.poll() is None, worker.log.read_text()[-3000:]
        assert time.monotonic() < deadline, worker.log.read_text()[-3000:]
        time.sleep(0.2)


@dataclass
class Watched:
    """A page, and whatever its console complained of."""

    page: Page
    complaints: list[str]


@pytest.fixture
def watched(browser: Browser) -> Iterator[Watched]:
    """A desktop page whose errors and policy violations are collected."""
    page = browser.new_page(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.set_default_timeout(20_000)
    yield Watched(page, complaints)
    page.close()
