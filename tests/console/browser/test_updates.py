"""Pages that renew themselves."""

from playwright.sync_api import expect
from redis import Redis

from shared.redis.queues import queue
from tests.conftest import SettingsFactory
from tests.console.browser.conftest import TabFactory
from tests.console.browsing import browsing


def test_a_page_renews_itself(redis: Redis, make_settings: SettingsFactory, open_tab: TabFactory) -> None:
    """What goes wrong while the page is open is on it without a key pressed."""
    with browsing(make_settings()) as url:
        tab = open_tab(url)
        tab.goto("/")
        expect(tab.locator("main")).not_to_contain_text("no living worker reads the queue crm")

        queue("crm", redis).enqueue("workers.perform.perform")

        expect(tab.locator("main")).to_contain_text("no living worker reads the queue crm")
