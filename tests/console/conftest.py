"""Consoles and browsers, as factories."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from redis import Redis

from tests.conftest import SettingsFactory
from tests.console.browsing import KEY, USERS, Browser, browsing

ConsoleFactory = Callable[..., Browser]


@pytest.fixture
def open_console(redis: Redis, make_settings: SettingsFactory) -> Iterator[ConsoleFactory]:
    """Start a console without users, which this machine may use; settings are given by name."""
    assert redis.ping()
    with ExitStack() as stack:

        def open_one(**given: Any) -> Browser:
            url = stack.enter_context(browsing(make_settings(**given)))
            return stack.enter_context(Browser(url))

        yield open_one


@pytest.fixture
def sign_in(open_console: ConsoleFactory) -> ConsoleFactory:
    """Start a console with a user for each role, and sign one in."""

    def open_one(role: str, **given: Any) -> Browser:
        browser = open_console(console_users=USERS, console_key=KEY, **given)
        assert browser.sign_in(role).status_code == 303
        return browser

    return open_one
