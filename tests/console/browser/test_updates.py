"""Pages that renew themselves."""

import re

from playwright.sync_api import expect
from pydantic import SecretStr
from redis import Redis

from shared.redis.queues import queue
from tests.conftest import SettingsFactory
from tests.console.browser.conftest import TabFactory
from tests.console.browsing import browsing
from tests.redis_outages import Server


def test_a_page_renews_itself(redis: Redis, make_settings: SettingsFactory, open_tab: TabFactory) -> None:
    """What goes wrong while the page is open is on it without a key pressed."""
    with browsing(make_settings()) as url:
        tab = open_tab(url)
        tab.clock.install()
        tab.goto("/")
        expect(tab.locator("main")).not_to_contain_text("no living worker reads the queue crm")

        queue("crm", redis).enqueue("workers.perform.perform")
        tab.clock.run_for(61_000)

        expect(tab.locator("main")).to_contain_text("no living worker reads the queue crm")


def test_while_redis_is_away_what_was_shown_stays(
    server: Server, make_settings: SettingsFactory, open_tab: TabFactory, errors: list[str]
) -> None:
    """A banner says since when nothing is new, and goes when Redis is back."""
    with browsing(make_settings(redis_url=SecretStr(server.url))) as url:
        tab = open_tab(url)
        tab.clock.install()
        tab.goto("/")
        heading = tab.locator("main h2").first.inner_text()

        server.kill()
        tab.clock.run_for(61_000)
        expect(tab.locator("#banner")).to_contain_text("Redis does not answer")
        assert tab.locator("main h2").first.inner_text() == heading

        server.start()
        tab.clock.run_for(61_000)
        expect(tab.locator("#banner")).to_be_hidden()
    assert all(re.search("503", error) for error in errors)
    errors.clear()
