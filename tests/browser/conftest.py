"""A browser, and the real gateway behind the page: relay, feedback worker and broker."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from gateway.adapters.settings import Settings
from gateway.operate.topics import apply_topics
from tests.browser.stage import TOKEN, Gateway, Watched, run, wait_until_ready
from tests.kafka.harness import Worker, workers
from tests.patience import PATIENCE_S
from tests.ports import free_port
from tests.tools import require_tool

expect.set_options(timeout=PATIENCE_S * 1000)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium. Without one the tests fail.

    For the module only: while it is there, Playwright's event loop runs in this thread, and other tests have
    their own.
    """
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        require_tool("chromium")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def watched(browser: Browser) -> Iterator[Watched]:
    """A desktop page whose errors and policy violations are collected."""
    page = browser.new_page(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.set_default_timeout(PATIENCE_S * 1000)
    yield Watched(page, complaints)
    page.close()


@contextlib.contextmanager
def serving(settings: Settings, folder: Path) -> Iterator[Gateway]:
    """The gateway with its page; the operator's token is in ``folder``."""
    run(apply_topics(settings))
    token = folder / "token"
    token.write_text(TOKEN, encoding="utf-8")
    port = free_port()
    environment = {
        "GATEWAY_WEB__ENABLED": "true", "GATEWAY_WEB__PORT": str(port), "GATEWAY_WEB__OPERATOR_TOKEN_FILE": str(token),
        "GATEWAY_FEEDBACK__ANNOUNCE_S": "0.5", "GATEWAY_RELAY__DRAIN_TIMEOUT_S": "60", "GATEWAY_FEEDBACK__REPORTS_DIR": str(folder / "reports"),
    }  # fmt: skip
    if (folder / "archive").exists():
        environment["GATEWAY_ARCHIVE__PLACE"] = str(folder / "archive")
    with workers(settings, 1):
        feedback = Worker(settings, "feedback", "run", **environment).start()
        try:
            url = f"http://127.0.0.1:{port}"
            wait_until_ready(url, feedback)
            yield Gateway(settings, url, feedback)
        finally:
            feedback.kill()
            feedback.log.unlink(missing_ok=True)


@pytest.fixture
def gateway(settings: Settings, tmp_path: Path) -> Iterator[Gateway]:
    """The gateway with its page, for one test."""
    with serving(settings, tmp_path) as served:
        yield served
