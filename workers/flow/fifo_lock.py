"""FIFO lock of a partition key: of the ordered jobs of one key one runs at a time, and they run in event order.

1. Fan-out gives each job its position, and has RQ queue it when the one before it ends: see `workers/flow/ordering.py`.
2. A job takes the lock before its attempt begins. It gets it if no other job of its key runs, no job before it is still
   to run, and no event before it is missing. The script reads RQ's own record of each job's status, so after a worker
   died, during the wait for a retry, with a dead letter or after `rq requeue` there is nothing to repair.
3. A job that does not get the lock is scheduled for a second later; that attempt does not count.
4. An earlier `Seq` of an execution is waited for until ten seconds after the later one was received; an earlier event
   of the key that was received and is not fanned out yet, until three minutes after. What comes later than that runs as
   soon as it comes.
5. Every half minute a worker queues the first job of each key if RQ left it deferred behind a job that is gone.
"""

import json
from typing import Any

from redis import Redis
from redis.exceptions import RedisError
from rq.job import Job
from rq.utils import now, utcformat

from shared.errors import OutOfTurnError
from shared.jobs.job_type import JobType
from shared.jobs.jobs import Jobs
from shared.keys import DESKBELL
from shared.logs import get_log
from shared.redis.job_data import read_data
from shared.redis.scripts import script_text
from shared.wire.commands import event_from_wire
from shared.wire.events import Event
from workers.flow.ordering import execution_of, partition_of, received_ms

GAP_SECONDS = 10
"""How long a missing `Seq` is waited for, from the receipt of a later one."""

FAN_OUT_SECONDS = 180
"""How long an earlier event that is not fanned out is waited for, from the receipt of a later one."""

_SWEEP_KEY = f"{DESKBELL}orders:lock"
_SWEEP_SECONDS = 20


def acquire_lock(job: Job, job_type: JobType, event: Event) -> None:
    """Take the lock of an ordered job's key; a job that is not ordered needs none. In a thread: it asks Redis.

    Raises:
        OutOfTurnError: the job did not get it.
    """
    if not job_type.order_key(event):
        return
    try:
        answer = _ask(job, job_type, event)
        if isinstance(answer, list):
            partition = partition_of(job_type, event)
            is_one_of_them = any(_partition_of(job, each.decode(), job_type) == partition for each in answer)
            answer = b"not fanned out" if is_one_of_them else _ask(job, job_type, event, waits_for_fan_out=False)
    except (RedisError, OSError) as error:
        raise OutOfTurnError(f"Redis did not say whose turn it is: {type(error).__name__}") from None
    if answer != b"go":
        raise OutOfTurnError(f"it is not this job's turn: {answer.decode()}")


def _ask(job: Job, job_type: JobType, event: Event, *, waits_for_fan_out: bool = True) -> Any:
    execution, seq = execution_of(event) or ("", 0)
    order = job.meta.get("order") or ["", repr(float(received_ms(event)))]  # queued before its type was ordered
    return job.connection.register_script(script_text("workers.flow", "order", "fifo_lock"))(
        args=[
            *(partition_of(job_type, event), job.id, order[1], int(job_type.on_dead == "hold")),
            *(event.id, received_ms(event), GAP_SECONDS * 1000, FAN_OUT_SECONDS * 1000 if waits_for_fan_out else 0),
            *(execution, seq),
        ]
    )


def _partition_of(job: Job, event_id: str, job_type: JobType) -> str:
    """The partition of the job that this type will have for an event that is not fanned out yet; "" without one."""
    data: Any = job.connection.hget(Job.key_for(event_id), "data")
    try:
        event = event_from_wire(read_data(data)[2][0])
    except Exception:  # noqa: BLE001 - it cannot be fanned out either
        return ""
    return partition_of(job_type, event) if job_type.wants(event) else ""


def wake(connection: Redis, jobs: Jobs) -> None:
    """Queue the jobs that RQ left deferred behind one that is gone; one worker at a time does it."""
    holds = {job_type.type_slug: job_type.on_dead == "hold" for job_type in jobs.types if job_type.ordered_by}
    if not holds or not connection.set(_SWEEP_KEY, 1, nx=True, ex=_SWEEP_SECONDS):
        return
    script, cursor = connection.register_script(script_text("workers.flow", "order", "wake")), b"0"
    while True:
        answer: Any = script(args=[utcformat(now()), cursor, json.dumps(holds)])
        cursor, woken = answer
        for job_id in woken:
            get_log().warning("order_woken", job_id=job_id.decode())
        if cursor == b"0":
            return
