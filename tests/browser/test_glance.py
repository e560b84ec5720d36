"""The overview and effectiveness as a person sees them: three answers first, a chart that can be read, a map
by share rejected."""

import json
import re
import signal
import time
import urllib.request

from playwright.sync_api import Page, expect

from gateway.adapters import kafka
from gateway.contract.facets import Facets
from gateway.contract.ledger_entry import UNKNOWN_LOG, EntrySpan, build_entry
from gateway.contract.topics import LaneId
from gateway.core.digest import sha256
from gateway.core.province import Province
from tests.browser.stage import Gateway, Watched, event, run
from tests.kafka.harness import publish, simulate
from tests.patience import PATIENCE_S

ENDS_WITHIN_S = 60
"""Two seconds on a quiet machine; it was two minutes with a page open."""


def decided_yesterday(gateway: Gateway, forwarded: int, rejected: int) -> None:
    """Write what a relay would have, 24 hours ago: Sichuan's events ``forwarded`` and ``rejected``."""
    lane = LaneId(Province.SICHUAN, gateway.settings.topic_names.display(Province.SICHUAN), 0)
    count = forwarded + rejected
    span = EntrySpan(lane, UNKNOWN_LOG, 0, count - 1, int(time.time() * 1000) - 86_400_000)
    facets = {
        Facets("forward", 1, 5, "天府通办", "05-1", "500103", None): forwarded,
        Facets("reject", 1, 5, "微信小程序", "05-1", "500103", "CHANNEL_NOT_RECOGNISED"): rejected,
    }
    entry = build_entry(span, facets, (), sha256(b""), None, algorithm="sha256")

    async def write() -> None:
        async with kafka.producer(gateway.settings) as producer:
            await producer.send_and_wait(gateway.settings.topic_names.ledger, entry, partition=0)

    run(write())


def overview_of(gateway: Gateway) -> dict[str, object]:
    with urllib.request.urlopen(f"{gateway.url}/api/overview", timeout=PATIENCE_S) as answer:
        return dict(json.load(answer))


def test_three_questions_are_answered_at_a_glance(gateway: Gateway, watched: Watched) -> None:
    page = watched.page
    page.goto(gateway.url)
    # Nothing is known yet: no data is neither 0 nor 100 %.
    expect(page.locator("#running .answer")).to_have_text("✓ 运行正常")
    expect(page.locator("#passing .answer")).to_have_text("无数据")
    expect(page.locator("#passing")).not_to_contain_text("%")
    expect(page.locator("#to-do .answer")).to_have_text("✓ 没有未办结问题")

    run(publish(gateway.settings, [event(f"good-{n}") for n in range(8)]))
    run(publish(gateway.settings, [event("bad-1", channel="微信小程序"), event("bad-2", channel="微信小程序")]))
    expect(page.locator("#passing .answer")).to_have_text("80.0%")
    expect(page.locator("#passing")).to_contain_text("昨日同期无数据，不作比较")
    expect(page.locator("#passing")).to_contain_text("退回 2，通过 8")
    decided_yesterday(gateway, 99, 1)
    expect(page.locator("#passing")).to_contain_text("↓ 较昨日同期（99.0%）下降 19.0 个百分点")
    expect(page.locator("#passing")).to_contain_text("（昨日同期 1）")

    # Two events, one case; it is two units', each of which leads to its cases.
    expect(page.locator("#to-do .answer")).to_have_text("未办结 1 项")
    unit = page.locator("#to-do tbody tr", has_text="四川省交通运输厅")
    expect(unit.locator("td")).to_have_text(["四川省交通运输厅", "1", "0"])
    expect(page.locator("#to-do")).to_contain_text("超过10天仍未复核的为超期")
    unit.get_by_role("link").click()
    expect(page.locator("input[name=unit]")).to_have_value("四川省交通运输厅")
    expect(page.locator(".filters select[name=status]")).to_have_value("open")
    expect(page.locator("select[name=own_matter]")).to_have_value("1")
    expect(page.locator("caption")).to_contain_text("共 1 项，已显示 1 项")
    expect(page.locator("tbody tr", has_text="微信小程序")).to_have_count(1)
    page.locator("input[name=unit]").fill("交通运输局")
    page.locator("input[name=unit]").press("Enter")
    expect(page.locator("main")).to_contain_text("没有该责任单位，请核对名称")
    assert watched.complaints == []


BOTH = """(card) => [
  [...card.querySelectorAll('details tbody td:nth-child(2)')].reduce((sum, cell) => sum + Number(cell.textContent.replace(',', '')), 0),
  Number(/通过 ([\\d,]*\\d)/.exec(card.querySelector('.legend').textContent)[1].replace(',', '')),
]"""
"""What was forwarded by the table, and by the legend."""


