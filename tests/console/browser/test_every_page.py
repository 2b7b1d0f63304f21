"""What holds for each page of the navigation, at both sizes, in both themes, in both languages."""

from collections.abc import Iterator
from typing import Literal

import pytest
from redis import Redis

from console.page import all_pages
from shared.redis.queues import queue
from tests.conftest import SettingsFactory
from tests.console.browser.accessible import violations
from tests.console.browser.conftest import TabFactory
from tests.console.browsing import browsing

PATHS = [page.path for page in all_pages() if page.order]
WIDTHS = {"desktop": 1280, "phone": 380}


@pytest.fixture
def url(redis: Redis, make_settings: SettingsFactory) -> Iterator[str]:
    """A console over a queue with a hostile name that nobody reads."""
    queue("<b>\u202ecrm</b>" + "q" * 200, redis).enqueue("workers.perform.perform")
    with browsing(make_settings()) as url:
        yield url


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_a_page_is_accessible_and_fits(
    url: str, open_tab: TabFactory, path: str, theme: Literal["dark", "light"], width: int
) -> None:
    """The page finds no fault with axe, and is not wider than the window; what is wide scrolls for itself."""
    tab = open_tab(url, width=width, color_scheme=theme)

    tab.goto(path)

    assert violations(tab) == []
    assert tab.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("path", PATHS)
def test_a_page_is_chinese_for_who_reads_chinese(url: str, open_tab: TabFactory, path: str) -> None:
    """The language that the browser asks for; the heading is no English one."""
    tab = open_tab(url, locale="zh-CN")

    tab.goto(path)

    assert tab.locator("html").get_attribute("lang") == "zh-Hans"
    assert not tab.locator("h1").inner_text().isascii()
    assert violations(tab) == []


@pytest.mark.parametrize("path", PATHS)
def test_a_page_is_walked_by_keyboard(url: str, open_tab: TabFactory, path: str) -> None:
    """The first tab stop skips the navigation; every stop shows that it has the focus, and the last is reached."""
    tab = open_tab(url)
    tab.goto(path)
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
