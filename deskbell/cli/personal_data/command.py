"""`deskbell forget` and `deskbell export`, as a person types them; `actions` does it."""

from pathlib import Path
from typing import Annotated

import typer

from deskbell.cli.exit import stop

_OneUser = Annotated[str, typer.Option("--user", help="The user's id, as Desk sends it.", metavar="ID")]
_App = Annotated[str | None, typer.Option(help="Of this app alone, by SdkAppid; of all apps by default.")]


def forget(
    user: _OneUser,
    app: _App = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    by: Annotated[str | None, typer.Option(help="Who does it, for the record; you on this host by default.")] = None,
    rewrite_aof: Annotated[
        bool, typer.Option("--rewrite-aof", help="Then have Redis write its append-only file anew.")
    ] = False,
) -> None:
    """Remove what is kept of a user: jobs, dead letters, records, answers, late values; then tell jobs to follow.

    What came before the command is removed whole, what comes afterwards is left whole. A job under way ends first; up
    to a minute is waited for it. Run it again after an interruption, or when it says so; exit 1 if something is left.
    """
    from deskbell.cli.personal_data.actions import forget as run

    run(_id(user), app, dry_run=dry_run, yes=yes, by=by, rewrite_aof=rewrite_aof)


def export(
    user: _OneUser,
    app: _App = None,
    to: Annotated[Path | None, typer.Option(help="Write to this new file, which only you can read.")] = None,
) -> None:
    """Write all that is kept of a user, as one JSON document with a list for each data set."""
    from deskbell.cli.personal_data.actions import export as run

    run(_id(user), app, to)


def _id(user: str) -> str:
    return user or stop("--user: expected the id of a user, got an empty text")
