"""The table of texts."""

import re
from collections import Counter
from pathlib import Path
from string import Formatter

import pytest

import console
from console.page import all_pages
from console.texts.common import TEXTS
from console.texts.table import preferred, table
from tests.console.conftest import ConsoleFactory

FOLDER = Path(console.__file__).parent


def test_every_text_has_both_languages_and_the_same_values() -> None:
    """What one language fills in, the other does, too."""
    for key, row in table().items():
        english, chinese = ({name for _, name, _, _ in Formatter().parse(text) if name} for text in row)
        assert all(row), key
        assert english == chinese, key


def test_every_text_that_is_used_is_there_and_every_one_there_is_used() -> None:
    """A page that is seldom seen would fail, and a text that nobody shows would be translated for nothing."""
    sources = [path.read_text() for pattern in ("*.html", "*.py") for path in FOLDER.rglob(pattern)]
    written = {word for source in sources for word in re.findall(r"""["']([a-z_]+(?:\.[a-z_]+)+)["']""", source)}
    beginnings = {word for source in sources for word in re.findall(r"""["']([a-z_.]+\.)["'] ~""", source)}
    used = {key for source in sources for key in re.findall(r"""\b(?:t|text)\(\s*["']([a-z_.]+)["']""", source)}

    assert used - table().keys() - beginnings == set()
    uses = "\n".join(source for source in sources if "TEXTS: dict" not in source)
    families = ("name.", *beginnings)  # the names of what logs and metrics have: test_chinese.py
    unused = [key for key in table() if key not in uses and not key.startswith(families)]
    assert [key for key in unused if not key.endswith(".title")] == []
    assert written


def test_a_text_of_two_pages_stands_once() -> None:
    """Among those of all pages: else one is changed, and the other is not."""
    counts = Counter(row for texts in (TEXTS, *(page.texts for page in all_pages())) for row in set(texts.values()))

    twice = {row[0] for row, count in counts.items() if count > 1}
    assert twice == {"done"}  # a column of attempts, and how an entry of the audit log ended


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("", "en"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("en-GB,zh;q=0.2", "en"),
        ("fr,zh-TW;q=0.4,de", "zh"),
        ("fr", "en"),
        ("zh;q=x,en;q=0.1", "en"),
        (",;q=,zh" + "," * 5000, "zh"),
    ],
)
def test_the_browser_says_which_language_it_prefers(accepted: str, language: str) -> None:
    """Its weights count; what is no language is passed over."""
    assert preferred(accepted) == language


def test_a_language_that_was_chosen_precedes_the_browsers(open_console: ConsoleFactory) -> None:
    """And is remembered, as colours and interval are."""
    browser = open_console()
    chinese = {"Accept-Language": "zh-CN"}

    assert "需要处理" in browser.get("/", headers=chinese).text
    browser.post("/preferences", data={"language": "en", "theme": "dark", "interval": "15"})
    page = browser.get("/", headers=chinese).text

    assert '<html lang="en" data-theme="dark">' in page
    assert 'data-interval="15"' in page
    assert "What needs you" in page


def test_a_preference_that_cannot_be_is_left_out(open_console: ConsoleFactory) -> None:
    """Of a form, and of a cookie."""
    browser = open_console()
    browser.post("/preferences", data={"language": "xx", "theme": "<script>", "interval": "0.001"})

    page = browser.get(
        "/", headers={"Cookie": "deskbell_theme=<script>; deskbell_interval=1e9; deskbell_language=../x"}
    )

    assert dict(browser.cookies) == {}
    assert '<html lang="en" data-theme="auto">' in page.text
    assert 'data-interval="5"' in page.text
