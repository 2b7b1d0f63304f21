"""The life of a job that fails, in RQ's own terms.

1. Fan-out gives a job `attempts - 1` of RQ's retries and an interval for each, so that RQ tries it again even when
   the worker dies in the middle.
2. Each attempt is counted in the job's `meta`, our own record: RQ's count does not start anew after a requeue.
3. An attempt that raises leaves RQ's `retries_left` and interval as the exception asks, and raises on: RQ's own
   code schedules the job, and its scheduler queues it again when the time has come.
4. After the last attempt, a `Discard`, an unknown job name or a missing setting no retries are left: RQ moves the job,
   with the traceback, to its FailedJobRegistry. That is the dead letter.
5. A dead letter that is requeued begins at attempt 1.
6. An attempt that fails while a breaker has the job's queue paused is given back: see `workers/limits.py`;
   so is one that was begun before its turn: see `workers/turns.py`.
"""

import math

from rq import Retry as RQRetry
from rq.job import Job

from shared.errors import ConfigError, DamagedJobError, Discard, NotRunError, OutOfTurnError, Retry, UnknownJobError
from shared.jobs import JobType
from shared.policies import LONGEST_SECONDS, Backoff
from workers.causes import cause_of, places_of

_OUT_OF_TURN_SECONDS = 1
GIVES_UP = (Discard, UnknownJobError, DamagedJobError, ConfigError, NotRunError)
"""What no further attempt can help."""


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
    """
    job.meta.pop("unserialized", None)  # RQ's stand-in for what it could not read; it cannot be written
    before = job.meta.get("attempt", 0)
    attempt = before + 1 if before < attempts else 1
    job.meta["attempt"] = attempt
    job.retries_left = attempts - attempt
    job.save()
    return attempt


def uncount_attempt(job: Job, attempt: int) -> None:
    """Give a job the attempt back that failed: it is tried again even if that was its last.

    Args:
        job: the job.
        attempt: the attempt's number; 0 when it was not counted.
    """
    job.meta["attempt"] = attempt - 1 if attempt else job.meta.get("attempt", 0)
    job.retries_left = (job.retries_left or 0) + 1
    job.save_meta()


def settle_failure(job: Job, backoff: Backoff, attempt: int, error: BaseException) -> str:
    """Prepare RQ's decision about a job whose attempt raised.

    Args:
        job: the job.
        backoff: how its type waits.
        attempt: the attempt's number; 0 when none was made.
        error: what was raised.

    Returns:
        The outcome, for the log: `retry`, `discarded` or `dead`.
    """
    number = max(attempt, 1)
    attempts = number + (job.retries_left or 0)
    if isinstance(error, GIVES_UP):
        job.retries_left = 0
    if not job.retries_left:
        # For workers/dead_letters.py, which must not look for them in a text that may quote anybody.
        job.meta |= {"attempt": 0, "attempts": attempts, "made": attempt}
        job.meta |= {"cause": cause_of(error), "where": places_of(error)}
        job.save_meta()
        return "discarded" if isinstance(error, Discard) else "dead"
    if isinstance(error, OutOfTurnError):
        job.retry_intervals = [_OUT_OF_TURN_SECONDS]
        return "out_of_turn"
    after = min(math.ceil(error.after), LONGEST_SECONDS) if isinstance(error, Retry) else backoff.seconds(number)
    job.retry_intervals = [after]
    return "retry"
