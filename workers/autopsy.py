"""All that Redis tells of one dead letter. What a customer wrote is told apart: nobody need see it to mend a job."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from redis import Redis
from rq.job import Job
from rq.results import Result

from shared.frames import Frame
from workers.causes import frames_in, read_places
from workers.dead_letters import FOREIGN_NAME, DeadLetter, DeadLetters, failure_text, read_date
from workers.job_data import read_data

_FAILED = str(Result.Type.FAILED.value).encode()


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found.

    Attributes:
        letter: the dead letter.
        enqueued_at: when the job was queued last.
        deaths: how often it died, ten at most.
        awaiting: how many jobs wait for it, directly or behind one another.
        worker: the name of the worker it died under.
        places: where the exception passed through, the outermost first.
        text: RQ's text of the failure, which may quote what a customer wrote.
        event: the event, as it stands on the wire; None when it cannot be read.
    """

    letter: DeadLetter
    enqueued_at: datetime | None
    deaths: int
    awaiting: int
    worker: str
    places: Sequence[Frame]
    text: str
    event: dict[str, Any] | None


def examine(redis: Redis, letter: DeadLetter) -> Findings:
    """Read all about a letter."""
    key = Job.key_for(letter.entry.id)
    asked: Any = redis.hmget(key, ["data", "enqueued_at", "worker_name"])
    data, enqueued_at, worker = asked
    results: Any = redis.xrevrange(Result.get_key(letter.entry.id))
    deaths = [fields for _, fields in results if fields.get(b"type") == _FAILED]
    text = failure_text(deaths[0]) if deaths else ""
    return Findings(
        letter=letter,
        enqueued_at=read_date(enqueued_at),
        deaths=len(deaths),
        awaiting=DeadLetters(redis).awaiting([letter.entry.id]),
        worker=((deaths[0].get(b"worker_name") if deaths else None) or worker or b"").decode(errors="replace"),
        places=_places(letter) or frames_in(text),
        text=text,
        event=None if letter.entry.job == FOREIGN_NAME else _event(data),
    )


def _places(letter: DeadLetter) -> list[Frame]:
    """Where the exception passed through, as it was recorded; nothing where the cause was not recorded either."""
    meta = letter.meta or {}
    return read_places(meta.get("where")) if meta.get("attempt") == 0 else []


def _event(data: bytes | None) -> dict[str, Any] | None:
    """The event among a job's arguments."""
    try:
        _, _, arguments, _ = read_data(data or b"")
        event = arguments[-1]
    except (ValueError, TypeError, IndexError, KeyError):
        return None
    return event if isinstance(event, dict) else None
