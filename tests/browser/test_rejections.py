"""The newest rejections: live, held back, kept in place while one reads, and honest about what is not
there."""

import itertools
import re

from playwright.sync_api import expect

from gateway.core.province import Province
from gateway.operate.simulate import Simulated
from tests.browser.stage import Gateway, Watched, event, run, wait_until_answered_with
from tests.kafka.harness import publish, simulate

COUNT_SPOKEN = """() => {
  window.spoken = [];
  new MutationObserver(() => window.spoken.push(performance.now()))
    .observe(document.getElementById("news"), { childList: true, characterData: true, subtree: true });
}"""
SELECT_IT = """element => {
  const range = document.createRange();
  range.selectNodeContents(element);
  getSelection().removeAllRanges();
  getSelection().addRange(range);
}"""


def test_live_rows_can_be_paused_and_stay(gateway: Gateway, watched: Watched) -> None:
    page = watched.page
    page.goto(f"{gateway.url}/#/rejections")
    expect(page.locator("main")).to_contain_text(re.compile(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d 以来没有退回记录"))
    expect(page.get_by_text("已知事件标识的，请在此查找：").get_by_role("link")).to_have_attribute("href", "#/trace")
    page.evaluate(COUNT_SPOKEN)
    run(publish(gateway.settings, [event("first", channel="微信小程序")]))
    first = page.locator("tbody tr", has_text="first")
    expect(first).to_be_visible()
    first.locator("td").nth(2).evaluate(SELECT_IT)
    first.locator("a.explain").focus()
    for number in range(3):
        run(publish(gateway.settings, [event(f"next-{number}", channel="微信小程序")]))
        expect(page.locator("tbody tr", has_text=f"next-{number}")).to_be_visible()
    assert page.evaluate("getSelection().toString()").strip() == "first"
    expect(first.locator("a.explain")).to_be_focused()

    pause = page.get_by_role("button", name="暂停更新")
    expect(pause).to_have_attribute("aria-pressed", "false")
    pause.click()
    expect(pause).to_have_attribute("aria-pressed", "true")
    run(publish(gateway.settings, [event(f"later-{number}", channel="微信小程序") for number in range(3)]))
    expect(page.locator(".live")).to_contain_text("期间有 3 条新的退回记录未显示")
    expect(page.locator("tbody tr")).to_have_count(4)
    pause.click()
    expect(page.locator("tbody tr")).to_have_count(7)
    expect(page.locator("main")).to_contain_text(
        "以来收到的全部退回记录，共 7 条：退回 7 条，无法识别 0 条（最多保留 1,000 条）"
    )
    expect(page.locator("main")).to_contain_text("共 7 项，已显示 7 项")
    # Spoken of at once, then no sooner than ten seconds later, all together.
    expect(page.locator("#news")).to_have_text(re.compile(r"新增 \d 条退回记录"))
    spoken = page.evaluate("window.spoken")
    assert all(then - before >= 9_900 for before, then in itertools.pairwise(spoken))

    # What does not match is not called "none": only what is held here was looked at.
    page.locator("select[name=province]").select_option("chongqing")
    expect(page.locator("main")).to_contain_text("上述范围内没有符合条件的退回记录")
    assert watched.complaints == []


def test_an_explanation_is_opened_by_its_address(gateway: Gateway, watched: Watched) -> None:
    page, dialog = watched.page, watched.page.locator("dialog[open]")
    garbage = Simulated(Province.SICHUAN, b"k", b"{", [], "dead_letter", ())
    run(publish(gateway.settings, [*simulate(gateway.settings, 300, 9), garbage, event("one", channel="微信小程序")]))
    wait_until_answered_with(f"{gateway.url}/api/rejections?limit=1000", '"one"')
    wait_until_answered_with(f"{gateway.url}/api/rejections?limit=1000&code=NOT_JSON", "消息不是有效的JSON")
    page.goto(f"{gateway.url}/#/rejections?code=CHANNEL_NOT_RECOGNISED")
    page.locator("tr", has_text="one").locator("a.explain").click()
    expect(dialog).to_contain_text("亮证渠道 display.channel")
    expect(page).to_have_url(re.compile(r"code=CHANNEL_NOT_RECOGNISED&open=[^&]+rejection%2F\d%2F\d+$"))
    page.reload()
    expect(dialog).to_contain_text("微信小程序")
    dialog.get_by_role("link", name="查看问题").click()
    expect(dialog).to_contain_text("处理经过")
    page.go_back()
    expect(dialog).to_contain_text("最接近的清单行")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(page).to_have_url(re.compile("#/rejections.code=CHANNEL_NOT_RECOGNISED$"))
    page.goto(f"{gateway.url}/#/rejections?open=sichuan.rejection/0/99999")
    expect(dialog).to_contain_text("该退回记录已不在此处保留的范围内")

    # What has no id is traced by its place.
    page.goto(f"{gateway.url}/#/rejections?code=NOT_JSON")
    page.locator("tbody tr", has_text="sichuan.").locator("a.explain").first.click()
    dialog.get_by_role("link", name="查看轨迹").click()
    expect(page.locator("main")).to_contain_text("无法识别")
    expect(page.locator("main")).to_contain_text("怎么办")
    expect(page.locator("input[name=wanted]")).to_have_value(re.compile(r"sichuan\.display/\d/\d+$"))
    assert watched.complaints == []


def test_filters_keep_the_focus_and_say_what_they_found(gateway: Gateway, watched: Watched) -> None:
    page = watched.page
    run(publish(gateway.settings, simulate(gateway.settings, 300, 6)))
    page.goto(f"{gateway.url}/#/rejections")
    expect(page.locator("tbody tr").first).to_be_visible()
    code = page.locator("select[name=code]")
    code.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(code).to_be_focused()
    expect(page).to_have_url(re.compile("code="))
    page.goto(f"{gateway.url}/#/rejections?unit=交通运输局")
    expect(page.locator("p.empty")).to_contain_text("没有该责任单位，请核对名称")
    page.goto(f"{gateway.url}/#/cases")
    expect(page.locator("caption")).to_contain_text(re.compile(r"共 (\d+) 项，已显示 \1 项"))
    page.goto(f"{gateway.url}/#/effect")
    since = page.locator("input[name=since]")
    since.focus()
    since.fill("2026-10-01")
    expect(since).to_be_focused()
    expect(page).to_have_url(re.compile("since=2026-10-01"))
    expect(page.locator("table.heat")).to_be_visible()
    assert watched.complaints == []
