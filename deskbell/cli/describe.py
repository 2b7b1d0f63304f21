"""`deskbell describe`: what the Desk administrator must enter for each handler."""

import inspect
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deskbell.cli.exit import stop
from deskbell.cli.settings.running import load_settings_here
from deskbell.cli.variables import Variable, input_variables, output_variables
from shared.handlers.handler import Handler
from shared.loading import load_callbacks
from shared.settings.config import Settings
from shared.settings.environment import PREFIX
from shared.wire.events import Reply
from shared.wire.protocol import API_CALL

_SECRET = "<DESKBELL_PATH_SECRET>"  # noqa: S105 - what stands in its place

_PIPE_WIDTH = 400


@dataclass(frozen=True, slots=True)
class Description:
    """A handler, as the person who enters it in the console sees it.

    Attributes:
        about: the first line of the function's docstring.
        apps: the apps it is limited to; empty means all.
        inputs: the node's input variables; empty for other commands, whose fields Desk knows.
        reads_all: whether the handler takes the whole call, and so may read variables beside these.
        outputs: the node's output variables; None when the handler does not declare them.
        fallback: what is answered when the handler fails or is late: fields by name, "computed", or None for a
            failure.
    """

    name: str
    command: list[str]
    url: str
    about: str
    apps: list[str]
    inputs: list[Variable]
    reads_all: bool
    outputs: list[Variable] | None
    fallback: dict[str, Any] | str | None


def describe(url: str, form: str, *, reveal_secret: bool) -> None:
    """Print what to enter."""
    settings = load_settings_here()
    base = _base(url, settings, reveal_secret=reveal_secret)
    descriptions = [_description(handler, base) for handler in load_callbacks(settings).handlers]
    if not descriptions:
        stop(
            f"{PREFIX}CALLBACKS: expected package.module:callbacks with handlers to describe, got "
            f"{'none in ' + settings.callbacks if settings.callbacks else 'nothing: set it, in .env for example'}"
        )
    if form == "json":
        json.dump([asdict(each) for each in descriptions], sys.stdout, ensure_ascii=False, indent=2)
        sys.stdout.write("\n")
    elif form == "markdown":
        sys.stdout.write("\n".join(line for each in descriptions for line in _markdown(each)) + "\n")
    else:
        # Into a file or a pipe, no cell is folded.
        console = Console(soft_wrap=True, highlight=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)
        for each in descriptions:
            _print(console, each)


def _base(url: str, settings: Settings, *, reveal_secret: bool) -> str:
    if settings.path_secret is None:
        return f"{url.rstrip('/')}/callback"
    secret = settings.path_secret.get_secret_value() if reveal_secret else _SECRET
    return f"{url.rstrip('/')}/{secret}/callback"


def _description(handler: Handler, base: str) -> Description:
    is_node = handler.is_node
    return Description(
        name=handler.name,
        command=list(handler.spec.event.COMMANDS),
        url=f"{base}/{handler.name}" if is_node else base,
        about=(inspect.getdoc(handler.function) or "").partition("\n")[0],
        apps=sorted(handler.apps),
        inputs=input_variables(handler.inputs, handler.when) if is_node else [],
        reads_all=is_node and handler.event_parameter is not None,
        outputs=output_variables(handler.outputs) if handler.outputs.shapes else None,
        fallback=_fallback(handler.fallback),
    )


def _fallback(fallback: Reply | Callable[..., Any] | None) -> dict[str, Any] | str | None:
    if isinstance(fallback, Reply):
        return {**(fallback.variables or {}), **fallback.fields}
    return "computed" if fallback else None


def _facts(each: Description) -> Iterator[tuple[str, str]]:
    """What is said of a handler beside its variables."""
    yield "URL", each.url
    yield "command", ", ".join(each.command)
    if each.apps:
        yield "only for", ", ".join(each.apps)
    if each.fallback is None:
        yield "on failure", "FAIL: the flow takes its exception branch"
    elif isinstance(each.fallback, str):
        yield "on failure", "computed by a function"
    else:
        yield "on failure", json.dumps(each.fallback, ensure_ascii=False)


_INPUT_COLUMNS = ("input", "kind", "required", "type", "description")
_OUTPUT_COLUMNS = ("output", "always", "type", "description")


def _tables(each: Description) -> Iterator[tuple[tuple[str, ...], list[tuple[str, ...]]]]:
    if each.inputs:
        yield _INPUT_COLUMNS, [(v.name, v.kind, _yes(v.required), v.type, v.description) for v in each.inputs]
    if each.outputs:
        yield _OUTPUT_COLUMNS, [(v.name, _yes(v.required), v.type, v.description) for v in each.outputs]


def _remark(each: Description) -> str:
    """What the tables cannot say of a node."""
    remarks = []
    if each.reads_all:
        remarks.append("It takes the whole call, and may read further variables.")
    if each.outputs is None and API_CALL in each.command:
        remarks.append("Outputs are not declared: let the handler return a TypedDict or a pydantic model.")
    return " ".join(remarks)


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _print(console: Console, each: Description) -> None:
    console.print(f"[bold]{escape(each.name)}[/]  {escape(each.about)}")
    for name, value in _facts(each):
        console.print(f"  {name}: {escape(value)}")
    for columns, rows in _tables(each):
        table = Table(*columns, box=None, padding=(0, 2))
        for row in rows:
            table.add_row(*(escape(cell) for cell in row))
        console.print(table)
    if remark := _remark(each):
        console.print(f"  {remark}")
    console.print()


def _markdown(each: Description) -> Iterator[str]:
    yield f"## {each.name}\n"
    if each.about:
        yield f"{each.about}\n"
    for name, value in _facts(each):
        yield f"- {name}: `{value}`"
    yield ""
    for columns, rows in _tables(each):
        yield _row(columns)
        yield _row("---" for _ in columns)
        yield from (_row(row) for row in rows)
        yield ""
    if remark := _remark(each):
        yield f"{remark}\n"


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
