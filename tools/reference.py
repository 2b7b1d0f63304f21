"""Pages of the reference that are the code's own words: settings, commands, handlers and events.

1. Settings come from their fields, commands from typer, decorators and event classes from their docstrings.
2. Each page opens with a few sentences of its own.

    python -m tools.reference
"""

import inspect
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import typer
from pydantic import SecretStr

from deskbell.cli.main import app
from shared.declarations.options import field_names
from shared.handlers.callbacks import Callbacks
from shared.handlers.handler import API_CALL, ASSIGN_AGENT, BEFORE_CONTACT_USER, C2C_SIGNAL, CommandSpec
from shared.settings.config import Settings
from shared.settings.environment import PREFIX
from shared.wire.commands import EVENT_CLASSES, OtherEvent
from shared.wire.events import Event
from shared.wire.forgotten import UserForgotten

FOLDER = Path(__file__).parents[1] / "docs" / "reference"

_SETTINGS = """\
# Settings

Environment variables, read once when a process starts, and lines `NAME=value` of the file `.env` beside your
package; the environment takes precedence. How to change them while Deskbell runs:
[operating](../how-to/operate.md#start-stop-restart).

{table}

If an environment variable begins with `DESKBELL_` and is no setting, nothing starts, and the message names it. The
variables that Kubernetes sets for a Service named `deskbell` or `deskbell-…` (`DESKBELL_SERVICE_HOST`,
`DESKBELL_PORT=tcp://…`) are ignored. RQ's own `RQ_KEY_PREFIX` is kept to, by
Deskbell's keys too: with `shop:rq`, in the environment of every process and not in `.env`, all keys begin with
`shop:rq:` or `shop:deskbell:`, so that several deployments can share a database.

Everything that your package imports is in `deskbell`. Deskbell's other packages are `api`, `console`, `workers`,
`shared` and `examples`: if your code imports a package of its own with one of these names, the start is refused, and
the message names both.
"""
_COMMANDS = """\
# Commands

`deskbell --help` and `deskbell COMMAND --help` say the same. Every command reads `.env`, and takes `--env-file
FILE` for another; with a `deskbell dev` running in this folder, the commands of another terminal use its settings.
A wrong option, setting or file ends a command with status 2 and one sentence; a check that failed, with status 1.
`deskbell --install-completion` completes words in your shell.
"""
_HANDLERS = """\
# Handlers

A handler is a function that a decorator of `Callbacks` declares; the decorator returns it untouched. What a call
of it gets and what becomes of its result is in [HTTP and error codes](http.md). What is declared wrongly is
refused at import, in a sentence that says what to write.

All take `fallback=`, `app=` and `when=`; only `api_call` takes a name.
"""
_EVENTS = """\
# Events

What jobs, and handlers that ask for it, are given: `from deskbell import ApiCall`. An attribute converts its
field, whatever came; a missing field is `""` or None, and `raw` holds the packet itself. What Tencent's pages say
of each command: [the protocol](protocol.md#3-commands).
"""


def settings() -> str:
    """The page of the settings."""
    return _SETTINGS.format(table="\n".join(_settings_table()))


def _settings_table() -> Iterator[str]:
    yield from _head("setting", "default", "")
    # The console's come last: they are in a class that the others inherit.
    for name, field in sorted(Settings.model_fields.items(), key=lambda item: item[0].startswith("console_")):
        value = field.get_default(call_default_factory=True)
        plain = value.get_secret_value() if isinstance(value, SecretStr) else value
        plain = str(plain).lower() if isinstance(plain, bool) else str(plain)
        shown = f"`{plain}`" if plain and value is not None else ""
        yield _row(f"`{PREFIX}{name.upper()}`", shown, f"{(field.description or '').rstrip('.')}.")


def commands() -> str:
    """The page of the commands."""
    parts = [_COMMANDS.rstrip()]
    root: Any = typer.main.get_command(app)
    for name, command in root.commands.items():
        for title, each in _leaves(name, command):
            parts.append("\n".join(_command(title, each)))
    return "\n\n".join(parts) + "\n"


def _leaves(title: str, command: Any) -> Iterator[tuple[str, Any]]:
    """The commands that do something: groups are taken apart."""
    if not hasattr(command, "commands"):
        yield title, command
        return
    for name, each in command.commands.items():
        yield from _leaves(f"{title} {name}", each)


