"""All that is kept of a user, as one JSON document: facts about the export, and a list for each data set.

It is written as it is read, an item at a time, so it may be larger than the memory.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, TextIO

from redis import Redis
from rq.results import Result
from sqlalchemy.exc import SQLAlchemyError

from deskbell.jobs.analytics import rows_of
from deskbell.personal_data.elsewhere import sentences, spooled
from deskbell.personal_data.jobs import UserJob, UserJobs
from deskbell.personal_data.kept import answers, cache_values, late_values
from shared.records.erasure import calls_of_user
from shared.records.query import read_story
from shared.records.users import User
from shared.settings.config import Settings
from workers.dead_letters.registry import failure_text

Items = Iterable[Mapping[str, Any]]


def write_export(redis: Redis, settings: Settings, user: User, file: TextIO) -> None:
    """Write the document."""
    event_ids: set[str] = set()
    unread: list[int] = []
    made = datetime.now(UTC).isoformat(timespec="seconds")
    _write(file, "{", "user", user.id)
    _write(file, ",", "app", user.app)
    _write(file, ",", "made", made)
    _write_list(file, "records", _records(redis, user, event_ids))
    _write_list(file, "jobs", _jobs(redis, user, event_ids, unread.append))
    _write_list(file, "answers", _answers(redis, settings, event_ids))
    _write_list(file, "late_values", ({"event": each, **value} for each, value in late_values(redis, event_ids)))
    _write_list(file, "cache_values", _cache_values(redis, user))
    _write_list(file, "spooled_here", (event.to_wire() for event in spooled(settings, user)))
    rows, problem = _analytics(settings, user)
    _write_list(file, "analytics_rows", rows)
    _write(file, ",", "jobs_not_read", sum(unread))
    _write(file, ",", "elsewhere", [*problem, *sentences(redis, settings, user)])
    file.write("\n}\n")


def _records(redis: Redis, user: User, event_ids: set[str]) -> Iterator[Mapping[str, Any]]:
    for call in calls_of_user(redis, user):
        event_ids.add(call.id)
        story = read_story(redis, call.id)
        attempts = [asdict(each) for each in story.attempts]
        yield asdict(call) | {"repeated": story.repeated, "attempts": attempts}


def _jobs(redis: Redis, user: User, event_ids: set[str], unread: Callable[[int], object]) -> Items:
    jobs = UserJobs(redis, user)
    for page in jobs.pages():
        event_ids.update(job.event.id for job in page)
        yield from (_job(redis, job) for job in page)
    unread(jobs.unread)


def _job(redis: Redis, job: UserJob) -> Mapping[str, Any]:
    results: Any = redis.xrevrange(Result.get_key(job.id))
    failures = [text for _, fields in results if (text := failure_text(fields))]
    return {
        "id": job.id,
        "queue": job.queue,
        "status": job.status,
        "event": job.event.to_wire(),
        "failures": failures,
    }


def _answers(redis: Redis, settings: Settings, event_ids: set[str]) -> Items:
    for each in answers(redis, event_ids, settings):
        yield {"event": each.event_id, "answer": each.envelope.decode(errors="replace")}


def _cache_values(redis: Redis, user: User) -> Items:
    return ({"cache": each.cache, "value": each.text.decode(errors="replace")} for each in cache_values(redis, user))


def _analytics(settings: Settings, user: User) -> tuple[Items, list[str]]:
    """The rows of the shipped job type; or a sentence about why they cannot be read here."""
    try:
        rows = rows_of(settings, user.id, user.app or "")
    except (SQLAlchemyError, ImportError) as error:  # the database's driver may be where the workers are
        return [], [f"The analytics rows could not be read: {type(error).__name__}."]
    return [{name: _text(value) for name, value in row.items()} for row in rows], []


def _text(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value


def _write_list(file: TextIO, name: str, items: Items) -> None:
    file.write(f",\n{json.dumps(name)}: [")
    file.writelines((",\n " if number else "\n ") + json.dumps(item) for number, item in enumerate(items))
    file.write("]")


def _write(file: TextIO, before: str, name: str, value: Any) -> None:
    file.write(f"{before}\n{json.dumps(name)}: {json.dumps(value)}")
