"""The page of one node."""

from typing import Literal

import pytest
from redis import Redis

from deskbell.testing import api_call
from shared.wire.events import Reply
from tests.conftest import SettingsFactory
from tests.console.browser.accessible import violations
from tests.console.browser.conftest import TabFactory
from tests.console.browsing import browsing
from tests.records import put_on_record, record_of


@pytest.mark.parametrize(("theme", "width"), [("dark", 380), ("light", 1280)])
def test_a_node_is_accessible_and_fits(
    redis: Redis, make_settings: SettingsFactory, open_tab: TabFactory, theme: Literal["dark", "light"], width: int
) -> None:
    """With its contract, its drift, and another's handler to paste; the overview then has every part, too."""
    long = "x" * 60
    put_on_record(redis, record_of(api_call("order_status", Tier="1"), Reply(outcome="misfit")))
    put_on_record(redis, record_of(api_call("a" * 60, **{long: "1"}), Reply(outcome="no_handler")))
    with browsing(make_settings(callbacks="examples.shop.callbacks:callbacks")) as url:
        tab = open_tab(url, width=width, color_scheme=theme)
        for path in ("/nodes", "/nodes?name=order_status", f"/nodes?name={'a' * 60}"):
            tab.goto(path)

            assert violations(tab) == []
            assert tab.evaluate("document.documentElement.scrollWidth") <= width
