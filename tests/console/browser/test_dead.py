"""Dead letters in a browser: from the cause to the end of a replay, on a phone."""

import re

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect
from redis import Redis

from tests.conftest import SettingsFactory
from tests.console.browser.conftest import TabFactory
from tests.console.browsing import browsing
from tests.workers.failed_jobs import write_dead_letters


def check(tab: Page) -> None:
    """The page finds no fault with axe, and is not wider than the window."""
    assert [rule["id"] for rule in Axe().run(tab).response["violations"]] == []
    assert tab.evaluate("document.documentElement.scrollWidth") <= 380


def test_a_cause_is_replayed_from_its_dry_run_to_the_end(
    redis: Redis, make_settings: SettingsFactory, open_tab: TabFactory
) -> None:
    """The number that is asked for is the dry run's; the page of the run is renewed until it has ended."""
    write_dead_letters(redis, 30)
    with browsing(make_settings()) as url:
        tab = open_tab(url, width=380, color_scheme="dark")
        tab.context.add_cookies([{"name": "deskbell_interval", "value": "2", "url": url}])
        tab.goto("/dead")
        expect(tab.get_by_role("link", name="OSError")).to_be_visible()
        check(tab)
        tab.get_by_role("link", name="OSError").click()
        check(tab)
        tab.get_by_role("link", name=re.compile("-crm-contact")).first.click()
        check(tab)
        tab.go_back()
        tab.locator("#replay-group").click()
        expect(tab.locator("#start")).to_have_text("Replay 20")
        check(tab)
        tab.locator("#rate").select_option("")
        tab.locator("#start").click()
        expect(tab.locator("[data-question]")).to_contain_text("Put 20 dead letters back on their queues")
        tab.get_by_role("button", name="Yes, do it").click()
        expect(tab.locator("#run [role=status]")).to_have_text("done")
        check(tab)

    assert redis.llen("rq:queue:crm") == 20
