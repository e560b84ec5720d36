"""What tests of the page share: events to publish, the gateway behind the page, the page itself."""

import asyncio
import json
import time
import urllib.error
import urllib.request
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Page

from gateway.adapters.settings import Settings
from gateway.core.province import Province
from gateway.operate.examples import display_event
from gateway.operate.simulate import Simulated
from tests.kafka.harness import Worker
from tests.patience import PATIENCE_S

TOKEN = "a-token-made-for-this-test"

_aside = ThreadPoolExecutor(1)


def run(coroutine: Coroutine[Any, Any, Any]) -> None:
    """Run ``coroutine`` in a thread of its own, as Playwright's event loop runs in this one."""
    _aside.submit(asyncio.run, coroutine).result()


@dataclass(frozen=True)
class Gateway:
    """What runs: settings, the page's address, and the feedback worker."""

    settings: Settings
    url: str
    feedback: Worker


@dataclass
class Watched:
    """A page, and whatever its console complained of."""

    page: Page
    complaints: list[str]


def wait_until_ready(url: str, worker: Worker, timeout_s: float = PATIENCE_S) -> None:
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


def event(event_id: str, **display: str) -> Simulated:
    made = display_event(Province.SICHUAN)
    made["id"] = event_id
    made["time"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    made["data"]["display"] |= display
    key = made["data"]["holder"]["ref"].encode()
    return Simulated(Province.SICHUAN, key, json.dumps(made, ensure_ascii=False).encode(), [], "reject", ())


def wait_until_answered_with(url: str, text: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
            if text in answer.read().decode():
                return
        assert time.monotonic() < deadline
        time.sleep(0.2)


def mark_in_dialog(watched: Watched, token: str) -> None:
    form = watched.page.locator("#mark")
    form.locator("[name=by]").fill("省大数据中心")
    form.locator("[name=note]").fill("已发函")
    form.locator("[name=token]").fill(token)
    form.get_by_role("button").click()
