"""What `deskbell dead` does: finds dead letters, and puts them back or deletes them.

It reads Redis only, and the integrator's package for `replay --as`. Nothing personal is printed unless
`show --personal` asks.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain

import typer
from redis import Redis
from rich.console import Console

from deskbell.cli.dead.tables import details_text, groups_json, groups_table
from deskbell.cli.exit import stop
from deskbell.cli.moments import moment_of
from deskbell.cli.settings.redis_here import redis_here
from deskbell.cli.settings.running import load_settings_here
from shared.declarations.nearest import advice
from shared.declarations.policies import Rate
from shared.errors import ConfigError
from shared.jobs.job_type import JobType
from shared.loading import load_jobs
from shared.records.users import user_digest
from shared.redaction import terminal_text
from workers.audit import user_name
from workers.dead_letters.details import masked_details, read_details
from workers.dead_letters.registry import DeadLetter, DeadLetters, Entry, Selection
from workers.dead_letters.replay import Pages, Replays, Throttle
from workers.replay_as import ReplaysAs, left_jobs

_FAILED = 1
_INTERRUPTED = 130
_NAMED = 5  # of ids, in a record
_MANY = 100  # a person who puts back more is asked
_WHY_NOT = {
    "gone": "somebody else was faster",
    "expired": "there is no job any more; only discard removes the entry",
    "alive": "queued or running already",
    "limited": "under a rate limit of RQ's own; use rq requeue",
    "there": "the event has a job of that type already",
    "misfit": "of an event that the job type does not subscribe to",
    "no_job": "no job of a job type",
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

    def pages(self, dead_letters: DeadLetters) -> Pages:
        """The dead letters, a page at a time."""
        return [dead_letters.find(self.ids)] if self.ids else dead_letters.pages(self.selection)

    def left(self, redis: Redis) -> Pages:
        """With a job type alone, its jobs that are left since no living worker declares it."""
        job = self.selection.job
        return left_jobs(redis, job) if job and self.selection == Selection(job) else []


class Preview:
    """What a person was shown before the confirmation: no other dead letter is then touched, whatever failed since."""

    def __init__(self, chosen: Chosen, dead_letters: DeadLetters) -> None:
        self._dead_letters = dead_letters
        self._seen: dict[Entry, datetime | None] = {}
        self._groups = dead_letters.groups(map(self._note, chosen.pages(dead_letters)))

    def _note(self, page: list[DeadLetter]) -> list[DeadLetter]:
        self._seen |= {Entry(each.id, each.queue): each.failed_at for each in page}
        return page

    @property
    def count(self) -> int:
        """How many dead letters there are."""
        return len(self._seen)

    def show(self) -> None:
        """Print which dead letters they are."""
        if self._groups:
            _console().print(groups_table(self._groups, datetime.now(UTC)))
        typer.echo(f"{self.count:,} chosen" if self.count else "no dead letters")

    def pages(self) -> Pages:
        """The dead letters that were shown, a page at a time."""
        return self._dead_letters.as_seen(self._seen)

    def missed(self, outcomes: Counter[str]) -> Counter[str]:
        """How many were put back by others, and failed again, before the confirmation."""
        return Counter(gone=self.count - outcomes.total())


def selected(job: str | None, cause: str | None, since: str | None, **others: str | None) -> Selection:
    """The selection that options mean; the others are named as its attributes are."""
    user = others.pop("user")
    when = None if since is None else moment_of("--since", since)
    return Selection(job, cause, when, user=None if user is None else user_digest(user), **others)


def list_groups(selection: Selection, *, as_json: bool, with_ids: bool) -> None:
    """Print how many there are of each job type and cause."""
    with redis_here() as (redis, _):
        dead_letters = DeadLetters(redis)
        groups = dead_letters.groups(dead_letters.pages(selection))
    if as_json:
        typer.echo(groups_json(groups, with_ids=with_ids))
    elif groups:
        _console().print(groups_table(groups, datetime.now(UTC)))
    elif selection == Selection():
        typer.echo("no dead letters")
    else:
        typer.echo(f"no dead letters with {selection}")


def list_ids(selection: Selection) -> None:
    """Print the id of each, one a line, for `xargs` and `grep`."""
    with redis_here() as (redis, _):
        for page in DeadLetters(redis).pages(selection):
            for dead_letter in page:
                typer.echo(terminal_text(dead_letter.id))


def show(job_id: str, *, values: bool, personal: bool) -> None:
    """Print all about one dead letter."""
    with redis_here() as (redis, _):
        found = DeadLetters(redis).find([job_id])
        if not found:
            stop(f"{terminal_text(job_id)}: no dead letter has this id", _FAILED)
        details = read_details(redis, found[0])
        if not personal:
            details = masked_details(redis, details)
        typer.echo(details_text(details, datetime.now(UTC), values=values))


def replay(chosen: Chosen, *, as_: str | None, rate: str | None, yes: bool, by: str | None, dry_run: bool) -> None:
    """Put dead letters back, and print how many; many at once only after a yes."""
    throttle = Throttle(_rate(rate))
    job_type = _declared(as_) if as_ else None
    with redis_here() as (redis, _):
        asks = not (yes or rate or chosen.ids)
        preview = Preview(chosen, DeadLetters(redis)) if asks or dry_run else None
        left = sum(map(len, chosen.left(redis))) if preview and job_type else 0
        if preview and (dry_run or preview.count + left > _MANY):
            preview.show()
            if left:
                typer.echo(f"{left:,} jobs that are left are chosen, too")
            if dry_run:
                _foretell("replay", "replayed", preview, redis, job_type, chosen.left(redis) if job_type else [])
                return
            typer.confirm(f"Put all {preview.count + left:,} back at once? (--rate 20/s does it slowly)", abort=True)
        pages = preview.pages() if preview else chosen.pages(DeadLetters(redis))
        with _progress("replayed") as progress:
            replays = Replays(redis, by or user_name())
            if job_type:
                both = chain(pages, chosen.left(redis))
                outcomes = ReplaysAs(redis, replays, job_type).replay(both, str(chosen), throttle, progress)
            else:
                outcomes = replays.replay(pages, str(chosen), throttle, progress)
    _report(outcomes + (preview.missed(outcomes) if preview else Counter()), "replayed", chosen)


def discard(chosen: Chosen, *, yes: bool, by: str | None, dry_run: bool) -> None:
    """Delete dead letters, after a look at what they are, and print how many."""
    with redis_here() as (redis, _):
        preview = Preview(chosen, DeadLetters(redis)) if dry_run or not yes else None
        if preview:
            preview.show()
            if dry_run:
                _foretell("discard", "discarded", preview, redis)
            if dry_run or not preview.count:
                return
            typer.confirm(f"Delete {preview.count:,} for good, with their events?", abort=True)
        pages = preview.pages() if preview else chosen.pages(DeadLetters(redis))
        with _progress("discarded") as progress:
            outcomes = Replays(redis, by or user_name()).discard(pages, str(chosen), progress)
    _report(outcomes + (preview.missed(outcomes) if preview else Counter()), "discarded", chosen)


def _console() -> Console:
    """Standard output; in a file or a pipe no line is folded."""
    return Console() if sys.stdout.isatty() else Console(width=1000)


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


def _foretell(
    action: str, done: str, preview: Preview, redis: Redis, as_: JobType | None = None, left: Pages = ()
) -> None:
    """Print how many would be dealt with, and how many not."""
    replays = Replays(redis, "")
    outcomes = (
        ReplaysAs(redis, replays, as_).look(chain(preview.pages(), left), lambda _: None)
        if as_
        else replays.look(action, preview.pages(), lambda _: None)
    )
    if outcomes:
        typer.echo(f"{outcomes[done]:,} would be {done}")
        _report_others(outcomes)


def _report(outcomes: Counter[str], done: str, chosen: Chosen) -> None:
    typer.echo(f"{outcomes[done]:,} {done}")
    _report_others(outcomes)
    unknown = len(set(chosen.ids)) - outcomes.total()
    if unknown > 0:
        stop(f"{unknown:,} of the ids are no dead letter's", _FAILED)


def _report_others(outcomes: Counter[str]) -> None:
    for outcome, reason in _WHY_NOT.items():
        if outcomes[outcome]:
            typer.echo(f"{outcomes[outcome]:,} not: {reason}", err=True)


def _declared(name: str) -> JobType:
    """The job type that `--as` names."""
    try:
        jobs = load_jobs(load_settings_here())
    except ConfigError as error:
        stop(f"--as: the job type must be declared here: {error}")
    found = jobs.get(name)
    if not found:
        hint = advice(name, jobs.names, f"; there are {', '.join(jobs.names)}")
        stop(f"--as: expected a job type that DESKBELL_JOBS declares, got {terminal_text(name)!r}{hint}")
    return found


def _rate(text: str | None) -> Rate | None:
    rate = Rate.parse(text) if text else None
    if text and not rate:
        stop(f"--rate: expected a number in a s, min or h, such as 20/s, got {text!r}")
    return rate
