"""Accessibility as figures: axe-core finds nothing, whichever view, theme, language and width; and what axe
does not measure."""

import re
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import serving
from tests.browser.stage import Gateway, event, run, wait_until_answered_with
from tests.conftest import Broker, settings_apart
from tests.kafka.harness import publish, simulate

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
WIDTHS = {1280: 900, 390: 844}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
IN_PAIRS = ((1280, "zh", "light"), (1280, "en", "dark"), (390, "zh", "dark"), (390, "en", "light"))
"""Every two of width, language and theme together: axe finds nothing that only three bring about."""


def open_first(page: Page) -> None:
    page.locator(".explain").first.click()
    expect(page.locator("dialog")).to_be_visible()


def open_tables(page: Page) -> None:
    for summary in page.locator("summary:visible").all():
        summary.click()


VIEWS: dict[str, tuple[str, str, Callable[[Page], None] | None]] = {
    "overview": ("overview", "svg.chart", open_tables),
    "rejections": ("rejections", "tbody tr", None),
    "explanation": ("rejections?code=CHANNEL_NOT_RECOGNISED", "tbody tr", open_first),
    "cases": ("cases?since=2026-01-01&until=2036-01-01", "tbody tr", None),
    "case": ("cases?code=CHANNEL_NOT_RECOGNISED", "tbody tr", open_first),
    "list": ("list", "tbody tr", None),
    "effectiveness": ("effect", "table.heat", None),
    "trace": ("trace?id=shown", "dl.facts", None),
    "no trace": ("trace?id=never", "p.empty:not(:has-text('…'))", None),
    "nothing found": ("cases?unit=nobody", "p.empty", None),
}
"""Each view: its address, what is there once it is drawn, and what is opened in it."""


LAID_OUT = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
"""What scrolls is known once it is laid out."""


def opened(browser: Browser, gateway: Gateway, width: int, scheme: Any, language: str) -> Page:
    page = browser.new_page(
        viewport={"width": width, "height": WIDTHS[width]}, color_scheme=scheme, reduced_motion="reduce"
    )
    page.goto(gateway.url)
    if language == "en":
        page.get_by_role("button", name="English").click()
    return page


def go(page: Page, gateway: Gateway, view: str) -> None:
    address, drawn, then = VIEWS[view]
    page.goto(f"{gateway.url}/#/{address}")
    expect(page.locator(f"main {drawn}").first).to_be_visible()
    if then:
        then(page)


