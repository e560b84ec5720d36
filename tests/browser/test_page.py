"""The operators' page as a person uses it: Chromium, the real gateway, a real broker."""

import asyncio
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from gateway.adapters.list_files import load_recognition
from gateway.adapters.settings import Settings
from gateway.core.province import Province
from gateway.operate.examples import display_event
from gateway.operate.simulate import Simulated, Simulator
from gateway.operate.topics import apply_topics
from tests.browser.conftest import TOKEN, Gateway, Watched, free_port, wait_until_ready
from tests.kafka.harness import Worker, publish, workers

_aside = ThreadPoolExecutor(1)


def run(coroutine: Coroutine[Any, Any, Any]) -> None:
    """Aside, as Playwright's own event loop runs in this thread."""
    _aside.submit(asyncio.run, coroutine).result()


HOSTILE = '<script>document.title="taken"</script><img src=x onerror=alert(1)>'


@pytest.fixture
def gateway(settings: Settings, tmp_path: Path) -> Iterator[Gateway]:
    run(apply_topics(settings))
    token = tmp_path / "token"
    token.write_text(TOKEN, encoding="utf-8")
    port = free_port()
    environment = {
        "GATEWAY_WEB__ENABLED": "true", "GATEWAY_WEB__PORT": str(port), "GATEWAY_WEB__OPERATOR_TOKEN_FILE": str(token),
        "GATEWAY_FEEDBACK__ANNOUNCE_S": "0.5",
    }  # fmt: skip
    with workers(settings, 1):
        feedback = Worker(settings, "feedback", "run", **environment).start()
        try:
            url = f"http://127.0.0.1:{port}"
            wait_until_ready(url, feedback)
            yield Gateway(settings, url, feedback)
        finally:
            feedback.kill()
            feedback.log.unlink(missing_ok=True)


def simulated(settings: Settings, count: int, seed: int) -> list[Simulated]:
    simulator = Simulator(load_recognition(settings.recognition_dir), seed)
    now = int(time.time() * 1000)
    return [simulator.next_event(now) for _ in range(count)]