def test_the_chart_has_axes_legend_figures_and_table(gateway: Gateway, watched: Watched) -> None:
    page = watched.page
    run(publish(gateway.settings, simulate(gateway.settings, 300, 3)))
    page.goto(gateway.url)
    card = page.locator("[data-province=sichuan]")
    chart = card.locator("svg.chart")
    expect(chart).to_be_visible()
    texts = chart.locator("text").all_text_contents()
    counts = [int(text.replace(",", "")) for text in texts if ":" not in text]
    assert counts == [counts[1] * n for n in range(len(counts))], "whole numbers, evenly"
    assert len([text for text in texts if re.fullmatch(r"\d\d:(00|15|30|45)", text)]) >= 3
    for word in ("通过", "退回", "无法识别"):
        expect(card.locator(".legend span", has_text=word).locator("svg.swatch")).to_have_count(1)

    # The table says the same, and stays open while figures come in.
    card.locator("summary").click()
    expect(card.locator("details tbody tr")).to_have_count(12)
    before = card.locator(".legend").inner_text()
    run(publish(gateway.settings, [event("one-more")]))
    expect(card.locator(".legend")).not_to_have_text(before)
    expect(card.locator("details tbody tr").first).to_be_visible()
    passed, legend = card.evaluate(BOTH)
    assert passed == legend

    # Under the pointer stand the figures of a minute.
    # (The chart is drawn anew every second: what is asked of it is asked at once.)
    width = card.evaluate("(card) => card.querySelector('svg.chart').getBoundingClientRect().width")
    chart.hover(position={"x": width * 0.985, "y": 60})
    expect(card.locator(".reading")).to_have_text(re.compile(r"^\d\d:\d\d：通过 [\d,]+，退回 \d+，无法识别 \d+$"))
    assert watched.complaints == []


STATES = {
    "✓ 运行正常": {},
    "✗ 未运行": {"workers": []},
    "? 状态不明": {"known": False},
    "! 需要处理": {"lag": [{"topic": "sichuan.display", "partition": 1, "lag": 7, "stuck_s": 90}]},
}


def test_the_state_is_said_in_words(gateway: Gateway, watched: Watched) -> None:
    page = watched.page
    page.goto(gateway.url)
    good = {
        "known": True,
        "workers": [{}],
        "strangers": [],
        "lanes": 8,
        "lag": [],
        "lag_total": 0,
        "list": {"edit_refused": False},
    }
    for words, change in STATES.items():
        assert _said(page, "running", good | change).startswith(f"运行状态{words}"), words
    assert "1 个分区停滞" in _said(page, "running", good | STATES["! 需要处理"])
    assert "gateway run" in _said(page, "running", good | {"workers": []})
    assert "消费组中有 1 个不属于网关的成员" in _said(page, "running", good | {"strangers": [{}]})
    assert "清单修改有误" in _said(page, "running", good | {"list": {"edit_refused": True}})

    nothing, most = {"forward": 0, "reject": 0}, {"forward": 99_999, "reject": 1}
    sides = {"today": most, "yesterday": most}
    said = _said(page, "passing", {"hours": 9, "provinces": {"sichuan": sides, "chongqing": {"today": nothing, "yesterday": most}}})  # fmt: skip
    assert "99.9%" in said  # what is not all is not 100 %
    assert "100%" not in said
    assert "与昨日同期（99.9%）持平" in said
    assert "无数据今日尚无亮证" in said
    cases = {"pending": 4, "fed_back": 1, "verified": 2}
    said = _said(page, "toDo", {"cases": cases, "units": [], "units_with_open": 0, "overdue": 2, "overdue_days": 15})
    assert "未办结 5 项，其中超期 2 项" in said
    assert "超过15天" in said
    _knows_no_data(page, gateway)


UNSEEN = """
  window.EventSource = class extends EventTarget { constructor() { super(); window.source = this; } close() {} };
"""
"""A stream that the test says the events of."""


def wait_for_a_stream(page: Page) -> None:
    """Until the page has opened one.

    Playwright's own waiting evaluates text, which the page's policy refuses.
    """
    deadline = time.monotonic() + PATIENCE_S
    while not page.evaluate("window.source !== undefined"):
        assert time.monotonic() < deadline
        page.wait_for_timeout(50)


def _knows_no_data(page: Page, gateway: Gateway) -> None:
    """A page that was opened while nothing answered has seen no data, and names no time of it."""
    page.add_init_script(UNSEEN)
    page.goto(f"{gateway.url}/#/list")
    page.reload()
    alarm = page.locator("#alarm")
    wait_for_a_stream(page)
    page.evaluate("window.source.dispatchEvent(new Event('error'))")
    expect(alarm).to_contain_text("与网关的连接已断开，恢复后自动更新")
    since_start = overview_of(gateway) | {"connected": False, "as_of": None}  # the worker has not reached Kafka yet
    wait_for_a_stream(page)
    page.evaluate(
        """(overview) => {
          window.source.dispatchEvent(new Event('open'));
          window.source.dispatchEvent(new MessageEvent('overview', { data: JSON.stringify(overview) }));
        }""",
        since_start,
    )
    expect(alarm).to_contain_text("Kafka（消息系统）无响应，以下数据可能不是最新的")


