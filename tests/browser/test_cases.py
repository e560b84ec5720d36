"""The cases: sorted, searched and filtered by the address, marked together, opened by a link."""

import json
import re
import urllib.request

from playwright.sync_api import Page, expect

from tests.browser.stage import TOKEN, Gateway, Watched, event, run, wait_until_answered_with
from tests.kafka.harness import publish, simulate
from tests.patience import PATIENCE_S


def shown(page: Page, label: str) -> list[str]:
    return [text.strip() for text in page.locator(f"tbody td[data-label='{label}']").all_inner_texts()]


def counts(page: Page) -> list[int]:
    return [int(text.replace(",", "")) for text in shown(page, "件数")]


def test_cases_are_sorted_and_searched_by_their_address(gateway: Gateway, watched: Watched) -> None:
    page = watched.page
    wechat = [event(f"w{n}", channel="微信小程序") for n in range(4)]
    run(publish(gateway.settings, [*simulate(gateway.settings, 400, 8), *wechat]))
    wait_until_answered_with(f"{gateway.url}/api/cases?limit=2000", "微信小程序")
    page.goto(f"{gateway.url}/#/cases")
    head = page.locator("th", has_text="件数")
    expect(head).to_have_attribute("aria-sort", "none")
    expect(page.locator("th", has_text="最近")).to_have_attribute("aria-sort", "descending")
    head.get_by_role("button").click()
    expect(head).to_have_attribute("aria-sort", "descending")
    expect(head.get_by_role("button")).to_be_focused()
    expect(page).to_have_url(re.compile("sort=events-desc"))
    now = counts(page)
    assert now == sorted(now, reverse=True)
    assert len(set(now)) > 1
    head.get_by_role("button").click()
    expect(head).to_have_attribute("aria-sort", "ascending")
    expect(page.locator("tbody tr").first.locator("td[data-label='件数']")).to_have_text("1")

    # Each word of a search stands somewhere in the case; a reload, or whoever gets the link, has the same
    # list.
    search = page.locator("input[name=text]")
    search.fill("微信小程序 四川省交通运输厅")
    expect(page.locator("caption")).to_contain_text("共 1 项，已显示 1 项")
    expect(search).to_be_focused()
    assert shown(page, "不符内容") == ["微信小程序"]
    assert shown(page, "方向") == ["四川→重庆"]
    page.reload()
    expect(page.locator("caption")).to_contain_text("共 1 项")
    expect(page.locator("input[name=text]")).to_have_value("微信小程序 四川省交通运输厅")
    expect(page.locator("th", has_text="件数")).to_have_attribute("aria-sort", "ascending")

    page.get_by_role("button", name="清除筛选").click()
    expect(page).to_have_url(re.compile("#/cases$"))
    page.locator("input[name=certificate]").fill("运输")
    page.locator("input[name=certificate]").press("Enter")
    page.locator("select[name=province]").select_option("chongqing")
    expect(page.locator("tbody td[data-label='清单行']").filter(has_not_text="运输")).to_have_count(0)
    expect(page.locator("tbody td[data-label='方向']").filter(has_not_text="重庆→四川")).to_have_count(0)
    expect(page.locator("tbody tr").first).to_be_visible()
    expect(page.locator("datalist#known-certificate option[value=道路运输证]")).to_have_count(1)
    page.locator("input[name=row]").fill("9/99")
    page.locator("input[name=row]").press("Enter")
    expect(page.locator("main")).to_contain_text("互认清单中没有该行")
    assert [each for each in watched.complaints if "status of 400" not in each] == []


