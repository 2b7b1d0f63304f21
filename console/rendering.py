"""Templates. What comes from outside is shown as text: escaped, cut, without what a browser or a reader would obey."""

import re
import unicodedata
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape

from console.texts.table import DEFAULT_LANGUAGE, text
from shared.version import version

LONGEST = 1000
"""Characters of a value that a page shows; what is longer is cut, and says so."""

_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
_SPANS = (("unit.d", 86_400), ("unit.h", 3600), ("unit.min", 60), ("unit.s", 1))
_UNITS = {"s": "unit.s", "m": "unit.min", "min": "unit.min", "h": "unit.h", "d": "unit.d"}
_CELL = re.compile(r"<(tr|t[dh])(?! colspan| data-label)(?=[ >])")


def shown(value: object, longest: int = LONGEST) -> str:
    """A value as text: control characters and marks of direction are written out, and what is too long is cut."""
    try:
        whole = value if isinstance(value, str) else str(value)
    except ValueError:  # Python writes out no integer of more than 4,300 digits
        return "±10^4300…"
    cut, written = len(whole) - longest, whole[:longest]
    if not written.isprintable():  # as nearly all is
        written = "".join(each if unicodedata.category(each) not in _UNSEEN else _code(each) for each in written)
    return f"{written}… (+{cut:,})" if cut > 0 else written


def finalize(value: object) -> object:
    """What an expression of a template gives, made fit to be shown; no template can forget it."""
    return value if isinstance(value, Markup) else shown(value)


def exact(value: str) -> Markup:
    """A value as it is, escaped: what a form or an address sends back."""
    return escape(value)


def commands(sentence: str) -> Markup:
    """A sentence of ours with its commands, between backticks, as such."""
    parts = enumerate(shown(sentence).split("`"))
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if number % 2 else escape(part) for number, part in parts
    )


def labelled(rows: Markup, heads: Iterable[str], say: Callable[[str], str]) -> Markup:
    """Rows of a table with each cell's head in `data-label`: on a phone a row is a list, and has no line of heads.

    Args:
        rows: what a template has written, so that no other `<td` than its own is in it.
        heads: the columns' texts, by key.
        say: gives the text of a key.
    """
    cells = iter(heads)

    def label(found: re.Match[str]) -> str:
        nonlocal cells
        if found[1] == "tr":
            cells = iter(heads)
            return found[0]
        return f'{found[0]} data-label="{escape(_sentence(say(next(cells))))}"'

    return Markup(_CELL.sub(label, rows))  # noqa: S704 - escaped before and here


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]


def ms(value: float | None, language: str = DEFAULT_LANGUAGE) -> str:
    """Milliseconds; a bucket without an end has none."""
    if value is None:
        return "-"
    milliseconds, seconds = text(language, "unit.ms"), text(language, "unit.s")
    if value == float("inf"):
        return f"> 60 {seconds}"
    return f"{round(value, 1):g} {milliseconds}" if value < 1000 else f"{round(value / 1000, 1):,g} {seconds}"  # noqa: PLR2004 - of a second


def age(seconds: float | None, language: str = DEFAULT_LANGUAGE) -> str:
    """A time span, in its two largest units."""
    if seconds is None:
        return "-"
    for (unit, length), (smaller, part) in pairwise(_SPANS):
        if seconds >= length:
            rest = f"{seconds % length // part:.0f} {text(language, smaller)}"
            return f"{seconds // length:.0f} {text(language, unit)} {rest}"
    return f"{seconds:.0f} {text(language, 'unit.s')}"


def span(typed: str, language: str = DEFAULT_LANGUAGE) -> str:
    """A time span of one unit, as a filter has it: `15m`."""
    return f"{typed[:-1]} {text(language, _UNITS[typed[-1]])}"


def per(typed: str, language: str = DEFAULT_LANGUAGE) -> str:
    """A rate as a command has it: `20/s`."""
    number, _, unit = typed.partition("/")
    return f"{number}/{text(language, _UNITS[unit])}" if unit in _UNITS else typed


def clock(when: float | datetime) -> str:
    """The time of day in UTC."""
    moment = when if isinstance(when, datetime) else datetime.fromtimestamp(when, UTC)
    return f"{moment.astimezone(UTC):%H:%M:%S}"


def moment(when: float | datetime) -> str:
    """The date and the time of day in UTC."""
    read = when if isinstance(when, datetime) else datetime.fromtimestamp(when, UTC)
    return f"{read.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def instant(when: float | datetime) -> str:
    """The same with milliseconds, for what follows closely."""
    read = when if isinstance(when, datetime) else datetime.fromtimestamp(when, UTC)
    return f"{moment(read)}.{read.microsecond // 1000:03d}"


def number(value: int | None) -> str:
    """A count."""
    return "-" if value is None else f"{value:,}"


def rate(value: float | None, language: str = DEFAULT_LANGUAGE) -> str:
    """A count in a second."""
    return "-" if value is None else f"{value:,.1f}/{text(language, 'unit.s')}"


def compile_templates() -> None:
    """Compile all of them, which takes 0.3 s of CPU; what is not compiled yet, a request compiles."""
    for name in TEMPLATES.list_templates(extensions=["html"]):
        TEMPLATES.get_template(name)


def _code(character: str) -> str:
    return f"\\x{ord(character):02x}" if ord(character) < 0x100 else f"\\u{ord(character):04x}"  # noqa: PLR2004 - Latin-1


def _in_language_of_page(said: Callable[..., str]) -> Callable[[Context, Any], str]:
    @pass_context
    def say(context: Context, value: Any) -> str:
        return said(value, context["visit"].language)

    return say


def _environment() -> Environment:
    environment = Environment(
        loader=ChoiceLoader([PackageLoader("console", "templates"), PackageLoader("console", "pages")]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    filters: dict[str, Any] = {
        "exact": exact,
        "commands": commands,
        "labelled": labelled,
        "shown": shown,
        "clock": clock,
        "moment": moment,
        "instant": instant,
        "number": number,
    }
    environment.filters.update(filters)
    environment.filters.update({each.__name__: _in_language_of_page(each) for each in (ms, age, span, per, rate)})
    environment.globals["version"] = version()
    return environment


TEMPLATES = _environment()
