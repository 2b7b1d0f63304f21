"""What `deskbell forget` and `deskbell export` do, and what they print."""

import os
import sys
from datetime import UTC
from pathlib import Path

import typer
from redis import Redis
from rich.console import Console

from deskbell.cli.exit import stop
from deskbell.cli.settings.redis_here import redis_here
from deskbell.personal_data.elsewhere import rewrite_file, sentences
from deskbell.personal_data.export import write_export
from deskbell.personal_data.forget import Forgotten, count
from deskbell.personal_data.forget import forget as forget_user
from shared.records.users import User
from shared.redaction import terminal_text
from shared.settings.config import Settings
from workers.audit import user_name

_FAILED = 1
_INTERRUPTED = 130
_WAIT_SECONDS = 60
_SECONDS = 60.0  # that one answer of Redis may take


def forget(id_: str, app: str | None, *, dry_run: bool, yes: bool, by: str | None, rewrite_aof: bool) -> None:
    """Forget a user, after a look at what there is."""
    with redis_here(_SECONDS) as (redis, settings):
        user = User(id_, _checked(app, settings))
        if dry_run or not yes:
            _show(user, count(redis, settings, user), "would be removed")
            if dry_run:
                return
            typer.confirm("Remove all of this for good?", abort=True)
        done = _forgotten(redis, settings, user, by or user_name())
        _show(user, done, "removed")
        for job in done.jobs:
            typer.echo(terminal_text(f"told      {job}"))
        if not done.jobs and done.has_told:
            typer.echo("told      nobody: no job type is for UserForgotten. Delete the contact in the CRM by hand.")
        for sentence in sentences(redis, settings, user):
            typer.echo(f"not here  {terminal_text(sentence)}")
        if rewrite_aof:
            typer.echo(rewrite_file(redis))
    _end(done)


def export(id_: str, app: str | None, to: Path | None) -> None:
    """Write what is kept of a user."""
    with redis_here(_SECONDS) as (redis, settings):
        user = User(id_, _checked(app, settings))
        redis.ping()  # before anything is written
        if to is None:
            write_export(redis, settings, user, sys.stdout)
            return
        try:
            descriptor = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            stop(f"--to: {to} exists already; write another name")
        try:
            with os.fdopen(descriptor, "w") as file:
                write_export(redis, settings, user, file)
        except BaseException:  # half a document passes for a whole one
            to.unlink()
            raise
    typer.echo(f"written to {to}", err=True)


def _forgotten(redis: Redis, settings: Settings, user: User, by: str) -> Forgotten:
    with Console(stderr=True).status("") as status:
        try:
            return forget_user(redis, settings, user, by=by, seconds=_WAIT_SECONDS, progress=status.update)
        except KeyboardInterrupt:
            status.stop()
            stop("interrupted; run it again for the rest", _INTERRUPTED)


def _show(user: User, found: Forgotten, done: str) -> None:
    apps = f"of the app {user.app}" if user.app else "of all apps"
    moment = found.until.astimezone(UTC)
    typer.echo(f"user      {str(user).partition(':')[0]}, a digest, {terminal_text(apps)}")
    typer.echo(f"until     {moment:%Y-%m-%d %H:%M:%S} UTC")
    for name, number in found.removed.items():
        typer.echo(f"{number:>9,} {name}")
    typer.echo(f"{found.removed.total():>9,} {done}")
    if found.unread:
        typer.echo(f"not read  {found.unread:,} jobs, which are not Deskbell's or are damaged")


def _end(done: Forgotten) -> None:
    """End with status 1 when something is left to do."""
    if done.under_way:
        ids = ", ".join(sorted(done.under_way)[:5])
        stop(f"{len(done.under_way):,} jobs of this user are still under way ({ids}): run it again when they ended", 1)
    if not done.has_told:
        stop("not all jobs for UserForgotten have ended; `deskbell doctor` tells why a queue does not move", _FAILED)
    if any(job.state != "done" for job in done.jobs):
        stop(
            "a job for UserForgotten is a dead letter: `deskbell dead list`; replay it when the cause is mended",
            _FAILED,
        )


def _checked(app: str | None, settings: Settings) -> str | None:
    if app is not None and settings.apps and app not in settings.apps:
        stop(f"--app: expected one of {', '.join(settings.apps)}, got {terminal_text(app)!r}")
    return app
