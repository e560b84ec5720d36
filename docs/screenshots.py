"""Takes README's pictures of the page and of a report: a real broker, both provinces simulated, relay and
feedback running.

``make screenshots``; needs Chromium and a font with Chinese letters (Debian: chromium, fonts-noto-cjk).
"""

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from gateway.adapters import kafka
from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import Settings, load_settings
from gateway.operate.local_kafka import local_kafka
from gateway.operate.simulate import Simulator
from gateway.operate.topics import apply_topics

PICTURES = Path(__file__).parent / "pictures"
PORT = 17070
EVENTS, ROUNDS = 400, 40


def main() -> None:
    """Start all, publish for a while, take the pictures."""
    PICTURES.mkdir(exist_ok=True)
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("screenshots: no Chromium is installed (Debian: apt-get install chromium fonts-noto-cjk)")
    with (
        local_kafka(announce=lambda text: print(text, file=sys.stderr)) as broker,
        tempfile.TemporaryDirectory() as folder,
    ):
        settings = load_settings(bootstrap_servers=broker.bootstrap_servers)
        settings = settings.model_copy(update={"topics": settings.topics.model_copy(update={"partitions": 4})})
        asyncio.run(apply_topics(settings))
        report = Path(folder) / "report.html"
        with _running(settings, "run"), _running(settings, "feedback", "run"):
            _wait()
            asyncio.run(_publish(settings))
            time.sleep(4)
            _gateway(settings, "report", "--unit", "四川省交通运输厅", "--output", str(report))
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
                for name, view, options in (
                    ("overview", "overview", {}),
                    ("cases", "cases?status=pending", {}),
                    ("effectiveness-dark", "effect", {"color_scheme": "dark"}),
                    ("list-english", "list", {"english": True}),
                    ("explanation-phone", "rejections?code=CHANNEL_NOT_RECOGNISED", {"phone": True}),
                ):
                    _take(browser, f"http://127.0.0.1:{PORT}/#/{view}", name, **options)
                _take(browser, report.as_uri(), "report", height=2000)
    print(f"pictures are in {PICTURES}", file=sys.stderr)


def _take(
    browser: object,
    url: str,
    name: str,
    *,
    color_scheme: str = "light",
    english: bool = False,
    phone: bool = False,
    height: int = 800,
) -> None:
    viewport = {"width": 390, "height": 844} if phone else {"width": 1200, "height": height}
    page: Page = browser.new_page(viewport=viewport, color_scheme=color_scheme)  # type: ignore[attr-defined]
    page.goto(url)
    page.locator("table, h1 ~ figure").first.wait_for(timeout=60_000)  # a view that still loads has none
    page.wait_for_timeout(2000)
    if english:
        page.get_by_role("button", name="English").click()
        page.wait_for_timeout(500)
    if phone:
        page.locator("a.explain").first.click()
        page.wait_for_timeout(500)
    page.screenshot(path=PICTURES / f"{name}.png")
    page.close()


def _environment(settings: Settings) -> dict[str, str]:
    return os.environ | settings.as_environment() | {
        "GATEWAY_TOPICS__PARTITIONS": "4", "GATEWAY_LOG__LEVEL": "error", "GATEWAY_FEEDBACK__ANNOUNCE_S": "0.5",
    }  # fmt: skip


@contextlib.contextmanager
def _running(settings: Settings, *command: str) -> Iterator[None]:
    web = {"GATEWAY_WEB__ENABLED": "true", "GATEWAY_WEB__PORT": str(PORT)} if "feedback" in command else {}
    process = subprocess.Popen([sys.executable, "-m", "gateway", *command], env=_environment(settings) | web)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def _gateway(settings: Settings, *command: str) -> None:
    subprocess.run([sys.executable, "-m", "gateway", *command], env=_environment(settings), check=True)


def _wait() -> None:
    for _ in range(120):
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{PORT}/readyz", timeout=2):
            return
        time.sleep(0.5)
    sys.exit("screenshots: the page does not answer")


async def _publish(settings: Settings) -> None:
    simulator = Simulator(load_recognition(settings.recognition_dir), 8)
    topics = settings.topic_names
    async with kafka.producer(settings, linger_ms=5) as producer:
        for number in range(ROUNDS):
            for _ in range(EVENTS if number % 5 else EVENTS // 3):
                record = simulator.next_event(int(time.time() * 1000))
                topic = topics.display(record.province)
                await producer.send(topic, value=record.value, key=record.key, headers=record.headers)
            await producer.flush()
            print(f"\rpublishing {number + 1}/{ROUNDS}", end="", file=sys.stderr)
            await asyncio.sleep(3)
    print(file=sys.stderr)


if __name__ == "__main__":
    main()
