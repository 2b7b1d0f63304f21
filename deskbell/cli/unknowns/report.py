"""What `deskbell unknowns` prints: names alone, ready to be sent to Deskbell's maintainers."""

import json
import re
from dataclasses import asdict, dataclass

import typer
from redis.exceptions import RedisError

from deskbell.cli.exit import stop
from deskbell.cli.settings.running import load_settings_here, no_redis
from deskbell.cli.unknowns.documented import EVENTS, VARIABLES, fields_of
from deskbell.cli.unknowns.seen import Seen, read_seen
from shared.redis.connections import connect
from shared.version import version
from shared.wire.commands import COMMANDS
from shared.wire.protocol import COMMAND_FORM

_FAILED = 1
_MOST_NAMES = 100  # of a kind
_NAME = re.compile(COMMAND_FORM)
_HEADS = {
    "commands": "Commands",
    "events": "Values of Event",
    "fields": "Fields",
    "variables": "System variables",
}


@dataclass(frozen=True, slots=True)
class Unknown:
    """A name that docs/reference/protocol.md does not list.

    Attributes:
        command: whose packet it is in; its own for a command.
        name: what it is.
        count: how many events had it.
    """

    command: str
    name: str
    count: int


def unknowns(*, as_json: bool) -> None:
    """Print the names that docs/reference/protocol.md does not list."""
    settings = load_settings_here(for_redis=True)
    try:
        with connect(settings) as redis:
            seen = read_seen(redis)
    except RedisError as error:
        stop(no_redis(error, settings), _FAILED)
    found = undocumented(seen)
    if as_json:
        kinds = {kind: [asdict(each) for each in names] for kind, names in found.items()}
        told = {"deskbell": version(), "logged": seen.logged, "packets": seen.packets, **kinds}
        typer.echo(json.dumps(told, indent=2))
        return
    looked = f"Looked at the commands of {seen.logged:,} callbacks on record, and at {seen.packets:,} packets of jobs."
    if not any(found.values()):
        typer.echo(f"{looked}\nEvery name in them is in docs/reference/protocol.md.")
        return
    typer.echo(f"Names that Deskbell {version()} does not know, and how many events had each; no value of a callback.")
    typer.echo(looked)
    for kind, names in found.items():
        if names:
            typer.echo(f"\n{_HEADS[kind]}")
        for each in names:
            where = "" if each.command == each.name else f"{each.command}  "
            typer.echo(f"  {where}{each.name}  {each.count:,}")
    typer.echo("\nPlease send this to Deskbell's maintainers: no page that we have lists these names.")


def undocumented(seen: Seen) -> dict[str, list[Unknown]]:
    """The names that are not documented, by kind; the most frequent first.

    A name that does not have the form of a name may be a customer's text, and is left out.
    """
    return {
        "commands": _unknown({(name, name): n for name, n in seen.commands.items() if name not in COMMANDS}),
        "events": _unknown({key: n for key, n in seen.events.items() if key[1] not in EVENTS.get(key[0], ())}),
        "fields": _unknown({key: n for key, n in seen.fields.items() if key[1] not in fields_of(key[0])}),
        "variables": _unknown({("", name): n for name, n in seen.variables.items() if name not in VARIABLES}),
    }


def _unknown(counts: dict[tuple[str, str], int]) -> list[Unknown]:
    named = [key for key in counts if all(not word or _NAME.fullmatch(word) for word in key)]
    first = sorted(named, key=lambda key: (-counts[key], key))[:_MOST_NAMES]
    return [Unknown(command, name, counts[command, name]) for command, name in first]
