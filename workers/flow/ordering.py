"""FIFO queue per partition key: gives ordered jobs their position, and lets each wait for the one before it.

1. A key's jobs are in the order in which their events were received, which their ids say to the millisecond. Events of
   one task flow's execution are in the order of `Seq`: a job's position is the milliseconds of receipt, moved between
   those of its neighbours in the execution, and a fraction by `Seq`.
2. The jobs of a key that have not ended stand in a sorted set by their positions. A new job that has others before it
   is written as RQ's own dependent of the nearest: RQ queues it when that one ends.
3. Fan-outs are not in event order: many workers run them. What one could not know, that a job will stand between two
   others, is found when a job takes the lock of its key: see `workers/flow/fifo_lock.py`.

The positions are given by `place.lua`, in the script that fans an event out; here is what it is told of an event.
"""

import hashlib

from shared.jobs.job_type import JobType
from shared.wire.commands import TaskFlowEvent
from shared.wire.events import Event
from shared.wire.json_values import text, whole

_LARGEST_SEQ = 2**31


def key_digest(job_type: JobType, event: Event) -> str:
    """The digest of a job type's partition key in an event; "" when its job is not ordered."""
    key = job_type.order_key(event)
    return _digest(event.app_id, key) if key else ""


def partition_of(job_type: JobType, event: Event) -> str:
    """The job type and the digest of its key in an event; "" when its job is not ordered."""
    digest = key_digest(job_type, event)
    return f"{job_type.type_slug}:{digest}" if digest else ""


def execution_of(event: Event) -> tuple[str, int] | None:
    """The digest of a task-flow event's execution, and the event's number in it; None when it has none."""
    execution, seq = text(event.raw.get("ExecutionId")), whole(event.raw.get("Seq"))
    if not isinstance(event, TaskFlowEvent) or not execution or seq is None or not 0 <= seq <= _LARGEST_SEQ:
        return None
    return _digest(event.app_id, execution), seq


def received_ms(event: Event) -> int:
    """When an event was received, as its id says."""
    return int(event.id[:12], 16)


def _digest(*parts: str) -> str:
    return hashlib.blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
