"""Log lines for a developer's terminal; unlike those in production they have the text of an exception."""

import traceback
from datetime import UTC, datetime
from typing import Any

from shared.frames import integrators_part
from shared.raised import as_raised

_COLORS = {"info": "32", "warning": "33", "error": "31", "critical": "31"}


def console_line(level: str, event: str, fields: dict[str, Any], *, colors: bool) -> str:
    """A line for people; texts of several lines follow, indented.

    No text can forge a line, or send control characters to the terminal.
    """
    time = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    fields = with_traceback(fields)
    trace = fields.pop("traceback", "")
    blocks = {name: value for name, value in fields.items() if isinstance(value, str) and "\n" in value}
    said = " ".join(f"{name}={_value(value)}" for name, value in fields.items() if name not in blocks)
    head = [
        _colored("2", time, colors=colors),
        f"[{_colored(_COLORS[level], f'{level:<7}', colors=colors)}]",
        _colored("1", f"{_printable(event):<24}", colors=colors),
        said,
    ]
    lines = [" ".join(head).rstrip()]
    for name, text in blocks.items():
        lines += [f"    {name}:", *_indented(text)]
    if trace:
        lines += _indented(trace)
    return "\n".join(lines)


def with_traceback(fields: dict[str, Any]) -> dict[str, Any]:
    """A copy of the fields, an exception among them replaced by its type, and its `traceback` with its text."""
    error = fields.get("error")
    if not isinstance(error, BaseException):
        return dict(fields)
    try:
        error = as_raised(error)
        trace = traceback.TracebackException(type(error), error, integrators_part(error.__traceback__))
        return fields | {"error": type(error).__name__, "traceback": "".join(trace.format())}
    except BaseException:  # noqa: BLE001 - whatever an integrator's exception does when it is read
        return fields | {"error": "unreadable"}


def _value(value: Any) -> str:
    return value if isinstance(value, str) and value.isalnum() else _printable(repr(value))


def _indented(text: str) -> list[str]:
    return [f"    {_printable(line)}" for line in text.rstrip("\n").split("\n")]


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


def _colored(color: str, text: str, *, colors: bool) -> str:
    return f"\x1b[{color}m{text}\x1b[0m" if colors else text
