"""Retries with backoff: what becomes of a job whose attempt fails, in RQ's own terms.

1. Fan-out gives a job `attempts - 1` of RQ's retries and an interval for each, so that RQ tries it again even if the
   worker dies during an attempt.
2. Each attempt is counted in the job's `meta`, our own record: RQ's count does not start anew after a requeue.
3. When an attempt raises, RQ's `retries_left` and interval are set as the exception asks: RQ's own code schedules the
   job, and its scheduler queues it again when it is due.
4. After the last attempt, a `Discard` or a missing setting no retries are left: RQ moves the job, with the traceback,
   to its FailedJobRegistry. That is the dead letter.
5. A dead letter that is requeued begins at attempt 1.
6. An attempt does not count if it fails while the breaker of its type is open (`workers/flow/limits.py`), or if it
   began without the lock of its key (`workers/flow/fifo_lock.py`).
7. `Retry(counts=False)` and `Unavailable` use up no attempt, but the job waits for a day at most, from the first of
   such waits in a row.
"""

import math
import time
from datetime import UTC, datetime
from typing import Any

from redis.exceptions import RedisError
from rq import Retry as RQRetry
from rq.job import Job

from shared.declarations.policies import LONGEST_SECONDS, LONGEST_WAIT_SECONDS, Backoff
from shared.errors import FINAL, Discard, OutOfTurnError, Retry, Unavailable
from shared.jobs.job_type import JobType
from workers.causes import cause_of, last_frames_of
from workers.redis_errors import is_transient

_OUT_OF_TURN_SECONDS = 1
Decided = tuple[str, dict[str, Any]]
"""An outcome, and what else the log says."""


def rq_retry(job_type: JobType) -> RQRetry | None:
    """RQ's own retries for a job of a type; None when it is run once."""
    if job_type.attempts == 1:
        return None
    waits = [job_type.backoff.seconds(attempt) for attempt in range(1, job_type.attempts)]
    return RQRetry(max=job_type.attempts - 1, interval=waits)


def begin_attempt(job: Job, attempts: int) -> int:
    """Count an attempt, on Redis too, before it is made.

    Returns:
        The number of the attempt, from 1 to `attempts`.

    Raises:
        OutOfTurnError: Redis does not answer, or refuses; nothing is counted.
    """
    job.meta.pop("unserialized", None)  # RQ's stand-in for what it could not read; it cannot be written
    before, retries_left = job.meta.get("attempt", 0), job.retries_left
    attempt = before + 1 if before < attempts else 1
    job.meta["attempt"], job.retries_left = attempt, attempts - attempt
    try:
        job.save()
    except RedisError as error:
        job.meta["attempt"], job.retries_left = before, retries_left
        raise OutOfTurnError(f"Redis did not count the attempt: {type(error).__name__}") from None
    return attempt


def restore_retry(job: Job, error: BaseException) -> None:
    """Let a failure use up none of RQ's retries if Redis, not the job, is its cause."""
    if is_transient(error):
        job.retries_left = (job.retries_left or 0) + 1


def decide_retry(job: Job, backoff: Backoff, attempt: int, error: BaseException, *, counts: bool) -> Decided:
    """Prepare RQ's decision about a job whose attempt raised.

    Returns:
        The outcome: `retry`, `out_of_turn`, `discarded` or `dead`; and what else the log says: that the attempt does
        not count, and until when the job may wait so. The job's `meta`, `retries_left` and interval are set, and still
        to be written.
    """
    attempts = max(attempt, 1) + (job.retries_left or 0)
    seconds, until = _wait(job, backoff, max(attempt, 1), error)
    counts = counts and not until
    job.meta["cause"] = cause_of(error)
    job.meta.pop("left", None)
    if isinstance(error, FINAL) or (until and until < time.time()):
        job.retries_left = 0
    elif not counts:
        job.meta["attempt"] = attempt - 1 if attempt else job.meta.get("attempt", 0)
        job.retries_left = (job.retries_left or 0) + 1
    if not job.retries_left:
        # For workers/dead_letters/registry.py, which must not look for them in a text that a customer may have written.
        job.meta |= {"attempt": 0, "attempts": attempts, "made": attempt, "where": last_frames_of(error)}
        job.meta.pop("waits", None)
        return "discarded" if isinstance(error, Discard) else "dead", {}
    job.retry_intervals = [seconds]
    fields: dict[str, Any] = {} if counts else {"counts": False}
    if until:
        fields["until"] = datetime.fromtimestamp(until, UTC).isoformat(timespec="seconds")
    return "out_of_turn" if isinstance(error, OutOfTurnError) else "retry", fields


def _wait(job: Job, backoff: Backoff, attempt: int, error: BaseException) -> tuple[int, float | None]:
    """How many seconds a job waits for its next attempt; and until when it may wait without using up an attempt."""
    if isinstance(error, OutOfTurnError):
        return _OUT_OF_TURN_SECONDS, None
    if not (isinstance(error, Unavailable) or (isinstance(error, Retry) and not error.counts)):
        job.meta.pop("waits", None)
        asked = min(math.ceil(error.after), LONGEST_SECONDS) if isinstance(error, Retry) else None
        return backoff.seconds(attempt) if asked is None else asked, None
    count, since = job.meta.get("waits", [0, round(time.time())])
    job.meta["waits"] = [count + 1, since]
    if isinstance(error, Retry):
        return min(math.ceil(error.after), LONGEST_WAIT_SECONDS), since + LONGEST_WAIT_SECONDS
    return error.pause or backoff.seconds(count + 1), since + LONGEST_WAIT_SECONDS
