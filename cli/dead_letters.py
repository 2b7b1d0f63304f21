"""What `deskbell dead` does: finds dead letters, and puts them back or deletes them.

It reads Redis only, never the integrator's package. Nothing a customer wrote is printed unless `show --values` asks.
"""

import getpass
import re
import socket
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import typer
from redis import Redis
from redis.exceptions import RedisError
from rich.console import Console

from cli.dead_tables import as_json_text, findings_text, groups_table, plain, runs_table
from cli.errors import stop
from shared.config import load_settings
from shared.policies import Rate
from shared.queues import connect
from workers.autopsy import examine
from workers.dead_letters import DeadLetters, Selection, group
from workers.replays import Pace, Pages, Replays
from workers.runs import Runs

_FAILED = 1
_INTERRUPTED = 130
_NAMED = 5  # of ids, in a record
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_WHY_NOT = {
    "gone": "somebody else was faster",
    "expired": "there is no job any more; only discard removes the entry",
    "alive": "queued or running already",
    "limited": "under a rate limit of RQ's own; use rq requeue",
}


@dataclass(frozen=True, slots=True)
class Chosen:
    """Dead letters as they are chosen on the command line.

    Attributes:
        ids: by id; then the selection does not matter.
        selection: by what they are.
    """

    ids: list[str]
    selection: Selection

    def __str__(self) -> str:
        """The choice as one would type it."""
        if not self.ids:
            return str(self.selection)
        more = len(self.ids) - _NAMED
        return " ".join(self.ids[:_NAMED]) + (f" and {more} more" if more > 0 else "")

    def pages(self, redis: Redis) -> Pages:
        """The letters, a page at a time."""
        letters = _letters(redis)
        return [letters.find(self.ids)] if self.ids else letters.pages(self.selection)


def selected(job: str | None, cause: str | None, since: str | None) -> Selection:
    """The selection that options mean."""
    return Selection(job, cause, _moment(since) if since else None)


def list_groups(selection: Selection, *, as_json: bool) -> None:
    """Print how many there are of each job type and cause."""
    with _redis() as redis:
        groups = group(_letters(redis).pages(selection))
    if as_json:
        typer.echo(as_json_text(groups))
    elif groups:
        _console().print(groups_table(groups, datetime.now(UTC)))
    else:
        typer.echo("no dead letters")


def show(job_id: str, *, values: bool) -> None:
    """Print all about one letter."""
    with _redis() as redis:
        found = _letters(redis).find([job_id])
        if not found:
            stop(f"{plain(job_id)}: no dead letter has this id", _FAILED)
        typer.echo(findings_text(examine(redis, found[0]), datetime.now(UTC), values=values))


def replay(chosen: Chosen, *, rate: str | None, by: str | None, dry_run: bool) -> None:
    """Put letters back, and print how many."""
    pace = Pace(_rate(rate))
    with _redis() as redis:
        if dry_run:
            _preview(chosen, redis)
            return
        with _progress("replayed") as progress:
            outcomes = Replays(redis, by or _whoever()).replay(chosen.pages(redis), str(chosen), pace, progress)
    _report(outcomes, "replayed", chosen)


def discard(chosen: Chosen, *, yes: bool, by: str | None, dry_run: bool) -> None:
    """Delete letters, after a look at what they are, and print how many."""
    with _redis() as redis:
        if dry_run or not yes:
            count = _preview(chosen, redis)
            if dry_run or not count:
                return
            typer.confirm(f"Delete {count:,} for good, with their events?", abort=True)
        with _progress("discarded") as progress:
            outcomes = Replays(redis, by or _whoever()).discard(chosen.pages(redis), str(chosen), progress)
    _report(outcomes, "discarded", chosen)


def list_runs(count: int, *, as_json: bool) -> None:
    """Print who replayed or discarded how many."""
    with _redis() as redis:
        runs = Runs(redis).latest(count)
    if as_json:
        typer.echo(as_json_text(runs))
    elif runs:
        _console().print(runs_table(runs))
    else:
        typer.echo("nothing was replayed or discarded in the last 90 days")


@contextmanager
def _redis() -> Iterator[Redis]:
    """A connection; a server that does not answer ends the command in one sentence."""
    try:
        with connect(load_settings()) as redis:
            yield redis
    except (RedisError, OSError) as error:
        stop(f"DESKBELL_REDIS_URL: expected a server that answers, got {type(error).__name__}", _FAILED)


def _letters(redis: Redis) -> DeadLetters:
    """The dead letters; a registry that holds something else is said, and does not hide the others."""
    return DeadLetters(redis, lambda key: typer.echo(f"{plain(key)}: not a registry, passed over", err=True))


def _console() -> Console:
    """Standard output; in a file or a pipe no line is folded."""
    return Console() if sys.stdout.isatty() else Console(width=1000)


def _preview(chosen: Chosen, redis: Redis) -> int:
    """Print which letters are chosen.

    Returns:
        How many.
    """
    groups = group(chosen.pages(redis))
    if groups:
        _console().print(groups_table(groups, datetime.now(UTC)))
    count = sum(each.count for each in groups)
    typer.echo(f"{count:,} chosen" if count else "no dead letters")
    return count


@contextmanager
def _progress(done: str) -> Iterator[Callable[[int], None]]:
    """Show on a terminal how many were dealt with; say how to go on when it is interrupted."""
    total = 0
    with Console(stderr=True).status("") as status:

        def count(more: int) -> None:
            nonlocal total
            total += more
            status.update(f"{total:,}")

        try:
            yield count
        except KeyboardInterrupt:
            status.stop()
            stop(f"interrupted; what was {done} is in the log, run it again for the others", _INTERRUPTED)


def _report(outcomes: Counter[str], done: str, chosen: Chosen) -> None:
    typer.echo(f"{outcomes[done]:,} {done}")
    for outcome, reason in _WHY_NOT.items():
        if outcomes[outcome]:
            typer.echo(f"{outcomes[outcome]:,} not: {reason}", err=True)
    unknown = len(set(chosen.ids)) - outcomes.total()
    if unknown > 0:
        stop(f"{unknown:,} of the ids are no dead letter's", _FAILED)


def _whoever() -> str:
    """The person, as far as the system knows."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = "somebody"
    return f"{user}@{socket.gethostname()}"


def _rate(text: str | None) -> Rate | None:
    rate = Rate.parse(text) if text else None
    if text and not rate:
        stop(f"--rate: expected a number in a s, min or h, such as 20/s, got {text!r}")
    return rate


def _moment(text: str) -> datetime:
    """The time that `--since` means."""
    if span := re.fullmatch(r"(\d{1,6})([smhd])", text):
        return datetime.now(UTC) - timedelta(**{_UNITS[span[2]]: int(span[1])})
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        stop(f"--since: expected a time such as 90s, 15m, 2h or 7d, or an ISO date, got {text!r}")