@pytest.fixture(scope="module")
def filled(kafka_broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """The gateway with displays, rejections and cases; ``shown`` is one that was rejected."""
    with serving(settings_apart(kafka_broker), tmp_path_factory.mktemp("page")) as served:
        run(publish(served.settings, simulate(served.settings, 250, 9)))
        run(publish(served.settings, [event("shown", channel="微信小程序")]))
        wait_until_answered_with(f"{served.url}/api/rejections", '"shown"')
        wait_until_answered_with(f"{served.url}/api/cases?code=CHANNEL_NOT_RECOGNISED", "微信小程序")
        wait_until_answered_with(f"{served.url}/api/effectiveness", '"forwarded"')
        yield served


def test_axe_finds_nothing_in_any_view(browser: Browser, filled: Gateway) -> None:
    found, runs = [], 0
    for width, language, scheme in IN_PAIRS:
        page = opened(browser, filled, width, scheme, language)
        for view in VIEWS:
            go(page, filled, view)
            page.evaluate(LAID_OUT)
            answer = Axe().run(page, options={"runOnly": RULES, "resultTypes": ["violations"]}).response
            runs += 1
            found += [
                (view, width, scheme, language, each["id"], node["target"], node["failureSummary"])
                for each in answer["violations"]
                for node in each["nodes"]
            ]
        page.close()
    assert found == []
    assert runs == len(VIEWS) * len(IN_PAIRS)


MEASURE = """() => {
  const shown = (element) => element.checkVisibility() && !element.closest('.unseen, .skip, [inert]');
  const scope = document.getElementById('dialog').open ? document.getElementById('dialog') : document;
  const all = (what) => [...scope.querySelectorAll(what)].filter(shown);
  const part = (value) => { const c = value / 255; return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
  const light = (text) => { const [r, g, b] = text.match(/[\\d.]+/g).map(Number); return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b); };
  const contrast = (one, other) => { const [a, b] = [light(one), light(other)].sort((x, y) => y - x); return (a + 0.05) / (b + 0.05); };
  const ground = (element) => { for (let at = element.parentElement; at; at = at.parentElement) { const colour = getComputedStyle(at).backgroundColor; if (!/, 0\\)$/.test(colour)) return colour; } return 'rgb(255, 255, 255)'; };
  const name = (element) => element.getAttribute('aria-label') ?? element.textContent.trim();
  return {
    names: all('button, summary').map(name),
    small: all('a[href], button, select, input, summary').map((each) => [name(each) || each.name, each.getBoundingClientRect()]).filter(([, box]) => box.width < 24 || box.height < 24).map(([text, box]) => `${text} ${Math.round(box.width)}x${Math.round(box.height)}`),
    borders: all('select, input, button:not(.main)').map((each) => [name(each) || each.name, contrast(getComputedStyle(each).borderTopColor, ground(each))]).filter(([, ratio]) => ratio < 3),
    bars: all('svg.chart rect:is(.forward, .outlined), svg.swatch rect').map((each) => { const style = getComputedStyle(each); const colour = each.classList.contains('forward') ? style.fill : style.stroke; return contrast(colour, ground(each)); }).filter((ratio) => ratio < 3),
    scrolling: all('.scroll').filter((each) => each.scrollWidth > each.clientWidth && (each.tabIndex < 0 || !each.getAttribute('aria-label'))).length,
  };
}"""


def test_controls_can_be_hit_seen_and_told_apart(browser: Browser, filled: Gateway) -> None:
    found = []
    for width in WIDTHS:
        page = opened(browser, filled, width, "light", "zh")
        for view, scheme in product(VIEWS, SCHEMES):
            if scheme == SCHEMES[0]:
                go(page, filled, view)
            page.emulate_media(color_scheme=scheme)
            page.evaluate(LAID_OUT)
            measured = page.evaluate(MEASURE)
            names = measured.pop("names")
            measured["alike"] = sorted({name for name in names if names.count(name) > 1 or not name})
            found += [(view, width, scheme, what, each) for what, each in measured.items() if each]
        page.close()
    assert found == []


def test_rejected_is_told_from_forwarded_without_colour(browser: Browser, filled: Gateway) -> None:
    page = opened(browser, filled, 1280, "light", "zh")
    go(page, filled, "overview")
    chart = page.locator("[data-province=sichuan] svg.chart")
    assert re.fullmatch(r"url\(#reject-sichuan\)", chart.locator("rect.reject").first.get_attribute("fill") or "")
    expect(page.locator("pattern#reject-sichuan path")).to_have_count(1)
    page.close()


def test_views_print_on_a4_without_controls(browser: Browser, filled: Gateway) -> None:
    page = opened(browser, filled, 1280, "dark", "zh")
    for view in ("overview", "effectiveness", "cases", "case"):
        page.emulate_media(media="screen")
        go(page, filled, view)
        page.set_viewport_size({"width": 1032, "height": 700})  # what A4 across has between its margins
        page.emulate_media(media="print")
        for control in ("nav", "button:not(.sort)", ".filters", "form", "#connection"):
            expect(page.locator(control).locator("visible=true")).to_have_count(0)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{view} is cut at the right"
        colours = "getComputedStyle(document.body).%s"
        assert page.evaluate(colours % "backgroundColor") == "rgb(255, 255, 255)"
        assert page.evaluate(colours % "printColorAdjust") == "exact"
        sizes = re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", page.pdf(prefer_css_page_size=True))
        assert {(round(float(width)), round(float(height))) for width, height in sizes} == {(842, 595)}
    page.close()
