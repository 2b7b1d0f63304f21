"""Jobs that are left: this worker cannot run them, and a worker of another release can.

1. A job of a type that is not declared here, and an event in a form that is newer than this release, raise LeftError
   before anything has begun.
2. `leave` has RQ schedule the job for later, each time for longer, and lists it under what it needs. No attempt is
   counted, and a rate limit gets its start back.
3. A worker that has what the job needs recalls it at its next heartbeat (`workers/releases/declarations.py`). Other
   workers do not claim jobs of its type from then on: they stay on the queue for it.
4. When no living worker of the queue has had it for a day, and the job was left for as long, it is a dead letter.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rq.job import Job

from shared.declarations.policies import Backoff
from shared.errors import DamagedJobError, LeftError, UnknownJobError
from shared.jobs.job_type import JobType
from shared.jobs.jobs import Jobs
from shared.logs import get_log
from shared.redaction import loggable_job_name
from shared.redis.releases import LEFT_KEY, LEFT_SECONDS, declared_key, left_key

_BACKOFF = Backoff(base=15, cap=3600)


def job_type_of(jobs: Jobs, name: str) -> JobType:
    """The job type of a job's name.

    Raises:
        UnknownJobError: it is not declared here.
        DamagedJobError: it is declared nowhere: no job type can have the name.
    """
    if found := jobs.get(name):
        return found
    if loggable_job_name(name) != name:
        raise DamagedJobError("the job's name is none that a job type can have")
    known = ", ".join(jobs.names)
    raise UnknownJobError(f"no job type is named {name}; this worker knows {known}", name.replace(".", "-"))


def leave(job: Job, error: LeftError, attempt: int = 0) -> bool:
    """Prepare RQ's decision about a job that this worker cannot run; `attempt` is what its claim has counted.

    Returns:
        Whether it is left; else it is to be a dead letter.

    Raises:
        RedisError: Redis did not answer; the same may be called again.
    """
    lease, redis, need, now = getattr(job, "lease", None), job.connection, error.need, time.time()
    queue = lease.queue if lease else job.origin
    count, since = job.meta.get("left", [0, round(now)])
    declared: Any = redis.zscore(declared_key(queue), need)
    left_for = max(since, declared or 0) + LEFT_SECONDS - now
    if left_for < 0:
        redis.zrem(left_key(queue, need), job.id)
        del job.meta["left"]
        return False
    if need:
        with redis.pipeline() as pipeline:
            pipeline.exists(left_key(queue, need))
            pipeline.zadd(left_key(queue, need), {job.id: 0})
            pipeline.expire(left_key(queue, need), 2 * LEFT_SECONDS)
            pipeline.sadd(LEFT_KEY, f"{queue}:{need}")
            are_others, *_ = pipeline.execute()
        if not are_others:
            get_log().warning("job_left", queue=queue, need=need)
    job.meta |= {"left": [count + 1, since], "cause": type(error).__name__}
    if attempt:
        job.meta["attempt"] = attempt - 1
    job.retries_left = (job.retries_left or 0) + 1
    job.retry_intervals = [min(_BACKOFF.seconds(count + 1), int(left_for) + 1)]
    return True


@contextmanager
def leaving(job: Job) -> Iterator[None]:
    """Leave a job whose worker, a stock one, learns only now that it cannot run it."""
    try:
        yield
    except LeftError as error:
        if not leave(job, error):
            job.retries_left = 0
        raise
