"""What a folder of `console/pages/` says of itself: its `routes` module has a `PAGE`."""

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from fastapi import APIRouter

Texts = Mapping[str, tuple[str, str]]
"""English and Chinese, by key: the page's name, a dot, a word. What stands in braces is filled in."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page.

    Attributes:
        name: its folder's; `<name>.title` is its text in the navigation.
        path: its address, without the prefix.
        order: its place in the navigation; 0 for a page that is not in it.
        role: the least role that sees it in the navigation.
        also: addresses of pages that belong to it, and are not in the navigation.
    """

    name: str
    path: str
    router: APIRouter
    texts: Texts
    order: int = 0
    role: str = "viewer"
    also: tuple[str, ...] = ()

    def holds(self, path: str) -> bool:
        """Whether what is looked at is this page, one below it, or one that belongs to it."""
        return path == self.path or any(
            path == each or path.startswith(f"{each}/") for each in (self.path, *self.also) if each != "/"
        )


@cache
def all_pages() -> tuple[Page, ...]:
    """Every page, in the order of the navigation."""
    names = [each.name for each in pkgutil.iter_modules(importlib.import_module("console.pages").__path__)]
    found: list[Page] = [importlib.import_module(f"console.pages.{name}.routes").PAGE for name in names]
    return tuple(sorted(found, key=lambda page: (page.order, page.name)))
