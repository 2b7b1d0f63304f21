"""A real browser, and tabs of it that fail a test by any error that the browser logs."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.debian import program

TabFactory = Callable[..., Page]

FLAGS = [
    "--no-sandbox",  # as root there is none
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
]


ENDED = ("htmx:sendError", "htmx:afterRequest", "ERR_CONNECTION_REFUSED")
"""What a tab logs that asks on when a test has ended its console; what goes wrong before says more than that."""

PATIENCE_MS = 60_000
"""For what a page is to show or a click to reach: Playwright's own 5 s are less than a busy machine may take."""


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """One browser for this folder's tests: while it is there, its thread has an event loop that runs."""
    path = program("chromium", "chromium")
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def errors() -> list[str]:
    """What the tabs of a test have logged as errors: breaches of the content security policy are among it."""
    return []


@pytest.fixture
def open_tab(chromium: Browser, errors: list[str]) -> Iterator[TabFactory]:
    """Open a tab with cookies of its own; options are those of Playwright's `new_context`.

    The test fails at its end if a tab has logged an error; one that expects some empties `errors`.
    """
    contexts = []

    def open_one(url: str, *, width: int = 1280, **options: Any) -> Page:
        context = chromium.new_context(base_url=url, viewport={"width": width, "height": 900}, **options)
        context.set_default_timeout(PATIENCE_MS)
        context.add_cookies([{"name": "deskbell_interval", "value": "2", "url": url}])
        contexts.append(context)
        tab = context.new_page()
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tab.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
        return tab

    yield open_one
    for context in contexts:
        context.close()
    assert [each for each in errors if not any(word in each for word in ENDED)] == []
