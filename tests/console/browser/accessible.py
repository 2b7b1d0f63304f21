"""What axe finds wrong with a page."""

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page


def violations(tab: Page) -> list[tuple[str, list[str]]]:
    """What axe finds: its rule, and the elements' HTML."""
    found = Axe().run(tab).response["violations"]
    return [(rule["id"], [node["html"][:200] for node in rule["nodes"]]) for rule in found]
