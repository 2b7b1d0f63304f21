"""Late values on Redis: a hash for each event, written once by its job and handed out to one delivery.

A value's own time to live counts, not that of RQ's job. While there is none, RQ's status of the job says why.
"""

import time
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json, to_json

from shared.keys import DESKBELL
from shared.late.policy import State
from shared.wire.events import Reply

if TYPE_CHECKING:  # `import deskbell` comes here, and must stay light
    from redis import Redis

VALUES_KEY = f"{DESKBELL}late:"
"""Prefix of a late value: a hash with the reply that the handler made, and which delivery has got it."""

_OVER = ("failed", "stopped", "canceled")  # RQ's statuses of what is in its FailedJobRegistry, or was taken away

_TAKE = """
local time = redis.call('TIME')
if time[1] + time[2] / 1000000 > tonumber(ARGV[2]) then return false end
local reply = redis.call('HGET', KEYS[1], 'reply')
if not reply then return false end
local taken = redis.call('HGET', KEYS[1], 'taken')
if taken and taken ~= ARGV[1] then return '' end
redis.call('HSET', KEYS[1], 'taken', ARGV[1])
return reply
"""


def keep(redis: "Redis", event_id: str, reply: Reply, seconds: int) -> None:
    """Keep what a handler has answered at last; what an earlier run has answered stays."""
    key = VALUES_KEY + event_id
    text = to_json({"code": reply.code, "info": reply.info, "variables": reply.variables, "outcome": reply.outcome})
    with redis.pipeline() as pipeline:
        pipeline.hsetnx(key, "reply", text)
        pipeline.expire(key, seconds, nx=True)
        pipeline.execute()


def take(
    redis: "Redis", event_id: str, job_id: str, delivery: str, seconds: int, *, patience: float
) -> tuple[State, Reply | None]:
    """What a ticket stands for now.

    Args:
        redis: where the values are.
        event_id: the event that the ticket was issued for.
        job_id: the job that computes its values.
        delivery: who asks: values go to one delivery, as often as that is repeated.
        seconds: for how long an event is waited for that is not on Redis, since it may be in a spool.
        patience: seconds that the caller waits for Redis; a script that Redis comes to later hands out nothing, since
            what it took would be lost.

    Returns:
        `ready` with the reply; or why not.
    """
    from rq.job import Job  # noqa: PLC0415 - see above

    # The statuses first: a job that has ended by then has left its value.
    with redis.pipeline(transaction=False) as pipeline:
        for each in (job_id, event_id):
            pipeline.hget(Job.key_for(each), "status")
        pipeline.time()
        *statuses, (now, microseconds) = pipeline.execute()
    job, event = ((status or b"").decode() for status in statuses)
    until = now + microseconds / 1_000_000 + patience
    reply: Any = redis.register_script(_TAKE)(keys=[VALUES_KEY + event_id], args=[delivery, until])
    if reply:
        return "ready", Reply(**from_json(reply))
    if reply is not None:
        return "used", None
    return _why_not(job, event, time.time() - int(event_id[:12], 16) / 1000 < seconds), None


def _why_not(job: str, event: str, is_young: bool) -> State:
    """Why there is no value, by the statuses of the job and of its event's own job; "" when there is none."""
    if job in _OVER or (not job and event in _OVER):
        return "failed"
    if job == "finished" or (not job and event == "finished"):
        return "expired"  # it was there, or the job was discarded
    return "not_yet" if job or event or is_young else "expired"
