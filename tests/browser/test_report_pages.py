"""A report in a browser: on a narrow screen, by keyboard, and on paper."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from gateway.feedback.report.write import FORMS
from tests.unit.test_report_figures import BOTH, problem, put_cases, report_of, state

__all__ = ["state"]  # a fixture

A4_LANDSCAPE_PX = round((297 - 2 * 12) / 25.4 * 96)
"""The width that is printed on, between margins of 12 mm."""


@pytest.fixture
def report(browser: Browser, state: object, tmp_path: Path) -> Iterator[Page]:
    put_cases(state, [(problem("CHANNEL_NOT_RECOGNISED", BOTH, value="渠道" * 40, accepted=("天府通办" * 20,)),)], 1)
    file = tmp_path / "report.html"
    file.write_bytes(FORMS["html"].render(report_of(state, None)))
    page = browser.new_page()
    page.goto(file.as_uri())
    yield page
    page.close()


def test_tables_are_tables_from_700_pixels_on(report: Page) -> None:
    for width, is_table in ((700, True), (699, False)):
        report.set_viewport_size({"width": width, "height": 900})
        shown = report.evaluate("[...document.querySelectorAll('thead')].map((each) => getComputedStyle(each).display)")
        hidden = report.evaluate("document.querySelectorAll('details:not([open]) thead').length")
        assert len(shown) > hidden
        assert {each != "none" for each in shown} == {is_table}, width
        assert report.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), width


def test_what_scrolls_can_be_reached_and_has_a_name(report: Page) -> None:
    report.set_viewport_size({"width": 720, "height": 900})
    assert report.get_by_role("main").count() == 1
    assert report.evaluate("[...document.body.children].every((each) => each.tagName === 'MAIN')")
    unreachable = report.evaluate(
        "[...document.querySelectorAll('*')].filter((each) => /auto|scroll/.test(getComputedStyle(each).overflowX) && "
        "(each.tabIndex < 0 || !each.getAttribute('aria-label'))).map((each) => each.outerHTML.slice(0, 100))"
    )
    assert unreachable == []
    assert report.evaluate(
        "document.querySelector('.wide').scrollWidth > document.querySelector('.scroll').clientWidth"
    )


def test_nothing_is_cut_on_paper(report: Page) -> None:
    report.emulate_media(media="print")
    report.set_viewport_size({"width": A4_LANDSCAPE_PX, "height": 700})
    cut = report.evaluate(
        "(width) => [...document.querySelectorAll('table, svg, td, th')].filter((each) => "
        "each.getBoundingClientRect().right > width + 1).map((each) => each.textContent.slice(0, 40))",
        A4_LANDSCAPE_PX,
    )
    assert cut == []
    assert report.pdf(prefer_css_page_size=True).count(b"/MediaBox [0 0 841") > 0  # A4, turned
