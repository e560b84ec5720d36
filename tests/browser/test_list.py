"""The list's view, and what the page says of dates that are not right."""

import re

from playwright.sync_api import expect

from tests.browser.stage import Gateway, Watched


def test_the_list_says_what_is_in_force(gateway: Gateway, watched: Watched) -> None:
    page, main = watched.page, watched.page.locator("main")
    page.goto(f"{gateway.url}/#/list")
    expect(main).to_contain_text("第一批川渝电子证照亮证互认实施清单 川办便函〔2022〕260号")
    expect(page.locator("input[name=date]")).to_have_value(re.compile(r"^20\d\d-\d\d-\d\d$"))
    # Digests by their own names: short to compare, in full to copy.
    digest = main.locator("[title^='sha256:']").first
    expect(main).to_contain_text(re.compile("清单摘要sha256:[0-9a-f]{8}….*清单版本摘要sha256:[0-9a-f]{8}…"))
    shown = digest.inner_text().removesuffix("…")
    assert (digest.get_attribute("title") or "").startswith(shown)
    page.goto(f"{gateway.url}/#/list?date=2020-01-01")
    expect(main).to_contain_text("2020年1月1日尚无互认清单生效；最早的清单自2022年10月23日起生效")
    expect(main.locator("table")).to_have_count(0)
    assert watched.complaints == []

    page.goto(f"{gateway.url}/#/list?date=2026-02-30")
    expect(main).to_contain_text("日期有误，请按“年-月-日”填写")
    page.goto(f"{gateway.url}/#/effect?since=2026-11-02&until=2026-11-01")
    expect(main).to_contain_text("起始日期晚于截止日期")
    page.goto(f"{gateway.url}/#/trace?at=nowhere")
    expect(main).to_contain_text("消息位置有误")
    page.get_by_role("button", name="English").click()
    expect(main).to_contain_text("A place is TOPIC/PARTITION/OFFSET")