def mark(gateway: Gateway, case: str, status: str) -> None:
    request = urllib.request.Request(
        f"{gateway.url}/api/cases/mark",
        json.dumps({"cases": [case], "status": status, "by": "省大数据中心"}).encode(),
        {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        assert json.loads(answer.read())["marked"] == [case]


def test_cases_are_marked_together_and_come_back(gateway: Gateway, watched: Watched) -> None:
    page, channels = watched.page, ("渠道甲", "渠道乙", "渠道丙")
    run(publish(gateway.settings, [event(f"b{n}", channel=channel) for n, channel in enumerate(channels)]))
    for channel in channels:
        wait_until_answered_with(f"{gateway.url}/api/cases", channel)
    with urllib.request.urlopen(f"{gateway.url}/api/cases", timeout=PATIENCE_S) as answer:
        cases = {item["value"]: item["id"] for item in json.loads(answer.read())["items"]}
    for status in ("fed_back", "verified"):
        mark(gateway, cases["渠道丙"], status)

    page.goto(f"{gateway.url}/#/cases")
    expect(page.locator("tbody tr")).to_have_count(3)
    page.get_by_label("选择所列全部").check()
    expect(page.locator(".bulk")).to_contain_text("已选 3 项")
    page.locator("tbody input[type=checkbox]").first.uncheck()
    expect(page.locator(".bulk")).to_contain_text("已选 2 项")
    page.locator("tbody input[type=checkbox]").first.check()
    assert page.locator("tbody input[type=checkbox]").first.get_attribute("aria-label") not in {
        None, page.locator("tbody input[type=checkbox]").last.get_attribute("aria-label")
    }  # fmt: skip
    form = page.locator("#bulk")
    form.locator("[name=by]").fill("省大数据中心")
    form.locator("[name=token]").fill(TOKEN)
    form.locator("[name=note]").fill("联系人 13800138000")
    form.get_by_role("button", name="提交").click()
    expect(form).to_contain_text("填写内容含居民身份证号码或手机号码")
    form.locator("[name=note]").fill("已发函")
    form.locator("[name=token]").fill("口令不对")
    form.get_by_role("button", name="提交").click()
    expect(form).to_contain_text("操作员口令不正确")
    form.locator("[name=token]").fill(TOKEN)
    form.get_by_role("button", name="提交").click()
    result = page.locator(".result")
    expect(result).to_contain_text("已将 2 项标记为“已反馈”，1 项未标记")
    expect(result.locator("li")).to_contain_text("渠道丙）：该问题已复核")
    for channel, status in zip(channels, ("已反馈", "已反馈", "已复核"), strict=True):
        expect(page.locator("tbody tr", has_text=channel).locator(".badge")).to_have_text(status)
    expect(page.locator(".bulk")).to_contain_text("已选 1 项")  # the one that was not marked
    expect(form.locator("[name=note]")).to_have_value("")  # the note was of the others
    for channel in channels[:2]:
        page.locator("tbody tr", has_text=channel).get_by_role("checkbox").check()
    form.get_by_role("button", name="提交").click()
    expect(result).to_contain_text("2 项此前已是“已反馈”，未重复标记")
    expect(result).not_to_contain_text("已将 2 项")

    # What was verified and occurs again stands out in the list, and can be asked for.
    run(publish(gateway.settings, [event("again", channel="渠道丙")]))
    row = page.locator("tbody tr", has_text="渠道丙")
    expect(row.locator(".badge", has_text="再次出现")).to_be_visible()
    page.locator("select[name=reopened]").select_option("1")
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(row).to_be_visible()
    row.locator("a.explain").click()
    expect(page.locator("dialog")).to_contain_text("再次出现 → 待处理")
    expected = re.compile("status of 40[01]")  # the refused note, which the browser reports too
    assert [each for each in watched.complaints if not expected.search(each)] == []


def test_the_dialog_is_part_of_the_address(gateway: Gateway, watched: Watched) -> None:
    page, dialog = watched.page, watched.page.locator("dialog[open]")
    run(publish(gateway.settings, [event("d1", channel="渠道甲"), event("d2", channel="渠道乙", region_code="510104")]))
    for text in ("渠道甲", "渠道乙"):
        wait_until_answered_with(f"{gateway.url}/api/cases", text)
    page.goto(f"{gateway.url}/#/cases?status=pending")
    link = page.locator("tbody tr", has_text="渠道甲").locator("a.explain")
    link.click()
    expect(dialog).to_contain_text("渠道甲")
    expect(page).to_have_url(re.compile(r"status=pending&open=[0-9a-f]{16}$"))
    page.reload()
    expect(dialog).to_contain_text("渠道甲")
    page.keyboard.press("Escape")  # opened by its address: there is no step to go back by
    expect(dialog).to_have_count(0)
    expect(page).to_have_url(re.compile("#/cases.status=pending$"))
    link.click()
    expect(dialog).to_be_visible()
    page.go_back()
    expect(dialog).to_have_count(0)
    expect(page.locator("tbody tr")).not_to_have_count(0)
    expect(page).to_have_url(re.compile("#/cases.status=pending$"))
    link.click()
    expect(dialog).to_be_visible()
    page.mouse.click(4, 400)  # beside it
    expect(dialog).to_have_count(0)
    expect(link).to_be_focused()
    page.goto(f"{gateway.url}/#/cases?open=0123456789abcdef")
    expect(dialog).to_contain_text("没有该问题")

    # Places and fields by their names, ids to trace by.
    page.goto(f"{gateway.url}/#/cases?text=510104%20cross")
    expect(page.locator("tbody td[data-label='不符内容']")).to_have_text("成都市锦江区（510104）")
    page.locator("a.explain").click()
    expect(dialog).to_contain_text("亮证地点区划代码 display.region_code")
    dialog.get_by_role("link", name="d2").click()
    expect(page.locator("main")).to_contain_text("第1批第5行 道路运输证")
    expect(page.locator("main")).to_contain_text("已退回（d2）")
    expect(page.locator("main")).to_contain_text("判定复验一致")

    # What another unit has to see to first asks for nothing.
    page.goto(f"{gateway.url}/#/cases?text=510104%20pilot")
    expect(page.locator("tbody tr .badge")).to_have_text(["待处理", "暂不需处理"])
    page.locator("a.explain").click()
    expect(dialog.locator(".advice")).to_contain_text("随其他单位的问题解决，暂不需处理")
    expect(dialog.locator("form")).to_have_count(0)
    assert watched.complaints == []
