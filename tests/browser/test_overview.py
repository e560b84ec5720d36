"""The overview: what is lost stands first, and what is not known is not shown as a fact."""

import re
import time
import urllib.request

from playwright.sync_api import expect

from gateway.adapters import kafka
from gateway.adapters.settings import load_settings
from gateway.contract.facets import Facets
from gateway.contract.ledger_entry import (
    UNKNOWN_LOG,
    Acknowledgement,
    EntrySpan,
    build_entry,
    entry_digest,
    read_entry,
)
from gateway.contract.topics import LaneId
from gateway.core.digest import sha256
from gateway.core.province import Province
from gateway.operate.local_kafka import LocalKafka
from gateway.operate.topics import apply_topics
from tests.browser.stage import Gateway, Watched, run, wait_until_ready
from tests.kafka.harness import Worker
from tests.patience import PATIENCE_S
from tests.ports import free_port


def test_what_is_not_known_is_not_shown_as_fact(own_broker: LocalKafka, watched: Watched) -> None:
    settings = load_settings(bootstrap_servers=own_broker.bootstrap_servers)
    run(apply_topics(settings))
    port = free_port()
    feedback = Worker(settings, "feedback", "run", GATEWAY_WEB__ENABLED="true", GATEWAY_WEB__PORT=str(port))
    try:
        feedback.start()
        url, page = f"http://127.0.0.1:{port}", watched.page
        wait_until_ready(url, feedback)
        page.goto(url)
        expect(page.get_by_text("没有积压")).to_be_visible()
        expect(page.locator("#alarm")).to_be_empty()  # a card says it here, a banner in all other views
        page.get_by_role("link", name="问题", exact=True).click()
        expect(page.locator("#alarm")).to_contain_text("没有处理进程，新的亮证事件不会得到判定")
        page.get_by_role("link", name="总览").click()
        expect(page.locator("#alarm")).to_be_empty()
        own_broker.kill()
        expect(page.locator("#alarm")).to_contain_text("Kafka（消息系统）无响应")
        expect(page.locator("#alarm")).to_contain_text("gateway doctor")
        with urllib.request.urlopen(f"{url}/api/report?format=md", timeout=PATIENCE_S) as answer:  # so does a report
            assert re.search(r"无响应，数据截至\d{4}-\d\d-\d\d \d\d:\d\d，", answer.read().decode())
        page.reload()  # a page that is opened only now has the time of the data too
        expect(page.locator("#alarm")).to_contain_text(re.compile(r"以下为 \d{4}/\d\d/\d\d \d\d:\d\d:\d\d 的数据"))
        expect(page.get_by_text("没有积压")).to_have_count(0)
        expect(page.get_by_text("没有处理进程在运行")).to_have_count(0)
        expect(page.get_by_text("未知").first).to_be_visible()
        page.goto(f"{url}/#/trace?id=anything")
        expect(page.locator("main")).to_contain_text("Kafka（消息系统）无响应，暂时无法办理")
    finally:
        feedback.discard()


def test_what_was_lost_stands_above_everything_else(gateway: Gateway, watched: Watched) -> None:
    page, ledger = watched.page, gateway.settings.topic_names.ledger
    page.goto(f"{gateway.url}/#/overview")
    expect(page.locator(".card").first).to_contain_text("运行状态")
    lost = Facets("lost", None, None, None, None, None, None)
    lane = LaneId(Province.SICHUAN, gateway.settings.topic_names.display(Province.SICHUAN), 0)
    span = EntrySpan(lane, UNKNOWN_LOG, 10, 1209, int(time.time() * 1000))
    entry = build_entry(span, {lost: 1200}, (), sha256(b""), None, algorithm="sha256")

    async def write() -> None:
        async with kafka.producer(gateway.settings) as producer:
            await producer.send_and_wait(ledger, entry, partition=0)

    run(write())
    first = page.locator(".card").first
    expect(first).to_contain_text("四川：近30日有1,200条输入消息在网关读取前已从消息系统中删除（丢失）")
    expect(first).to_contain_text("请四川政务服务平台重新发布")
    expect(page.locator("[data-province=sichuan]")).to_contain_text("丢失 1,200")
    page.get_by_role("button", name="English").click()
    expect(page.locator(".card").first).to_contain_text("1,200 input records of the last 30 days were gone")
    page.get_by_role("button", name="中文").click()

    # Once somebody has taken note of it, it is no alarm any more: a quiet line says who and why.
    read = read_entry(entry)
    assert read is not None
    noted = Acknowledgement(entry_digest(read, entry), "值班室", "已请川方重发")
    span = EntrySpan(lane, UNKNOWN_LOG, 1210, 1209, int(time.time() * 1000))
    entry = build_entry(span, {}, (), sha256(b""), None, algorithm="sha256", acknowledged=noted)
    run(write())
    expect(page.locator(".noted")).to_have_text(
        "四川：近30日丢失的输入消息中，1,200条已登记确认：值班室（已请川方重发）。"
    )
    expect(page.locator(".alert")).to_have_count(0)
    assert watched.complaints == []
