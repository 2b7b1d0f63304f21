"""What `deskbell events` is asked for: a list, one event, or what comes from now on."""

import json
import re
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, get_args

import typer
from redis import Redis
from redis.exceptions import RedisError

from deskbell.cli.events.jobs import jobs_now
from deskbell.cli.events.text import call_data, call_lines, found_data, found_sentence, story_data, story_lines
from deskbell.cli.exit import stop
from deskbell.cli.moments import moment_of
from deskbell.cli.settings.running import load_settings_here, no_redis
from shared.records.packing import LONGEST_ID, digest
from shared.records.query import Call, Wanted, after, find_calls, newest, read_story
from shared.redis.connections import connect
from shared.settings.config import Settings
from shared.wire.events import Outcome

_FAILED = 1
_ID = re.compile(r"[0-9a-f]{32}")
_AROUND = timedelta(minutes=2)
_PAUSE_SECONDS = 0.5
_OUTCOMES = [each for each in get_args(Outcome) if each not in ("duplicate", "verified", "defect")]


@dataclass(frozen=True, slots=True)
class Filters:
    """The options that say which callbacks."""

    user: str | None
    session: str | None
    node: str | None
    outcome: str | None
    at: str | None
    since: str | None
    until: str | None

    def __post_init__(self) -> None:
        """Refuse what means nothing, in a sentence."""
        if self.at and (self.since or self.until):
            stop("write either --at, or --since and --until")
        if self.outcome and self.outcome not in _OUTCOMES:
            stop(f"--outcome: expected {', '.join(_OUTCOMES)}, got {self.outcome!r}")

    def wanted(self, limit: int) -> Wanted:
        """These, as a search."""
        since, until = (self._moment(name) for name in ("since", "until"))
        if self.at:
            moment = moment_of("--at", self.at)
            since, until = moment - _AROUND, moment + timedelta(minutes=1) + _AROUND
        of_user = digest("user", self.user) if self.user else None
        of_session = digest("session", self.session) if self.session else None
        return Wanted(
            of_user or of_session,
            since=since.timestamp() if since else 0.0,
            until=until.timestamp() if until else float("inf"),
            fits=self.fits,
            limit=limit,
        )

    def fits(self, call: Call) -> bool:
        """Whether a callback is one of these, but for its time."""
        users = (self.user[:LONGEST_ID], digest("user", self.user).hex()) if self.user else (call.user,)
        session = self.session[:LONGEST_ID] if self.session else call.session
        return (
            call.user in users
            and call.session == session
            and self.node in (None, call.node)
            and self.outcome in (None, call.outcome)
        )

    def _moment(self, name: str) -> datetime | None:
        text = getattr(self, name)
        return moment_of(f"--{name}", text) if text else None


def events(id_: str | None, filters: Filters, *, limit: int, follow: bool, as_json: bool) -> None:
    """List callbacks, tell all of one event, or follow what comes."""
    is_filtered = any(getattr(filters, name) for name in Filters.__slots__)
    if id_ and (is_filtered or follow):
        stop("write either an id, or options that say which")
    if id_ and not _ID.fullmatch(id_):
        stop(f"expected the id of an event, 32 hex digits, got {id_[:40]!r}")
    if follow and (filters.at or filters.since or filters.until):
        stop("--follow shows what comes from now on: leave --at, --since and --until out")
    settings = load_settings_here(for_redis=True)
    try:
        with connect(settings) as redis:
            if id_:
                _show(redis, settings, id_, as_json=as_json)
            elif follow:
                _follow(redis, filters, as_json=as_json)
            else:
                _list(redis, settings, filters.wanted(limit), as_json=as_json)
    except (RedisError, OSError) as error:
        stop(no_redis(error, settings), _FAILED)
    except KeyboardInterrupt:
        return


def _list(redis: Redis, settings: Settings, wanted: Wanted, *, as_json: bool) -> None:
    found = find_calls(redis, wanted)
    if as_json:
        _print_json(found_data(found))
        return
    for call in reversed(found.calls):
        for line in call_lines(call):
            typer.echo(line)
    typer.echo(found_sentence(found, wanted.limit, settings.record_hours))


def _show(redis: Redis, settings: Settings, event_id: str, *, as_json: bool) -> None:
    story = read_story(redis, event_id)
    jobs = jobs_now(redis, event_id, (each.job for each in story.attempts))
    if as_json:
        _print_json(story_data(event_id, story, jobs))
    else:
        for line in story_lines(event_id, story, jobs, settings.record_hours):
            typer.echo(line)
    if not (story.call or story.attempts or jobs):
        raise typer.Exit(_FAILED)


def _follow(redis: Redis, filters: Filters, *, as_json: bool) -> None:
    place = newest(redis)
    while True:
        calls, place = after(redis, place)
        for call in filter(filters.fits, calls):
            if as_json:
                _print_json(call_data(call))
            else:
                typer.echo("\n".join(call_lines(call)))
        if not calls:
            time.sleep(_PAUSE_SECONDS)


def _print_json(data: dict[str, Any]) -> None:
    typer.echo(json.dumps(data))
