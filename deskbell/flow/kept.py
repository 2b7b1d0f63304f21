"""Events as Redis keeps them: what came, and how it was answered."""

import time
from typing import Any

from redis import Redis
from rq.job import Job

from shared.records.packing import digest
from shared.records.query import Wanted, find_calls
from shared.redis.job_data import read_data
from shared.wire.commands import event_from_wire
from shared.wire.events import Event

_PAUSE_SECONDS = 0.02
_SCANNED_AT_ONCE = 1000
_MOST_OF_A_SESSION = 10_000


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
    """The events of a session that are on record and whose jobs have not expired, in their order."""
    wanted = Wanted(digest("session", session_id), limit=_MOST_OF_A_SESSION)
    with redis.pipeline(transaction=False) as pipeline:
        for call in find_calls(redis, wanted).calls:
            pipeline.hget(Job.key_for(call.id), "data")
        found = map(_read, pipeline.execute())
    return sorted((event for event in found if event and event.session_id == session_id), key=lambda event: event.id)


def _read(data: Any) -> Event | None:
    """The event in a job's data; None when there is none."""
    try:
        *_, wire = read_data(data or b"")[2]
        return event_from_wire(wire)
    except Exception:  # noqa: BLE001 - anybody may have written it; what is no event is left out
        return None
