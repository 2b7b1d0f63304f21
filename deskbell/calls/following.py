"""Follows an event's jobs on Redis to their end: what it was fanned out to, and what became of each."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from redis import Redis
from rq.job import Job

from shared.wire.json_values import read_json

State = Literal["queued", "running", "retry", "deferred", "done", "dead", "stopped"]
"""`retry` waits for its next attempt, `deferred` behind another job of its key, `dead` is a dead letter."""

_STATES: dict[str, State] = {
    "created": "queued",
    "queued": "queued",
    "started": "running",
    "scheduled": "retry",
    "deferred": "deferred",
    "finished": "done",
    "failed": "dead",
    "stopped": "stopped",
    "canceled": "stopped",
}
_ENDS = ("done", "dead", "stopped")
_UNKNOWN = "this Redis does not have the event; it may be in the api's spool, or on another Redis"
_PAUSE_SECONDS = 0.05
_SCANNED_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class FollowedJob:
    """One job of an event, as it stands.

    Attributes:
        id: RQ's.
        name: the job type's; `fan_out` for the event's own job, which becomes the others.
        queue: the queue it is on.
        attempts: how many were begun.
        cause: why it is a dead letter; "" where it is none. It holds no exception's text.
    """

    id: str
    name: str
    queue: str
    state: State
    attempts: int = 0
    cause: str = ""

    @property
    def has_ended(self) -> bool:
        """Whether nothing happens to it by itself any more."""
        return self.state in _ENDS

    def __str__(self) -> str:
        """The job in a few words."""
        attempts = f", attempt {self.attempts}" if self.attempts > 1 else ""
        return f"{self.name} {self.state} on {self.queue}{attempts}" + (f", {self.cause}" if self.cause else "")


def follow(redis: Redis, event_id: str, *, seconds: float) -> Iterator[list[FollowedJob]]:
    """Follow an event's jobs until all of them have ended; each change is yielded, so the last is how they ended.

    Before the fan-out the event's own job is the only one; if that becomes a dead letter, it is the last. An event that
    no job type wants has none. A job that its author does not keep (`keep=0`) is done when it is gone; one that was
    gone before the first look is not among them.

    Args:
        redis: where the api keeps events.
        event_id: `Answer.event_id`.
        seconds: the longest that this may take.

    Raises:
        TimeoutError: they have not ended by then; the sentence says where each one stands.
    """
    deadline = time.monotonic() + seconds
    ids: list[str] | None = None
    jobs: list[FollowedJob] = []
    seen: list[FollowedJob] | None = None
    while True:
        ids = _fanned_out_to(redis, event_id) if ids is None else ids
        jobs = _read(redis, event_id, [event_id] if ids is None else ids, jobs)
        if jobs != seen:
            yield jobs
            seen = jobs
        if all(job.has_ended for job in jobs) and (ids is not None or any(job.state == "dead" for job in jobs)):
            return
        if time.monotonic() > deadline:
            open_ones = "; ".join(str(job) for job in jobs if not job.has_ended) or _UNKNOWN
            raise TimeoutError(f"the jobs have not ended within {seconds:g} s: {open_ones}")
        time.sleep(_PAUSE_SECONDS)


def ended_jobs(redis: Redis, event_id: str, *, seconds: float = 60) -> list[FollowedJob]:
    """The jobs of an event, by name, once all of them have ended; see `follow`."""
    *_, last = follow(redis, event_id, seconds=seconds)
    return last


def _fanned_out_to(redis: Redis, event_id: str) -> list[str] | None:
    """The ids of the jobs that an event has become; None when it is not fanned out yet.

    They are looked for once, since the script that marks an event writes all of its jobs.
    """
    own: Any = redis.hmget(Job.key_for(event_id), ["status", "meta"])
    status, meta = own
    if status and status != b"finished" and not _object(meta).get("fanned_out"):
        return None
    found = [_text(key) for key in redis.scan_iter(f"{Job.key_for(event_id)}-*", count=_SCANNED_AT_ONCE)]
    ids = sorted({key.removeprefix(Job.redis_job_namespace_prefix).partition(":")[0] for key in found})
    return ids if status or ids else None


def _read(redis: Redis, event_id: str, ids: Sequence[str], before: Sequence[FollowedJob]) -> list[FollowedJob]:
    with redis.pipeline(transaction=False) as pipeline:
        for job_id in ids:
            pipeline.hmget(Job.key_for(job_id), ["status", "meta", "origin"])
        found = pipeline.execute()
    known = {job.id: job for job in before}
    jobs = [_job(event_id, job_id, fields, known.get(job_id)) for job_id, fields in zip(ids, found, strict=True)]
    return [job for job in jobs if job]


def _job(event_id: str, job_id: str, fields: Any, before: FollowedJob | None) -> FollowedJob | None:
    status, meta, origin = fields
    if status is None:  # it is gone
        return replace(before, state="done") if before and before.id != event_id else None
    # In ids a dash stands for the dot of a job type's name.
    name = job_id.removeprefix(event_id).removeprefix("-").replace("-", ".") or "fan_out"
    record = _object(meta)
    state = _STATES.get(_text(status), "queued")
    if state == "dead":
        return FollowedJob(job_id, name, _text(origin), state, record.get("made", 0), str(record.get("cause", "")))
    return FollowedJob(job_id, name, _text(origin), state, record.get("attempt", 0))


def _object(meta: bytes | None) -> dict[str, Any]:
    try:
        read = read_json(meta or b"{}")
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}


def _text(given: bytes | None) -> str:
    return (given or b"").decode(errors="replace")
