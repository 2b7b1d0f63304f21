"""What `deskbell unknowns` prints: names alone, ready to be sent to Deskbell's maintainers."""

import json
from dataclasses import asdict

import typer

from deskbell.cli.settings.redis_here import redis_here
from deskbell.unknowns.seen import read_seen
from deskbell.unknowns.undocumented import undocumented
from shared.version import version

_HEADS = {
    "commands": "Commands",
    "events": "Values of Event",
    "fields": "Fields",
    "variables": "System variables",
}


def unknowns(*, as_json: bool) -> None:
    """Print the names that docs/reference/protocol.md does not list."""
    with redis_here() as (redis, _):
        seen = read_seen(redis)
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
