"""What holds for each page, at both sizes, in both themes, in both languages."""

import pytest
from playwright.sync_api import expect
from pydantic import SecretStr
from redis import Redis

from console.page import all_pages
from shared.redis.queues import queue
from tests.conftest import SettingsFactory
from tests.console.browser.accessible import violations
from tests.console.browser.conftest import TabFactory
from tests.console.browser.signed_in import sign_in
from tests.console.browsing import KEY, USERS, browsing
from tests.console.everything import HOSTILE, fill
from tests.redis_outages import Server

PATHS = [page.path for page in all_pages() if page.order]
LOOKS = ((1280, "light"), (380, "dark"))
pytestmark = pytest.mark.timeout(300)  # fifty looks at pages, on a machine that may be busy
_FIT = "document.documentElement.scrollWidth"
_SCROLLED = "[...document.querySelectorAll('.scroll')].filter((each) => each.scrollWidth > each.clientWidth).length"


def test_every_page_is_accessible_and_fits_with_hostile_values_as_text(
    redis: Redis, make_settings: SettingsFactory, open_tab: TabFactory, errors: list[str]
) -> None:
    """Axe finds nothing, no table is wider than a phone, and nothing that was sent runs or is obeyed."""
    paths = fill(redis, HOSTILE)
    settings = make_settings(console_users=USERS, console_key=KEY, callbacks="examples.shop.callbacks:callbacks")
    with browsing(settings) as url:
        tab = open_tab(url, reduced_motion="reduce")  # a colour on its way to another theme has too little contrast
        tab.goto("/")
        found = {"/sign-in": violations(tab)}
        sign_in(tab, "admin", to="/")
        for path in paths:
            reached = tab.goto(path)
            assert reached
            assert reached.status == (404 if path.startswith("/nothing") else 200), path
            expect(tab.locator("main")).not_to_contain_text("being counted")
            for width, theme in LOOKS:
                tab.set_viewport_size({"width": width, "height": 900})
                tab.emulate_media(color_scheme=theme)  # type: ignore[arg-type]  # one of its words
                found[f"{path} {theme}"] = violations(tab)
                assert tab.evaluate(_FIT) <= width, (path, width)
            assert tab.evaluate(_SCROLLED) == 0, path  # at 380 px, the last: each row of a table is a list there
            seen = tab.evaluate("document.documentElement.innerText + document.title")
            assert not [each for each in seen if not each.isprintable() and each not in "\n\t"], path
            assert tab.evaluate("document.scripts.length + document.images.length") == 3, path  # two, and the mark
            assert tab.evaluate("window.hit") is None, path

    assert {where: what for where, what in found.items() if what} == {}
    assert [each for each in errors if "404" not in each] == []
    errors.clear()


@pytest.mark.parametrize("path", PATHS)
def test_a_page_is_chinese_for_who_reads_chinese_and_is_walked_by_keyboard(
    redis: Redis, make_settings: SettingsFactory, open_tab: TabFactory, path: str
) -> None:
    """In the language that the browser asks for, the first stop skips the navigation, and each one shows its focus."""
    queue("crm", redis).enqueue("workers.perform.perform")
    with browsing(make_settings()) as url:
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


def test_while_redis_is_away_every_page_keeps_what_it_showed_and_comes_back(
    server: Server, make_settings: SettingsFactory, open_tab: TabFactory, errors: list[str]
) -> None:
    """A banner says since when nothing is new, and goes when Redis is back; who asks meanwhile is told."""
    with browsing(make_settings(redis_url=SecretStr(server.url))) as url:
        first = open_tab(url)
        tabs = {path: first.context.new_page() for path in PATHS if path != "/nodes"}  # which asks Redis each 15 s
        for path, tab in tabs.items():
            tab.goto(path)
        shown = {path: tab.locator("main h1").inner_text() for path, tab in tabs.items()}

        server.kill()
        first.goto("/queues")
        expect(first.locator("[role=alert]")).to_contain_text("Redis does not answer")
        for path, tab in tabs.items():
            expect(tab.locator("#banner")).to_contain_text("Redis does not answer")
            assert tab.locator("main h1").inner_text() == shown[path]

        server.start()
        for tab in tabs.values():
            expect(tab.locator("#banner")).to_be_hidden()
        expect(first.locator("h1")).to_have_text("Queues")
    errors.clear()
