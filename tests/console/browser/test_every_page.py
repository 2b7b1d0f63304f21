"""What holds for each page of the navigation, at both sizes, in both themes, in both languages."""

from collections.abc import Iterator
from itertools import product

import pytest
from redis import Redis

from console.page import all_pages
from shared.redis.queues import queue
from tests.conftest import SettingsFactory
from tests.console.browser.accessible import violations
from tests.console.browser.conftest import TabFactory
from tests.console.browsing import browsing

PATHS = [page.path for page in all_pages() if page.order]
SIZES = {"desktop": 1280, "phone": 380}


@pytest.fixture
def url(redis: Redis, make_settings: SettingsFactory) -> Iterator[str]:
    """A console over a queue with a hostile name that nobody reads."""
    queue("<b>\u202ecrm</b>" + "q" * 200, redis).enqueue("workers.perform.perform")
    with browsing(make_settings()) as url:
        yield url


@pytest.mark.parametrize("path", PATHS)
def test_a_page_is_accessible_and_fits(url: str, open_tab: TabFactory, path: str) -> None:
    """The page finds no fault with axe, and is not wider than the window; what is wide scrolls for itself."""
    tab = open_tab(url, reduced_motion="reduce")  # a colour on its way to another theme has too little contrast
    tab.goto(path)

    found = {}
    for (size, width), theme in product(SIZES.items(), ("light", "dark")):
        tab.set_viewport_size({"width": width, "height": 900})
        tab.emulate_media(color_scheme=theme)  # type: ignore[arg-type]  # one of its words
        too_wide = max(0, tab.evaluate("document.documentElement.scrollWidth") - width)
        found[size, theme] = (violations(tab), too_wide)

    assert {where: what for where, what in found.items() if what != ([], 0)} == {}


@pytest.mark.parametrize("path", PATHS)
def test_a_page_is_chinese_for_who_reads_chinese_and_is_walked_by_keyboard(
    url: str, open_tab: TabFactory, path: str
) -> None:
    """In the language that the browser asks for, the first stop skips the navigation, and each one shows its focus."""
    tab = open_tab(url, locale="zh-CN")
    tab.goto(path)

    assert tab.locator("html").get_attribute("lang") == "zh-Hans"
    assert not tab.locator("h1").inner_text().isascii()

    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.className") == "skip"
    stops = tab.locator("main :is(a[href], button, input, select, summary, [tabindex='0']):visible")
    seen = 0
    for _ in range(200):
        tab.keyboard.press("Tab")
        if tab.evaluate("document.activeElement === document.body"):
            break
        if tab.evaluate("document.activeElement.closest('main') !== null"):
            seen += 1
            assert tab.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"

    assert seen == stops.count()
