"""What `deskbell events` is asked for: a list, one event, or what comes from now on."""

import json
import re
import time
from contextlib import suppress
from typing import Any

import typer
from redis import Redis

from deskbell.calls.filters import Filters, WrongFilterError
from deskbell.calls.jobs import jobs_now
from deskbell.cli.events.text import call_data, call_lines, found_data, found_sentence, story_data, story_lines
from deskbell.cli.exit import stop
from deskbell.cli.settings.redis_here import redis_here
from shared.records.query import after, newest, read_story
from shared.settings.config import Settings

_FAILED = 1
_ID = re.compile(r"[0-9a-f]{32}")
_PAUSE_SECONDS = 0.5


def events(id_: str | None, filters: Filters, *, limit: int, follow: bool, as_json: bool) -> None:
    """List callbacks, tell all of one event, or follow what comes."""
    is_filtered = filters != Filters()
    try:
        filters.check()
    except WrongFilterError as error:
        stop(f"--{error}")
    if id_ and (is_filtered or follow):
        stop("write either an id, or options that say which")
    if id_ and not _ID.fullmatch(id_):
        stop(f"expected the id of an event, 32 hex digits, got {id_[:40]!r}")
    if follow and (filters.since or not filters.is_open):
        stop("--follow shows what comes from now on: leave --at, --since and --until out")
    with suppress(KeyboardInterrupt), redis_here() as (redis, settings):
        if id_:
            _show(redis, settings, id_, as_json=as_json)
        elif follow:
            _follow(redis, filters, as_json=as_json)
        else:
            _list(redis, settings, filters, limit, as_json=as_json)


def _list(redis: Redis, settings: Settings, filters: Filters, limit: int, *, as_json: bool) -> None:
    found = filters.find(redis, limit)
    if as_json:
        _print_json(found_data(found))
        return
    for call in reversed(found.calls):
        for line in call_lines(call):
            typer.echo(line)
    typer.echo(found_sentence(found, limit, settings.record_hours))


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
