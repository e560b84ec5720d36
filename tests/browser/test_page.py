"""The operators' page as a person uses it: Chromium, the real gateway, a real broker."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from gateway.adapters.settings import Settings
from gateway.feedback.shown import today
from gateway.operate.archive.parquet import read_rows
from tests.archives import ArchivedLanes
from tests.browser.stage import TOKEN, Gateway, Watched, event, mark_in_dialog, run, wait_until_answered_with
from tests.kafka.harness import publish, simulate
from tests.patience import PATIENCE_S

HOSTILE = '<script>document.title="taken"</script><img src=x onerror=alert(1)>'


def test_published_event_becomes_a_case_and_a_report(gateway: Gateway, watched: Watched, tmp_path: Path) -> None:
    page = watched.page
    page.goto(gateway.url)
    page.get_by_role("link", name="使用说明").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("问题办理指南")
    expect(page.locator(".guide")).to_have_css("line-height", "26.25px")  # the page's own style is let in
    page.get_by_role("link", name="返回页面").click()
    expect(page.locator("#connection")).to_have_text("实时更新")
    expect(page.get_by_text("近一小时没有亮证事件").first).to_be_visible()
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")

    # The page changes by itself when events come.
    run(publish(gateway.settings, simulate(gateway.settings, 300, 3)))
    sichuan = page.locator("[data-province=sichuan]")
    expect(sichuan.locator("svg.chart")).to_be_visible()
    expect(page.get_by_text("没有处理进程在运行")).to_have_count(0)
    expect(page.locator("[data-code=LIST_ROW_UNRESOLVED]")).to_be_visible()

    # A rejection comes live into the open list; the filter keeps only what is asked for; its explanation
    # says all.
    page.get_by_role("link", name="退回记录").click()
    page.locator("select[name=code]").select_option("CHANNEL_NOT_RECOGNISED")
    run(publish(gateway.settings, [event("shown-live", channel="微信小程序")]))
    row = page.locator("tr", has_text="shown-live")
    expect(row).to_be_visible()
    assert set(page.locator("tbody tr td:nth-child(4) .code").all_inner_texts()) == {"CHANNEL_NOT_RECOGNISED"}
    # A row of the list is named by its batch too; of its number alone, where no other batch has it.
    expect(row.locator("td").nth(4)).to_have_text("1/5道路运输证")
    for text, shown in {"1/5": 1, "1/6": 0, "5": 1}.items():
        page.locator("input[name=row]").fill(text)
        page.locator("input[name=row]").press("Enter")
        expect(row).to_have_count(shown)
    row.locator("a.explain").click()
    dialog = page.locator("dialog")
    advice = "怎么办：请签发单位确认该渠道是否可以亮证"
    expect(dialog.locator(".advice")).to_contain_text(advice)
    expect(dialog).to_contain_text("微信小程序")
    expect(dialog).to_contain_text("天府通办；渝快办")
    for dimension in ("电子证照", "签发单位", "亮证渠道", "应用场景", "试点范围"):
        expect(dialog.get_by_role("cell", name=dimension, exact=True)).to_be_visible()
    expect(dialog).to_contain_text("✗ 不符")
    expect(dialog).to_contain_text("第1批第5行 道路运输证")

    # Its case, marked by somebody who has the token.
    dialog.get_by_role("link", name="查看问题").click()
    expect(dialog).to_contain_text("待处理")
    expect(dialog.locator(".advice")).to_contain_text(advice)
    mark_in_dialog(watched, "not the token")
    expect(dialog).to_contain_text("操作员口令不正确")
    mark_in_dialog(watched, TOKEN)
    expect(dialog).to_contain_text("标记 → 已反馈")  # as it stands now
    expect(dialog.get_by_role("heading", name="标记为“已复核”")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("tbody tr", has_text="微信小程序").locator(".badge", has_text="已反馈")).not_to_have_count(0)

    # The department's report, downloaded and opened.
    _report_of_a_unit(watched, tmp_path / "report.html")
    _reports_by_date(gateway, watched, tmp_path / "reports")
    expected = "status of 401"  # the wrong token's answer, which the browser reports too
    assert [each for each in watched.complaints if expected not in each] == []


def _report_of_a_unit(watched: Watched, report: Path) -> None:
    """Of a unit a part of its name finds its cases; the report is of a unit that is named in full."""
    page = watched.page
    unit = page.locator("input[name=unit]")
    unit.fill("交通")
    unit.press("Enter")
    expect(page.locator("tbody tr", has_text="微信小程序")).not_to_have_count(0)
    expect(page.locator(".report")).to_contain_text("名称含“交通”的单位有 2 个，请选定其一")
    expect(page.locator("button[data-format=html]")).to_be_hidden()  # it would be somebody's, or everybody's
    expect(page.locator("datalist option[value=四川省交通运输厅]")).to_have_count(1)
    page.locator(".report").get_by_role("link", name="四川省交通运输厅").click()
    expect(unit).to_have_value("四川省交通运输厅")
    expect(page.locator(".report")).to_contain_text("部门报告（近30天；四川省交通运输厅）")
    _period(page)
    with page.expect_download() as download:
        page.locator("button[data-format=html]").click()
    assert re.fullmatch(
        rf"亮证互认情况反馈_四川省交通运输厅_{today()[:4]}-01-02至[0-9-]{{10}}\.html", download.value.suggested_filename
    )
    download.value.save_as(report)
    page.goto(report.as_uri())
    expect(page.get_by_role("heading", level=1)).to_contain_text("四川省交通运输厅")
    expect(page.locator("body")).to_contain_text("shown-live")
    expect(page.locator("body")).to_contain_text("省大数据中心")


def _period(page: Page) -> None:
    """Days are chosen, or typed; the address has them, and the controls keep the focus."""
    period, since, year = page.locator("select[name=period]"), page.locator("input[name=since]"), today()[:4]
    period.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(period).to_be_focused()
    expect(page).to_have_url(re.compile("period=week"))
    expect(page.locator("th", has_text="期内件数")).to_have_count(1)
    _past_periods(page, period)
    period.select_option("days")
    since.focus()
    page.keyboard.type(f"0102{year}")
    expect(since).to_be_focused()
    expect(page).to_have_url(re.compile(f"since={year}-01-02"))
    expect(page.locator(".report")).to_contain_text(f"部门报告（{year}年1月2日至{year}年")
    page.reload()
    expect(since).to_have_value(f"{year}-01-02")
    expect(page.locator("tbody tr", has_text="微信小程序")).not_to_have_count(0)
    page.locator("input[name=until]").fill(f"{year}-01-03")
    expect(page.locator("main")).to_contain_text("没有符合条件的问题")
    page.locator("input[name=until]").fill(today())
    expect(page.locator("tbody tr", has_text="微信小程序")).not_to_have_count(0)


def _past_periods(page: Page, period: Locator) -> None:
    """The last week and the last month are whole ones; a report of them is of days that are over."""
    now = date.fromisoformat(today())
    monday, first = now - timedelta(days=now.weekday() + 7), (now.replace(day=1) - timedelta(days=1)).replace(day=1)
    ends = {
        "lastweek": (monday, monday + timedelta(days=6)),
        "lastmonth": (first, now.replace(day=1) - timedelta(days=1)),
    }
    for name, days in ends.items():
        period.select_option(name)
        said = "至".join(f"{day.year}年{day.month}月{day.day}日" for day in days)
        expect(page.locator(".report")).to_contain_text(f"部门报告（{said}；四川省交通运输厅）")
    period.select_option("week")


def _reports_by_date(gateway: Gateway, watched: Watched, folder: Path) -> None:
    """The page links to everybody's reports as soon as there are any, and they are shown as they are."""
    page = watched.page
    page.goto(f"{gateway.url}/#/cases")
    expect(page.locator("button[data-format=md]")).to_be_visible()
    expect(page.get_by_role("link", name="各期部门报告")).to_have_count(0)
    command = [sys.executable, "-m", "gateway", "report", "--each", "--to", str(folder), "--form", "html"]
    subprocess.run(command, env=os.environ | gateway.settings.as_environment(), check=True)
    page.reload()
    page.get_by_role("link", name="各期部门报告").click()
    page.locator("tbody a").click()
    page.get_by_role("link", name="四川省交通运输厅 HTML", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("四川省交通运输厅")
    expect(page.get_by_role("main")).to_have_css("display", "block")
    expect(page.locator(".summary")).not_to_have_css("background-color", "rgba(0, 0, 0, 0)")  # its own style is let in


@pytest.fixture
def archived(settings: Settings, tmp_path: Path) -> str:
    """The id of a rejected event that is in the archive alone; the gateway's page is told where that
    lies."""
    ArchivedLanes(settings, tmp_path / "archive").write_day("2026-05-01", 60)
    path = min((tmp_path / "archive").rglob("rejections.parquet"))
    rows = read_rows(path.name, path.read_bytes(), columns=["event_id", "value"])
    # The other events of the test make no case of Chongqing's with this code.
    name = next(each for each, rejection in rows if b"CHANNEL_NOT_RECOGNISED" in rejection)
    return str(name)


def test_views_work_on_phones_and_escape_markup(archived: str, gateway: Gateway, watched: Watched) -> None:
    page = watched.page
    hostile = event("hostile<b>", channel=HOSTILE, scenario=HOSTILE, verifier_name=HOSTILE)
    everything = json.loads(hostile.value)
    everything["data"]["certificate"] |= {"type_name": HOSTILE, "issuer_name": HOSTILE}
    hostile = hostile._replace(value=json.dumps(everything).encode())
    run(publish(gateway.settings, [*simulate(gateway.settings, 300, 4), hostile]))
    # Of a burst that comes while one looks, the page shows a part and counts the rest: look once it is
    # there.
    listed = f"{gateway.url}/api/rejections?code=CERTIFICATE_NOT_LISTED"
    wait_until_answered_with(listed, "hostile<b>")
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{gateway.url}/#/rejections?code=CERTIFICATE_NOT_LISTED")
    row = page.locator("tr", has_text="hostile<b>")
    expect(page.locator("tbody tr").first).to_be_in_viewport()
    expect(page.locator("select[name=code]")).to_be_hidden()
    page.get_by_text("筛选条件", exact=True).click()
    expect(page.locator("select[name=code]")).to_have_value("CERTIFICATE_NOT_LISTED")
    row.locator("a.explain").click()
    expect(page.locator("dialog")).to_contain_text(HOSTILE)
    page.keyboard.press("Escape")
    expect(page).not_to_have_url(re.compile("open="))

    page.get_by_role("button", name="English").click()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    views = {"overview": "lanes", "rejections": "responsible|unit", "cases": "pending", "list": "道路运输证", "effect": "forwarded", "trace": "event id"}  # fmt: skip
    for name, words in views.items():
        page.goto(f"{gateway.url}/#/{name}")
        expect(page.locator("main")).to_contain_text(re.compile(words, re.IGNORECASE))
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{name} is wider than a phone"
        assert page.evaluate(
            "[...document.querySelectorAll('nav a')].every((a) => a.getBoundingClientRect().right <= innerWidth)"
        )
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
    for _ in range(4):
        page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(page.get_by_role("navigation").get_by_role("link", name="Cases")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("tbody tr").first).to_be_visible()

    # One event's whole story.
    page.goto(f"{gateway.url}/#/trace?id=hostile%3Cb%3E")
    expect(page.locator("main")).to_contain_text("CERTIFICATE_NOT_LISTED")
    expect(page.locator("main")).to_contain_text("yes")
    page.goto(f"{gateway.url}/#/trace?id={archived}")
    expect(page.locator("main")).to_contain_text("From the archive: 2026-05-01.")
    expect(page.locator("main")).to_contain_text("no longer counted")  # nothing of it is in the topics
    assert watched.complaints == []


def test_a_search_that_lasts_says_for_how_long(archived: str, gateway: Gateway, watched: Watched) -> None:
    page, held = watched.page, list[Any]()
    page.route("**/api/trace?id=never*", lambda route: held.append(route))
    page.goto(f"{gateway.url}/#/trace?id=never")
    expect(page.locator("main")).to_contain_text(re.compile(r"已用时\d+秒，至多3分钟"))
    held[0].continue_()
    expect(page.locator("main")).to_contain_text("条消息（含归档）")
    assert watched.complaints == []


def test_what_the_server_says_to_others_than_the_page(gateway: Gateway, watched: Watched) -> None:
    headers, _ = _get(f"{gateway.url}/")
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    for path, status in {"/api/trace": 400, "/api/list?date=2026-02-30": 400, "/api/rejections?before=x": 400, "/api/cases?row=9/5": 400, "/api/codes": 200,
                         "/api/report?format=exe": 400, "/table/": 404, "/router/": 404}.items():  # fmt: skip
        assert _get(gateway.url + path)[1] == status, path
    metrics = urllib.request.urlopen(f"{gateway.url}/metrics", timeout=PATIENCE_S).read().decode()
    assert "gateway_feedback_cases" in metrics
    # The worker goes, the page says so, and is there again when it is back, with what came meanwhile and
    # what comes then.
    page = watched.page
    run(publish(gateway.settings, [event("before", channel="微信小程序")]))
    page.goto(f"{gateway.url}/#/cases")
    page.locator("tr", has_text="微信小程序").first.locator("a.explain").click()
    expect(page.locator("#connection")).to_have_text("实时更新")
    # A connection that is open and over which nothing comes is told as well.
    page.clock.install()
    page.reload()
    expect(page.locator("#connection")).to_have_text("实时更新")
    gateway.feedback.signal(signal.SIGSTOP)
    page.clock.fast_forward(46_000)
    expect(page.locator("#alarm")).to_contain_text("与网关的连接已断开")
    gateway.feedback.signal(signal.SIGCONT)
    expect(page.locator("#connection")).to_have_text("实时更新")
    gateway.feedback.kill()
    expect(page.locator("#connection")).to_contain_text("已断开")
    expect(page.locator("#alarm")).to_contain_text(
        re.compile(r"与网关的连接已断开，以下为 \d{4}/\d\d/\d\d \d\d:\d\d:\d\d 的数据")
    )
    mark_in_dialog(watched, TOKEN)
    expect(page.locator("dialog")).to_contain_text("出错：无法连接网关")
    page.keyboard.press("Escape")
    expect(page).not_to_have_url(re.compile("open="))
    page.locator("button[data-format=html]").click()
    expect(page.locator(".report")).to_contain_text("报告未能生成：无法连接网关")
    page.get_by_role("link", name="退回记录").click()
    expect(page.locator("main")).to_contain_text("无法连接网关，请稍后重试")
    run(publish(gateway.settings, [event("meanwhile", channel="微信小程序")]))
    gateway.feedback.start()
    expect(page.locator("#connection")).to_have_text("实时更新")
    expect(page.locator("#alarm")).to_be_empty()
    for event_id in ("before", "meanwhile"):
        expect(page.locator("tr", has_text=event_id)).to_be_visible()
    run(publish(gateway.settings, [event("afterwards", channel="微信小程序")]))
    expect(page.locator("tr", has_text="afterwards")).to_be_visible()


def _get(url: str) -> tuple[dict[str, str], int]:
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
            return dict(answer.headers), answer.status
    except urllib.error.HTTPError as error:
        headers, body, status = dict(error.headers), error.read().decode(), error.code
    assert "Traceback" not in body
    return headers, status
