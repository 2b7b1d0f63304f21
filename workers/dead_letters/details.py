"""The details of one dead letter: all that Redis holds about it.

What a customer may have written, the event and the exception's text, is in separate fields: the cause of a failure
can be found without showing it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from redis import Redis
from rq.job import Job
from rq.results import Result

from shared.frames import Frame
from shared.records.masking import mask
from shared.records.query import read_story
from shared.redis.job_data import read_data
from workers.causes import read_frames
from workers.dead_letters.registry import FOREIGN_NAME, DeadLetter, DeadLetters, failure_record, failure_text, read_date

_EVENT_ID = re.compile(r"[0-9a-f]{32}")
_FAILED = str(Result.Type.FAILED.value).encode()


@dataclass(frozen=True, slots=True)
class Details:
    """What Redis holds about a dead letter.

    Attributes:
        failures: how often it failed for good, ten at most.
        awaiting: how many jobs wait for it, directly or behind one another.
        frames: what the exception passed through, the outermost first; none under a stock worker.
        text: RQ's text of the failure, which may quote what a customer wrote.
        event: the event, as it stands on the wire; None when it cannot be read.
    """

    dead_letter: DeadLetter
    enqueued_at: datetime | None
    failures: int
    awaiting: int
    worker: str
    frames: Sequence[Frame]
    text: str
    event: dict[str, Any] | None


def read_details(redis: Redis, dead_letter: DeadLetter) -> Details:
    """Read all about a dead letter."""
    key = Job.key_for(dead_letter.id)
    asked: Any = redis.hmget(key, ["data", "enqueued_at", "worker_name"])
    data, enqueued_at, worker = asked
    results: Any = redis.xrevrange(Result.get_key(dead_letter.id))
    failures = [fields for _, fields in results if fields.get(b"type") == _FAILED]
    text = failure_text(failures[0]) if failures else ""
    return Details(
        dead_letter=dead_letter,
        enqueued_at=read_date(enqueued_at),
        failures=len(failures),
        awaiting=DeadLetters(redis).awaiting([dead_letter.id]),
        worker=((failures[0].get(b"worker_name") if failures else None) or worker or b"").decode(errors="replace"),
        frames=read_frames(failure_record(dead_letter.meta).get("where")),
        text=text,
        event=None if dead_letter.job == FOREIGN_NAME else _event(data),
    )


def masked_details(redis: Redis, details: Details) -> Details:
    """The same, with nothing personal in the event nor, as far as that can be known, in the text of the failure."""
    if details.event is None:  # which values the text may quote is not known
        return replace(details, text="")
    event_id = _EVENT_ID.match(details.dead_letter.id)
    masked = mask(details.event, read_story(redis, event_id[0]).call if event_id else None)
    return replace(details, event=masked.event, text=masked.without(details.text))


def _event(data: bytes | None) -> dict[str, Any] | None:
    """The event among a job's arguments."""
    try:
        _, _, arguments, _ = read_data(data or b"")
        event = arguments[-1]
    except (ValueError, TypeError, IndexError, KeyError):
        return None
    return event if isinstance(event, dict) else None