def _said(page: Page, card: str, data: dict[str, object]) -> str:
    script = "([card, data]) => import('/static/glance.js').then((cards) => cards[card](data).textContent)"
    return str(page.evaluate(script, [card, data]))


def test_the_map_is_coloured_by_share_rejected(gateway: Gateway, watched: Watched) -> None:
    page = watched.page
    outside = event("in-chengdu", region_code="510104", verifier_name="成都市锦江区交通运输局")
    run(
        publish(
            gateway.settings, [*(event(f"good-{n}") for n in range(3)), event("bad", channel="微信小程序"), outside]
        )
    )
    page.goto(f"{gateway.url}/#/effect")
    expect(page.locator("main")).to_contain_text("共 4 件：通过 3 件，退回 1 件，退回率 25.0%")
    # Chengdu is not on the other side: it is counted beside the table, and is no column of it.
    expect(page.locator("table.heat thead")).not_to_contain_text("成都")
    expect(page.locator("main")).to_contain_text("另有 1 件不在重庆亮证，均已退回，不列入表内：成都市 1")
    row = page.locator("table.heat tbody tr", has_text="道路运输证")
    expect(row.locator("td").first).to_have_class(re.compile(r"\bh3\b"))  # 25 %: from 20 to 50
    expect(row.locator("td").first).to_have_text("3✗ 125.0%")
    expect(page.locator("table.heat tr.total td").first).to_have_text("3✗ 125.0%")
    expect(page.locator("ul.legend li")).to_have_count(5)
    assert row.locator("td.h3").nth(1).get_attribute("title") == "1/5 道路运输证 · 渝中区：通过 3，退回 1（25.0%）"
    expect(page.locator("table.cards")).to_contain_text("执法场景 05-2")  # words before codes

    # On a phone the rows' names stay in sight, and leave room for three areas.
    page.set_viewport_size({"width": 390, "height": 844})
    head = page.locator("table.heat tbody th").first
    assert head.evaluate("(each) => getComputedStyle(each).position") == "sticky"
    assert head.evaluate("(each) => each.getBoundingClientRect().width") < 390 / 3
    corner = page.locator("table.heat thead th").first
    assert corner.evaluate("(each) => getComputedStyle(each).writingMode") == "horizontal-tb"
    assert watched.complaints == []


CHINESE_PUNCTUATION = """() => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = [];
  while (walker.nextNode()) {
    const text = walker.currentNode.parentElement.closest('noscript') ? '' : walker.currentNode.textContent;
    if (/[，。：；（）、！？“”]/.test(text) && !/\\p{Script=Han}/u.test(text)) found.push(text);
    else if (/[A-Za-z0-9%)][，。：；（）、]|[，：；（、][A-Za-z]/.test(text)) found.push(text);
  }
  return found;
}"""


def test_english_punctuation_and_short_digests(gateway: Gateway, watched: Watched) -> None:
    page = watched.page
    run(publish(gateway.settings, simulate(gateway.settings, 200, 5)))
    page.goto(gateway.url)
    page.get_by_role("button", name="English").click()
    for view, drawn in {"overview": "svg.chart", "rejections": "tbody tr", "cases": "tbody tr", "list": "tbody tr", "effect": "table.heat"}.items():  # fmt: skip
        page.goto(f"{gateway.url}/#/{view}")
        expect(page.locator(f"main {drawn}").first).to_be_visible()
        assert page.evaluate(CHINESE_PUNCTUATION) == [], view
        assert not re.search(r"[0-9a-f]{40}", page.locator("main").inner_text()), view
    page.goto(f"{gateway.url}/#/list")
    digest = page.locator("dl.digests .code").first
    expect(digest).to_have_text(re.compile(r"^sha256:[0-9a-f]{8}…$"))
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", digest.get_attribute("title") or "")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy: List digest").click()
    expect(page.locator("dl.digests [role=status]").first).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == digest.get_attribute("title")


def test_a_worker_with_pages_open_ends_soon(gateway: Gateway, watched: Watched) -> None:
    page = watched.page
    page.goto(gateway.url)
    expect(page.locator("#running .answer")).to_have_text("✓ 运行正常")
    with urllib.request.urlopen(f"{gateway.url}/api/events", timeout=PATIENCE_S) as stream:
        assert stream.readline()
        gateway.feedback.signal(signal.SIGTERM)
        assert gateway.feedback.process is not None
        assert gateway.feedback.process.wait(ENDS_WITHIN_S) == 0
    expect(page.locator("#running .answer")).to_have_text("? 状态不明")
    gateway.feedback.start()
    expect(page.locator("#running .answer")).to_have_text("✓ 运行正常")
