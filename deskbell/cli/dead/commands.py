"""`deskbell dead`, as a person types it; `deskbell/cli/dead/actions.py` does it."""

from typing import Annotated

import typer

from deskbell.cli.exit import stop

app = typer.Typer(help="Dead letters: list, show, replay, discard.", no_args_is_help=True)

Ids = Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Dead letters by their RQ job id.")]
Job = Annotated[str | None, typer.Option(help="Those of this job type.", metavar="NAME")]
Cause = Annotated[str | None, typer.Option(help="Those whose cause holds this text.", metavar="TEXT")]
Since = Annotated[
    str | None, typer.Option(help="Those that failed within this time (90s, 15m, 2h, 7d), or since an ISO date.")
]
Queue = Annotated[str | None, typer.Option(help="Those of this queue.", metavar="NAME")]
Node = Annotated[str | None, typer.Option(help="Those of events of this node.", metavar="NAME")]
Session = Annotated[str | None, typer.Option(help="Those of events of this session.", metavar="ID")]
User = Annotated[
    str | None, typer.Option(help="Those of events of this user: the id, or the digest of records.", metavar="ID")
]
All = Annotated[bool, typer.Option("--all", help="All of them.")]
By = Annotated[str | None, typer.Option(help="Who does it, for the record; you on this host by default.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say which.")]


@app.command("list")
def list_(
    job: Job = None,
    cause: Cause = None,
    since: Since = None,
    queue: Queue = None,
    node: Node = None,
    session: Session = None,
    user: User = None,
    ids: Annotated[bool, typer.Option("--ids", help="Print each one's id instead, the oldest event's first.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; with --ids, the ids too.")] = False,
) -> None:
    """Count dead letters by job type and cause, the most frequent first, and the jobs that wait behind them."""
    from deskbell.cli.dead.actions import list_groups, list_ids, selected

    selection = selected(job, cause, since, queue=queue, node=node, session=session, user=user)
    if ids and not as_json:
        list_ids(selection)
    else:
        list_groups(selection, as_json=as_json, with_ids=ids)


@app.command()
def show(
    id_: Annotated[str, typer.Argument(metavar="ID", help="The RQ job id.")],
    values: Annotated[
        bool,
        typer.Option(
            "--values",
            help="Print the event and the failure's text too; what is not on record, or personal, as lengths.",
        ),
    ] = False,
    personal: Annotated[
        bool, typer.Option("--personal", help="Print all of that as it is: what customers wrote.")
    ] = False,
) -> None:
    """Tell all about one dead letter."""
    from deskbell.cli.dead.actions import show as run

    run(id_, values=values or personal, personal=personal)


@app.command()
def replay(
    ids: Ids = None,
    job: Job = None,
    cause: Cause = None,
    since: Since = None,
    queue: Queue = None,
    node: Node = None,
    session: Session = None,
    user: User = None,
    all_: All = False,
    as_: Annotated[
        str | None,
        typer.Option("--as", help="Replay them under this job type, which DESKBELL_JOBS declares.", metavar="NAME"),
    ] = None,
    rate: Annotated[str | None, typer.Option(help="At most so many: 20/s, 600/min or 1000/h.")] = None,
    yes: Yes = False,
    by: By = None,
    dry_run: DryRun = False,
) -> None:
    """Put dead letters back on their queues, in the order of their events, with all their attempts.

    More than a hundred without --rate are counted first, and put back only after a yes. Each is put back once, also
    when two do this at once; after an interruption, run it again. --as is for a job type that was renamed: the event
    gets a job of the other type instead. With --job alone, jobs are replayed too that are left because no living
    worker declares their type.
    """
    from deskbell.cli.dead.actions import Chosen, selected
    from deskbell.cli.dead.actions import replay as run

    selection = selected(job, cause, since, queue=queue, node=node, session=session, user=user)
    _check(ids, given=selection != selected(None, None, None, user=None), all_=all_)
    run(Chosen(ids or [], selection), as_=as_, rate=rate, yes=yes, by=by, dry_run=dry_run)


@app.command()
def discard(
    ids: Ids = None,
    job: Job = None,
    cause: Cause = None,
    since: Since = None,
    queue: Queue = None,
    node: Node = None,
    session: Session = None,
    user: User = None,
    all_: All = False,
    yes: Yes = False,
    by: By = None,
    dry_run: DryRun = False,
) -> None:
    """Delete dead letters for good. What waits for them goes on."""
    from deskbell.cli.dead.actions import Chosen, selected
    from deskbell.cli.dead.actions import discard as run

    selection = selected(job, cause, since, queue=queue, node=node, session=session, user=user)
    _check(ids, given=selection != selected(None, None, None, user=None), all_=all_)
    run(Chosen(ids or [], selection), yes=yes, by=by, dry_run=dry_run)


def _check(ids: list[str] | None, *, given: bool, all_: bool) -> None:
    if sum((bool(ids), given, all_)) != 1:
        stop("write either ids, or some of --job, --cause, --since, --queue, --node, --session and --user, or --all")