def event(event_id: str, **display: str) -> Simulated:
    made = display_event(Province.SICHUAN)
    made["id"] = event_id
    made["time"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    made["data"]["display"] |= display
    key = made["data"]["holder"]["ref"].encode()
    return Simulated(Province.SICHUAN, key, json.dumps(made, ensure_ascii=False).encode(), [], "reject", ())


def test_from_a_published_event_to_a_marked_case_and_a_report(
    gateway: Gateway, watched: Watched, tmp_path: Path
) -> None:
    page = watched.page
    page.goto(gateway.url)
    expect(page.locator("#connection")).to_have_text("实时更新")
    expect(page.get_by_text("近一小时没有亮证事件").first).to_be_visible()
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")

    # The page changes by itself when events come.
    run(publish(gateway.settings, simulated(gateway.settings, 300, 3)))
    sichuan = page.locator("[data-province=sichuan]")
    expect(sichuan.locator("svg.chart")).to_be_visible()
    expect(page.get_by_text("没有处理进程在运行")).to_have_count(0)
    expect(page.locator("a", has_text="LIST_ROW_UNRESOLVED")).to_be_visible()

    # A rejection comes live into the open list; the filter keeps only what is asked for; its explanation says all.
    page.get_by_role("link", name="退回记录").click()
    page.locator("select[name=code]").select_option("CHANNEL_NOT_RECOGNISED")
    run(publish(gateway.settings, [event("shown-live", channel="微信小程序")]))
    row = page.locator("tr", has_text="shown-live")
    expect(row).to_be_visible()
    assert set(page.locator("tbody tr td:nth-child(4) .code").all_inner_texts()) == {"CHANNEL_NOT_RECOGNISED"}
    # A row of the list is named by its batch too; of its number alone, where no other batch has it.
    expect(row.get_by_role("cell", name="1/5", exact=True)).to_be_visible()
    for text, shown in {"1/5": 1, "1/6": 0, "5": 1}.items():
        page.locator("input[name=row]").fill(text)
        page.locator("input[name=row]").press("Enter")
        expect(row).to_have_count(shown)
    row.get_by_role("button").click()
    dialog = page.locator("dialog")
    expect(dialog).to_contain_text("微信小程序")
    expect(dialog).to_contain_text("天府通办；渝快办")
    for dimension in ("电子证照", "签发单位", "亮证渠道", "应用场景", "试点范围"):
        expect(dialog.get_by_role("cell", name=dimension, exact=True)).to_be_visible()
    expect(dialog).to_contain_text("✗ 不符")
    expect(dialog).to_contain_text("第1批第5行 道路运输证")

    # Its case, marked by somebody who has the token.
    dialog.get_by_role("link", name="查看问题").click()
    expect(dialog).to_contain_text("待处理")
    _mark(watched, "not the token")
    expect(dialog).to_contain_text("token is wrong")
    _mark(watched, TOKEN)
    expect(dialog).to_contain_text("已提交")
    page.keyboard.press("Escape")
    expect(page.locator("tbody tr", has_text="微信小程序").locator(".badge", has_text="已反馈")).not_to_have_count(0)

    # The department's report, downloaded and opened.
    page.locator("input[name=unit]").fill("四川省交通运输厅")
    page.locator("input[name=unit]").press("Enter")
    with page.expect_download() as download:
        page.locator("a[data-format=html]").click()
    report = tmp_path / "report.html"
    download.value.save_as(report)
    page.goto(report.as_uri())
    expect(page.get_by_role("heading", level=1)).to_contain_text("四川省交通运输厅")
    expect(page.locator("body")).to_contain_text("shown-live")
    expect(page.locator("body")).to_contain_text("省大数据中心")
    expected = "status of 401"  # the wrong token's answer, which the browser tells too
    assert [each for each in watched.complaints if expected not in each] == []


def _mark(watched: Watched, token: str) -> None:
    form = watched.page.locator("#mark")
    form.locator("[name=by]").fill("省大数据中心")
    form.locator("[name=note]").fill("已发函")
    form.locator("[name=token]").fill(token)
    form.get_by_role("button").click()


def wait_until_told(url: str, text: str) -> None:
    deadline = time.monotonic() + 60
    while True:
        with urllib.request.urlopen(url, timeout=10) as answer:
            if text in answer.read().decode():
                return
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_every_view_holds_on_a_phone_in_english_by_keyboard_and_against_markup(
    gateway: Gateway, watched: Watched
) -> None:
    page = watched.page
    hostile = event("hostile<b>", channel=HOSTILE, scenario=HOSTILE, verifier_name=HOSTILE)
    everything = json.loads(hostile.value)
    everything["data"]["certificate"] |= {"type_name": HOSTILE, "issuer_name": HOSTILE}
    hostile = hostile._replace(value=json.dumps(everything).encode())
    run(publish(gateway.settings, [*simulated(gateway.settings, 300, 4), hostile]))
    # Of a burst that comes while one looks, the page shows a part and counts the rest: look once it is there.
    listed = f"{gateway.url}/api/rejections?code=CERTIFICATE_NOT_LISTED"
    wait_until_told(listed, "hostile<b>")
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{gateway.url}/#/rejections?code=CERTIFICATE_NOT_LISTED")
    row = page.locator("tr", has_text="hostile<b>")
    expect(row).to_be_visible()
    row.get_by_role("button").click()
    expect(page.locator("dialog")).to_contain_text(HOSTILE)
    page.keyboard.press("Escape")

    page.get_by_role("button", name="English").click()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    views = {"overview": "lanes", "rejections": "responsible|unit", "cases": "pending", "list": "道路运输证", "effect": "forwarded", "trace": "event id"}  # fmt: skip
    for name, words in views.items():
        page.goto(f"{gateway.url}/#/{name}")
        expect(page.locator("main")).to_contain_text(re.compile(words))
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{name} is wider than a phone"
        assert page.evaluate("scrollY") == 0, f"{name} opens with its head out of sight"
        assert page.title() != "taken"
    page.reload()
    expect(page.locator("html")).to_have_attribute("lang", "en")  # remembered

    # By keyboard alone: the first stop skips to the content; every view can be reached and opened.
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto(f"{gateway.url}/#/overview")
    page.reload()
    page.keyboard.press("Tab")
    expect(page.locator("#skip")).to_be_focused()
    for _ in range(3):
        page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(page.get_by_role("navigation").get_by_role("link", name="Cases")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("tbody tr").first).to_be_visible()

    # One event's whole story.
    page.goto(f"{gateway.url}/#/trace?id=hostile%3Cb%3E")
    expect(page.locator("main")).to_contain_text("CERTIFICATE_NOT_LISTED", timeout=60_000)
    expect(page.locator("main")).to_contain_text("yes")
    assert watched.complaints == []


def test_what_the_server_says_to_others_than_the_page(gateway: Gateway, watched: Watched) -> None:
    headers, _ = _get(f"{gateway.url}/")
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    for path, status in {"/api/trace": 400, "/api/list?date=2026-02-30": 400, "/api/rejections?before=x": 400, "/api/cases?row=9/5": 400, "/api/codes": 200,
                         "/api/report?format=exe": 400, "/table/": 404, "/router/": 404}.items():  # fmt: skip
        assert _get(gateway.url + path)[1] == status, path
    metrics = urllib.request.urlopen(f"{gateway.url}/metrics", timeout=5).read().decode()
    assert "gateway_feedback_cases" in metrics
    # The worker goes, the page says so, and is there again when it is back, with what came meanwhile and what comes then.
    page = watched.page
    run(publish(gateway.settings, [event("before", channel="微信小程序")]))
    page.goto(f"{gateway.url}/#/cases")
    page.locator("tr", has_text="微信小程序").first.get_by_role("button").click()
    expect(page.locator("#connection")).to_have_text("实时更新")
    gateway.feedback.kill()
    expect(page.locator("#connection")).to_contain_text("已断开")
    _mark(watched, TOKEN)
    expect(page.locator("dialog")).to_contain_text("出错")
    page.keyboard.press("Escape")
    page.get_by_role("link", name="退回记录").click()
    expect(page.locator("main")).to_contain_text("出错")
    run(publish(gateway.settings, [event("meanwhile", channel="微信小程序")]))
    gateway.feedback.start()
    expect(page.locator("#connection")).to_have_text("实时更新", timeout=60_000)
    for event_id in ("before", "meanwhile"):
        expect(page.locator("tr", has_text=event_id)).to_be_visible(timeout=60_000)
    run(publish(gateway.settings, [event("afterwards", channel="微信小程序")]))
    expect(page.locator("tr", has_text="afterwards")).to_be_visible(timeout=60_000)


def _get(url: str) -> tuple[dict[str, str], int]:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return dict(answer.headers), answer.status
    except urllib.error.HTTPError as error:
        headers, told, status = dict(error.headers), error.read().decode(), error.code
    assert "Traceback" not in told
    return headers, status
