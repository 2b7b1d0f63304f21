"""Events as Redis keeps them: what came, and how it was answered."""

import time
from collections.abc import Iterator
from typing import Any, cast

from redis import Redis
from rq.job import Job

from shared.redis.queues import LOG_KEY
from shared.wire.commands import event_from_wire
from shared.wire.events import Event
from workers.job_data import read_data

_PAUSE_SECONDS = 0.02
_SCANNED_AT_ONCE = 1000
_PAGE = 500


def event_of(redis: Redis, event_id: str) -> Event | None:
    """The event of an id, from its own job or from one that it became; None when all of them have expired."""
    own = Job.key_for(event_id)
    if found := _read(redis.hget(own, "data")):
        return found
    keys = redis.scan_iter(f"{own}-*", count=_SCANNED_AT_ONCE, _type="hash")
    return next((found for key in keys if (found := _read(redis.hget(key, "data")))), None)


def outcome_of(redis: Redis, event_id: str, seconds: float = 5) -> str:
    """How an event was answered; "" when Redis has not got it in time, as while it waits in the spool."""
    deadline = time.monotonic() + seconds
    while not (event := event_of(redis, event_id)) and time.monotonic() < deadline:
        time.sleep(_PAUSE_SECONDS)
    return event.reply.outcome if event and event.reply else ""


def session_events(redis: Redis, session_id: str) -> list[Event]:
    """The events of a session that the event log names and whose jobs have not expired, in their order."""
    found = (_read(data) for data in _logged(redis))
    return sorted((event for event in found if event and event.session_id == session_id), key=lambda event: event.id)


def log_pages(redis: Redis) -> Iterator[list[dict[bytes, bytes]]]:
    """The entries of the event log, the oldest first, some hundred at a time."""
    last = b"-"
    while page := cast("Any", redis.xrange(LOG_KEY, last, count=_PAGE)):
        yield [fields for _, fields in page]
        last = b"(" + page[-1][0]


def _logged(redis: Redis) -> Iterator[Any]:
    """The data of the events that the event log names."""
    for page in log_pages(redis):
        with redis.pipeline(transaction=False) as pipeline:
            for fields in page:
                pipeline.hget(Job.key_for(fields[b"id"].decode()), "data")
            yield from pipeline.execute()


def _read(data: Any) -> Event | None:
    """The event in a job's data; None when there is none."""
    try:
        *_, wire = read_data(data or b"")[2]
        return event_from_wire(wire)
    except Exception:  # noqa: BLE001 - anybody may have written it; what is no event is left out
        return None
