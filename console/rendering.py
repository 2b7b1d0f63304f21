"""Templates. What comes from outside is shown as text: escaped, cut, without what a browser or a reader would obey."""

import unicodedata
from datetime import UTC, datetime
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from shared.version import version

LONGEST = 1000
"""Characters of a value that a page shows; what is longer is cut, and says so."""

_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


def shown(value: object, longest: int = LONGEST) -> str:
    """A value as text: control characters and marks of direction are written out, and what is too long is cut."""
    try:
        text = value if isinstance(value, str) else str(value)
    except ValueError:  # Python writes out no integer of more than 4,300 digits
        return "(a number of more than 4,300 digits)"
    cut = len(text) - longest
    written = "".join(each if unicodedata.category(each) not in _UNSEEN else _code(each) for each in text[:longest])
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


def ms(value: float | None) -> str:
    """Milliseconds; a bucket without an end has none."""
    if value is None:
        return "-"
    if value == float("inf"):
        return "> 60 s"
    return f"{round(value, 1):g} ms" if value < 1000 else f"{round(value / 1000, 1):,g} s"  # noqa: PLR2004 - of a second


def age(seconds: float | None) -> str:
    """A time span, in its two largest units."""
    if seconds is None:
        return "-"
    if seconds < _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < _HOUR:
        return f"{seconds // _MINUTE:.0f} min {seconds % _MINUTE:.0f} s"
    if seconds < _DAY:
        return f"{seconds // _HOUR:.0f} h {seconds % _HOUR // _MINUTE:.0f} min"
    return f"{seconds // _DAY:.0f} d {seconds % _DAY // _HOUR:.0f} h"


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


def rate(value: float | None) -> str:
    """A count in a second."""
    return "-" if value is None else f"{value:,.1f}/s"


def compile_templates() -> None:
    """Compile all of them, which takes 0.3 s of CPU; what is not compiled yet, a request compiles."""
    for name in TEMPLATES.list_templates(extensions=["html"]):
        TEMPLATES.get_template(name)


def _code(character: str) -> str:
    return f"\\x{ord(character):02x}" if ord(character) < 0x100 else f"\\u{ord(character):04x}"  # noqa: PLR2004 - Latin-1


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
        "shown": shown,
        "ms": ms,
        "age": age,
        "clock": clock,
        "moment": moment,
        "instant": instant,
        "number": number,
        "rate": rate,
    }
    environment.filters.update(filters)
    environment.globals["version"] = version()
    return environment


TEMPLATES = _environment()
