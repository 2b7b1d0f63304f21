"""Signing in, as a person does it."""

from playwright.sync_api import Page, expect

from tests.console.browsing import PASSWORD


def sign_in(tab: Page, name: str, to: str = "/") -> None:
    """Ask for a page, and sign in on the one that one is led to, by keyboard; the field of the name has the focus."""
    tab.goto(to)
    expect(tab.locator("[name=name]")).to_be_focused()
    tab.keyboard.type(name)
    tab.keyboard.press("Tab")
    tab.keyboard.type(PASSWORD)
    tab.keyboard.press("Enter")
    expect(tab.locator("#menu")).to_contain_text(f"Signed in as {name}")


def answer(tab: Page, text: str) -> None:
    """Press a button of the dialog, which asks something."""
    expect(tab.locator("#confirm")).to_be_visible()
    tab.locator("#confirm").get_by_role("button", name=text).click()
