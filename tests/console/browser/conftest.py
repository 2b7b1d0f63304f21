"""A real browser, and tabs of it that fail a test by any error that the browser logs."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

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


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """One browser for this folder's tests: while it is there, its thread has an event loop that runs."""
    path = program("chromium", "chromium")
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
        contexts.append(context)
        tab = context.new_page()
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tab.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
        return tab

    yield open_one
    for context in contexts:
        context.close()
    assert errors == []
