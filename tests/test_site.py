"""The documents' site, as Zensical and MkDocs build it: whole, and nothing in it comes from another address."""

import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml

from tests.processes import unmeasured

ROOT = Path(__file__).parent.parent
LOADERS = re.compile(r'class="[^"]*\b(?:mermaid|glightbox|pyodide)\b')


class Page(HTMLParser):
    """What a page links to, what it loads, and the names of its parts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.names: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.names |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag == "link" and given.get("rel") not in {"canonical", "prev", "next"}:
            self.loaded.append(given["href"])
        self.loaded += [given[name] for name in ("src", "data", "poster") if name in given]


@pytest.fixture(scope="module", params=["zensical", "mkdocs"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built strictly: a link to a page or a heading that there is not fails."""
    folder = tmp_path_factory.mktemp(request.param)
    shutil.copy(ROOT / "mkdocs.yml", folder)
    shutil.copytree(ROOT / "docs", folder / "docs")
    built = subprocess.run(
        [sys.executable, "-m", request.param, "build", "--strict"],
        cwd=folder,
        env=unmeasured(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return folder / "site"


def test_every_page_of_the_documents_is_in_the_site_and_loads_nothing_from_elsewhere(site: Path) -> None:
    """No font, script, style sheet or picture, and no class whose script would load one; its links lead somewhere."""
    pages = {path: Page(path.read_text()) for path in site.rglob("*.html")}

    for document in (ROOT / "docs").rglob("*.md"):
        assert site / document.relative_to(ROOT / "docs").with_suffix(".html") in pages
    for path, page in pages.items():
        assert not LOADERS.search(path.read_text()), path
        for address in page.loaded:
            assert not urlsplit(address).netloc, f"{path.name} loads {address}"
        if path.name == "404.html":  # its links are of the site's address, which is not known here
            continue
        for address in [*page.links, *page.loaded]:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc or address.startswith("javascript:"):
                continue
            there = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            there = there / "index.html" if there.is_dir() else there
            assert there.exists(), f"{path.name}: {address}"
            if parts.fragment and there in pages:
                assert unquote(parts.fragment) in pages[there].names, f"{path.name}: {address}"
    for style in site.rglob("*.css"):
        assert not re.search(r"(?:url\(|@import)\s*['\"]?(?:https?:)?//", style.read_text()), style


def test_every_document_is_in_the_navigation() -> None:
    """Once."""
    named = re.findall(r"[\w/-]+\.md", yaml.safe_dump(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]))

    assert sorted(named) == sorted(str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md"))
