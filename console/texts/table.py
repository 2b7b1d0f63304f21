"""The table of texts, and which of its languages a browser prefers."""

from collections.abc import Mapping
from functools import cache

from console.page import all_pages
from console.texts.common import TEXTS
from console.texts.described import DESCRIBED
from console.texts.findings import FINDINGS
from console.texts.names import TEXTS as NAMES
from console.texts.refusals import REFUSALS
from console.texts.servers import SERVERS
from shared.sentences import Sentence

LANGUAGES = {"en": "English", "zh": "简体中文"}
"""Each language's own name, by the tag that stands in `<html lang>`."""

DEFAULT_LANGUAGE = "en"
_COLUMNS = {"en": 0, "zh": 1}
_MOST = 20


@cache
def table() -> Mapping[str, tuple[str, str]]:
    """Every text, by key."""
    rows = TEXTS | NAMES
    for page in all_pages():
        twice = rows.keys() & page.texts.keys()
        assert not twice, f"{page.name} has texts that are there already: {sorted(twice)}"
        rows |= page.texts
    return rows


def text(language: str, key: str, **values: object) -> str:
    """A text in a language, with what is filled in.

    Raises:
        KeyError: the table has no such text, or lacks a value that it names.
    """
    return table()[key][_COLUMNS[language]].format_map(values)


SENTENCES: Mapping[str, str] = FINDINGS | SERVERS | DESCRIBED | REFUSALS
"""What commands say, too: the Chinese, by the form in English."""


def said(language: str, words: str) -> str:
    """What a command says, in a language; words that are no sentence, such as an id or a cause, as they are.

    Raises:
        KeyError: the table has no such sentence.
    """
    if language == DEFAULT_LANGUAGE or not isinstance(words, Sentence):
        return words
    return SENTENCES[words.form].format(**{name: _value(language, value) for name, value in words.values.items()})


def _value(language: str, value: object) -> object:
    if isinstance(value, list):
        return "、".join(said(language, str(each) if not isinstance(each, str) else each) for each in value)
    return said(language, value) if isinstance(value, str) else value


def preferred(accepted: str) -> str:
    """The language that a browser's `Accept-Language` prefers among ours; English where it names none."""
    weights: dict[str, float] = {}
    for part in accepted.split(",")[:_MOST]:
        tag, _, weight = part.partition(";q=")
        language = tag.strip().lower().partition("-")[0]
        if language in LANGUAGES:
            weights[language] = max(weights.get(language, 0.0), _number(weight))
    return max(weights, key=weights.__getitem__, default=DEFAULT_LANGUAGE)


def _number(text: str) -> float:
    try:
        return float(text) if text.strip() else 1.0
    except ValueError:
        return 0.0