def _command(title: str, command: Any) -> Iterator[str]:
    parameters = [each for each in command.params if not each.hidden and each.name != "help"]
    arguments = [each for each in parameters if each.param_type_name == "argument"]
    options = [each for each in parameters if each.param_type_name == "option"]
    words = [each.metavar or (each.name.upper() if each.required else f"[{each.name.upper()}]") for each in arguments]
    yield f"## deskbell {title}\n"
    yield f"```text\n{' '.join(['deskbell', title, *['[OPTIONS]'] * bool(options), *words])}\n```\n"
    yield _paragraphs(command.help)
    if parameters:
        yield ""
        yield from _head("option", "default", "")
    for word, each in [*zip(words, arguments, strict=True), *((_option(each), each) for each in options)]:
        has_default = each.default not in (None, False) and not each.required
        default = f"`{each.default}`" if has_default else f"`{each.envvar}`" if each.envvar else ""
        yield _row(f"`{word}`", default, each.help or "")


def _option(option: Any) -> str:
    names = ", ".join([*option.opts, *option.secondary_opts])
    return names if option.is_flag else f"{names} {option.metavar or option.name.strip('_').upper()}"


def handlers() -> str:
    """The page of the decorators of `Callbacks`."""
    specs = (API_CALL, ASSIGN_AGENT, BEFORE_CONTACT_USER, C2C_SIGNAL)
    return "\n\n".join([_HANDLERS.rstrip(), *("\n".join(_decorator(spec)) for spec in specs)]) + "\n"


def _decorator(spec: CommandSpec) -> Iterator[str]:
    declared = inspect.getattr_static(Callbacks, spec.decorator)
    about, options = _documented(declared.fget if isinstance(declared, property) else declared, "Args")
    yield f"## @callbacks.{spec.decorator}\n"
    yield f"For {_code(spec.event.COMMANDS)}, as `{spec.event.__name__}`. {about}"
    if options:
        yield ""
        yield from _head("option", "")
    for name, meaning in options.items():
        yield _row(f"`{name}`", meaning)


def events() -> str:
    """The page of the event classes and their attributes."""
    parts = [_EVENTS.rstrip(), "\n".join(_event(Event, {}))]
    parts += ["\n".join(_event(kind, field_names(Event))) for kind in (*EVENT_CLASSES, OtherEvent, UserForgotten)]
    return "\n\n".join(parts) + "\n"


def _event(kind: type[Event], inherited: dict[str, str]) -> Iterator[str]:
    about, meanings = _documented(kind, "Attributes")
    fields = {name: field for name, field in field_names(kind).items() if inherited.get(name) != field}
    yield f"## {kind.__name__}\n"
    yield (f"For {_code(kind.COMMANDS)}. " if kind.COMMANDS else "") + about
    names = [*(name for name in meanings if name not in fields), *fields]
    if kind is Event:
        names = list(meanings)
    elif "variables" in vars(kind):
        meanings["variables"] = " ".join((inspect.getdoc(inspect.getattr_static(kind, "variables")) or "").split())
        names = ["variables", *names]
    if names:
        yield ""
        yield from _head("attribute", "field", "")
    for name in names:
        yield _row(f"`{name}`", _code([fields[name]]) if name in fields else "", meanings.get(name, ""))


def _documented(thing: object, section: str) -> tuple[str, dict[str, str]]:
    """The text of a docstring before its sections, and what one of them says of each name."""
    text = inspect.getdoc(thing) or ""
    about = re.split(r"\n\n(?=\w+:\n)", text)[0]
    found = re.search(rf"^{section}:\n((?:[ ]+.*\n?|\n(?=[ ]))*)", text, re.MULTILINE)
    entries = re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", found[1] if found else "", re.MULTILINE)
    return _paragraphs(about), {name: " ".join(meaning.split()).rstrip(".") + "." for name, meaning in entries}


def _paragraphs(text: str) -> str:
    """Its paragraphs, each on one line; indented ones are code."""
    shown = []
    for part in re.split(r"\n\n+", inspect.cleandoc(text.replace("\b", "").replace("\f", ""))):
        is_code = all(line.startswith("    ") for line in part.splitlines())
        shown.append(f"```sh\n{inspect.cleandoc(part)}\n```" if is_code else " ".join(part.split()))
    return "\n\n".join(shown)


def _code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _head(*columns: str) -> Iterator[str]:
    yield _row(*columns)
    yield "|" + "---|" * len(columns)


def _row(*cells: str) -> str:
    return "|" + "".join(f" {cell} |" if (cell := each.replace("|", "\\|")) else " |" for each in cells)


PAGES = {"settings.md": settings, "commands.md": commands, "handlers.md": handlers, "events.md": events}
"""What writes each page."""


def main() -> None:
    """Write all of them."""
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page())


if __name__ == "__main__":
    main()
