"""How a page is taken: at a desk and on a phone, light and dark, in both languages."""

import base64
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tools.screenshots.pages import Shot, sign_in

_HEIGHT = 900
_PATIENCE_MS = 60_000
_QUALITY = 50
_SEEN = """() => document.querySelector("dialog[open]") ? innerHeight
    : Math.min(innerHeight, Math.ceil(document.body.getBoundingClientRect().height))"""
_NAMED = """(names) => {
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode())
        for (const [from, to] of names) walker.currentNode.data = walker.currentNode.data.replaceAll(from, to);
}"""
_NAMES = ((f"{socket.gethostname()}:", "shop-1:"), (str(Path(__file__).parents[2]), "/app"))


@dataclass(frozen=True, slots=True)
class Look:
    """How a page is looked at."""

    name: str
    width: int = 1280
    theme: str = "light"
    language: str = "en"
    scale: float = 0.8


LOOKS = (Look("desk"), Look("phone", width=380, theme="dark", scale=1), Look("zh", theme="dark", language="zh"))

OWN = Look("own")
"""Of the tab in which is done what pictures show; none is taken of it."""


class Camera:
    """Takes pictures of a console."""

    def __init__(self, browser: Browser, url: str, folder: Path, docs: Path) -> None:
        """Prepare.

        Args:
            browser: a Chromium.
            url: of the console.
            folder: where all pictures go, as PNG.
            docs: where those go that the documents show, as WebP.
        """
        self._browser = browser
        self._url = url
        self._folder = folder
        self._docs = docs
        self._tabs: dict[tuple[str, str], Page] = {}

    def tab(self, by: str, look: Look = LOOKS[0]) -> Page:
        """A tab in which somebody has signed in, and how it looks."""
        if (by, look.name) not in self._tabs:
            context = self._browser.new_context(
                base_url=self._url,
                viewport={"width": look.width, "height": _HEIGHT},
                color_scheme="dark" if look.theme == "dark" else "light",
                reduced_motion="reduce",
            )
            context.set_default_timeout(_PATIENCE_MS)
            context.add_cookies([{"name": "deskbell_language", "value": look.language, "url": self._url}])
            tab = context.new_page()
            if by:
                sign_in(tab, by)
            self._tabs[by, look.name] = tab
        return self._tabs[by, look.name]

    def take(self, shot: Shot) -> None:
        """Take a page in every look."""
        for look in LOOKS:
            tab = self.tab(shot.by, look)
            tab.goto(shot.path)
            shot.prepare(tab)
            self.keep(tab, shot.name, look, is_shown=shot.is_kept)
            tab.goto("about:blank")  # a page that is not looked at follows no calls

    def keep(self, tab: Page, name: str, look: Look, *, is_shown: bool = False) -> None:
        """Keep a picture of what a tab shows; this machine's names are none of a shop's."""
        tab.evaluate(_NAMED, _NAMES)
        tab.screenshot(path=self._folder / f"{name}-{look.name}.png", full_page=True)
        if is_shown:
            clip = {"x": 0, "y": 0, "width": look.width, "height": tab.evaluate(_SEEN), "scale": look.scale}
            options = {"format": "webp", "quality": _QUALITY, "clip": clip}
            taken = tab.context.new_cdp_session(tab).send("Page.captureScreenshot", options)
            (self._docs / f"{name}-{look.name}.webp").write_bytes(base64.b64decode(taken["data"]))

    def take_outage(self, by: str, stop: Callable[[], None]) -> None:
        """Take what pages show that were open when Redis went away, and what others show then."""
        for look in LOOKS:
            self.tab(by, look).goto("/")
        stop()
        for look in LOOKS:
            tab = self.tab(by, look)
            expect(tab.locator("#banner")).to_be_visible()
            self.keep(tab, "away", look, is_shown=True)
        self.take(Shot("away-page", "/queues", by))


@contextmanager
def chromium(path: str) -> Iterator[Browser]:
    """Debian's browser."""
    expect.set_options(timeout=_PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()
