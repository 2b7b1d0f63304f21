"""The queues on Redis: their names, the two functions that a job may name, and our own keys.

Every key under `rq:` is RQ's, in RQ's own form; those under `deskbell:` are ours; `shared.keys` has their prefix.
"""

import zlib
from typing import Any

from redis import Redis
from rq import Queue, Retry
from rq.job import Job
from rq.serializers import JSONSerializer

from shared.keys import DESKBELL
from shared.wire.events import QUEUE, Wire

EVENTS = QUEUE
"""The queue that accepted events wait on to be fanned out."""

FAN_OUT = "workers.fan_out.fan_out"
"""The function that a job on `events` names."""

PERFORM = "workers.perform.perform"
"""The function that a job on any other queue names."""

REPLY_KEY = f"{DESKBELL}reply:"
"""Prefix of the answer already given to a delivery: the event's id (32 characters), then the envelope."""

MARK_KEY = f"{DESKBELL}mark:"
"""Prefix of what a process, or a spool file, has sent last: the number of a call or of an event, or "closed"."""

TOKENS_KEY = f"{DESKBELL}tokens"
"""A hash: `<SdkAppid>:<fingerprint>` of a token, and the Unix seconds at which it last signed a callback."""

FORGOTTEN_KEY = f"{DESKBELL}forgotten"
"""When an api found that Redis lacked calls which it had acknowledged, and how many, as JSON."""

RUNS_KEY = f"{DESKBELL}dead:runs"
"""The replays and discards of dead letters, by the time they began; each has a hash under this key, `:` and its id."""

EVENT_RETRIES = 9
"""How often the fan-out of an event is tried again before it is a dead letter."""

COMPRESSED_BYTES = 1024
"""Bytes from which on a job's data are compressed: of fewer it takes more time than their memory is worth."""

_STAMPED = frozenset({"created_at", "enqueued_at", "data"})

FOREVER = -1
"""A time to live that does not end, as RQ writes it: dead letters stay until a person replays or discards them."""


def queue(name: str, connection: Redis) -> Queue:
    """RQ's queue of a name, with JSON jobs."""
    return Queue(name, connection=connection, serializer=JSONSerializer)


def events_job(events: Queue, description: str, event: Wire, job_id: str | None = None) -> Job:
    """The RQ job of an event on the queue `events`, not yet enqueued.

    Its retries are RQ's own: a worker that dies in the middle leaves it to be tried again.
    """
    return events.create_job(
        FAN_OUT,
        args=[event],
        job_id=job_id,
        description=description,
        timeout=60,
        failure_ttl=FOREVER,
        retry=Retry(max=EVENT_RETRIES, interval=[1, 2, 5, 10, 30, 60, 120, 300, 600]),
    )


def job_template(job: Job) -> dict[str, Any]:
    """The fields of a job, as RQ itself writes them, that other jobs of its kind have, too."""
    fields: dict[str, Any] = job.to_dict()
    return {name: value for name, value in fields.items() if name not in _STAMPED}


def pack(data: bytes) -> bytes:
    """A job's data as RQ reads them: JSON as it is, or a zlib stream where that saves much; here with a window of 4 kB.

    The default window takes 256 kB of memory at each call, which the system maps and clears each time: six times as
    long, for the same size.
    """
    if len(data) < COMPRESSED_BYTES:
        return data
    compressor = zlib.compressobj(level=3, wbits=12, memLevel=4)
    return compressor.compress(data) + compressor.flush()


def queue_key(name: str) -> str:
    """The key of the list that a queue's job ids wait in."""
    return Queue.redis_queue_namespace_prefix + name
